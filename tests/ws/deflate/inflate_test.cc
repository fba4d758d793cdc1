#include "ws/deflate/inflate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/support/deflate_bits.h"
#include "tests/support/guard_page.h"

namespace ws::deflate {
namespace {

using test::DeflateBits;
using test::GuardedCopy;
using Payload = std::vector<std::uint8_t>;

constexpr std::size_t kLimit = 1 << 20;
constexpr std::size_t kAll = kLimit + 1;

struct Result {
  InflateStatus status;
  std::string text;
};

Inflater& inflater() {
  static Inflater object;
  return object;
}

Result decode(core::ConstBytes message, InflateContext& context, std::size_t limit = kLimit,
              std::size_t share = kAll) {
  core::Buffer out;
  inflater().start(message, context);
  InflateStatus status;
  do {
    status = inflater().step(out, limit, share);
  } while (status == InflateStatus::kMore);
  return {status, std::string(out.bytes().begin(), out.bytes().end())};
}

Result decode(core::ConstBytes message, unsigned window_bits = 15) {
  InflateContext context(window_bits, false);
  return decode(message, context);
}

Result decode(const DeflateBits& bits) {
  return decode(bits.span());
}

void expect_text(const Result& result, const std::string& text) {
  EXPECT_EQ(result.status, InflateStatus::kOk);
  EXPECT_EQ(result.text, text);
}

// A literal, then a match of 3 bytes at the distance.
Payload match_at(std::size_t distance) {
  unsigned symbol = kDistanceSymbols - 1;
  while (kDistances[symbol].base > distance) --symbol;
  DeflateBits bits;
  bits.header(false, kFixed).fixed_litlen('!').fixed_litlen(257).word(symbol, 5);
  bits.number(distance - kDistances[symbol].base, kDistances[symbol].extra_bits);
  return bits.fixed_end().end_message().bytes();
}

// Blocks that say nothing: many are fine, since each flush of a sender makes one; but a message of
// nothing else would cost time without end.
TEST(Inflate, RefusesBlocksWithoutEndThatSayNothing) {
  const auto empty_blocks = [](unsigned count) {
    DeflateBits bits;
    for (unsigned i = 0; i < count; ++i) bits.header(false, kFixed).fixed_end();
    return bits.end_message().bytes();
  };
  EXPECT_EQ(decode(empty_blocks(200'000)).status, InflateStatus::kOk);
  EXPECT_EQ(decode(empty_blocks(300'000)).status, InflateStatus::kBadData);
  EXPECT_EQ(decode(Payload{0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00}).status, InflateStatus::kOk)
      << "and the next message starts anew";
}

TEST(Inflate, TakesAFlushBehindEveryFewBytes) {
  DeflateBits bits;
  std::string text;
  for (int i = 0; i < 100'000; ++i) {
    bits.header(false, kFixed).fixed_text("few").fixed_end().stored(false, "");
    text += "few";
  }
  InflateContext context(15, false);
  expect_text(decode(bits.end_message().bytes(), context, text.size(), text.size() + 1), text);
}

// RFC 7692 s7.2.3.1 "A Message Compressed Using One Compressed DEFLATE Block".
TEST(Inflate, DecodesTheOneBlockExample) {
  expect_text(decode(Payload{0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00}), "Hello");
}

// s7.2.3.2 "Sharing LZ77 Sliding Window".
TEST(Inflate, DecodesTheSharedWindowExample) {
  InflateContext context(15, true);
  const Payload first = {0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00};
  expect_text(decode(first, context), "Hello");
  expect_text(decode(Payload{0xf2, 0x00, 0x11, 0x00, 0x00}, context), "Hello");
}

// s7.2.3.3 "Using a DEFLATE Block with No Compression".
TEST(Inflate, DecodesTheStoredExample) {
  const Payload stored = {0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00};
  expect_text(decode(stored), "Hello");
}

// s7.2.3.4 "Using a DEFLATE Block with BFINAL Set to 1".
TEST(Inflate, DecodesTheFinalBlockExample) {
  expect_text(decode(Payload{0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00}), "Hello");
}

// s7.2.3.5 "Two DEFLATE Blocks in One Message".
TEST(Inflate, DecodesTheTwoBlocksExample) {
  expect_text(
      decode(Payload{0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00}),
      "Hello");
}

// s7.2.3.6: an empty message "consists of 1 byte. The value of the byte is 0x00".
TEST(Inflate, DecodesAnEmptyMessage) {
  expect_text(decode(Payload{0x00}), "");
}

TEST(Inflate, AcceptsAPayloadWithoutAnyByteAsAnEmptyMessage) {
  expect_text(decode(Payload{}), "");
}

TEST(Inflate, AcceptsAnEmptyFixedBlockAsAnEmptyMessage) {
  expect_text(decode(DeflateBits().header(false, kFixed).fixed_end().end_message()), "");
}

TEST(Inflate, ContinuesBehindAFinalBlockInAMessage) {
  DeflateBits bits;
  bits.header(true, kFixed).fixed_text("one ").fixed_end().align();
  bits.stored(true, "two ");
  bits.header(false, kFixed).fixed_text("three").fixed_end().end_message();
  expect_text(decode(bits), "one two three");
}

TEST(Inflate, KeepsTheOutputOfAMessageReachableBehindAFinalBlock) {
  DeflateBits bits;
  bits.header(true, kFixed).fixed_text("abcd").fixed_end().align();
  bits.header(false, kFixed).fixed_match(4, 4).fixed_end().end_message();
  expect_text(decode(bits), "abcdabcd");
}

TEST(Inflate, AcceptsAMessageThatEndsWithAFinalBlockAlone) {
  expect_text(decode(DeflateBits().header(true, kFixed).fixed_text("Hello").fixed_end()), "Hello");
  expect_text(decode(DeflateBits().stored(true, "Hello")), "Hello");
}

TEST(Inflate, DecodesTheMessageAfterOneThatEndedWithAFinalBlock) {
  InflateContext context(15, true);
  DeflateBits first;
  first.header(true, kFixed).fixed_text("Hello").fixed_end();
  expect_text(decode(first.span(), context), "Hello");
  expect_text(decode(Payload{0xf2, 0x00, 0x11, 0x00, 0x00}, context), "Hello");
}

TEST(Inflate, IgnoresTheBitsThatPadAFinalBlock) {
  Payload payload = DeflateBits().header(true, kFixed).fixed_text("a").fixed_end().bytes();
  ASSERT_EQ(payload.size(), 3u);  // 3 + 8 + 7 bits, and 6 of padding
  payload[2] |= 0x80;
  payload.push_back(0x00);
  expect_text(decode(payload), "a");
}

TEST(Inflate, RefusesGarbageBehindAFinalBlock) {
  Payload payload = DeflateBits().stored(true, "a").bytes();
  payload.insert(payload.end(), {0xff, 0xff});
  EXPECT_EQ(decode(payload).status, InflateStatus::kBadData);
}

// Every proper prefix of a message is either refused or, where it ends with a whole block and the
// beginning of the next one's header, that much of the message.
TEST(Inflate, NeverCarriesBitsIntoTheNextMessage) {
  DeflateBits bits;
  bits.header(false, kFixed).fixed_text("some text, some text").fixed_end().stored(false, "more");
  bits.end_message();
  const Payload& whole = bits.bytes();
  for (std::size_t size = 1; size < whole.size(); ++size) {
    InflateContext context(15, true);
    (void)decode(std::span(whole).first(size), context);
    const InflateStatus again = decode(whole, context).status;
    EXPECT_EQ(again, InflateStatus::kOk) << size;
  }
}

TEST(Inflate, RefusesEveryTruncation) {
  DeflateBits bits;
  bits.header(false, kFixed).fixed_text("some text, some text").fixed_match(10, 4).fixed_end();
  bits.end_message();
  const Payload& whole = bits.bytes();
  for (std::size_t size = 1; size < whole.size(); ++size)
    EXPECT_NE(decode(std::span(whole).first(size)).status, InflateStatus::kOk) << size;
}

TEST(Inflate, RefusesBlockTypeThree) {
  EXPECT_EQ(decode(DeflateBits().header(false, 3).align()).status, InflateStatus::kBadData);
}

TEST(Inflate, RefusesAStoredLengthThatIsNotConfirmed) {
  DeflateBits bits;
  bits.header(false, kStored).align().number(5, 16).number(5, 16).number(0, 40).end_message();
  EXPECT_EQ(decode(bits).status, InflateStatus::kBadData);
}

TEST(Inflate, CopiesNothingOfAStoredBlockThatIsNotAllThere) {
  for (const std::size_t missing : {5u, 6u, 300u, 60'000u}) {
    DeflateBits bits;
    bits.header(false, kStored).align().number(5 + missing, 16).number((5 + missing) ^ 0xffff, 16);
    for (const char c : std::string("Hello")) bits.byte(static_cast<std::uint8_t>(c));
    const Result result = decode(bits);
    EXPECT_EQ(result.status, InflateStatus::kUnfinished);
    EXPECT_EQ(result.text, "");
  }
}

// s3.2.7: "16: Copy the previous code length", but there is none.
TEST(Inflate, RefusesARunOfThePreviousLengthAtTheStart) {
  for (const bool wrong : {false, true}) {
    DeflateBits bits;
    bits.header(false, kDynamic).number(0, 5).number(0, 5).number(18 - 4, 4);
    // Words of the precode: 0 for symbol 1, 10 for 16, 110 for 17, 111 for 18.
    const std::uint8_t precode[kPrecodeSymbols] = {0, 1, 0, 0, 0, 0, 0, 0, 0, 0,
                                                   0, 0, 0, 0, 0, 0, 2, 3, 3};
    for (unsigned i = 0; i < 18; ++i) bits.number(precode[kPrecodeOrder[i]], 3);
    if (wrong) {
      bits.word(0b10, 2).number(0, 2);  // 3 times what was before
    } else {
      bits.word(0b110, 3).number(0, 3);  // 3 times 0
    }
    bits.word(0b111, 3).number(138 - 11, 7).word(0b111, 3).number(114 - 11, 7);  // up to 255
    bits.word(0, 1).word(0, 1);  // one bit for 255, one for the end of the block
    bits.word(0, 1);             // and one for a distance
    bits.word(0, 1).word(0, 1).word(1, 1).end_message();
    const Result result = decode(bits);
    EXPECT_EQ(result.status, wrong ? InflateStatus::kBadData : InflateStatus::kOk);
    EXPECT_EQ(result.text, wrong ? "" : "\xff\xff");
  }
}

TEST(Inflate, DecodesTheLongestStoredBlock) {
  const std::string content(65535, 'x');
  expect_text(decode(DeflateBits().stored(false, content).end_message()), content);
}

TEST(Inflate, RefusesSymbolsThatNeverOccur) {
  for (const unsigned symbol : {286u, 287u}) {
    DeflateBits bits;
    bits.header(false, kFixed).fixed_litlen(symbol).number(0, 40);
    EXPECT_EQ(decode(bits).status, InflateStatus::kBadData) << symbol;
  }
  for (const unsigned symbol : {30u, 31u}) {
    DeflateBits bits;
    bits.header(false, kFixed).fixed_text("abc").fixed_litlen(257).word(symbol, 5).number(0, 40);
    EXPECT_EQ(decode(bits).status, InflateStatus::kBadData) << symbol;
  }
}

// Lengths with all extra bits, at overlapping and other distances.
TEST(Inflate, CopiesEveryLengthAtEveryDistance) {
  std::string seed;
  for (int i = 0; i < 300; ++i) seed += static_cast<char>(i * 7 + i / 64);
  for (unsigned length_symbol = 0; length_symbol < kLengths.size(); ++length_symbol) {
    for (unsigned distance_symbol = 0; distance_symbol < 16; ++distance_symbol) {
      const auto [length, length_bits] = kLengths[length_symbol];
      const auto [distance, distance_bits] = kDistances[distance_symbol];
      const std::size_t length_extra = length_symbol == 27 ? 30 : (1u << length_bits) - 1;
      const std::size_t distance_extra = (1u << distance_bits) - 1;
      DeflateBits bits;
      bits.stored(false, seed).header(false, kFixed).fixed_litlen(257 + length_symbol);
      bits.number(length_extra, length_bits).word(distance_symbol, 5);
      bits.number(distance_extra, distance_bits).fixed_end().end_message();
      std::string text = seed;
      for (std::size_t i = 0; i < length + length_extra; ++i)
        text += text[text.size() - (distance + distance_extra)];
      expect_text(decode(bits), text);
    }
  }
}

TEST(Inflate, TakesLength258FromBothItsCodes) {
  for (const unsigned symbol : {284u, 285u}) {
    DeflateBits bits;
    bits.header(false, kFixed).fixed_text("a").fixed_litlen(symbol);
    if (symbol == 284) bits.number(31, 5);
    bits.word(0, 5).fixed_end().end_message();
    expect_text(decode(bits), std::string(259, 'a'));
  }
}

TEST(Inflate, RefusesADistanceBeyondTheOutput) {
  DeflateBits bits;
  bits.header(false, kFixed).fixed_text("abc").fixed_match(3, 4).fixed_end().end_message();
  EXPECT_EQ(decode(bits).status, InflateStatus::kBadData);
}

TEST(Inflate, ForgetsEarlierMessagesWithoutTakeover) {
  InflateContext context(15, false);
  const Payload first = {0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00};
  expect_text(decode(first, context), "Hello");
  const Result second = decode(Payload{0xf2, 0x00, 0x11, 0x00, 0x00}, context);
  EXPECT_EQ(second.status, InflateStatus::kBadData);
  EXPECT_EQ(context.held_bytes(), 0u);
}

TEST(Inflate, HoldsEveryWindowToItsSize) {
  for (unsigned bits = kWindowBitsMin; bits <= kWindowBitsMax; ++bits) {
    const std::size_t window = std::size_t{1} << bits;
    std::string content(window, 'x');
    content.front() = 'y';
    const Payload first = DeflateBits().stored(false, content).end_message().bytes();
    InflateContext context(bits, true);
    ASSERT_EQ(decode(first, context).status, InflateStatus::kOk);
    EXPECT_EQ(context.held_bytes(), window);
    // Behind the literal, the first byte of the window is one too far away.
    EXPECT_EQ(decode(match_at(window), context).text, "!xxx");
    if (bits < 15) {
      EXPECT_EQ(decode(match_at(window + 1), context).status, InflateStatus::kBadData);
    }
    InflateContext other(bits, true);
    ASSERT_EQ(decode(first, other).status, InflateStatus::kOk);
    DeflateBits at_once;  // nothing before the match
    at_once.header(false, kFixed).fixed_litlen(257).word(2 * bits - 1, 5);
    at_once.number((1u << (bits - 2)) - 1, bits - 2).fixed_end().end_message();
    expect_text(decode(at_once.span(), other), "yxx");
  }
}

TEST(Inflate, RefusesADistanceBeyondTheWindowInsideOneMessage) {
  for (unsigned bits = kWindowBitsMin; bits < kWindowBitsMax; ++bits) {
    const std::size_t window = std::size_t{1} << bits;
    const std::string content(2 * window, 'x');
    for (const std::size_t distance : {window, window + 1}) {
      Payload payload = DeflateBits().stored(false, content).bytes();
      const Payload tail = match_at(distance);
      payload.insert(payload.end(), tail.begin(), tail.end());
      EXPECT_EQ(decode(payload, bits).status,
                distance == window ? InflateStatus::kOk : InflateStatus::kBadData);
    }
  }
}

TEST(Inflate, CopiesAcrossTheEdgeOfTheRingAndIntoTheMessage) {
  InflateContext context(8, true);
  std::string stream;
  for (int i = 0; i < 40; ++i) {
    std::string part;
    for (int k = 0; k < 7 + i % 5; ++k) part += static_cast<char>('A' + (i * 31 + k) % 57);
    DeflateBits bits;
    bits.stored(false, part).header(false, kFixed);
    stream += part;
    std::string expected = part;
    // Length 40 at the largest distances that are there, and at short ones.
    for (const std::size_t wanted : {std::size_t{256}, std::size_t{24}, std::size_t{193}}) {
      const std::size_t distance = std::min(wanted, stream.size());
      unsigned symbol = kDistanceSymbols - 1;
      while (kDistances[symbol].base > distance) --symbol;
      bits.fixed_litlen(273).number(40 - 35, 3).word(symbol, 5);
      bits.number(distance - kDistances[symbol].base, kDistances[symbol].extra_bits);
      for (int k = 0; k < 40; ++k) {
        expected += stream[stream.size() - distance];
        stream += expected.back();
      }
    }
    bits.fixed_end().end_message();
    expect_text(decode(bits.span(), context), expected);
  }
  EXPECT_EQ(context.held_bytes(), 256u);
}

TEST(Inflate, KeepsTheWindowWhenAMessageIsRefused) {
  InflateContext context(15, true);
  const Payload first = {0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00};
  expect_text(decode(first, context), "Hello");
  DeflateBits bad;
  bad.header(false, kFixed).fixed_text("no").header(false, 3);
  EXPECT_NE(decode(bad.span(), context).status, InflateStatus::kOk);
  expect_text(decode(Payload{0xf2, 0x00, 0x11, 0x00, 0x00}, context), "Hello");
}

TEST(Inflate, AllowsExactlyTheLimit) {
  const std::string content(1000, 'x');
  DeflateBits stored;
  stored.stored(false, content).end_message();
  DeflateBits fixed;
  fixed.header(false, kFixed).fixed_text(content).fixed_end().end_message();
  InflateContext context(15, false);
  for (const DeflateBits* bits : {&stored, &fixed}) {
    EXPECT_EQ(decode(bits->span(), context, 1000).status, InflateStatus::kOk);
    const Result over = decode(bits->span(), context, 999);
    EXPECT_EQ(over.status, InflateStatus::kTooBig);
    EXPECT_LE(over.text.size(), 999u + 2 + kMatchBytesMax);
  }
}

TEST(Inflate, StopsABombAtTheLimit) {
  DeflateBits bits;
  bits.header(false, kFixed).fixed_text("a");
  for (int i = 0; i < 100'000; ++i) bits.fixed_litlen(285).word(0, 5);
  bits.fixed_end().end_message();
  InflateContext context(15, false);
  for (const std::size_t limit : {std::size_t{0}, std::size_t{1}, std::size_t{4096}, kLimit}) {
    const Result result = decode(bits.span(), context, limit);
    EXPECT_EQ(result.status, InflateStatus::kTooBig);
    EXPECT_GT(result.text.size(), limit);
    EXPECT_LE(result.text.size(), limit + 2 + kMatchBytesMax);
  }
}

TEST(Inflate, RepeatsItsVerdictUntilTheNextMessage) {
  InflateContext context(15, false);
  core::Buffer out;
  DeflateBits bits;
  bits.header(false, kFixed).fixed_text("abcdefgh").header(false, 3);
  inflater().start(bits.span(), context);
  EXPECT_EQ(inflater().step(out, 4, kAll), InflateStatus::kTooBig);
  const std::size_t size = out.size();
  EXPECT_EQ(inflater().step(out, kLimit, kAll), InflateStatus::kTooBig);
  EXPECT_EQ(out.size(), size);
}

TEST(Inflate, ProducesTheSameInStepsOfAnySize) {
  DeflateBits bits;
  bits.stored(false, std::string(700, 's')).header(true, kFixed).fixed_text("0123456789");
  for (int i = 0; i < 40; ++i) bits.fixed_match(10, 4).fixed_litlen(static_cast<unsigned>(i));
  bits.fixed_end().align().stored(false, "end").end_message();
  const std::string whole = decode(bits).text;
  ASSERT_GT(whole.size(), 1000u);
  InflateContext context(15, false);
  for (std::size_t share = 1; share < 300; ++share) {
    core::Buffer out;
    inflater().start(bits.span(), context);
    std::size_t before = 0;
    InflateStatus status;
    while ((status = inflater().step(out, kLimit, share)) == InflateStatus::kMore) {
      ASSERT_GE(out.size(), before + share);
      ASSERT_LE(out.size(), before + share + 2 + kMatchBytesMax);
      before = out.size();
    }
    ASSERT_EQ(status, InflateStatus::kOk);
    ASSERT_EQ(std::string(out.bytes().begin(), out.bytes().end()), whole);
  }
}

TEST(Inflate, ReadsNothingBeyondTheMessage) {
  for (const std::size_t literals :
       {0u, 1u, 5u, 100u, 200u, 240u, 250u, 260u, 300u, 1000u, 5000u}) {
    DeflateBits bits;
    bits.header(false, kFixed).fixed_text(std::string(literals, 'z')).fixed_end().end_message();
    for (std::size_t cut = 0; cut < std::min<std::size_t>(40, bits.bytes().size()); ++cut) {
      const GuardedCopy copy(bits.span().first(bits.bytes().size() - cut));
      const Result result = decode(copy.span());
      EXPECT_EQ(result.status == InflateStatus::kOk, cut == 0);
    }
    const std::string content(literals, 'q');
    DeflateBits stored;
    stored.stored(false, content).end_message();
    const GuardedCopy copy(stored.span());
    expect_text(decode(copy.span()), content);
  }
}

TEST(Inflate, GrowsItsOutputFromWhateverRoomThereIs) {
  DeflateBits bits;
  bits.header(false, kFixed).fixed_text("abc");
  for (int i = 0; i < 2000; ++i) bits.fixed_litlen(285).word(2, 5);
  bits.fixed_end().end_message();
  const std::string whole = decode(bits).text;
  InflateContext context(15, false);
  for (std::size_t room = 1; room < 3000; room += 37) {
    core::Buffer out;
    out.prepare(room);
    inflater().start(bits.span(), context);
    ASSERT_EQ(inflater().step(out, kLimit, kAll), InflateStatus::kOk);
    ASSERT_EQ(std::string(out.bytes().begin(), out.bytes().end()), whole);
  }
}

TEST(Inflate, NeedsNoMoreMemoryForTheNextMessage) {
  InflateContext context(12, true);
  core::Buffer out;
  const Payload message = DeflateBits().stored(false, std::string(5000, 'm')).end_message().bytes();
  std::size_t capacity = 0;
  for (int i = 0; i < 100; ++i) {
    out.clear();
    inflater().start(message, context);
    ASSERT_EQ(inflater().step(out, kLimit, kAll), InflateStatus::kOk);
    if (i == 0) capacity = out.capacity();
    EXPECT_EQ(out.capacity(), capacity);
    EXPECT_EQ(context.held_bytes(), 4096u);
  }
}

}  // namespace
}  // namespace ws::deflate
