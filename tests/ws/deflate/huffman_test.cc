#include "ws/deflate/huffman.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <queue>
#include <vector>

#include "tests/support/corpus.h"

namespace ws::deflate {
namespace {

using Counts = SymbolCounts<kLitlenSlots>;
using Lengths = CodeLengths<kLitlenSlots>;

// What Huffman's algorithm spends: the sum of all inner nodes.
std::size_t optimum(const Counts& counts) {
  std::priority_queue<std::size_t, std::vector<std::size_t>, std::greater<>> queue;
  for (const std::uint16_t count : counts)
    if (count > 0) queue.push(count);
  std::size_t sum = 0;
  while (queue.size() > 1) {
    const std::size_t first = queue.top();
    queue.pop();
    const std::size_t both = first + queue.top();
    queue.pop();
    queue.push(both);
    sum += both;
  }
  return sum;
}

// In units of 2^-15: a complete code makes 2^15.
std::size_t kraft(const Lengths& lengths) {
  std::size_t sum = 0;
  for (const std::uint8_t bits : lengths.bits)
    if (bits > 0) sum += std::size_t{1} << (15 - bits);
  return sum;
}

std::size_t spent(const Counts& counts, const Lengths& lengths) {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) sum += std::size_t{counts[i]} * lengths.bits[i];
  return sum;
}

Counts random_counts(test::Rng& rng) {
  Counts counts{};
  const std::size_t used = rng.between(2, 286);
  const unsigned top = static_cast<unsigned>(rng.between(1, 14));
  for (std::size_t i = 0; i < used; ++i)
    counts[rng.below(286)] =
        static_cast<std::uint16_t>(rng.between(1, std::size_t{1} << rng.between(0, top)));
  counts[0] = counts[1] = 1;
  return counts;
}

TEST(Huffman, SpendsAsLittleAsHuffmansAlgorithm) {
  test::Rng rng(1);
  int uncut = 0;
  for (int i = 0; i < 3000; ++i) {
    const Counts counts = random_counts(rng);
    Lengths lengths;
    const std::size_t bits = make_lengths(counts, 15, lengths);
    ASSERT_EQ(kraft(lengths), std::size_t{1} << 15);
    ASSERT_EQ(bits, spent(counts, lengths));
    // A word of 15 bits may be one that was cut.
    if (*std::max_element(lengths.bits.begin(), lengths.bits.end()) < 15) {
      ++uncut;
      ASSERT_EQ(bits, optimum(counts));
    } else {
      ASSERT_GE(bits, optimum(counts));
      ASSERT_LE(bits, optimum(counts) * 101 / 100);
    }
  }
  EXPECT_GT(uncut, 1000);
}

TEST(Huffman, KeepsEveryLimitWithACompleteCode) {
  Counts fibonacci{};
  std::uint16_t a = 1;
  std::uint16_t b = 1;
  for (std::size_t i = 0; i < 22; ++i) {
    fibonacci[10 * i] = a;
    b = static_cast<std::uint16_t>(a + b);
    std::swap(a, b);
  }
  for (const unsigned limit : {5u, 7u, 9u, 14u, 15u}) {
    Lengths lengths;
    const std::size_t bits = make_lengths(fibonacci, limit, lengths);
    EXPECT_EQ(kraft(lengths), std::size_t{1} << 15);
    EXPECT_LE(*std::max_element(lengths.bits.begin(), lengths.bits.end()), limit);
    EXPECT_EQ(bits, spent(fibonacci, lengths));
    EXPECT_LT(bits, optimum(fibonacci) * 2);
  }
  test::Rng rng(2);
  for (int i = 0; i < 1000; ++i) {
    const Counts counts = random_counts(rng);
    Lengths lengths;
    (void)make_lengths(counts, 9, lengths);
    ASSERT_EQ(kraft(lengths), std::size_t{1} << 15);
    ASSERT_LE(*std::max_element(lengths.bits.begin(), lengths.bits.end()), 9);
  }
}

TEST(Huffman, GivesTheRarerSymbolTheLongerWord) {
  Counts counts{};
  for (std::size_t i = 0; i < 286; ++i) counts[i] = static_cast<std::uint16_t>(1 + i * 50);
  Lengths lengths;
  (void)make_lengths(counts, 15, lengths);
  for (std::size_t i = 1; i < 286; ++i) EXPECT_LE(lengths.bits[i], lengths.bits[i - 1]);
}

TEST(Huffman, ListsTheSymbolsThatHaveWords) {
  Counts counts{};
  for (const std::size_t symbol : {3u, 64u, 127u, 128u, 255u, 256u, 285u}) counts[symbol] = 9;
  Lengths lengths;
  (void)make_lengths(counts, 15, lengths);
  const std::vector<std::uint16_t> listed(
      lengths.symbols.begin(), lengths.symbols.begin() + static_cast<std::ptrdiff_t>(lengths.used));
  EXPECT_EQ(listed, (std::vector<std::uint16_t>{3, 64, 127, 128, 255, 256, 285}));
}

TEST(Huffman, GivesALoneSymbolACompanion) {
  for (const std::size_t symbol : {0u, 1u, 200u}) {
    Counts counts{};
    counts[symbol] = 17;
    Lengths lengths;
    EXPECT_EQ(make_lengths(counts, 15, lengths), 17u);
    EXPECT_EQ(lengths.used, 2u);
    EXPECT_LT(lengths.symbols[0], lengths.symbols[1]);
    EXPECT_EQ(lengths.bits[symbol], 1);
    EXPECT_EQ(kraft(lengths), std::size_t{1} << 15);
  }
}

TEST(Huffman, MakesNoWordsForNoSymbols) {
  Lengths lengths;
  EXPECT_EQ(make_lengths(Counts{}, 15, lengths), 0u);
  EXPECT_EQ(lengths.used, 0u);
}

// The example of RFC 1951 s3.2.2: lengths (3, 3, 3, 3, 3, 2, 4, 4) for A to H. The words there
// begin with the highest bit, ours with the lowest.
TEST(Huffman, AssignsTheWordsOfTheSpecificationsExample) {
  CodeLengths<kDistanceSlots> lengths{};
  const std::uint8_t bits[] = {3, 3, 3, 3, 3, 2, 4, 4};
  for (std::uint16_t i = 0; i < 8; ++i) {
    lengths.bits[i] = bits[i];
    lengths.symbols[lengths.used++] = i;
  }
  CodeWords<kDistanceSlots> words;
  assign_words(lengths, words);
  const unsigned expected[] = {0b010, 0b110, 0b001, 0b101, 0b011, 0b00, 0b0111, 0b1111};
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(words[i].word, expected[i]) << i;
    EXPECT_EQ(words[i].bits, bits[i]) << i;
  }
}

}  // namespace
}  // namespace ws::deflate
