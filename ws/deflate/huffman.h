// Internal. Length-limited Huffman codes for the encoder (RFC 1951 s3.2.2).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "ws/deflate/format.h"

namespace ws::deflate {

template <std::size_t slots>
using SymbolCounts = std::array<std::uint16_t, slots>;

// A code word as it goes into the output, its first bit lowest.
struct CodeWord {
  std::uint16_t word;
  std::uint16_t bits;
};
template <std::size_t slots>
using CodeWords = std::array<CodeWord, slots>;

// The lengths of the words of a code, and a list of the symbols that have one: what comes after
// walks along the list, which is short for a small message.
template <std::size_t slots>
struct CodeLengths {
  std::size_t used;
  std::array<std::uint16_t, slots> symbols;  // in order
  std::array<std::uint8_t, slots> bits;      // by symbol
};

// Finds the code that spends the fewest bits on symbols as frequent as `counts` says (to be exact,
// the fewest unless a word must be shortened to bits_max). The only symbol of a code gets a
// companion, so that the code is complete: not every decoder takes another. With no symbols there
// are no words. 2^bits_max is at least the number of symbols.
// returns: the bits the symbols will take.  cost: O(symbols) for small counts, no allocation.
template <std::size_t slots>
std::size_t make_lengths(const SymbolCounts<slots>& counts, unsigned bits_max,
                         CodeLengths<slots>& lengths);

// The canonical code with words of these lengths. Words of other symbols are left as they are.
template <std::size_t slots>
void assign_words(const CodeLengths<slots>& lengths, CodeWords<slots>& words);

}  // namespace ws::deflate
