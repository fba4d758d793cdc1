#include "ws/ip_counts.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace ws {
namespace {

core::Id connection(std::uint32_t index) {
  return {.index = index, .generation = 1};
}

TEST(IpCounts, AllowsAsManyAsTheLimitSays) {
  IpCounts counts;
  EXPECT_FALSE(counts.add(connection(1), "192.0.2.1", 2));
  EXPECT_FALSE(counts.add(connection(2), "192.0.2.1", 2));
  EXPECT_TRUE(counts.add(connection(3), "192.0.2.1", 2));
  EXPECT_TRUE(counts.add(connection(4), "192.0.2.1", 2));
}

TEST(IpCounts, CountsEachAddressByItself) {
  IpCounts counts;
  EXPECT_FALSE(counts.add(connection(1), "192.0.2.1", 1));
  EXPECT_FALSE(counts.add(connection(2), "192.0.2.2", 1));
  EXPECT_FALSE(counts.add(connection(3), "2001:db8:1:2::/64", 1));
  EXPECT_TRUE(counts.add(connection(4), "192.0.2.1", 1));
}

TEST(IpCounts, APlaceIsFreeAgainWhenSomebodyLeaves) {
  IpCounts counts;
  EXPECT_FALSE(counts.add(connection(1), "192.0.2.1", 1));
  EXPECT_TRUE(counts.add(connection(2), "192.0.2.1", 1));
  counts.remove(connection(1));
  counts.remove(connection(2));
  EXPECT_FALSE(counts.add(connection(3), "192.0.2.1", 1));
}

// What is refused has been counted too, so that its end can be told the same way.
TEST(IpCounts, TheRefusedGiveBackNoMoreThanTheyTook) {
  IpCounts counts;
  EXPECT_FALSE(counts.add(connection(1), "192.0.2.1", 1));
  EXPECT_TRUE(counts.add(connection(2), "192.0.2.1", 1));
  counts.remove(connection(2));
  counts.remove(connection(2));
  EXPECT_TRUE(counts.add(connection(3), "192.0.2.1", 1)) << "the first is still there";
}

// A slot's next tenant is another connection; and one without an address was never counted.
TEST(IpCounts, WhoWasNotCountedTakesNothingAway) {
  IpCounts counts;
  EXPECT_FALSE(counts.add(connection(1), "192.0.2.1", 1));
  counts.remove({.index = 1, .generation = 2});
  counts.remove(connection(2));
  EXPECT_TRUE(counts.add(connection(3), "192.0.2.1", 1));
}

TEST(IpCounts, CountsRightWhileOthersComeAndGo) {
  IpCounts counts;
  EXPECT_FALSE(counts.add(connection(0), "kept", 1));
  for (std::uint32_t i = 1; i <= 1'000; ++i) {
    EXPECT_FALSE(counts.add(connection(i), "passing" + std::to_string(i), 1));
    if (i % 2 == 0) counts.remove(connection(i));
  }
  EXPECT_TRUE(counts.add(connection(2'000), "kept", 1));
}

TEST(IpCounts, CountsRightFromSeveralThreads) {
  constexpr std::uint32_t kThreads = 4;
  constexpr int kRounds = 2'000;
  IpCounts counts;
  std::atomic<int> beyond = 0;
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < kRounds; ++round) {
        beyond += counts.add(connection(i), "192.0.2.1", kThreads) ? 1 : 0;
        counts.remove(connection(i));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(beyond, 0);
  for (std::uint32_t i = 0; i < kThreads; ++i) {
    EXPECT_FALSE(counts.add(connection(i), "192.0.2.1", kThreads));
  }
  EXPECT_TRUE(counts.add(connection(kThreads), "192.0.2.1", kThreads));
}

}  // namespace
}  // namespace ws
