#include "ws/proto/frame.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tests/support/guard_page.h"

namespace ws::proto {
namespace {

using Octets = std::vector<std::uint8_t>;

HeaderStep decode(const Octets& bytes, Role receiver = Role::kServer,
                  std::uint8_t rsv_claimed = 0) {
  const test::GuardedCopy copy(bytes);
  return decode_header(copy.span(), receiver, rsv_claimed);
}

// A header as section 5.2 draws it, with the key 1 2 3 4 where it is masked.
Octets header(int first, int second, const Octets& length = {}) {
  Octets bytes;
  bytes.reserve(kFrameHeaderBytesMax);
  bytes.push_back(static_cast<std::uint8_t>(first));
  bytes.push_back(static_cast<std::uint8_t>(second));
  for (const std::uint8_t byte : length) bytes.push_back(byte);
  if ((second & 0x80) == 0) return bytes;
  for (std::uint8_t byte = 1; byte <= 4; ++byte) bytes.push_back(byte);
  return bytes;
}

TEST(DecodeHeader, ReadsTheExamplesOfSection57) {
  // "A single-frame masked text message" and "256 bytes binary message in a single unmasked frame".
  const HeaderStep masked =
      decode({0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58});
  ASSERT_TRUE(masked.whole);
  EXPECT_EQ(masked.bytes, 6u);
  EXPECT_EQ(masked.header.payload_bytes, 5u);
  EXPECT_EQ(masked.header.opcode, Opcode::kText);
  EXPECT_TRUE(masked.header.fin);
  EXPECT_EQ(masked.header.mask_key.bytes[0], 0x37);
  EXPECT_EQ(masked.header.mask_key.bytes[3], 0x3d);

  const HeaderStep unmasked = decode({0x82, 0x7e, 0x01, 0x00}, Role::kClient);
  ASSERT_TRUE(unmasked.whole);
  EXPECT_EQ(unmasked.bytes, 4u);
  EXPECT_EQ(unmasked.header.payload_bytes, 256u);
  EXPECT_EQ(unmasked.header.opcode, Opcode::kBinary);
}

TEST(DecodeHeader, AsksForMoreAtEverySplit) {
  const std::vector<Octets> headers{
      header(0x82, 0x80 | 5),
      header(0x82, 0x80 | 126, {0x01, 0x00}),
      header(0x82, 0x80 | 127, {0, 0, 0, 0, 0, 1, 0, 0}),
  };
  for (const Octets& whole : headers) {
    for (std::size_t count = 0; count < whole.size(); ++count) {
      const HeaderStep step =
          decode({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(count)});
      EXPECT_FALSE(step.whole) << count;
      EXPECT_EQ(step.error, Error::kNone);
      EXPECT_GT(step.bytes, count);
      EXPECT_LE(step.bytes, whole.size());
    }
    EXPECT_TRUE(decode(whole).whole);
    EXPECT_EQ(decode(whole).bytes, whole.size());
  }
}

TEST(DecodeHeader, JudgesEveryFirstByte) {
  for (int first = 0; first < 256; ++first) {
    const int opcode = first & 0x0f;
    const bool known = opcode <= 2 || (opcode >= 8 && opcode <= 10);
    const bool reserved = (first & 0x70) != 0;
    const bool torn_control = opcode >= 8 && (first & 0x80) == 0;
    // One byte is enough to tell.
    const Error error = decode({static_cast<std::uint8_t>(first)}).error;
    EXPECT_EQ(error != Error::kNone, !known || reserved || torn_control) << first;
  }
}

TEST(DecodeHeader, LeavesRsv1ToAnExtensionOnTheFirstDataFrameOnly) {
  EXPECT_EQ(decode(header(0xc1, 0x80), Role::kServer, 0x40).error, Error::kNone);
  EXPECT_EQ(decode(header(0xc1, 0x80), Role::kServer, 0x40).header.rsv, 0x40);
  EXPECT_EQ(decode(header(0xc2, 0x80), Role::kServer, 0x40).error, Error::kNone);
  for (const int first : {0xc0, 0xc8, 0xc9, 0xca, 0xa1, 0x91, 0xf1}) {
    EXPECT_EQ(decode(header(first, 0x80), Role::kServer, 0x40).error, Error::kReservedBits)
        << first;
  }
}

TEST(DecodeHeader, DemandsTheMaskFromClientsAndForbidsItToServers) {
  EXPECT_EQ(decode({0x82, 0x05}).error, Error::kUnmaskedFrame);
  EXPECT_EQ(decode({0x82, 0x85}, Role::kClient).error, Error::kMaskedFrame);
}

TEST(DecodeHeader, RefusesLongControlFramesOnTheirSecondByte) {
  for (const int first : {0x88, 0x89, 0x8a}) {
    EXPECT_EQ(decode(header(first, 0x80 | 125)).error, Error::kNone);
    EXPECT_EQ(decode({static_cast<std::uint8_t>(first), 0x80 | 126}).error, Error::kControlTooLong);
    EXPECT_EQ(decode({static_cast<std::uint8_t>(first), 0x80 | 127}).error, Error::kControlTooLong);
  }
}

TEST(DecodeHeader, RefusesLengthsThatAreNotMinimalBeforeTheKey) {
  EXPECT_EQ(decode({0x82, 0xfe, 0, 125}).error, Error::kNonMinimalLength);
  EXPECT_EQ(decode({0x82, 0xfe, 0, 126}).error, Error::kNone);
  EXPECT_EQ(decode({0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff}).error, Error::kNonMinimalLength);
  EXPECT_EQ(decode({0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0}).error, Error::kNone);
}

TEST(DecodeHeader, RefusesTheTopBitOfA64BitLength) {
  EXPECT_EQ(decode({0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0}).error, Error::kLengthTopBit);
  const Octets most{0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  const HeaderStep step = decode(header(0x82, 0xff, most));
  EXPECT_EQ(step.error, Error::kNone);
  EXPECT_EQ(step.header.payload_bytes, 0x7fff'ffff'ffff'ffffu);
}

// header() and a payload masked with its key, 1 2 3 4.
Octets masked_frame(int first, std::size_t announced, std::size_t size, char letter) {
  Octets bytes = announced < 126 ? header(first, static_cast<int>(0x80 | announced))
                                 : header(first, 0x80 | 126,
                                          {static_cast<std::uint8_t>(announced >> 8),
                                           static_cast<std::uint8_t>(announced & 0xff)});
  for (std::size_t i = 0; i < size; ++i) {
    bytes.push_back(static_cast<std::uint8_t>(letter ^ static_cast<int>(i % 4 + 1)));
  }
  return bytes;
}

TEST(TakeWholeMessage, TakesOneAfterTheOtherOffTheFront) {
  for (const std::size_t size : {0u, 1u, 15u, 16u, 64u, 125u, 126u, 128u, 129u, 5000u, 65535u}) {
    Octets bytes = masked_frame(0x82, size, size, 'b');
    const Octets second = masked_frame(0x81, 2, 2, 't');
    bytes.insert(bytes.end(), second.begin(), second.end());
    const test::GuardedCopy copy(bytes);
    std::span<std::uint8_t> in = copy.span();
    const auto binary = take_whole_message(in, size);
    ASSERT_TRUE(binary) << size;
    EXPECT_EQ(binary->opcode, Opcode::kBinary);
    EXPECT_TRUE(std::ranges::equal(binary->payload, Octets(size, 'b'))) << size;
    EXPECT_EQ(in.size(), second.size()) << size;
    const auto text = take_whole_message(in, 2);
    ASSERT_TRUE(text) << size;
    EXPECT_EQ(text->opcode, Opcode::kText);
    EXPECT_TRUE(std::ranges::equal(text->payload, Octets(2, 't')));
    EXPECT_TRUE(in.empty());
    EXPECT_FALSE(take_whole_message(in, 2));
  }
}

// What is unusual is for another to judge, who finds every byte as it came.
TEST(TakeWholeMessage, LeavesAllElseAsItIs) {
  std::vector<Octets> frames{
      masked_frame(0x02, 3, 3, 'x'),       // no FIN
      masked_frame(0x80, 3, 3, 'x'),       // a continuation
      masked_frame(0xc2, 3, 3, 'x'),       // RSV1
      masked_frame(0x92, 3, 3, 'x'),       // RSV3
      masked_frame(0x88, 3, 3, 'x'),       // Close
      masked_frame(0x89, 3, 3, 'x'),       // Ping
      masked_frame(0x83, 3, 3, 'x'),       // a reserved opcode
      masked_frame(0x82, 7, 6, 'x'),       // a byte is missing
      masked_frame(0x82, 200, 199, 'x'),   // likewise
      masked_frame(0x82, 201, 201, 'x'),   // above the limit
      header(0x82, 0x80 | 126, {0, 125}),  // not minimal
      header(0x82, 0x80 | 126, {0}),       // the header is torn
      header(0x82, 0x80 | 127, {0, 0, 0, 0, 0, 0, 0, 3}),
      {0x82, 0x03, 'x', 'x', 'x', 'x', 'x'},  // not masked
      {0x82, 0x7e, 0x00, 0x80, 'x', 'x', 'x'},
      {0x82, 0x80, 1, 2, 3},
      {0x82},
      {},
  };
  // Text that is not UTF-8 at its first, some or its last byte.
  for (const std::size_t size : {1u, 3u, 15u, 16u, 31u, 40u, 64u, 100u, 128u, 200u}) {
    for (const std::size_t at : {std::size_t{0}, size / 2, size - 1}) {
      frames.push_back(masked_frame(0x81, size, size, 't'));
      frames.back()[frames.back().size() - size + at] ^= 0x80;
    }
  }
  for (const Octets& frame : frames) {
    const test::GuardedCopy copy(frame);
    std::span<std::uint8_t> in = copy.span();
    EXPECT_FALSE(take_whole_message(in, 200)) << frame.size();
    EXPECT_EQ(in.data(), copy.span().data());
    EXPECT_TRUE(std::ranges::equal(in, frame)) << frame.size();
  }
}

TEST(EncodeHeader, WritesTheShortestLengthThatDecodesToTheSame) {
  for (const Role sender : {Role::kServer, Role::kClient}) {
    const Role receiver = sender == Role::kServer ? Role::kClient : Role::kServer;
    for (const std::uint64_t payload :
         {0ull, 1ull, 125ull, 126ull, 127ull, 65535ull, 65536ull, 1ull << 32, (1ull << 63) - 1}) {
      FrameHeader wanted{.payload_bytes = payload,
                         .mask_key = {},
                         .opcode = Opcode::kBinary,
                         .fin = false,
                         .rsv = 0};
      if (sender == Role::kClient) wanted.mask_key = {{9, 8, 7, 6}};
      Octets bytes(kFrameHeaderBytesMax);
      bytes.resize(encode_header(bytes.data(), wanted, sender));
      EXPECT_EQ(bytes.size(), encoded_header_bytes(payload, sender));
      const HeaderStep step = decode(bytes, receiver);
      ASSERT_TRUE(step.whole) << payload;
      EXPECT_EQ(step.bytes, bytes.size());
      EXPECT_EQ(step.header.payload_bytes, payload);
      EXPECT_EQ(step.header.opcode, Opcode::kBinary);
      EXPECT_FALSE(step.header.fin);
      EXPECT_EQ(step.header.mask_key.bytes[1], wanted.mask_key.bytes[1]);
    }
  }
}

}  // namespace
}  // namespace ws::proto
