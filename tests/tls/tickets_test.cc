#include "tls/tickets.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <vector>

namespace ws::tls {
namespace {

constexpr std::uint64_t kHourMs = 60 * 60 * 1000;

TEST(TicketKeys, LiveADayAtMost) {
  EXPECT_LE(TicketKeys::kTicketLifeMs, 24 * kHourMs);
  EXPECT_LE(TicketKeys::kKeyLifeMs, 24 * kHourMs);
}

TEST(TicketKeys, KeepOneKeyUntilItIsTimeToRotate) {
  TicketKeys keys(1000);
  const auto first = keys.current(1000);
  EXPECT_EQ(keys.current(1000 + TicketKeys::kRotateMs - 1), first);
  const auto second = keys.current(1000 + TicketKeys::kRotateMs);
  EXPECT_NE(second, first);
  EXPECT_NE(second->name, first->name);
  EXPECT_NE(second->cipher_key, first->cipher_key);
  EXPECT_NE(second->mac_key, first->mac_key);
}

TEST(TicketKeys, FindTheCurrentKeyByItsName) {
  TicketKeys keys(0);
  EXPECT_EQ(keys.find(keys.current(0)->name, 0), keys.current(0));
}

TEST(TicketKeys, FindNothingForAForeignName) {
  TicketKeys keys(0);
  TicketKeys others(0);
  EXPECT_EQ(keys.find(others.current(0)->name, 0), nullptr);
  auto near = keys.current(0)->name;
  near.back() ^= 1;
  EXPECT_EQ(keys.find(near, 0), nullptr);
}

TEST(TicketKeys, OpenATicketForItsWholeLifeAlsoAcrossARotation) {
  TicketKeys keys(0);
  const auto first = keys.current(0);
  const std::uint64_t sealed_ms = TicketKeys::kRotateMs - 1;
  ASSERT_EQ(keys.current(sealed_ms), first);
  EXPECT_EQ(keys.find(first->name, sealed_ms + TicketKeys::kTicketLifeMs), first);
}

TEST(TicketKeys, ForgetAKeyAtTheEndOfItsLife) {
  TicketKeys keys(0);
  const auto first = keys.current(0);
  keys.current(TicketKeys::kRotateMs);
  EXPECT_EQ(keys.find(first->name, TicketKeys::kKeyLifeMs), nullptr);
}

TEST(TicketKeys, ForgetAKeyAfterALongSilence) {
  TicketKeys keys(0);
  const auto first = keys.current(0);
  EXPECT_EQ(keys.find(first->name, 100 * kHourMs), nullptr);
}

TEST(TicketKeys, DoNotRotateForAClockReadingTakenJustBeforeTheKeyWasMade) {
  TicketKeys keys(1000);
  const auto first = keys.current(1000);
  EXPECT_EQ(keys.current(999), first);
}

TEST(TicketKeys, MayBeUsedFromSeveralThreads) {
  TicketKeys keys(0);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&keys] {
      for (std::uint64_t hour = 0; hour < 200; ++hour) {
        const auto key = keys.current(hour * kHourMs);
        EXPECT_NE(key, nullptr);
        keys.find(key->name, hour * kHourMs);  // may be gone: the others' clocks run ahead
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace ws::tls
