#include "ws/deflate/decode_table.h"

#include <algorithm>
#include <array>
#include <bit>

#include "core/check.h"

namespace ws::deflate {
namespace {

constexpr DecodeEntry kInvalid = kSpecialFlag | 1;  // drops a bit, so that decoding cannot stall

constexpr DecodeEntry range_entry(Range range) {
  return static_cast<DecodeEntry>(range.base) << 16 | range.extra_bits;
}

// What each symbol means, without the length of its code word: add_code_word() completes it.
constexpr auto kLitlenMeanings = [] {
  std::array<DecodeEntry, kLitlenSymbolsFixed> meanings{};
  for (unsigned i = 0; i < 256; ++i) meanings[i] = kLiteralFlag | i << 16;
  meanings[kEndOfBlock] = kSpecialFlag | kEndFlag;
  for (unsigned i = 0; i < kLengths.size(); ++i)
    meanings[kLengthSymbol0 + i] = range_entry(kLengths[i]);
  meanings[286] = meanings[287] = kSpecialFlag;
  return meanings;
}();

constexpr auto kDistanceMeanings = [] {
  std::array<DecodeEntry, kDistanceSymbolsFixed> meanings{};
  for (unsigned i = 0; i < kDistanceSymbols; ++i) meanings[i] = range_entry(kDistances[i]);
  meanings[30] = meanings[31] = kSpecialFlag;
  return meanings;
}();

// s3.2.7: 0-15 is a length, "16: Copy the previous code length 3 - 6 times", "17: Repeat a code
// length of 0 for 3 - 10 times", "18: Repeat a code length of 0 for 11 - 138 times".
constexpr auto kPrecodeMeanings = [] {
  std::array<DecodeEntry, kPrecodeSymbols> meanings{};
  for (unsigned i = 0; i < 16; ++i) meanings[i] = i << kRunValueShift | range_entry({1, 0});
  meanings[16] = kSpecialFlag | range_entry({3, 2});
  meanings[17] = range_entry({3, 3});
  meanings[18] = range_entry({11, 7});
  return meanings;
}();

// `bits` of the code word are what this table still has to drop.
DecodeEntry add_code_word(DecodeEntry meaning, unsigned bits) {
  return meaning + (bits << 8 | bits);
}

// A code of at most one word: s3.2.7 "If only one distance code is used, it is encoded using one
// bit, not zero bits; in this case there is a single code length of one, with one unused code."
unsigned build_sparse_table(DecodeEntry entry, DecodeEntry* entries) {
  entries[0] = entry;
  entries[1] = kInvalid;
  return 1;
}

// The next code word of the same length, both held with their first bit lowest, as they lie in
// the input. `ones` is the last word of that length, all bits set.
unsigned next_word(unsigned word, unsigned ones) {
  const unsigned bit = std::bit_floor(word ^ ones);
  return (word & (bit - 1)) | bit;
}

struct SortedCode {
  std::array<std::uint16_t, kCodeBitsMax + 2> count{};     // code words by length
  std::array<std::uint16_t, kLitlenSymbolsFixed> symbols;  // by length, then by value
  unsigned used = 0;
  unsigned longest = 0;
};

// returns: 0 for a complete code, below 0 over-subscribed, above 0 incomplete.
template <std::size_t slots>
int sort_code(const std::uint8_t* lengths, SortedCode& code) {
  for_each_nonzero<slots>(lengths, [&](std::size_t symbol) { ++code.count[lengths[symbol]]; });
  std::array<std::uint16_t, kCodeBitsMax + 2> at{};
  int left = 1;  // code words of this length that are still free
  for (unsigned bits = 1; bits <= kCodeBitsMax; ++bits) {
    left = 2 * left - code.count[bits];
    if (left < 0) return left;
    at[bits + 1] = static_cast<std::uint16_t>(at[bits] + code.count[bits]);
    if (code.count[bits] != 0) code.longest = bits;
  }
  code.used = at[kCodeBitsMax + 1];
  for_each_nonzero<slots>(lengths, [&](std::size_t symbol) {
    code.symbols[at[lengths[symbol]]++] = static_cast<std::uint16_t>(symbol);
  });
  return left;
}

// Fills the main table with the words that fit: words of n bits fill a table of 2^n entries, and
// each further bit doubles it (the idea of libdeflate). returns: the symbols placed.
unsigned fill_main(const SortedCode& code, const DecodeEntry* meanings, unsigned main_bits,
                   unsigned& word, DecodeEntry* entries) {
  unsigned next = 0;
  std::size_t filled = 1;
  for (unsigned bits = 1; bits <= main_bits; ++bits) {
    if (next != 0) std::copy_n(entries, filled, entries + filled);
    filled *= 2;
    const auto ones = static_cast<unsigned>(filled - 1);
    for (unsigned left = code.count[bits]; left > 0; --left) {
      entries[word] = add_code_word(meanings[code.symbols[next++]], bits);
      if (word == ones) return next;  // the last word of a complete code
      word = next_word(word, ones);
    }
  }
  return next;
}

// Places the longer words in subtables, all of the size the longest one needs.
void fill_subtables(const SortedCode& code, const DecodeEntry* meanings, unsigned main_bits,
                    unsigned next, unsigned word, DecodeEntry* entries) {
  const unsigned sub_bits = code.longest - main_bits;
  const unsigned main_mask = (1u << main_bits) - 1;
  std::size_t start = 0;
  std::size_t end = std::size_t{1} << main_bits;
  unsigned prefix = ~0u;
  for (unsigned bits = main_bits + 1; bits <= code.longest; ++bits) {
    const unsigned ones = (1u << bits) - 1;
    for (unsigned left = code.count[bits]; left > 0; --left) {
      if ((word & main_mask) != prefix) {
        prefix = word & main_mask;
        start = end;
        end += std::size_t{1} << sub_bits;
        entries[prefix] = kSpecialFlag | kSubtableFlag | static_cast<DecodeEntry>(start) << 16 |
                          sub_bits << 8 | main_bits;
      }
      const DecodeEntry entry = add_code_word(meanings[code.symbols[next++]], bits - main_bits);
      for (std::size_t i = word >> main_bits; i < std::size_t{1} << sub_bits;
           i += std::size_t{1} << (bits - main_bits))
        entries[start + i] = entry;
      if (word == ones) return;
      word = next_word(word, ones);
    }
  }
}

// sparse: whether the code may have a single word, or none.
template <std::size_t slots>
unsigned build_table(const std::uint8_t* lengths, const DecodeEntry* meanings, unsigned table_bits,
                     bool sparse, DecodeEntry* entries) {
  SortedCode code;
  const int left = sort_code<slots>(lengths, code);
  if (left < 0) return 0;
  if (left > 0) {
    if (!sparse || code.longest > 1) return 0;
    if (code.used == 0) return build_sparse_table(kInvalid, entries);
    return build_sparse_table(add_code_word(meanings[code.symbols[0]], 1), entries);
  }
  const unsigned main_bits = std::min(table_bits, code.longest);
  unsigned word = 0;
  const unsigned placed = fill_main(code, meanings, main_bits, word, entries);
  if (placed < code.used) fill_subtables(code, meanings, main_bits, placed, word, entries);
  return main_bits;
}

}  // namespace

unsigned build_litlen_table(const std::uint8_t* lengths, DecodeEntry* entries) {
  if (lengths[kEndOfBlock] == 0) return 0;
  return build_table<kLitlenSlots>(lengths, kLitlenMeanings.data(), kLitlenTableBits, true,
                                   entries);
}

unsigned build_distance_table(const std::uint8_t* lengths, DecodeEntry* entries) {
  return build_table<kDistanceSlots>(lengths, kDistanceMeanings.data(), kDistanceTableBits, true,
                                     entries);
}

unsigned build_precode_table(const std::uint8_t* lengths, DecodeEntry* entries) {
  return build_table<kPrecodeSlots>(lengths, kPrecodeMeanings.data(), kPrecodeTableBits, false,
                                    entries);
}

const DecodeTable& fixed_litlen_table() {
  static DecodeEntry entries[std::size_t{1} << 9];  // its longest code word has 9 bits
  static const DecodeTable table = [] {
    std::array<std::uint8_t, kLitlenSlots> lengths;
    for (unsigned i = 0; i < lengths.size(); ++i) lengths[i] = fixed_litlen_bits(i);
    return DecodeTable{entries, build_litlen_table(lengths.data(), entries)};
  }();
  return table;
}

const DecodeTable& fixed_distance_table() {
  static DecodeEntry entries[std::size_t{1} << kFixedDistanceBits];
  static const DecodeTable table = [] {
    std::array<std::uint8_t, kDistanceSlots> lengths;
    lengths.fill(kFixedDistanceBits);
    return DecodeTable{entries, build_distance_table(lengths.data(), entries)};
  }();
  return table;
}

}  // namespace ws::deflate
