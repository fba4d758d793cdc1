#include "core/timer_wheel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <random>
#include <vector>

namespace ws::core {
namespace {

constexpr std::uint64_t kHourMs = 3'600'000;
constexpr std::uint64_t kDayMs = 24 * kHourMs;

// Advances and returns the owners of what fired, sorted.
std::vector<std::uint32_t> fired_by(TimerWheel& wheel, std::uint64_t now_ms) {
  std::vector<std::uint32_t> fired;
  wheel.advance(now_ms, [&](TimerNode& node) {
    EXPECT_FALSE(node.armed());
    fired.push_back(node.owner.index);
  });
  std::sort(fired.begin(), fired.end());
  return fired;
}

using Indices = std::vector<std::uint32_t>;

TEST(TimerWheel, FiresAtTheDeadlineAndNotBefore) {
  for (const std::uint64_t delay :
       {1ull, 2ull, 63ull, 64ull, 65ull, 4095ull, 4096ull, 4097ull, 30'000ull, 262'144ull,
        16'777'216ull, 1'073'741'823ull, 1'073'741'824ull, 1'073'741'825ull, 400 * 86'400'000ull}) {
    for (const std::uint64_t start : {0ull, 1ull, 63ull, 1'000'003ull, (1ull << 30) - 1}) {
      TimerWheel wheel(start);
      TimerNode node;
      node.owner = {7, 1};
      wheel.arm(node, start + delay);
      EXPECT_TRUE(node.armed());
      EXPECT_EQ(fired_by(wheel, start + delay - 1), Indices{}) << start << "+" << delay;
      EXPECT_EQ(fired_by(wheel, start + delay), Indices{7}) << start << "+" << delay;
      EXPECT_FALSE(node.armed());
      EXPECT_EQ(wheel.next_wake_ms(), TimerWheel::kNever);
    }
  }
}

TEST(TimerWheel, FiresAPastDeadlineAtTheNextAdvanceEvenWithinTheSameMillisecond) {
  TimerWheel wheel(1000);
  std::array<TimerNode, 2> nodes;
  nodes[0].owner = {0, 1};
  nodes[1].owner = {1, 1};
  wheel.arm(nodes[0], 1000);
  wheel.arm(nodes[1], 3);
  EXPECT_LE(wheel.next_wake_ms(), 1000u);
  EXPECT_EQ(fired_by(wheel, 1000), (Indices{0, 1}));
  EXPECT_EQ(fired_by(wheel, 1001), Indices{});
}

TEST(TimerWheel, MovesAnArmedNodeInsteadOfFiringItTwice) {
  TimerWheel wheel(0);
  TimerNode node;
  wheel.arm(node, 10);
  wheel.arm(node, 5000);
  wheel.arm(node, 20);
  EXPECT_EQ(fired_by(wheel, 19), Indices{});
  EXPECT_EQ(fired_by(wheel, 20), Indices{0});
  EXPECT_EQ(fired_by(wheel, 10'000), Indices{});
}

TEST(TimerWheel, NeverFiresACancelledNode) {
  TimerWheel wheel(0);
  TimerNode node;
  wheel.cancel(node);  // not armed: nothing happens
  wheel.arm(node, 10);
  wheel.cancel(node);
  EXPECT_FALSE(node.armed());
  EXPECT_EQ(wheel.next_wake_ms(), TimerWheel::kNever);
  EXPECT_EQ(fired_by(wheel, 100), Indices{});
  wheel.arm(node, 0);
  wheel.cancel(node);
  EXPECT_EQ(wheel.next_wake_ms(), TimerWheel::kNever);
  EXPECT_EQ(fired_by(wheel, 200), Indices{});
}

TEST(TimerWheel, CountsTimeRunningBackwardsAsTheLatestSeen) {
  TimerWheel wheel(1000);
  TimerNode node;
  wheel.arm(node, 2000);
  EXPECT_EQ(fired_by(wheel, 500), Indices{});
  EXPECT_EQ(fired_by(wheel, 1999), Indices{});
  EXPECT_EQ(fired_by(wheel, 1500), Indices{});
  EXPECT_EQ(fired_by(wheel, 2000), Indices{0});
}

TEST(TimerWheel, LetsACallbackRearmItsOwnNode) {
  TimerWheel wheel(0);
  TimerNode node;
  wheel.arm(node, 10);
  int count = 0;
  const auto rearm = [&](TimerNode& expired) {
    ++count;
    wheel.arm(expired, expired.deadline_ms + 10);
  };
  for (std::uint64_t now = 1; now <= 100; ++now) wheel.advance(now, rearm);
  EXPECT_EQ(count, 10);
}

TEST(TimerWheel, LetsACallbackCancelAndMoveOtherDueNodes) {
  TimerWheel wheel(0);
  std::array<TimerNode, 3> nodes;
  for (TimerNode& node : nodes) wheel.arm(node, 10);
  TimerNode* first = nullptr;
  TimerNode* moved = nullptr;
  int count = 0;
  wheel.advance(10, [&](TimerNode& node) {
    if (++count > 1) return;
    first = &node;
    for (TimerNode& other : nodes) {
      if (&other == first) continue;
      if (moved == nullptr) {
        moved = &other;
        wheel.arm(other, 50);
      } else {
        wheel.cancel(other);
      }
    }
  });
  EXPECT_EQ(count, 1);
  ASSERT_NE(moved, nullptr);
  wheel.advance(49, [](TimerNode&) { ADD_FAILURE(); });
  wheel.advance(50, [&](TimerNode& node) {
    ++count;
    EXPECT_EQ(&node, moved);
  });
  EXPECT_EQ(count, 2);
}

TEST(TimerWheel, KeepsAPastDeadlineArmedByACallbackForTheNextAdvance) {
  TimerWheel wheel(0);
  TimerNode node;
  wheel.arm(node, 10);
  int count = 0;
  const auto rearm_past = [&](TimerNode& expired) {
    ++count;
    wheel.arm(expired, 1);
  };
  wheel.advance(10, rearm_past);
  EXPECT_EQ(count, 1);  // and it came back: nobody can hold the loop by re-arming
  EXPECT_LE(wheel.next_wake_ms(), 10u);
  wheel.advance(10, rearm_past);
  EXPECT_EQ(count, 2);
}

TEST(TimerWheel, WakesAtMostOncePerLevelBeforeADeadline) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 2000; ++round) {
    const std::uint64_t start = random() % (1ull << 40);
    const std::uint64_t delay = 1 + (random() % (1ull << 30) >> random() % 30);
    TimerWheel wheel(start);
    TimerNode node;
    wheel.arm(node, start + delay);
    std::uint64_t now = start;
    int wake_ups = 0;
    bool fired = false;
    while (!fired) {
      const std::uint64_t wake = wheel.next_wake_ms();
      ASSERT_GT(wake, now);
      ASSERT_LE(wake, start + delay);
      now = wake;
      ++wake_ups;
      wheel.advance(now, [&](TimerNode&) { fired = true; });
    }
    EXPECT_EQ(now, start + delay);
    EXPECT_LE(wake_ups, 1 + 4);  // the deadline itself, and each of the four coarser levels
  }
}

// Every time the wheel asks to be woken for until `node` has fired.
std::vector<std::uint64_t> wakes_until_fired(TimerWheel& wheel, const TimerNode& node) {
  std::vector<std::uint64_t> wakes;
  while (node.armed()) {
    wakes.push_back(wheel.next_wake_ms());
    fired_by(wheel, wakes.back());
  }
  return wakes;
}

TEST(TimerWheel, ADeadlineThatMovedBackCostsNoWakeUp) {
  for (const bool by_cancel : {false, true}) {
    TimerWheel wheel(0);
    TimerNode moved;
    wheel.arm(moved, 10'000);
    (void)wheel.next_wake_ms();
    if (by_cancel) wheel.cancel(moved);
    wheel.arm(moved, 30'000);
    const auto wakes = wakes_until_fired(wheel, moved);
    EXPECT_GT(wakes.front(), 10'000U);
    EXPECT_EQ(wakes.back(), 30'000U);
  }
}

TEST(TimerWheel, SurvivesJumpsOfHoursAndYears) {
  TimerWheel wheel(5);
  std::vector<TimerNode> nodes(1000);
  for (std::uint32_t i = 0; i < nodes.size(); ++i) {
    nodes[i].owner = {i, 1};
    wheel.arm(nodes[i], 5 + i * kHourMs + 1);
  }
  EXPECT_EQ(fired_by(wheel, 5 + 9 * kHourMs + 1).size(), 10u);
  EXPECT_EQ(fired_by(wheel, 5 + 100 * kHourMs).size(), 90u);
  // A loop over each millisecond of these 30,000 years would not end.
  EXPECT_EQ(fired_by(wheel, 30'000 * 365 * kDayMs).size(), 900u);
  EXPECT_EQ(wheel.next_wake_ms(), TimerWheel::kNever);
}

// Random arming, moving, cancelling and advancing, compared with a sorted map.
class Model {
 public:
  explicit Model(std::uint64_t seed)
      : random_(seed), now_(random_() % (1ull << 40)), wheel_(now_), entries_(kNodes) {
    for (std::uint32_t i = 0; i < kNodes; ++i) entries_[i].node.owner = {i, 1};
  }
  ~Model() {
    for (Entry& entry : entries_) wheel_.cancel(entry.node);
  }

  void step() {
    const std::uint64_t choice = random_() % 100;
    if (choice < 45) {
      arm_any();
    } else if (choice < 60) {
      cancel_any();
    } else {
      advance();
    }
    check_next_wake();
  }

 private:
  static constexpr std::uint32_t kNodes = 200;
  using Deadlines = std::multimap<std::uint64_t, std::uint32_t>;
  struct Entry {
    TimerNode node;
    Deadlines::iterator place;
    bool armed = false;
    bool armed_in_callback = false;
  };

  // Any magnitude is as likely as any other, up to half a year.
  std::uint64_t random_span() { return random_() % (1ull << 34) >> random_() % 35; }

  void arm_any() {
    Entry& entry = entries_[random_() % kNodes];
    std::uint64_t deadline = now_ + random_span();
    if (random_() % 8 == 0) deadline = now_ - std::min(now_, random_span());
    if (random_() % 50 == 0) deadline = TimerWheel::kNever;
    forget(entry);
    wheel_.arm(entry.node, deadline);
    entry.place = deadlines_.emplace(deadline, entry.node.owner.index);
    entry.armed = true;
    entry.armed_in_callback = in_callback_;
  }

  void cancel_any() {
    Entry& entry = entries_[random_() % kNodes];
    forget(entry);
    wheel_.cancel(entry.node);
  }

  void forget(Entry& entry) {
    if (entry.armed) deadlines_.erase(entry.place);
    entry.armed = false;
  }

  void advance() {
    const std::uint64_t choice = random_() % 10;
    if (choice < 3) now_ += random_() % 3;
    if (choice >= 3 && choice < 6)
      now_ = std::max(now_, std::min(wheel_.next_wake_ms(), now_ + 100));
    if (choice >= 6) now_ += random_span();
    for (Entry& entry : entries_) entry.armed_in_callback = false;
    in_callback_ = true;
    wheel_.advance(now_, [&](TimerNode& node) {
      Entry& entry = entries_[node.owner.index];
      ASSERT_EQ(&entry.node, &node);
      ASSERT_TRUE(entry.armed);
      ASSERT_FALSE(node.armed());
      ASSERT_LE(node.deadline_ms, now_);
      ASSERT_EQ(node.deadline_ms, entry.place->first);
      ASSERT_FALSE(entry.armed_in_callback && entry.place->first <= now_);
      forget(entry);
      if (random_() % 2 == 0) arm_any();
      if (random_() % 4 == 0) cancel_any();
    });
    in_callback_ = false;
    // Nothing due is left, but for past deadlines that callbacks armed.
    for (auto it = deadlines_.begin(); it != deadlines_.end() && it->first <= now_; ++it) {
      ASSERT_TRUE(entries_[it->second].armed_in_callback);
    }
  }

  void check_next_wake() {
    const std::uint64_t wake = wheel_.next_wake_ms();
    if (deadlines_.empty()) {
      ASSERT_EQ(wake, TimerWheel::kNever);
      return;
    }
    const std::uint64_t earliest = deadlines_.begin()->first;
    if (earliest <= now_) {
      ASSERT_LE(wake, now_);
    } else {
      ASSERT_GT(wake, now_);
      ASSERT_LE(wake, earliest);
    }
  }

  std::mt19937_64 random_;
  std::uint64_t now_;
  TimerWheel wheel_;
  std::vector<Entry> entries_;
  Deadlines deadlines_;
  bool in_callback_ = false;
};

TEST(TimerWheel, AgreesWithASortedMapOnRandomSteps) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Model model(seed);
    for (int i = 0; i < 2000 && !testing::Test::HasFatalFailure(); ++i) model.step();
    ASSERT_FALSE(testing::Test::HasFatalFailure()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace ws::core
