#include "ws/proto/utf8.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/cpu.h"
#include "tests/support/bytes.h"
#include "tests/support/guard_page.h"
#include "ws/proto/utf8_kernels.h"

namespace ws::proto {
namespace {

using test::bytes_of;

using test::GuardedCopy;
using namespace std::string_view_literals;

constexpr std::size_t kNowhere = std::string_view::npos;
constexpr std::size_t kCodePoints = 0x110000;

std::string hex(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<std::uint8_t>(c);
    out += {kDigits[byte >> 4], kDigits[byte & 15], ' '};
  }
  return out;
}

// ---- The specification by enumeration: a text is valid if it is a run of encodings ----

// RFC 3629 section 3: "The definition of UTF-8 prohibits encoding character numbers between U+D800
// and U+DFFF".
bool is_surrogate(std::uint32_t code_point) {
  return code_point >= 0xD800 && code_point <= 0xDFFF;
}

// RFC 3629 section 3, the table of octet sequences.
std::string encode(std::uint32_t code_point) {
  const auto tail = [&](int shift) {
    return static_cast<char>(0x80 | (code_point >> shift & 0x3F));
  };
  if (code_point < 0x80) return {static_cast<char>(code_point)};
  if (code_point < 0x800) return {static_cast<char>(0xC0 | code_point >> 6), tail(0)};
  if (code_point < 0x10000) {
    return {static_cast<char>(0xE0 | code_point >> 12), tail(6), tail(0)};
  }
  return {static_cast<char>(0xF0 | code_point >> 18), tail(12), tail(6), tail(0)};
}

std::uint32_t packed(std::string_view bytes) {
  std::uint32_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<std::uint8_t>(c);
  return value;
}

// All that can start a character and all that is one, found by encoding every character there is.
class Characters {
 public:
  Characters() {
    for (std::size_t size = 1; size <= 3; ++size) starts_[size].resize(std::size_t{1} << 8 * size);
    for (std::uint32_t code_point = 0; code_point < kCodePoints; ++code_point) {
      if (is_surrogate(code_point)) continue;
      const std::string encoded = encode(code_point);
      for (std::size_t size = 1; size < encoded.size(); ++size) {
        starts_[size][packed(std::string_view(encoded).substr(0, size))] = true;
      }
      of_size_[encoded.size()].push_back(packed(encoded));  // in ascending order
    }
  }

  bool is_start(std::string_view bytes) const { return starts_[bytes.size()][packed(bytes)]; }
  bool is_whole(std::string_view bytes) const {
    const std::vector<std::uint32_t>& all = of_size(bytes.size());
    return std::binary_search(all.begin(), all.end(), packed(bytes));
  }
  const std::vector<std::uint32_t>& of_size(std::size_t size) const { return of_size_[size]; }

 private:
  std::vector<bool> starts_[4];            // by the length of the beginning
  std::vector<std::uint32_t> of_size_[5];  // by the length of the character
};

const Characters& characters() {
  static const Characters all;
  return all;
}

struct Verdict {
  std::size_t impossible_at = kNowhere;  // the first byte that no valid text has there
  bool complete = false;                 // whether the text may end after its last byte

  bool possible() const { return impossible_at == kNowhere; }
  bool valid() const { return possible() && complete; }
};

Verdict by_definition(std::string_view text) {
  std::size_t start = 0;
  while (start < text.size()) {
    std::size_t size = 1;
    while (!characters().is_whole(text.substr(start, size))) {
      if (size == 4 || !characters().is_start(text.substr(start, size))) {
        return {.impossible_at = start + size - 1, .complete = false};
      }
      if (start + size == text.size()) return {.impossible_at = kNowhere, .complete = false};
      ++size;
    }
    start += size;
  }
  return {.impossible_at = kNowhere, .complete = true};
}

// ---- Every kernel against it ----

// Utf8Validator with a kernel of the test's choice.
struct Forced {
  const Utf8Kernel& kernel;
  std::uint32_t state = 0;

  bool feed(std::string_view piece) { return feed_utf8(kernel, bytes_of(piece), state); }
  bool complete() const { return state == 0; }
};

// Feeds `text` in one piece to every kernel.
void expect_as_defined(std::string_view text, const std::string& what) {
  const Verdict expected = by_definition(text);
  for (const Utf8Kernel& kernel : utf8_kernels()) {
    Forced validator{kernel};
    ASSERT_EQ(validator.feed(text), expected.possible())
        << kernel.name << ", " << what << ": " << hex(text);
    if (expected.possible()) {
      ASSERT_EQ(validator.complete(), expected.complete)
          << kernel.name << ", " << what << ": " << hex(text);
    }
  }
}

constexpr MaskKey kMaskKey{{0x37, 0xFA, 0x21, 0x3D}};

// RFC 6455 section 5.3: "octet i of the transformed data [...] is the XOR of octet i of the
// original data [...] with octet at index i modulo 4 of the masking key".
std::string masked(std::string_view text) {
  std::string octets(text);
  for (std::size_t i = 0; i < octets.size(); ++i) {
    octets[i] = static_cast<char>(octets[i] ^ kMaskKey.bytes[i % 4]);
  }
  return octets;
}

// Every kernel unmasks masked(text) in place, `offset` bytes into memory it may not touch
// otherwise.
void expect_unmasked(std::string_view text, std::size_t offset, std::size_t behind) {
  const bool valid = by_definition(text).valid();
  const std::string before(offset, '<');
  const std::string after(behind, '>');
  for (const Utf8Kernel& kernel : utf8_kernels()) {
    std::string memory = before + masked(text) + after;
    const std::span<std::uint8_t> span(reinterpret_cast<std::uint8_t*>(memory.data()) + offset,
                                       text.size());
    ASSERT_EQ(unmask_text(kernel, span, kMaskKey), valid) << kernel.name << ": " << hex(text);
    ASSERT_EQ(memory, before + std::string(text) + after) << kernel.name << ": " << hex(text);
  }
}

// The bytes at both ends of every range in the grammar of RFC 3629 section 4, and their neighbours.
constexpr std::string_view kRangeEnds =
    "\x00\x41\x7F\x80\x8F\x90\x9F\xA0\xBF\xC0\xC1\xC2\xDF\xE0\xE1\xEC\xED\xEE\xEF\xF0\xF1\xF3\xF4"
    "\xF5\xF8\xFC\xFE\xFF"sv;

// One byte from every range.
constexpr std::string_view kRanges = "\x41\x8A\x95\xAB\xC1\xC4\xE0\xE7\xED\xEE\xF0\xF2\xF4\xF7"sv;

template <class Use>
void for_each_string(std::string_view alphabet, std::size_t size, Use use) {
  std::size_t count = 1;
  for (std::size_t i = 0; i < size; ++i) count *= alphabet.size();
  std::string text(size, ' ');
  for (std::size_t number = 0; number < count && !testing::Test::HasFatalFailure(); ++number) {
    std::size_t digits = number;
    for (char& c : text) {
      c = alphabet[digits % alphabet.size()];
      digits /= alphabet.size();
    }
    use(std::string_view(text));
  }
}

// A text of `size` bytes with characters of every length and runs of ASCII, cut at the end if need
// be.
std::string random_text(std::size_t size, std::mt19937& random) {
  constexpr std::uint32_t kEnds[] = {0x80, 0x800, 0x10000, kCodePoints};
  std::string text;
  while (text.size() < size) {
    const auto code_point = static_cast<std::uint32_t>(random() % kEnds[random() % 4]);
    if (!is_surrogate(code_point)) text += encode(code_point);
    if (random() % 16 == 0) text.append(random() % 80, 'a');
  }
  text.resize(size);
  return text;
}

TEST(Utf8, AcceptsAndRejectsAtTheEdgesOfTheRanges) {
  const struct {
    std::string_view text;
    bool valid;
  } kCases[] = {
      {"", true},
      {"\x00"sv, true},
      {"\x7F", true},
      {"\xC2\x80", true},                   // U+0080
      {"\xDF\xBF", true},                   // U+07FF
      {"\xE0\xA0\x80", true},               // U+0800
      {"\xED\x9F\xBF", true},               // U+D7FF
      {"\xEE\x80\x80", true},               // U+E000
      {"\xEF\xBB\xBF", true},               // U+FEFF, which is no byte order mark to a WebSocket
      {"\xEF\xBF\xBD", true},               // U+FFFD
      {"\xEF\xBF\xBF", true},               // U+FFFF
      {"\xF0\x90\x80\x80", true},           // U+10000
      {"\xF4\x8F\xBF\xBF", true},           // U+10FFFF
      {"\xF4\x90\x80\x80", false},          // U+110000
      {"\xED\xA0\x80", false},              // U+D800
      {"\xED\xBF\xBF", false},              // U+DFFF
      {"\xED\xA0\xBD\xED\xB8\x80", false},  // U+1F600 as two surrogates
      {"\xC0\x80", false},                  // U+0000 in two bytes
      {"\xC1\xBF", false},                  // U+007F in two
      {"\xE0\x80\x80", false},              // U+0000 in three
      {"\xE0\x9F\xBF", false},              // U+07FF in three
      {"\xF0\x80\x80\x80", false},          // U+0000 in four
      {"\xF0\x8F\xBF\xBF", false},          // U+FFFF in four
      {"\x80", false},                      // a tail without a start
      {"a\xBF", false},
      {"\xC3\xA9\xA9", false},  // a tail too many
      {"\xF5\x80\x80\x80", false},
      {"\xF8\x88\x80\x80\x80", false},
      {"\xFC\x84\x80\x80\x80\x80", false},
      {"\xFE", false},
      {"\xFF", false},
      {"\xC3", false},  // unfinished
      {"\xE2\x82", false},
      {"\xF0\x9F\x98", false},
      {"\xE2\x82"
       "a",
       false},  // cut short
      {"\xF0\x9F\x98\xF0\x9F\x98\x80", false},
      // RFC 3629 section 7.
      {"\x41\xE2\x89\xA2\xCE\x91\x2E", true},
      {"\xED\x95\x9C\xEA\xB5\xAD\xEC\x96\xB4", true},
      {"\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E", true},
      {"\xEF\xBB\xBF\xF0\xA3\x8E\xB4", true},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(valid_utf8(bytes_of(c.text)), c.valid) << hex(c.text);
    EXPECT_EQ(by_definition(c.text).valid(), c.valid) << hex(c.text);
  }
}

TEST(Utf8, FailsAtTheFirstImpossibleByteOfAnUnfinishedCharacter) {
  const struct {
    std::string_view text;
    std::size_t impossible_at;
  } kCases[] = {
      {"\xED\xA0", 1},
      {"\xF4\x90", 1},
      {"\xE0\x80", 1},
      {"\xF0\x8F", 1},
      {"\xC0", 0},
      {"\xC1", 0},
      {"\xF5", 0},
      {"\xF8", 0},
      {"\xFF", 0},
      {"\x80", 0},
      {"\xE2\x41", 1},
      {"\xE2\x82\xE2", 2},
      {"\xF0\x9F\x98\x41", 3},
  };
  for (const auto& c : kCases) {
    Utf8Validator validator;
    for (std::size_t i = 0; i < c.impossible_at; ++i) {
      EXPECT_TRUE(validator.feed(bytes_of(c.text.substr(i, 1)))) << hex(c.text) << "at " << i;
    }
    EXPECT_FALSE(validator.feed(bytes_of(c.text.substr(c.impossible_at, 1)))) << hex(c.text);
  }
}

TEST(Utf8, IsCompleteOnlyBetweenCharacters) {
  Utf8Validator validator;
  EXPECT_TRUE(validator.complete());
  for (const std::string_view byte : {"\xF0"sv, "\x9F"sv, "\x98"sv}) {
    EXPECT_TRUE(validator.feed(bytes_of(byte)));
    EXPECT_FALSE(validator.complete());
    EXPECT_TRUE(validator.feed({}));
    EXPECT_FALSE(validator.complete());
  }
  EXPECT_TRUE(validator.feed(bytes_of("\x80")));
  EXPECT_TRUE(validator.complete());
}

TEST(Utf8, StartsAfreshAfterReset) {
  Utf8Validator validator;
  EXPECT_FALSE(validator.feed(bytes_of("\xFF")));
  validator.reset();
  EXPECT_TRUE(validator.complete());
  EXPECT_TRUE(validator.feed(bytes_of("\xE2\x82")));
  validator.reset();
  EXPECT_TRUE(validator.feed(bytes_of("a")));
  EXPECT_TRUE(validator.complete());
}

TEST(Utf8, AcceptsEveryCharacterThereIs) {
  std::string all;
  for (std::uint32_t code_point = 0; code_point < kCodePoints; ++code_point) {
    if (!is_surrogate(code_point)) all += encode(code_point);
  }
  for (const Utf8Kernel& kernel : utf8_kernels()) {
    Forced validator{kernel};
    EXPECT_TRUE(validator.feed(all)) << kernel.name;
    EXPECT_TRUE(validator.complete()) << kernel.name;
  }
}

TEST(Utf8, JudgesEveryStringOfUpTo3Bytes) {
  // The valid strings of n bytes: a character of k bytes, then a valid string of n - k.
  std::vector<std::uint32_t> valid[4] = {{0}, {}, {}, {}};
  for (std::size_t n = 1; n <= 3; ++n) {
    for (std::size_t k = 1; k <= n; ++k) {
      for (const std::uint32_t head : characters().of_size(k)) {
        for (const std::uint32_t rest : valid[n - k])
          valid[n].push_back(head << 8 * (n - k) | rest);
      }
    }
    std::vector<bool> is_valid(std::size_t{1} << 8 * n);
    for (const std::uint32_t value : valid[n]) is_valid[value] = true;
    for (std::size_t value = 0; value < is_valid.size(); ++value) {
      std::uint8_t text[3];
      for (std::size_t i = 0; i < n; ++i)
        text[i] = static_cast<std::uint8_t>(value >> 8 * (n - 1 - i));
      if (valid_utf8({text, n}) != is_valid[value]) FAIL() << n << " bytes: " << value;
    }
  }
}

TEST(Utf8, FailsByteByByteExactlyWhereTheDefinitionDoes) {
  for_each_string(kRangeEnds, 4, [](std::string_view text) {
    const Verdict expected = by_definition(text);
    Utf8Validator validator;
    std::size_t impossible_at = kNowhere;
    for (std::size_t i = 0; i < text.size() && impossible_at == kNowhere; ++i) {
      if (!validator.feed(bytes_of(text.substr(i, 1)))) impossible_at = i;
    }
    ASSERT_EQ(impossible_at, expected.impossible_at) << hex(text);
    if (expected.possible()) {
      ASSERT_EQ(validator.complete(), expected.complete) << hex(text);
    }
  });
}

TEST(Utf8Kernel, ThereIsOneForEachFeatureAndAScalarOneLast) {
  const core::CpuFeatures& cpu = core::cpu_features();
  std::string names;
  for (const Utf8Kernel& kernel : utf8_kernels()) names += std::string(kernel.name) + ' ';
  std::string expected;
  if (cpu.avx2) expected += "avx2 ";
  if (cpu.ssse3) expected += "ssse3 ";
  if (cpu.neon) expected += "neon ";
  EXPECT_EQ(names, expected + "scalar ");
}

TEST(Utf8Kernel, EachCallsEveryBlockOfAValidTextGood) {
  std::mt19937 random(3629);
  // The 3 bytes before the first block have to exist.
  const std::string text = "abc" + random_text(100'000, random);
  for (const Utf8Kernel& kernel : utf8_kernels()) {
    const std::size_t blocks = (text.size() - 3) / kernel.block_bytes;
    EXPECT_EQ(kernel.good_blocks(bytes_of(text).data() + 3, blocks), blocks) << kernel.name;
  }
}

TEST(Utf8Kernel, EachJudgesEveryPairOfBytesInsideALongText) {
  const std::vector<Utf8Kernel> kernels = utf8_kernels();
  // Tails that would complete a character, were its first two bytes right.
  for (const std::string_view tails : {""sv, "\x80"sv, "\x80\x80"sv}) {
    std::string text(100, 'a');
    text.replace(52, tails.size(), tails);
    for (unsigned pair = 0; pair < 0x10000; ++pair) {
      text[50] = static_cast<char>(pair >> 8);
      text[51] = static_cast<char>(pair);
      const bool possible = by_definition(std::string_view(text).substr(50, 5)).possible();
      for (const Utf8Kernel& kernel : kernels) {
        Forced validator{kernel};
        ASSERT_EQ(validator.feed(text), possible) << kernel.name << ": " << pair;
      }
    }
  }
}

TEST(Utf8Kernel, EachJudgesCharactersAcrossTheBordersOfBlocks) {
  const std::vector<Utf8Kernel> kernels = utf8_kernels();
  // In an ASCII text blocks of 16 and of 32 bytes start at 3 + 32 = 35.
  std::string text(100, 'a');
  for_each_string(kRanges, 4, [&](std::string_view string) {
    const bool possible = by_definition(std::string(string) + 'a').possible();
    for (std::size_t start = 32; start <= 35; ++start) {
      text.replace(start, 4, string);
      for (const Utf8Kernel& kernel : kernels) {
        Forced validator{kernel};
        ASSERT_EQ(validator.feed(text), possible) << kernel.name << " at " << start << hex(string);
      }
      text.replace(start, 4, "aaaa");
    }
  });
}

TEST(Utf8Kernel, EachJudgesTheEndOfALongText) {
  for (std::size_t size = 1; size <= 3; ++size) {
    for_each_string(kRangeEnds, size, [](std::string_view end) {
      expect_as_defined(std::string(64, 'a').append(end), "end of a text");
    });
  }
}

TEST(Utf8Kernel, EachAgreesOnEveryLengthAndAlignmentWithAndWithoutADamagedByte) {
  std::mt19937 random(3629);
  for (std::size_t offset = 0; offset < 64; ++offset) {
    for (std::size_t length = 0; length <= 300; ++length) {
      std::string buffer(offset, 'x');
      buffer += random_text(length, random);
      if (length > 0 && random() % 4 != 0) {
        buffer[offset + random() % length] = static_cast<char>(random());
      }
      expect_as_defined(std::string_view(buffer).substr(offset), "random text");
      if (HasFatalFailure()) return;
    }
  }
}

TEST(Utf8Kernel, EachTakesATextSplitAnywhere) {
  std::mt19937 random(8259);
  for (int round = 0; round < 16; ++round) {
    std::string text = random_text(170, random);
    if (round % 2 != 0) text[random() % text.size()] = static_cast<char>(random());
    const Verdict expected = by_definition(text);
    for (std::size_t split = 0; split <= text.size(); ++split) {
      const std::string_view first = std::string_view(text).substr(0, split);
      const Verdict expected_first = by_definition(first);
      for (const Utf8Kernel& kernel : utf8_kernels()) {
        Forced validator{kernel};
        ASSERT_EQ(validator.feed(first), expected_first.possible()) << kernel.name << hex(first);
        if (!expected_first.possible()) continue;
        ASSERT_EQ(validator.complete(), expected_first.complete) << kernel.name << hex(first);
        ASSERT_EQ(validator.feed(std::string_view(text).substr(split)), expected.possible())
            << kernel.name << ", split at " << split << ": " << hex(text);
        if (!expected.possible()) continue;
        ASSERT_EQ(validator.complete(), expected.complete)
            << kernel.name << ", split at " << split << ": " << hex(text);
      }
    }
  }
}

TEST(Utf8Kernel, EachTakesManyPieces) {
  std::mt19937 random(6455);
  const std::string text = random_text(20'000, random);
  for (const Utf8Kernel& kernel : utf8_kernels()) {
    for (const std::size_t piece_max : {1u, 2u, 7u, 50u, 500u}) {
      Forced validator{kernel};
      std::string_view rest = text;
      while (!rest.empty()) {
        const std::size_t size = std::min(rest.size(), 1 + random() % piece_max);
        ASSERT_TRUE(validator.feed(rest.substr(0, size))) << kernel.name << ", " << piece_max;
        rest.remove_prefix(size);
      }
    }
  }
}

TEST(Utf8Kernel, EachStaysBetweenGuardPages) {
  std::mt19937 random(1);
  for (const auto flush : {GuardedCopy::Flush::kEnd, GuardedCopy::Flush::kStart}) {
    for (std::size_t length = 0; length <= 300; ++length) {
      const GuardedCopy text(random_text(length, random), flush);
      expect_as_defined(text.text(), "guarded text");
      if (HasFatalFailure()) return;
      const GuardedCopy ascii(std::string(length, 'a'), flush);
      expect_as_defined(ascii.text(), "guarded ASCII");
      if (HasFatalFailure()) return;
    }
  }
}

TEST(Utf8Kernel, EachFindsOneBadByteInALongRun) {
  constexpr std::size_t kCharacters = 20'000;
  for (const std::uint32_t code_point : {0x61u, 0x416u, 0x65E5u, 0x1F600u}) {
    std::string run;
    for (std::size_t i = 0; i < kCharacters; ++i) run += encode(code_point);
    for (const Utf8Kernel& kernel : utf8_kernels()) {
      Forced whole{kernel};
      EXPECT_TRUE(whole.feed(run) && whole.complete()) << kernel.name << ", " << code_point;
      // 70 covers two blocks of any kernel and their neighbours.
      for (std::size_t at = run.size() - 70; at < run.size(); ++at) {
        const char was = std::exchange(run[at], '\xFF');
        EXPECT_FALSE(Forced{kernel}.feed(run)) << kernel.name << ", " << code_point;
        run[at] = was;
      }
    }
  }
}

TEST(Utf8Unmasking, EachAgreesOnEveryLengthAndAlignmentWithAndWithoutADamagedByte) {
  std::mt19937 random(8441);
  for (std::size_t offset = 0; offset < 64; ++offset) {
    for (std::size_t length = 0; length <= 300; ++length) {
      // Most random texts are cut inside a character; of these, half the lengths are filled up.
      std::string text = random_text(length, random);
      for (std::size_t i = length; length % 2 == 0 && i-- > 0 && !by_definition(text).valid();) {
        text[i] = '.';
      }
      if (length > 0 && random() % 2 != 0) text[random() % length] = static_cast<char>(random());
      expect_unmasked(text, offset, random() % 64);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(Utf8Unmasking, EachJudgesTheEndOfATextInsideABlockAndAtItsEnd) {
  for (std::size_t size = 1; size <= 3; ++size) {
    for_each_string(kRangeEnds, size, [](std::string_view end) {
      for (const std::size_t length :
           {14u, 15u, 16u, 17u, 31u, 32u, 33u, 47u, 48u, 62u, 63u, 64u}) {
        expect_unmasked(std::string(length, 'a').append(end), 0, 0);
      }
    });
    if (HasFatalFailure()) return;
  }
}

TEST(Utf8Unmasking, EachJudgesCharactersAcrossTheBordersOfBlocks) {
  for_each_string(kRanges, 4, [&](std::string_view string) {
    // Behind the whole blocks of 32 comes nothing, a rest of less than 16 bytes, or one of more.
    static constexpr std::size_t kLengths[] = {64, 75, 91};
    std::string text(kLengths[packed(string) % 3], 'a');
    for (const std::size_t border : {32u, 60u, 64u, 80u}) {
      if (border + 4 > text.size()) continue;
      for (std::size_t start = border - 3; start <= border; ++start) {
        text.replace(start, 4, string);
        expect_unmasked(text, 0, 0);
        text.replace(start, 4, "aaaa");
      }
    }
  });
}

TEST(Utf8Unmasking, EachStaysBetweenGuardPages) {
  std::mt19937 random(2);
  for (const auto flush : {GuardedCopy::Flush::kEnd, GuardedCopy::Flush::kStart}) {
    for (std::size_t length = 0; length <= 300; ++length) {
      const std::string text = random_text(length, random);
      for (const Utf8Kernel& kernel : utf8_kernels()) {
        const GuardedCopy copy(masked(text), flush);
        EXPECT_EQ(unmask_text(kernel, copy.span(), kMaskKey), by_definition(text).valid())
            << kernel.name << ", " << length;
        EXPECT_EQ(copy.text(), text) << kernel.name << ", " << length;
      }
    }
  }
}

}  // namespace
}  // namespace ws::proto
