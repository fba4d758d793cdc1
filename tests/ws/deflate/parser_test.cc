#include "ws/deflate/parser.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/bytes.h"
#include "tests/support/corpus.h"

namespace ws::deflate {
namespace {

using test::bytes_of;
using test::Rng;

using Parse = const std::uint8_t* (*)(const Stream&, const Index&, const std::uint8_t*, Block&);
constexpr Parse kParsers[] = {parse_fast, parse_better};

// A parser with its index and a window, fed message by message, that checks what comes out.
class Parsing {
 public:
  Parsing(Parse parse, unsigned window_bits)
      : parse_(parse),
        window_(window_bits),
        heads_(1 << 10),
        chain_(std::size_t{1} << window_bits),
        shorts_(1 << 8),
        block_(std::make_unique<Block>()) {}

  // returns: how many bytes were literals.
  std::size_t run(const std::string& message) {
    const Stream stream{bytes_of(message).data(), bytes_of(message).data() + message.size(),
                        &window_, position_};
    const Index index{heads_.data(), 10, chain_.data(), shorts_.data(), 8};
    std::fill(shorts_.begin(), shorts_.end(), std::uint16_t{0});
    std::size_t literals = 0;
    const std::size_t start = text_.size();
    message_at_ = 0;
    for (const std::uint8_t* at = stream.begin; at < stream.end;) {
      block_->clear();
      const std::uint8_t* const end = parse_(stream, index, at, *block_);
      check_counts();
      literals += replay(message);
      EXPECT_EQ(text_.size() - start, static_cast<std::size_t>(end - stream.begin));
      if (end <= at || testing::Test::HasFatalFailure()) return 0;
      at = end;
    }
    EXPECT_TRUE(text_.substr(start) == message);
    window_.append(bytes_of(message));
    position_ = static_cast<std::uint16_t>(position_ + message.size());
    return literals;
  }

 private:
  std::size_t replay(const std::string& message) {
    std::size_t literals = 0;
    std::size_t total = 0;
    for (std::size_t i = 0; i < block_->used; ++i) {
      const Sequence& sequence = block_->sequences[i];
      text_ += message.substr(message_at_, sequence.literals);
      literals += sequence.literals;
      total += sequence.literals + std::size_t{sequence.length};
      message_at_ += sequence.literals + std::size_t{sequence.length};
      if (sequence.length == 0) {
        EXPECT_EQ(i, block_->used - 1);
        continue;
      }
      EXPECT_GE(sequence.length, kMatchBytesMin);
      EXPECT_LE(sequence.length, kMatchBytesMax);
      EXPECT_GE(sequence.distance, 1);
      EXPECT_LE(sequence.distance, std::min(window_.bytes_max(), text_.size()));
      for (unsigned k = 0; k < sequence.length; ++k)
        text_ += text_[text_.size() - sequence.distance];
    }
    EXPECT_EQ(block_->bytes, total);
    EXPECT_LE(total, Block::kBytesMax);
    return literals;
  }

  void check_counts() {
    std::size_t literals = 0;
    std::size_t matches = 0;
    std::size_t distances = 0;
    std::size_t expected_literals = 0;
    std::size_t expected_matches = 0;
    for (std::size_t i = 0; i < block_->used; ++i) {
      expected_literals += block_->sequences[i].literals;
      expected_matches += block_->sequences[i].length > 0;
    }
    for (std::size_t i = 0; i < 256; ++i) literals += block_->litlen_counts[i];
    for (std::size_t i = 257; i < kLitlenSlots; ++i) matches += block_->litlen_counts[i];
    for (const std::uint16_t count : block_->distance_counts) distances += count;
    EXPECT_EQ(literals, expected_literals);
    EXPECT_EQ(matches, expected_matches);
    EXPECT_EQ(distances, expected_matches);
    EXPECT_EQ(block_->litlen_counts[kEndOfBlock], 1);
  }

  Parse parse_;
  Window window_;
  std::uint16_t position_ = 0;
  std::vector<std::uint16_t> heads_, chain_, shorts_;
  std::unique_ptr<Block> block_;
  std::string text_;
  std::size_t message_at_ = 0;
};

TEST(Parser, ReproducesAMessageInBlocks) {
  Rng rng(1);
  for (const Parse parse : kParsers) {
    for (const unsigned bits : {8u, 12u, 15u}) {
      for (const std::string& text : {test::prose(rng, 200'000), test::noise(rng, 200'000),
                                      std::string(400'000, 'x'), test::access_log(rng, 300'000)}) {
        Parsing parsing(parse, bits);
        (void)parsing.run(text);
      }
    }
  }
}

TEST(Parser, ReproducesManyMessagesWithHistory) {
  Rng rng(2);
  for (const Parse parse : kParsers) {
    for (unsigned bits = kWindowBitsMin; bits <= kWindowBitsMax; ++bits) {
      Parsing parsing(parse, bits);
      for (std::uint64_t i = 0; i < 1000; ++i)
        (void)parsing.run(rng.chance(3) ? test::prose(rng, rng.below(5000))
                                        : test::json_event(rng, i));
    }
  }
}

TEST(Parser, ReproducesMessagesOfAnySmallSize) {
  Rng rng(3);
  for (const Parse parse : kParsers) {
    Parsing parsing(parse, 9);
    for (std::size_t size = 1; size < 600; ++size) (void)parsing.run(test::prose(rng, size));
  }
}

TEST(Parser, FindsTheRepetitionOfAMessage) {
  Rng rng(4);
  for (const Parse parse : kParsers) {
    Parsing parsing(parse, 15);
    const std::string noise = test::noise(rng, 60);
    EXPECT_EQ(parsing.run(noise), 60u);
    // But for the few that lie across the edge of the window's ring.
    std::size_t literals = 0;
    for (int i = 0; i < 2000; ++i) literals += parsing.run(noise);
    EXPECT_LE(literals, 2000u * 60 / 100);
  }
}

TEST(Parser, FindsTheLongerMatchThatBeginsOneByteLater) {
  Parsing fast(parse_fast, 15);
  Parsing better(parse_better, 15);
  const std::string text = "0abcd1 bcdefghijklm2 abcdefghijklm3";
  EXPECT_LT(better.run(text), fast.run(text));
}

TEST(Parser, FindsMatchesOfThreeBytesWhenItTakesItsTime) {
  Parsing better(parse_better, 15);
  std::string text;
  for (int i = 0; i < 60; ++i) text += std::string("abc") + static_cast<char>(i * 4 + 3);
  EXPECT_LT(better.run(text), 3u + 60u + 10u);
}

}  // namespace
}  // namespace ws::deflate
