// Internal. Writes DEFLATE blocks, each in the cheapest of the three forms (RFC 1951 s3.2.3-7).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/buffer.h"
#include "core/check.h"
#include "ws/deflate/format.h"
#include "ws/deflate/huffman.h"

namespace ws::deflate {

// What a match finder produces: some literals, then a match (length 0: none, at the end).
struct Sequence {
  std::uint16_t literals;
  std::uint16_t length;
  std::uint16_t distance;
  std::uint8_t length_symbol;  // from kLengthSymbol0
  std::uint8_t distance_symbol;
};

// The input of one block as literals and matches, and how often each symbol occurs in it.
struct Block {
  static constexpr std::size_t kBytesMax = 65535;  // so that a count fits 16 bits
  static constexpr std::size_t kSequencesMax = 8192;

  void clear();
  // Literals are counted first, by whoever finds that no match begins there.
  void count_literals(const std::uint8_t* from, const std::uint8_t* to) {
    while (from < to) ++litlen_counts[*from++];
  }
  // literals: before the match.
  void add_match(std::size_t literals, std::size_t length, std::size_t distance);
  // The literals behind the last match.
  void add_rest(std::size_t literals);

  std::size_t used = 0;        // of `sequences`
  std::size_t bytes = 0;       // that they stand for
  std::size_t extra_bits = 0;  // of lengths and distances
  SymbolCounts<kLitlenSlots> litlen_counts{};
  SymbolCounts<kDistanceSlots> distance_counts{};
  std::array<Sequence, kSequencesMax> sequences;
};

// Bits on their way into bytes. Held in registers by whoever writes many.
struct BitSink {
  std::uint8_t* next = nullptr;
  std::uint64_t bits = 0;
  unsigned count = 0;

  // At most 56 bits between two calls of flush(), which may store 8 bytes.
  void put(std::uint64_t value, unsigned width) {
    WS_DCHECK(value >> width == 0);
    WS_DCHECK(count + width < 64);
    bits |= value << count;
    count += width;
  }
  void put(CodeWord code) { put(code.word, code.bits); }
  void flush() {
    store_le64(next, bits);
    next += count >> 3;
    bits >>= count & ~7u;
    count &= 7;
  }
  void pad_to_byte() { count = (count + 7) & ~7u; }
};

struct BlockCode {
  CodeWords<kLitlenSlots> litlen;
  CodeWords<kDistanceSlots> distance;
};

class BlockWriter {
 public:
  // Begins a message whose blocks are appended to `out`.
  void start(core::Buffer& out);
  // input: the bytes of the block.
  void write(const Block& block, const std::uint8_t* input);
  // RFC 7692 s7.2.1: "append an empty DEFLATE block with no compression to the tail end", "Remove 4
  // octets (that are 0x00 0x00 0xff 0xff) from the tail end."
  void finish();

 private:
  // The lengths of a dynamic code as they are sent: s3.2.7.
  struct Item {
    std::uint8_t symbol;
    std::uint8_t extra;
  };
  struct DynamicCode {
    unsigned litlen_count;
    unsigned distance_count;
    unsigned precode_count;
    std::size_t item_count;
    std::array<Item, kLitlenSlots + kDistanceSlots> items;
    SymbolCounts<kPrecodeSlots> item_counts;
    CodeLengths<kPrecodeSlots> precode;
    CodeLengths<kLitlenSlots> litlen;
    CodeLengths<kDistanceSlots> distance;
  };

  std::size_t make_dynamic(const Block& block);
  std::size_t fixed_bits(const Block& block) const;
  void make_items();
  void add_items(std::size_t length, std::size_t run);
  void write_dynamic_header();
  void write_stored(core::ConstBytes input);
  void write_symbols(const Block& block, const std::uint8_t* input, const BlockCode& code);
  void reserve(std::size_t bits);
  void commit();
  std::size_t bits_written() const { return 8 * out_->size() + sink_.count; }

  core::Buffer* out_ = nullptr;
  BitSink sink_;
  DynamicCode dynamic_;
  BlockCode dynamic_code_;
};

inline constexpr auto kSymbolOfLength = [] {
  std::array<std::uint8_t, kMatchBytesMax + 1> symbols{};
  for (unsigned i = 0; i < kLengths.size(); ++i)
    for (unsigned length = kLengths[i].base; length <= kMatchBytesMax; ++length)
      symbols[length] = static_cast<std::uint8_t>(i);
  return symbols;
}();

// s3.2.5: from the fifth on, two symbols for each power of two of distance - 1.
inline unsigned symbol_of_distance(std::size_t distance) {
  const auto d = static_cast<unsigned>(distance - 1);
  if (d < 2) return d;
  const auto top = static_cast<unsigned>(std::bit_width(d)) - 1;
  return 2 * top + ((d >> (top - 1)) & 1);
}

inline void Block::clear() {
  used = bytes = extra_bits = 0;
  litlen_counts.fill(0);
  litlen_counts[kEndOfBlock] = 1;
  distance_counts.fill(0);
}

inline void Block::add_match(std::size_t literals, std::size_t length, std::size_t distance) {
  WS_DCHECK(used < sequences.size());
  bytes += literals + length;
  const unsigned length_symbol = kSymbolOfLength[length];
  const unsigned distance_symbol = symbol_of_distance(distance);
  sequences[used++] = {static_cast<std::uint16_t>(literals), static_cast<std::uint16_t>(length),
                       static_cast<std::uint16_t>(distance),
                       static_cast<std::uint8_t>(length_symbol),
                       static_cast<std::uint8_t>(distance_symbol)};
  ++litlen_counts[kLengthSymbol0 + length_symbol];
  ++distance_counts[distance_symbol];
  extra_bits +=
      kLengths[length_symbol].extra_bits + std::size_t{kDistances[distance_symbol].extra_bits};
}

inline void Block::add_rest(std::size_t literals) {
  bytes += literals;
  sequences[used++] = {static_cast<std::uint16_t>(literals), 0, 0, 0, 0};
}

}  // namespace ws::deflate
