#include "core/endian.h"

#include <gtest/gtest.h>

#include <array>

namespace ws::core {
namespace {

constexpr std::array<std::uint8_t, 12> kBytes = {0x01, 0x23, 0x45, 0x67, 0x89, 0xAB,
                                                 0xCD, 0xEF, 0xFE, 0xDC, 0xBA, 0x98};

TEST(Endian, LoadsTheMostSignificantByteFirst) {
  EXPECT_EQ(load_be<std::uint8_t>(kBytes.data()), 0x01);
  EXPECT_EQ(load_be<std::uint16_t>(kBytes.data()), 0x0123);
  EXPECT_EQ(load_be<std::uint32_t>(kBytes.data()), 0x01234567u);
  EXPECT_EQ(load_be<std::uint64_t>(kBytes.data()), 0x0123456789ABCDEFu);
}

TEST(Endian, LoadsFromAnyAddress) {
  EXPECT_EQ(load_be<std::uint16_t>(kBytes.data() + 1), 0x2345);
  EXPECT_EQ(load_be<std::uint32_t>(kBytes.data() + 3), 0x6789ABCDu);
  EXPECT_EQ(load_be<std::uint64_t>(kBytes.data() + 3), 0x6789ABCDEFFEDCBAu);
}

TEST(Endian, StoresTheMostSignificantByteFirstAndNothingBeside) {
  std::array<std::uint8_t, 10> to{};
  store_be<std::uint16_t>(&to[1], 0xA1B2);
  EXPECT_EQ(to, (std::array<std::uint8_t, 10>{0, 0xA1, 0xB2}));
  to = {};
  store_be<std::uint32_t>(&to[1], 0xA1B2C3D4);
  EXPECT_EQ(to, (std::array<std::uint8_t, 10>{0, 0xA1, 0xB2, 0xC3, 0xD4}));
  to = {};
  store_be<std::uint64_t>(&to[1], 0xA1B2C3D4E5F60718);
  EXPECT_EQ(to, (std::array<std::uint8_t, 10>{0, 0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF6, 0x07, 0x18}));
  to = {};
  store_be<std::uint8_t>(&to[1], 0xA1);
  EXPECT_EQ(to, (std::array<std::uint8_t, 10>{0, 0xA1}));
}

}  // namespace
}  // namespace ws::core
