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

using Place = IpCounts::Place;

TEST(IpCounts, AdmitsAsManyAsTheLimitSays) {
  IpCounts counts;
  EXPECT_EQ(counts.add(connection(1), "192.0.2.1", 2), Place::kAdmitted);
  EXPECT_EQ(counts.add(connection(2), "192.0.2.1", 2), Place::kAdmitted);
  EXPECT_EQ(counts.add(connection(3), "192.0.2.1", 2), Place::kRefused);
}

TEST(IpCounts, CountsEachAddressByItself) {
  IpCounts counts;
  EXPECT_EQ(counts.add(connection(1), "192.0.2.1", 1), Place::kAdmitted);
  EXPECT_EQ(counts.add(connection(2), "192.0.2.2", 1), Place::kAdmitted);
  EXPECT_EQ(counts.add(connection(3), "2001:db8:1:2::/64", 1), Place::kAdmitted);
  EXPECT_EQ(counts.add(connection(4), "192.0.2.1", 1), Place::kRefused);
}

// However many come, they do not hold more places than these.
TEST(IpCounts, RefusesOnlyAFewAtATime) {
  IpCounts counts;
  EXPECT_EQ(counts.add(connection(0), "192.0.2.1", 1), Place::kAdmitted);
  for (std::uint32_t i = 1; i <= IpCounts::kRefusedMax; ++i) {
    EXPECT_EQ(counts.add(connection(i), "192.0.2.1", 1), Place::kRefused);
  }
  EXPECT_EQ(counts.add(connection(90), "192.0.2.1", 1), Place::kNone);
  EXPECT_EQ(counts.add(connection(91), "192.0.2.2", 1), Place::kAdmitted);
  counts.remove(connection(2));
  EXPECT_EQ(counts.add(connection(92), "192.0.2.1", 1), Place::kRefused);
  EXPECT_EQ(counts.add(connection(93), "192.0.2.1", 1), Place::kNone);
}

TEST(IpCounts, APlaceIsFreeAgainWhenSomebodyLeavesThoughTheRefusedStay) {
  IpCounts counts;
  EXPECT_EQ(counts.add(connection(1), "192.0.2.1", 1), Place::kAdmitted);
  EXPECT_EQ(counts.add(connection(2), "192.0.2.1", 1), Place::kRefused);
  counts.remove(connection(1));
  EXPECT_EQ(counts.add(connection(3), "192.0.2.1", 1), Place::kAdmitted);
}

TEST(IpCounts, TheRefusedGiveBackNoMoreThanTheyTook) {
  IpCounts counts;
  EXPECT_EQ(counts.add(connection(1), "192.0.2.1", 1), Place::kAdmitted);
  EXPECT_EQ(counts.add(connection(2), "192.0.2.1", 1), Place::kRefused);
  counts.remove(connection(2));
  counts.remove(connection(2));
  EXPECT_EQ(counts.add(connection(3), "192.0.2.1", 1), Place::kRefused) << "the first is there";
}

// A slot's next tenant is another connection; and one without an address was never counted.
TEST(IpCounts, WhoWasNotCountedTakesNothingAway) {
  IpCounts counts;
  EXPECT_EQ(counts.add(connection(1), "192.0.2.1", 1), Place::kAdmitted);
  counts.remove({.index = 1, .generation = 2});
  counts.remove(connection(2));
  EXPECT_EQ(counts.add(connection(3), "192.0.2.1", 1), Place::kRefused);
}

TEST(IpCounts, CountsRightWhileOthersComeAndGo) {
  IpCounts counts;
  EXPECT_EQ(counts.add(connection(0), "kept", 1), Place::kAdmitted);
  for (std::uint32_t i = 1; i <= 1'000; ++i) {
    EXPECT_EQ(counts.add(connection(i), "passing" + std::to_string(i), 1), Place::kAdmitted);
    if (i % 2 == 0) counts.remove(connection(i));
  }
  EXPECT_EQ(counts.add(connection(2'000), "kept", 1), Place::kRefused);
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
        beyond += counts.add(connection(i), "192.0.2.1", kThreads) == Place::kAdmitted ? 0 : 1;
        counts.remove(connection(i));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(beyond, 0);
  for (std::uint32_t i = 0; i < kThreads; ++i) {
    EXPECT_EQ(counts.add(connection(i), "192.0.2.1", kThreads), Place::kAdmitted);
  }
  EXPECT_EQ(counts.add(connection(kThreads), "192.0.2.1", kThreads), Place::kRefused);
}

}  // namespace
}  // namespace ws
