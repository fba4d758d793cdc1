#include "ws/deflate/block_writer.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/bytes.h"
#include "tests/support/corpus.h"
#include "tests/support/deflate_bits.h"
#include "tests/support/inflate.h"

namespace ws::deflate {
namespace {

using test::bytes_of;
using test::DeflateBits;
using test::inflate;
using test::Rng;

// A message of blocks that have no matches.
class Literals {
 public:
  Literals() { writer_.start(out_); }
  void add(const std::string& text) {
    block_.clear();
    block_.count_literals(bytes_of(text).data(), bytes_of(text).data() + text.size());
    block_.add_rest(text.size());
    writer_.write(block_, bytes_of(text).data());
    all_ += text;
  }
  core::ConstBytes finish() {
    writer_.finish();
    return out_.bytes();
  }
  const std::string& all() const { return all_; }

 private:
  core::Buffer out_;
  BlockWriter writer_;
  Block block_;
  std::string all_;
};

unsigned type_of(core::ConstBytes message) {
  return message[0] >> 1 & 3;
}

core::ConstBytes one_block(const std::string& text) {
  static std::unique_ptr<Literals> literals;
  literals = std::make_unique<Literals>();
  literals->add(text);
  return literals->finish();
}

TEST(BlockWriter, StoresNoise) {
  Rng rng(1);
  const std::string noise = test::noise(rng, 1000);
  const core::ConstBytes message = one_block(noise);
  EXPECT_EQ(type_of(message), kStored);
  EXPECT_EQ(message.size(), 1000u + 5 + 1);
}

TEST(BlockWriter, GivesAFewSymbolsTheFixedCode) {
  const core::ConstBytes message = one_block("a short text");
  EXPECT_EQ(type_of(message), kFixed);
  const auto expected =
      DeflateBits().header(false, kFixed).fixed_text("a short text").fixed_end().end_message();
  EXPECT_TRUE(
      std::equal(message.begin(), message.end(), expected.bytes().begin(), expected.bytes().end()));
}

TEST(BlockWriter, GivesMuchOfFewSymbolsACodeOfTheirOwn) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "ab"[i % 3 == 0];
  const core::ConstBytes message = one_block(text);
  EXPECT_EQ(type_of(message), kDynamic);
  EXPECT_LT(message.size(), 1000 * 4 / 3 / 8 + 30u);
  EXPECT_EQ(inflate(message), text);
  // Of 9 bits each in the fixed code, so that storing them would be better.
  for (char& c : text) c = static_cast<char>(c + 100);
  EXPECT_EQ(type_of(one_block(text)), kDynamic);
}

// Literals below 144 take 8 bits, others 9 (s3.2.6), a stored byte takes 8. No form is ever more
// expensive than those two.
TEST(BlockWriter, NeverTakesMoreThanTheOtherForms) {
  Rng rng(2);
  for (int i = 0; i < 2000; ++i) {
    std::string text(rng.between(1, 400), '\0');
    const std::size_t symbols = rng.between(1, 256);
    for (char& c : text) c = static_cast<char>(rng.below(symbols) * 131);
    std::size_t fixed = 3 + 7;
    for (const char c : text) fixed += static_cast<std::uint8_t>(c) < 144 ? 8 : 9;
    const core::ConstBytes message = one_block(text);
    ASSERT_LE(message.size(), (fixed + 3 + 7) / 8);
    ASSERT_LE(message.size(), text.size() + 5 + 1);
    ASSERT_EQ(inflate(message), text);
  }
}

TEST(BlockWriter, JoinsBlocksOfAllFormsAtAnyBit) {
  Rng rng(3);
  for (int i = 0; i < 300; ++i) {
    Literals literals;
    for (std::size_t blocks = rng.between(1, 8); blocks > 0; --blocks) {
      switch (rng.below(3)) {
        case 0:
          literals.add(test::noise(rng, rng.between(1, 300)));
          break;
        case 1:
          literals.add(test::prose(rng, rng.between(1, 20)));
          break;
        default:
          literals.add(test::prose(rng, rng.between(400, 1000)));
      }
    }
    ASSERT_EQ(inflate(literals.finish()), literals.all());
  }
}

TEST(BlockWriter, WritesEveryLengthAndManyDistances) {
  Rng rng(4);
  BlockWriter writer;
  auto block = std::make_unique<Block>();
  for (int i = 0; i < 100; ++i) {
    std::string text = test::noise(rng, 33'000);
    block->clear();
    block->count_literals(bytes_of(text).data(), bytes_of(text).data() + text.size());
    std::size_t literals = text.size();
    std::size_t length = rng.between(3, 258);
    for (std::size_t left = rng.between(1, 100); left > 0; --left) {
      const std::size_t distance =
          rng.chance(20) ? 32768 >> rng.below(16) : 1 + (rng.below(32768) >> rng.below(15));
      for (std::size_t k = 0; k < length; ++k) text += text[text.size() - distance];
      block->add_match(literals, length, distance);
      literals = 0;
      length = i == 0 ? 3 + (length - 2) % 256 : rng.between(3, 258);
    }
    core::Buffer out;
    writer.start(out);
    writer.write(*block, bytes_of(text).data());
    writer.finish();
    ASSERT_TRUE(inflate(out.bytes()) == text);
  }
}

TEST(BlockWriter, EndsAnEmptyMessageWithOneZeroByte) {
  Literals literals;
  const core::ConstBytes message = literals.finish();
  ASSERT_EQ(message.size(), 1u);
  EXPECT_EQ(message[0], 0);
}

TEST(BlockWriter, SortsLengthsAndDistancesIntoTheirSymbols) {
  for (unsigned length = kMatchBytesMin; length <= kMatchBytesMax; ++length) {
    const Range range = kLengths[kSymbolOfLength[length]];
    EXPECT_LE(range.base, length);
    EXPECT_LT(length, range.base + (1u << range.extra_bits));
  }
  EXPECT_EQ(kSymbolOfLength[258], 28);  // not 227 + 31
  for (unsigned distance = 1; distance <= 32768; ++distance) {
    const Range range = kDistances[symbol_of_distance(distance)];
    ASSERT_LE(range.base, distance);
    ASSERT_LT(distance, range.base + (1u << range.extra_bits));
  }
}

}  // namespace
}  // namespace ws::deflate
