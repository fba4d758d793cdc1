#include "ws/ip_counts.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace ws {
namespace {

// Adds one and says whether that was over the limit.
bool over(IpCounts& counts, const std::string& key, std::uint32_t max,
          std::vector<IpCounts::Entry*>& entries) {
  bool over_limit = false;
  entries.push_back(counts.add(key, max, over_limit));
  return over_limit;
}

TEST(IpCounts, AllowsAsManyAsTheLimitSays) {
  IpCounts counts;
  std::vector<IpCounts::Entry*> entries;
  EXPECT_FALSE(over(counts, "192.0.2.1", 2, entries));
  EXPECT_FALSE(over(counts, "192.0.2.1", 2, entries));
  EXPECT_TRUE(over(counts, "192.0.2.1", 2, entries));
  EXPECT_TRUE(over(counts, "192.0.2.1", 2, entries));
  for (IpCounts::Entry* entry : entries) counts.remove(entry);
}

TEST(IpCounts, CountsEachAddressByItself) {
  IpCounts counts;
  std::vector<IpCounts::Entry*> entries;
  EXPECT_FALSE(over(counts, "192.0.2.1", 1, entries));
  EXPECT_FALSE(over(counts, "192.0.2.2", 1, entries));
  EXPECT_FALSE(over(counts, "2001:db8:1:2::/64", 1, entries));
  EXPECT_TRUE(over(counts, "192.0.2.1", 1, entries));
  for (IpCounts::Entry* entry : entries) counts.remove(entry);
}

TEST(IpCounts, APlaceIsFreeAgainWhenSomebodyLeaves) {
  IpCounts counts;
  std::vector<IpCounts::Entry*> entries;
  EXPECT_FALSE(over(counts, "192.0.2.1", 1, entries));
  EXPECT_TRUE(over(counts, "192.0.2.1", 1, entries));
  for (IpCounts::Entry* entry : entries) counts.remove(entry);
  entries.clear();
  EXPECT_FALSE(over(counts, "192.0.2.1", 1, entries));
  counts.remove(entries.back());
}

// What is refused has been counted too, so that its end can be told the same way.
TEST(IpCounts, TheRefusedGiveBackNoMoreThanTheyTook) {
  IpCounts counts;
  std::vector<IpCounts::Entry*> entries;
  EXPECT_FALSE(over(counts, "192.0.2.1", 1, entries));
  EXPECT_TRUE(over(counts, "192.0.2.1", 1, entries));
  counts.remove(entries.back());
  entries.pop_back();
  EXPECT_TRUE(over(counts, "192.0.2.1", 1, entries)) << "the first is still there";
  for (IpCounts::Entry* entry : entries) counts.remove(entry);
}

TEST(IpCounts, EntriesStayValidWhileOthersComeAndGo) {
  IpCounts counts;
  std::vector<IpCounts::Entry*> kept;
  over(counts, "kept", 1, kept);
  for (int i = 0; i < 1'000; ++i) {
    std::vector<IpCounts::Entry*> passing;
    over(counts, "passing" + std::to_string(i), 1, passing);
    if (i % 2 == 0) counts.remove(passing.back());
  }
  EXPECT_EQ(kept.front()->first, "kept");
  counts.remove(kept.front());
}

TEST(IpCounts, CountsRightFromSeveralThreads) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 2'000;
  IpCounts counts;
  std::atomic<int> beyond = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        bool over_limit = false;
        IpCounts::Entry* entry = counts.add("192.0.2.1", kThreads, over_limit);
        beyond += over_limit ? 1 : 0;
        counts.remove(entry);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(beyond, 0);
  std::vector<IpCounts::Entry*> entries;
  for (int i = 0; i < kThreads; ++i) EXPECT_FALSE(over(counts, "192.0.2.1", kThreads, entries));
  EXPECT_TRUE(over(counts, "192.0.2.1", kThreads, entries));
  for (IpCounts::Entry* entry : entries) counts.remove(entry);
}

}  // namespace
}  // namespace ws
