#include "ws/deflate/huffman.h"

#include <algorithm>

#include "core/check.h"

namespace ws::deflate {
namespace {

constexpr std::size_t kSymbolsMax = kLitlenSlots;

// A symbol and how often it occurs, in one number that sorts by the latter.
using Leaf = std::uint32_t;
constexpr unsigned kSymbolBits = 9;
constexpr std::size_t symbol_of(Leaf leaf) {
  return leaf & ((1u << kSymbolBits) - 1);
}
constexpr std::uint32_t weight_of(Leaf leaf) {
  return leaf >> kSymbolBits;
}

// One more, so that the merging below may look beyond the last.
using Leaves = std::array<Leaf, kSymbolsMax + 1>;
using LengthCounts = std::array<unsigned, kCodeBitsMax + 1>;

// Sorts the symbols that occur, the rarest first. In a small message nearly all are rare, so they
// are counted into place; what occurs more often than kRare is sorted.
void sort_leaves(const std::uint16_t* symbols, std::size_t used, const std::uint16_t* counts,
                 Leaves& leaves) {
  constexpr std::uint32_t kRare = 30;
  std::array<std::uint16_t, kRare + 3> at{};
  for (std::size_t i = 0; i < used; ++i)
    ++at[std::min<std::uint32_t>(counts[symbols[i]], kRare + 1) + 1];
  for (std::size_t i = 2; i < at.size(); ++i) at[i] = static_cast<std::uint16_t>(at[i] + at[i - 1]);
  const auto rare = static_cast<std::ptrdiff_t>(at[kRare + 1]);
  for (std::size_t i = 0; i < used; ++i) {
    const std::uint32_t count = counts[symbols[i]];
    leaves[at[std::min(count, kRare + 1)]++] = count << kSymbolBits | symbols[i];
  }
  std::sort(leaves.begin() + rare, leaves.begin() + static_cast<std::ptrdiff_t>(used));
}

// Kraft: the sum of 2^-bits must be 1. Words that were cut to bits_max make it too much. In units
// of 2^-bits_max, a word of the longest length below bits_max that becomes one bit longer, next to
// one that had bits_max, gains one unit.
void pay_for_cut_words(unsigned bits_max, LengthCounts& lengths) {
  unsigned sum = 0;
  for (unsigned bits = 1; bits <= bits_max; ++bits) sum += lengths[bits] << (bits_max - bits);
  for (unsigned excess = sum - (1u << bits_max); excess > 0; --excess) {
    unsigned bits = bits_max - 1;
    while (lengths[bits] == 0) --bits;
    --lengths[bits];
    lengths[bits + 1] += 2;
    --lengths[bits_max];
  }
}

// Huffman's algorithm on sorted weights with two queues, the leaves and the inner nodes, which
// come into being in order of weight. Then the depth of each inner node follows from its parent's,
// from the root down, and the leaves fill what the inner nodes leave free on each level.
void count_lengths(const Leaf* leaves, std::size_t used, unsigned bits_max, LengthCounts& lengths) {
  const std::size_t inner_count = used - 1;
  std::array<std::uint32_t, kSymbolsMax + 1> weight;
  std::array<std::uint16_t, kSymbolsMax> parent;
  constexpr std::uint32_t kNone = ~0u;
  std::size_t leaf = 0;
  std::size_t inner = 0;
  weight[0] = kNone;
  for (std::size_t made = 0; made < inner_count; ++made) {
    std::uint32_t sum = 0;
    for (int child = 0; child < 2; ++child) {
      const std::uint32_t leaf_weight = weight_of(leaves[leaf]);
      const bool take_leaf = leaf_weight <= weight[inner];
      sum += take_leaf ? leaf_weight : weight[inner];
      parent[inner] = static_cast<std::uint16_t>(made);
      leaf += take_leaf;
      inner += !take_leaf;
    }
    weight[made] = sum;
    weight[made + 1] = kNone;
  }
  std::array<std::uint16_t, kSymbolsMax>& depth = parent;
  std::array<std::uint16_t, kSymbolsMax + 1> inner_at;
  unsigned deepest = 0;
  depth[inner_count - 1] = 0;
  inner_at[0] = 1;
  inner_at[1] = 0;
  for (std::size_t i = inner_count - 1; i-- > 0;) {
    const unsigned level = depth[parent[i]] + 1u;
    depth[i] = static_cast<std::uint16_t>(level);
    ++inner_at[level];
    if (level != deepest) inner_at[level + 1] = 0;
    deepest = level;
  }
  for (unsigned level = 1; level <= deepest + 1; ++level)
    lengths[std::min(level, bits_max)] += 2u * inner_at[level - 1] - inner_at[level];
  if (deepest + 1 > bits_max) pay_for_cut_words(bits_max, lengths);
}

std::uint16_t reverse_bits(unsigned word, unsigned bits) {
  word = (word & 0x5555) << 1 | (word >> 1 & 0x5555);
  word = (word & 0x3333) << 2 | (word >> 2 & 0x3333);
  word = (word & 0x0f0f) << 4 | (word >> 4 & 0x0f0f);
  word = (word & 0x00ff) << 8 | (word >> 8 & 0x00ff);
  return static_cast<std::uint16_t>(word >> (16 - bits));
}

}  // namespace

template <std::size_t slots>
std::size_t make_lengths(const SymbolCounts<slots>& counts, unsigned bits_max,
                         CodeLengths<slots>& lengths) {
  static_assert(slots <= kSymbolsMax);
  lengths.bits.fill(0);
  std::size_t used = 0;
  for_each_nonzero<slots>(counts.data(), [&](std::size_t symbol) {
    lengths.symbols[used++] = static_cast<std::uint16_t>(symbol);
  });
  lengths.used = used;
  WS_DCHECK(used <= (1u << bits_max));
  if (used == 0) return 0;
  if (used == 1) {
    const std::uint16_t symbol = lengths.symbols[0];
    const std::uint16_t companion = symbol == 0 ? 1 : 0;
    lengths.used = 2;
    lengths.symbols[0] = std::min(symbol, companion);
    lengths.symbols[1] = std::max(symbol, companion);
    lengths.bits[symbol] = lengths.bits[companion] = 1;
    return counts[symbol];
  }
  Leaves leaves;
  sort_leaves(lengths.symbols.data(), used, counts.data(), leaves);
  leaves[used] = ~0u;
  LengthCounts length_counts{};
  count_lengths(leaves.data(), used, bits_max, length_counts);
  std::size_t at = 0;
  std::size_t total = 0;
  for (unsigned bits = bits_max; bits > 0; --bits) {
    for (unsigned left = length_counts[bits]; left > 0; --left) {
      const Leaf leaf = leaves[at++];
      lengths.bits[symbol_of(leaf)] = static_cast<std::uint8_t>(bits);
      total += std::size_t{weight_of(leaf)} * bits;
    }
  }
  WS_DCHECK(at == used);
  return total;
}

template <std::size_t slots>
void assign_words(const CodeLengths<slots>& lengths, CodeWords<slots>& words) {
  std::array<std::uint16_t, kCodeBitsMax + 2> next{};
  for (std::size_t i = 0; i < lengths.used; ++i) ++next[lengths.bits[lengths.symbols[i]] + 1u];
  // s3.2.2, step 2: code = (code + bl_count[bits-1]) << 1.
  unsigned word = 0;
  for (unsigned bits = 1; bits <= kCodeBitsMax; ++bits) {
    word = (word + next[bits]) << 1;
    next[bits] = static_cast<std::uint16_t>(word);
  }
  for (std::size_t i = 0; i < lengths.used; ++i) {
    const std::size_t symbol = lengths.symbols[i];
    const unsigned bits = lengths.bits[symbol];
    words[symbol] = {reverse_bits(next[bits]++, bits), static_cast<std::uint16_t>(bits)};
  }
}

template std::size_t make_lengths(const SymbolCounts<kLitlenSlots>&, unsigned,
                                  CodeLengths<kLitlenSlots>&);
template std::size_t make_lengths(const SymbolCounts<kDistanceSlots>&, unsigned,
                                  CodeLengths<kDistanceSlots>&);
template std::size_t make_lengths(const SymbolCounts<kPrecodeSlots>&, unsigned,
                                  CodeLengths<kPrecodeSlots>&);
template void assign_words(const CodeLengths<kLitlenSlots>&, CodeWords<kLitlenSlots>&);
template void assign_words(const CodeLengths<kDistanceSlots>&, CodeWords<kDistanceSlots>&);
template void assign_words(const CodeLengths<kPrecodeSlots>&, CodeWords<kPrecodeSlots>&);

}  // namespace ws::deflate
