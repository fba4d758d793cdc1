#include "ws/deflate/deflate.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/support/bytes.h"
#include "tests/support/corpus.h"
#include "tests/support/guard_page.h"
#include "tests/support/inflate.h"

namespace ws::deflate {
namespace {

using test::GuardedCopy;
using test::inflate;
using test::Rng;
using Payload = std::vector<std::uint8_t>;
using test::bytes_of;

constexpr Level kLevels[] = {Level::kFast, Level::kBetter};

Deflater& deflater() {
  static Deflater object;
  return object;
}

Payload compress(std::string_view text, DeflateContext& context) {
  core::Buffer out;
  deflater().compress(bytes_of(text), context, out);
  return {out.bytes().begin(), out.bytes().end()};
}

Payload compress(std::string_view text, Level level, unsigned window_bits = 15) {
  DeflateContext context(level, window_bits, false);
  return compress(text, context);
}

// RFC 7692 s7.2.3.6: the payload of an empty message "consists of 1 byte. The value of the byte is
// 0x00".
TEST(Deflate, MakesOneZeroByteOfAnEmptyMessage) {
  for (const Level level : kLevels) {
    DeflateContext context(level, 15, true);
    EXPECT_EQ(compress("", context), Payload{0x00});
    (void)compress("something", context);
    EXPECT_EQ(compress("", context), Payload{0x00});
  }
}

// s7.2.3.1: what a message of "Hello" looks like in one fixed block, before anything was sent.
TEST(Deflate, MakesTheExampleOfTheSpecification) {
  const Payload expected = {0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00};
  for (const Level level : kLevels) EXPECT_EQ(compress("Hello", level), expected);
}

// s7.2.3.2: a second one that refers to the first takes 5 bytes there, with its "H" as a literal.
TEST(Deflate, MakesNoMoreThanTheExampleOfASharedWindow) {
  for (const Level level : kLevels) {
    DeflateContext sender(level, 15, true);
    InflateContext receiver(15, true);
    EXPECT_EQ(inflate(compress("Hello", sender), receiver), "Hello");
    const Payload second = compress("Hello", sender);
    EXPECT_LE(second.size(), 5u);
    EXPECT_EQ(inflate(second, receiver), "Hello");
  }
}

TEST(Deflate, MakesTheSameOfAMessageWhateverWentBeforeWithoutTakeover) {
  Rng rng(1);
  std::string binary;  // full of matches of 3 bytes
  for (int i = 0; i < 2000; ++i)
    binary += std::string(2, static_cast<char>(rng.below(20))) + static_cast<char>(rng.next());
  for (const Level level : kLevels) {
    for (const std::string& text : {test::prose(rng, 3000), binary}) {
      DeflateContext context(level, 15, false);
      const Payload expected = compress(text, context);
      for (int i = 0; i < 40; ++i) {
        const std::size_t size = rng.below(std::size_t{1} << rng.below(18));
        (void)compress(rng.chance(50) ? binary.substr(rng.below(3000)) : test::noise(rng, size),
                       context);
        EXPECT_EQ(compress(text, context), expected);
      }
      EXPECT_EQ(context.held_bytes(), 0u);
    }
  }
}

TEST(Deflate, RefersToEarlierMessagesWithTakeover) {
  Rng rng(2);
  for (const Level level : kLevels) {
    DeflateContext context(level, 15, true);
    const std::string text = test::prose(rng, 4000);
    const std::size_t first = compress(text, context).size();
    EXPECT_LT(compress(text, context).size(), first / 10);
  }
}

// However much went before, and however far positions in the stream have wrapped around.
TEST(Deflate, MakesOfAMessageWhatANewContextWouldAfterForgetting) {
  Rng rng(11);
  const std::string text = test::prose(rng, 200'000);
  for (const Level level : kLevels) {
    for (unsigned bits = kWindowBitsMin; bits <= kWindowBitsMax; ++bits) {
      DeflateContext used(level, bits, true);
      for (int round = 0; round < 40; ++round) {
        const std::size_t size = rng.below(std::size_t{1} << rng.below(18));
        (void)compress(text.substr(rng.below(1000), size), used);
        const std::size_t held = used.held_bytes();
        used.forget();
        EXPECT_EQ(used.held_bytes(), held);
        DeflateContext fresh(level, bits, true);
        for (int i = 0; i < 3; ++i) {
          const std::string message = text.substr(rng.below(1000), rng.below(3000));
          ASSERT_TRUE(compress(message, used) == compress(message, fresh));
        }
      }
    }
  }
}

TEST(Deflate, ForgettingMakesNoDifferenceWithoutTakeover) {
  Rng rng(12);
  const std::string text = test::prose(rng, 3000);
  for (const Level level : kLevels) {
    DeflateContext context(level, 15, false);
    const Payload expected = compress(text, context);
    context.forget();
    EXPECT_EQ(compress(text, context), expected);
    EXPECT_EQ(context.held_bytes(), 0u);
  }
}

TEST(Deflate, IsReadBackAtEverySize) {
  Rng rng(3);
  const std::string text = test::prose(rng, 700);
  for (const Level level : kLevels) {
    DeflateContext sender(level, 9, true);
    InflateContext receiver(9, true);
    for (std::size_t size = 0; size <= text.size(); ++size) {
      const std::string part = text.substr(0, size);
      ASSERT_EQ(inflate(compress(part, level)), part);
      ASSERT_EQ(inflate(compress(part, sender), receiver), part);
    }
  }
}

TEST(Deflate, IsReadBackWhateverTheData) {
  Rng rng(4);
  std::vector<std::string> samples = {test::noise(rng, 300'000),         test::prose(rng, 300'000),
                                      test::access_log(rng, 1 << 20),    std::string(1 << 20, 'x'),
                                      std::string(258 * 8192 * 2, '\0'), test::noise(rng, 65535),
                                      test::noise(rng, 65536),           test::prose(rng, 65'700)};
  std::string alternating;  // noise and copies of it, at every distance up to 40,000
  for (std::size_t i = 0; i < 150; ++i) {
    const std::string piece = test::noise(rng, rng.below(600));
    alternating += piece + (alternating.size() > 300
                                ? alternating.substr(rng.below(alternating.size() - 300), 300)
                                : piece);
  }
  samples.push_back(alternating);
  std::string bits;  // two symbols, the shortest matches
  for (std::size_t i = 0; i < 100'000; ++i) bits += static_cast<char>('0' + rng.below(2));
  samples.push_back(bits);
  for (const Level level : kLevels) {
    for (const unsigned window_bits : {8u, 11u, 15u}) {
      DeflateContext sender(level, window_bits, true);
      InflateContext receiver(window_bits, true);
      for (const std::string& sample : samples) {
        ASSERT_TRUE(inflate(compress(sample, level, window_bits), window_bits) == sample);
        ASSERT_TRUE(inflate(compress(sample, sender), receiver) == sample);
      }
    }
  }
}

TEST(Deflate, StaysInEveryWindow) {
  Rng rng(5);
  for (const Level level : kLevels) {
    for (unsigned bits = kWindowBitsMin; bits <= kWindowBitsMax; ++bits) {
      const std::size_t window = std::size_t{1} << bits;
      // Noise that is repeated at the window's size, and one byte further.
      const std::string noise = test::noise(rng, 50);
      std::size_t sizes[2];
      for (const std::size_t more : {0u, 1u}) {
        const std::string text = noise + std::string(window + more - noise.size(), 'x') + noise;
        const Payload message = compress(text, level, bits);
        ASSERT_EQ(inflate(message, bits), text);
        sizes[more] = message.size();
      }
      EXPECT_LT(sizes[0] + 20, sizes[1]);
      DeflateContext sender(level, bits, true);
      InflateContext receiver(bits, true);
      for (int i = 0; i < 30; ++i) {
        const std::string text = test::json_event(rng, static_cast<std::uint64_t>(i));
        ASSERT_EQ(inflate(compress(text, sender), receiver), text);
      }
    }
  }
}

TEST(Deflate, FindsWhatLiesAWholeWindowBackInEarlierMessages) {
  Rng rng(6);
  for (const Level level : kLevels) {
    for (unsigned bits = kWindowBitsMin; bits <= kWindowBitsMax; ++bits) {
      const std::size_t window = std::size_t{1} << bits;
      DeflateContext sender(level, bits, true);
      InflateContext receiver(bits, true);
      const std::string noise = test::noise(rng, 50);
      const std::string first = noise + std::string(window - noise.size(), 'x');
      ASSERT_EQ(inflate(compress(first, sender), receiver), first);
      const Payload message = compress(noise, sender);
      EXPECT_LT(message.size(), 10u);
      ASSERT_EQ(inflate(message, receiver), noise);
    }
  }
}

TEST(Deflate, StoresWhatDoesNotShrink) {
  Rng rng(7);
  for (const Level level : kLevels) {
    for (const std::size_t size :
         {1u, 2u, 50u, 1000u, 65'000u, 65'535u, 65'536u, 200'000u, 1'000'000u}) {
      const std::string noise = test::noise(rng, size);
      const Payload message = compress(noise, level);
      EXPECT_LE(message.size(), size + 5 * (size / 64'000 + 1) + 1) << size;
      EXPECT_TRUE(inflate(message) == noise);
    }
  }
}

TEST(Deflate, AppendsToWhatIsThere) {
  DeflateContext context(Level::kFast, 15, false);
  core::Buffer out;
  out.append(bytes_of("header"));
  deflater().compress(bytes_of("Hello"), context, out);
  EXPECT_EQ(std::string(out.bytes().begin(), out.bytes().begin() + 6), "header");
  EXPECT_EQ(inflate({out.bytes().begin() + 6, out.bytes().end()}), "Hello");
}

TEST(Deflate, ReadsNothingBeyondTheMessage) {
  Rng rng(8);
  for (const Level level : kLevels) {
    for (const GuardedCopy::Flush flush : {GuardedCopy::Flush::kEnd, GuardedCopy::Flush::kStart}) {
      DeflateContext sender(level, 10, true);
      InflateContext receiver(10, true);
      for (std::size_t size = 0; size < 300; ++size) {
        const GuardedCopy text(size % 3 == 0 ? std::string(size, 'r') : test::prose(rng, size),
                               flush);
        ASSERT_EQ(inflate(compress(text.text(), sender), receiver), text.text());
        ASSERT_EQ(inflate(compress(text.text(), level)), text.text());
      }
    }
  }
}

// A window and an index of 2-byte positions: half as many as the window has bytes, up to 8192, and
// at kBetter as many again as the window has bytes.
TEST(Deflate, HoldsAWindowAndItsIndexPerConnection) {
  Rng rng(9);
  const std::string text = test::prose(rng, 100'000);
  for (unsigned bits = kWindowBitsMin; bits <= kWindowBitsMax; ++bits) {
    const std::size_t window = std::size_t{1} << bits;
    DeflateContext fast(Level::kFast, bits, true);
    DeflateContext better(Level::kBetter, bits, true);
    EXPECT_EQ(fast.held_bytes(), 0u);
    (void)compress(text, fast);
    (void)compress(text, better);
    const std::size_t heads = 2 * std::min<std::size_t>(window / 2, 8192);
    EXPECT_EQ(fast.held_bytes(), window + heads);
    EXPECT_EQ(better.held_bytes(), window + heads + 2 * window);
  }
}

TEST(Deflate, AllocatesNothingInSteadyState) {
  Rng rng(10);
  std::vector<std::string> messages;
  for (std::uint64_t i = 0; i < 200; ++i) messages.push_back(test::json_event(rng, i));
  for (const Level level : kLevels) {
    DeflateContext shared(level, 15, false);
    DeflateContext own(level, 12, true);
    core::Buffer out;
    std::size_t before = 0;
    for (int round = 0; round < 3; ++round) {
      for (const std::string& message : messages) {
        out.clear();
        deflater().compress(bytes_of(message), shared, out);
        deflater().compress(bytes_of(message), own, out);
      }
      const std::size_t now = mallinfo2().uordblks;
      if (round > 0) {
        EXPECT_EQ(now, before);
      }
      before = now;
    }
  }
}

}  // namespace
}  // namespace ws::deflate
