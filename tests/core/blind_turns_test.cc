// More ready descriptors than a turn looks at: what has a deadline gets its turn all the same.
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "core/reactor.h"

namespace ws::core {
namespace {

using namespace std::chrono_literals;

constexpr Id kTimed{1'000, 1};

// Each is ready again as soon as it has been looked at, and looking takes a while.
struct BusyOwner {
  explicit BusyOwner(int count) : reactor(this, look) {
    for (int i = 0; i < count; ++i) {
      events.emplace_back(::eventfd(1, EFD_NONBLOCK));
      EXPECT_TRUE(reactor.add(events.back().get(), Id{static_cast<std::uint32_t>(i), 1}));
    }
    timer.owner = kTimed;
    reactor.timers().arm(timer, reactor.now_ms() + 50);
  }
  static void look(void* self, Id id, std::uint32_t wake) {
    auto& of = *static_cast<BusyOwner*>(self);
    if (wake == kTimer) return of.reactor.stop();
    std::this_thread::sleep_for(200us);
    const std::uint64_t one = 1;
    EXPECT_EQ(::write(of.events[id.index].get(), &one, sizeof one), ssize_t{sizeof one});
  }

  Reactor reactor;
  std::vector<Fd> events;
  TimerNode timer;
};

TEST(BlindTurns, DoNotPutOffTimersForLong) {
  BusyOwner owner(300);
  const auto begin = std::chrono::steady_clock::now();
  owner.reactor.run();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
}

}  // namespace
}  // namespace ws::core
