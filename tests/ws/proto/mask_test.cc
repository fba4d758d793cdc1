#include "ws/proto/mask.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "core/cpu.h"
#include "tests/support/guard_page.h"
#include "ws/proto/mask_kernels.h"

namespace ws::proto {
namespace {

using Bytes = std::vector<std::uint8_t>;
using test::GuardedCopy;

constexpr MaskKey kKey = {{0x37, 0xFA, 0x21, 0x3D}};

Bytes random_bytes(std::size_t size) {
  std::mt19937 random(6455);
  Bytes bytes(size);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
  return bytes;
}

// RFC 6455 section 5.3: "j = i MOD 4; transformed-octet-i = original-octet-i XOR
// masking-key-octet-j".
void mask_by_definition(std::span<std::uint8_t> octets, MaskKey key) {
  for (std::size_t i = 0; i < octets.size(); ++i) octets[i] ^= key.bytes[i % 4];
}

MaskKey key_from(std::size_t phase) {
  MaskKey key;
  for (std::size_t i = 0; i < 4; ++i) key.bytes[i] = kKey.bytes[(phase + i) % 4];
  return key;
}

TEST(Mask, MasksTheHelloOfTheRfc) {
  // RFC 6455 section 5.7: "A single-frame masked text message [...] (contains "Hello")".
  Bytes payload = {'H', 'e', 'l', 'l', 'o'};
  apply_mask(payload, kKey);
  EXPECT_EQ(payload, (Bytes{0x7F, 0x9F, 0x4D, 0x51, 0x58}));
  apply_mask(payload, kKey);
  EXPECT_EQ(payload, (Bytes{'H', 'e', 'l', 'l', 'o'}));
}

TEST(Mask, LeavesAnEmptyPayloadAlone) {
  apply_mask({}, kKey);
  std::uint8_t byte = 0x55;
  apply_mask({&byte, 0}, kKey);
  EXPECT_EQ(byte, 0x55);
}

TEST(Mask, DoesNothingWithAKeyOfZeroes) {
  Bytes payload = random_bytes(300);
  apply_mask(payload, MaskKey{});
  EXPECT_EQ(payload, random_bytes(300));
}

TEST(MaskKey, AdvancedStartsAtTheOctetOfThatIndexModulo4) {
  for (const std::size_t count : {0u, 1u, 2u, 3u, 4u, 5u, 126u, 65535u, 4294967295u}) {
    const MaskKey advanced = kKey.advanced(count);
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(advanced.bytes[i], kKey.bytes[(count % 4 + i) % 4]) << count;
    }
  }
}

TEST(Mask, PiecesWithAdvancedKeysEqualTheWhole) {
  Bytes whole = random_bytes(97);
  mask_by_definition(whole, kKey);
  for (std::size_t split = 0; split <= whole.size(); ++split) {
    Bytes pieces = random_bytes(97);
    apply_mask(std::span(pieces).first(split), kKey);
    apply_mask(std::span(pieces).subspan(split), kKey.advanced(split));
    ASSERT_EQ(pieces, whole) << "split at " << split;
  }
}

TEST(MaskKernel, ThereIsOneForEachFeatureAndAScalarOneLast) {
  const core::CpuFeatures& cpu = core::cpu_features();
  std::string names;
  for (const MaskKernel& kernel : mask_kernels()) names += std::string(kernel.name) + ' ';
  std::string expected;
  if (cpu.avx2) expected += "avx2 ";
  if (cpu.sse2) expected += "sse2 ";
  if (cpu.neon) expected += "neon ";
  EXPECT_EQ(names, expected + "scalar ");
}

TEST(MaskKernel, EachEqualsTheDefinitionAndKeepsTheBytesAround) {
  constexpr std::size_t kOffsets = 64;
  constexpr std::size_t kLengths = 301;
  const Bytes original = random_bytes(kOffsets + kLengths + 64);
  const std::vector<MaskKernel> kernels = mask_kernels();
  for (std::size_t offset = 0; offset < kOffsets; ++offset) {
    for (std::size_t length = 0; length < kLengths; ++length) {
      for (std::size_t phase = 0; phase < 4; ++phase) {
        Bytes expected = original;
        mask_by_definition(std::span(expected).subspan(offset, length), key_from(phase));
        for (const MaskKernel& kernel : kernels) {
          Bytes masked = original;
          kernel.apply(masked.data() + offset, length, key_from(phase));
          ASSERT_EQ(masked, expected) << kernel.name << ", offset " << offset << ", length "
                                      << length << ", key phase " << phase;
        }
      }
    }
  }
}

TEST(MaskKernel, EachStaysBetweenGuardPages) {
  const Bytes original = random_bytes(300);
  for (const MaskKernel& kernel : mask_kernels()) {
    for (const auto flush : {GuardedCopy::Flush::kEnd, GuardedCopy::Flush::kStart}) {
      for (std::size_t length = 0; length <= original.size(); ++length) {
        Bytes expected(original.begin(), original.begin() + static_cast<std::ptrdiff_t>(length));
        GuardedCopy payload(expected, flush);
        mask_by_definition(expected, kKey);
        kernel.apply(payload.span().data(), length, kKey);
        ASSERT_TRUE(std::ranges::equal(payload.span(), expected))
            << kernel.name << ", length " << length;
      }
    }
  }
}

TEST(MaskKernel, EachMasksALargePayload) {
  const Bytes original = random_bytes((1 << 20) + 7);
  Bytes expected = original;
  mask_by_definition(std::span(expected).subspan(1), kKey);
  for (const MaskKernel& kernel : mask_kernels()) {
    Bytes masked = original;
    kernel.apply(masked.data() + 1, masked.size() - 1, kKey);
    EXPECT_TRUE(masked == expected) << kernel.name;
  }
}

}  // namespace
}  // namespace ws::proto
