#include "ws/proto/encoder.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tests/support/bytes.h"
#include "ws/proto/utf8.h"

namespace ws::proto {
namespace {

using test::bytes_of;

std::string hex(const core::Buffer& buffer) {
  std::string text;
  for (const std::uint8_t byte : buffer.bytes()) {
    constexpr char kDigits[] = "0123456789abcdef";
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

TEST(EncodeFrame, WritesTheUnmaskedExamplesOfSection57) {
  core::Buffer out;
  encode_frame(out, {}, Opcode::kText, bytes_of("Hello"));
  EXPECT_EQ(hex(out), "810548656c6c6f");
  out.clear();
  encode_frame(out, {}, Opcode::kPing, bytes_of("Hello"));
  EXPECT_EQ(hex(out), "890548656c6c6f");
}

TEST(EncodeFrame, AppendsBehindWhatIsThere) {
  core::Buffer out;
  encode_frame(out, {}, Opcode::kText, bytes_of("a"));
  encode_frame(out, {}, Opcode::kBinary, {});
  EXPECT_EQ(hex(out), "8101618200");
}

TEST(EncodeFrame, MasksForAClientWithAnotherKeyEachTime) {
  MaskKeys keys;
  std::set<std::string> seen;
  for (int i = 0; i < 200; ++i) {
    core::Buffer out;
    encode_frame(out, {.role = Role::kClient, .keys = &keys}, Opcode::kText, bytes_of("Hello"));
    ASSERT_EQ(out.size(), 2u + 4 + 5);
    EXPECT_EQ(out.data()[1], 0x85);
    for (std::size_t j = 0; j < 5; ++j) {
      EXPECT_EQ(out.data()[6 + j] ^ out.data()[2 + j % 4], "Hello"[j]);
    }
    seen.insert(hex(out).substr(4, 8));
  }
  EXPECT_GT(seen.size(), 195u);  // of 2^32 keys a repetition among 200 is a rarity
}

TEST(EncodeClose, CarriesCodeAndReason) {
  core::Buffer out;
  encode_close(out, {}, CloseCode::kNormal, "bye");
  EXPECT_EQ(hex(out), "880503e8627965");
}

TEST(EncodeClose, WithoutStatusIsEmpty) {
  core::Buffer out;
  encode_close(out, {}, CloseCode::kNoStatus, "ignored");
  EXPECT_EQ(hex(out), "8800");
}

TEST(EncodeClose, CutsAReasonAtACharactersEdge) {
  // 123 bytes fit behind the code. "ä" is two bytes: 61 of them are 122, the 62nd would be torn.
  std::string reason;
  for (int i = 0; i < 100; ++i) reason += "\xc3\xa4";
  core::Buffer out;
  encode_close(out, {}, CloseCode::kNormal, reason);
  EXPECT_EQ(out.data()[1], 2 + 122);
  EXPECT_TRUE(valid_utf8(out.bytes().subspan(4)));

  out.clear();
  encode_close(out, {}, CloseCode::kNormal, std::string(200, 'x'));
  EXPECT_EQ(out.data()[1], 125);
}

// kMessageBytesMost, "counted with the headers of all its frames but one".
TEST(Encoder, KnowsWhatIsTooLarge) {
  constexpr std::size_t kMost = kMessageBytesMost;
  EXPECT_FALSE(is_too_large(0, 0));
  EXPECT_FALSE(is_too_large(kMost, 0));
  EXPECT_TRUE(is_too_large(kMost + 1, 0));
  EXPECT_FALSE(is_too_large(kMost / 15, 1));
  EXPECT_TRUE(is_too_large(kMost / 14, 1));
}

}  // namespace
}  // namespace ws::proto
