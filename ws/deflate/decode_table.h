// Internal. Huffman decoding tables, and which codes are refused (RFC 1951 s3.2.2, s3.2.7).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "ws/deflate/format.h"

namespace ws::deflate {

// One entry holds all there is to know of a code word, so that decoding costs one load:
//   bits 0-7    bits to drop from the input: the code word and the extra bits behind it
//   bits 8-11   bits of the code word alone, where extra bits follow
//   bits 16-30  the literal, the base of the length or distance, or where the subtable starts
// A code word longer than the main table goes through an entry flagged kSubtable, whose bits 8-11
// say by how many bits the subtable is indexed.
using DecodeEntry = std::uint32_t;
inline constexpr DecodeEntry kLiteralFlag = 1u << 31;
inline constexpr DecodeEntry kSpecialFlag = 1u << 15;  // subtable, end of block or not a code
inline constexpr DecodeEntry kSubtableFlag = 1u << 14;
inline constexpr DecodeEntry kEndFlag = 1u << 13;

inline unsigned entry_drop(DecodeEntry entry) {
  return entry & 0xff;
}
inline unsigned entry_value(DecodeEntry entry) {
  return (entry >> 16) & 0x7fff;
}
inline unsigned entry_code_bits(DecodeEntry entry) {
  return (entry >> 8) & 0x0f;
}

// The value of a length, distance or run: its base and the extra bits behind its code word.
// bits: the input from the code word on.
inline std::size_t entry_range(DecodeEntry entry, std::uint64_t bits) {
  const std::uint64_t word = bits & ((std::uint64_t{1} << entry_drop(entry)) - 1);
  return entry_value(entry) + static_cast<std::size_t>(word >> entry_code_bits(entry));
}

// An entry of the precode is a run of equal code lengths. The length lies above the base of the
// run, which is at most 138; kSpecialFlag means the previous length.
inline constexpr unsigned kRunValueShift = 24;
inline constexpr unsigned kRunMask = 0xff;

// Main tables of 2^11 and 2^8 entries: nearly every code word of real data is found at once, and
// both tables stay in the first-level cache.
inline constexpr unsigned kLitlenTableBits = 11;
inline constexpr unsigned kDistanceTableBits = 8;
inline constexpr unsigned kPrecodeTableBits = kPrecodeBitsMax;

// In a complete code at least two code words share each prefix that needs a subtable, and no
// subtable is larger than 2^(15 - main bits).
constexpr std::size_t table_entries_max(unsigned symbols, unsigned main_bits) {
  return (std::size_t{1} << main_bits) +
         symbols / 2 * (std::size_t{1} << (kCodeBitsMax - main_bits));
}
inline constexpr std::size_t kLitlenTableEntries =
    table_entries_max(kLitlenSymbols, kLitlenTableBits);
inline constexpr std::size_t kDistanceTableEntries =
    table_entries_max(kDistanceSymbols, kDistanceTableBits);
inline constexpr std::size_t kPrecodeTableEntries = std::size_t{1} << kPrecodeTableBits;

// A table as the decoder uses it.
struct DecodeTable {
  const DecodeEntry* entries;
  unsigned bits;  // of the main table, at most its maximum above
};

// Build the table of the code whose words have these lengths (by symbol, each at most 15, 0: not
// used; kLitlenSlots, kDistanceSlots and kPrecodeSlots of them) in `entries`, which holds the
// maximum above for its alphabet, and return the bits of its main table, 0 when the code is
// refused.
//  Refused and accepted is what zlib refuses and accepts:
//   - over-subscribed: refused;
//   - incomplete: refused, but for a single code word of one bit in the literal/length or the
//     distance code; the other word is an error when it is met;
//   - empty: accepted for distances (s3.2.7: "One distance code of zero bits means that there are
//     no distance codes used at all"), any word is an error when met; refused elsewhere;
//   - a literal/length code without end-of-block: refused.
// cost: O(symbols + entries), no allocation.
[[nodiscard]] unsigned build_litlen_table(const std::uint8_t* lengths, DecodeEntry* entries);
[[nodiscard]] unsigned build_distance_table(const std::uint8_t* lengths, DecodeEntry* entries);
[[nodiscard]] unsigned build_precode_table(const std::uint8_t* lengths, DecodeEntry* entries);

// The tables of s3.2.6, built once. thread: any.
const DecodeTable& fixed_litlen_table();
const DecodeTable& fixed_distance_table();

}  // namespace ws::deflate
