#include "ws/deflate/decode_table.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "tests/support/corpus.h"
#include "tests/support/deflate_bits.h"

namespace ws::deflate {
namespace {

// What a decoder finds behind a code word.
struct Found {
  DecodeEntry entry;
  unsigned bits;  // dropped for the word, and for the extra bits where there are any
};
Found look_up(const DecodeEntry* entries, unsigned table_bits, std::uint64_t input) {
  DecodeEntry entry = entries[input & ((1u << table_bits) - 1)];
  unsigned before = 0;
  if ((entry & kSpecialFlag) && (entry & kSubtableFlag)) {
    before = entry_drop(entry);
    input >>= before;
    entry = entries[entry_value(entry) + (input & ((1u << entry_code_bits(entry)) - 1))];
  }
  return {entry, before + entry_drop(entry)};
}

// The word of a symbol as it lies in the input, followed by ones.
std::uint64_t input_of(std::span<const std::uint8_t> lengths, std::size_t symbol) {
  test::DeflateBits bits;
  bits.word(test::canonical_words(lengths)[symbol], lengths[symbol]).number(~0u, 24);
  std::uint64_t input = 0;
  for (std::size_t i = 0; i < bits.bytes().size(); ++i)
    input |= std::uint64_t{bits.bytes()[i]} << (8 * i);
  return input;
}

using LitlenLengths = std::array<std::uint8_t, kLitlenSlots>;
using DistanceLengths = std::array<std::uint8_t, kDistanceSlots>;
using PrecodeLengths = std::array<std::uint8_t, kPrecodeSlots>;

std::vector<DecodeEntry>& litlen_entries() {
  static std::vector<DecodeEntry> entries(kLitlenTableEntries);
  return entries;
}

void expect_all_found(const LitlenLengths& lengths) {
  std::vector<DecodeEntry>& entries = litlen_entries();
  const unsigned bits = build_litlen_table(lengths.data(), entries.data());
  ASSERT_GT(bits, 0u);
  ASSERT_LE(bits, kLitlenTableBits);
  for (unsigned symbol = 0; symbol < kLitlenSymbols; ++symbol) {
    if (lengths[symbol] == 0) continue;
    const Found found = look_up(entries.data(), bits, input_of(lengths, symbol));
    const unsigned extra = symbol > kEndOfBlock ? kLengths[symbol - kLengthSymbol0].extra_bits : 0;
    ASSERT_EQ(found.bits, lengths[symbol] + extra) << symbol;
    if (symbol < 256) {
      ASSERT_TRUE(found.entry & kLiteralFlag);
      ASSERT_EQ(found.entry >> 16 & 0xff, symbol);
    } else if (symbol == kEndOfBlock) {
      ASSERT_TRUE(found.entry & kEndFlag);
    } else {
      ASSERT_FALSE(found.entry & (kLiteralFlag | kSpecialFlag));
      ASSERT_EQ(entry_value(found.entry), kLengths[symbol - kLengthSymbol0].base);
    }
  }
}

// A complete code of so many symbols: a tree whose leaves are split at random.
LitlenLengths random_lengths(test::Rng& rng, std::size_t used) {
  std::vector<std::uint8_t> leaves = {0};
  while (leaves.size() < used) {
    const std::size_t at = rng.chance(50) ? leaves.size() - 1 : rng.below(leaves.size());
    if (leaves[at] == kCodeBitsMax) continue;
    leaves.push_back(++leaves[at]);
  }
  LitlenLengths lengths{};
  lengths[kEndOfBlock] = leaves[0];
  for (std::size_t i = 1; i < used; ++i) {
    std::size_t symbol = rng.below(kLitlenSymbols);
    while (lengths[symbol] != 0) symbol = (symbol + 1) % kLitlenSymbols;
    lengths[symbol] = leaves[i];
  }
  return lengths;
}

TEST(DecodeTable, FindsEverySymbolOfTheFixedCodes) {
  LitlenLengths lengths;
  for (unsigned i = 0; i < lengths.size(); ++i) lengths[i] = fixed_litlen_bits(i);
  expect_all_found(lengths);
  EXPECT_EQ(fixed_litlen_table().bits, 9u);
  EXPECT_EQ(fixed_distance_table().bits, 5u);
}

TEST(DecodeTable, FindsEverySymbolOfAnyCompleteCode) {
  test::Rng rng(1);
  for (int i = 0; i < 400; ++i) {
    expect_all_found(random_lengths(rng, rng.between(2, kLitlenSymbols)));
    if (HasFatalFailure()) return;
  }
}

// 15 words, each on the way to the next: one subtable.
TEST(DecodeTable, FindsEverySymbolOfTheDeepestCode) {
  LitlenLengths lengths{};
  lengths[kEndOfBlock] = 1;
  for (std::uint8_t bits = 2; bits <= 15; ++bits) lengths[bits] = bits;
  lengths[16] = 15;
  expect_all_found(lengths);
}

// 137 pairs of words beyond the main table, and the subtables as large as can be: with 273/4096 of
// the code for 276 words, the rest, 3823/4096, is made of 10.
TEST(DecodeTable, FindsEverySymbolOfTheCodeWithTheMostSubtables) {
  std::vector<std::uint8_t> bits = {1, 2, 3, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 15};
  bits.resize(kLitlenSymbols, 12);
  LitlenLengths lengths{};
  for (std::size_t i = 0; i < bits.size(); ++i)
    lengths[(i * 97 + kEndOfBlock) % kLitlenSymbols] = bits[i];
  expect_all_found(lengths);
}

TEST(DecodeTable, RefusesOversubscribedAndIncompleteCodes) {
  std::vector<DecodeEntry>& entries = litlen_entries();
  test::Rng rng(2);
  for (int i = 0; i < 300; ++i) {
    const LitlenLengths lengths = random_lengths(rng, rng.between(3, 286));
    for (int k = 0; k < 10; ++k) {
      LitlenLengths wrong = lengths;
      const std::size_t symbol = rng.below(kLitlenSymbols);
      const auto other = static_cast<std::uint8_t>(rng.below(16));
      if (other == wrong[symbol] || (symbol == kEndOfBlock && other == 0)) continue;
      wrong[symbol] = other;  // no change of one length leaves a complete code complete
      EXPECT_EQ(build_litlen_table(wrong.data(), entries.data()), 0u);
    }
  }
}

TEST(DecodeTable, RefusesALiteralCodeWithoutEndOfBlock) {
  LitlenLengths lengths{};
  lengths['a'] = lengths['b'] = 1;
  EXPECT_EQ(build_litlen_table(lengths.data(), litlen_entries().data()), 0u);
}

TEST(DecodeTable, AcceptsALoneWordOfOneBitAndNoLongerOne) {
  LitlenLengths litlen{};
  litlen[kEndOfBlock] = 1;
  const DecodeEntry* entries = litlen_entries().data();
  ASSERT_EQ(build_litlen_table(litlen.data(), litlen_entries().data()), 1u);
  EXPECT_TRUE(entries[0] & kEndFlag);
  EXPECT_EQ(entries[1] & (kSpecialFlag | kEndFlag | kSubtableFlag | kLiteralFlag), kSpecialFlag);
  litlen[kEndOfBlock] = 2;
  EXPECT_EQ(build_litlen_table(litlen.data(), litlen_entries().data()), 0u);

  DecodeEntry distance_entries[kDistanceTableEntries];
  DistanceLengths distance{};
  distance[7] = 1;
  ASSERT_EQ(build_distance_table(distance.data(), distance_entries), 1u);
  EXPECT_EQ(entry_value(distance_entries[0]), kDistances[7].base);
  EXPECT_EQ(distance_entries[1] & kSpecialFlag, kSpecialFlag);
  distance[7] = 3;
  EXPECT_EQ(build_distance_table(distance.data(), distance_entries), 0u);

  DecodeEntry precode_entries[kPrecodeTableEntries];
  PrecodeLengths precode{};
  precode[5] = 1;
  EXPECT_EQ(build_precode_table(precode.data(), precode_entries), 0u);
}

TEST(DecodeTable, AcceptsNoDistancesAtAllButNoOtherEmptyCode) {
  DecodeEntry entries[kDistanceTableEntries];
  ASSERT_EQ(build_distance_table(DistanceLengths{}.data(), entries), 1u);
  EXPECT_EQ(entries[0] & kSpecialFlag, kSpecialFlag);
  EXPECT_EQ(entries[1] & kSpecialFlag, kSpecialFlag);
  EXPECT_EQ(build_precode_table(PrecodeLengths{}.data(), entries), 0u);
  EXPECT_EQ(build_litlen_table(LitlenLengths{}.data(), litlen_entries().data()), 0u);
}

}  // namespace
}  // namespace ws::deflate
