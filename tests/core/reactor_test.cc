#include "core/reactor.h"

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <future>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "core/clock.h"

namespace ws::core {
namespace {

constexpr Id kDriver{1000, 1};
constexpr Id kA{1, 1};
constexpr Id kB{2, 1};
constexpr Id kC{3, 1};

struct Event {
  std::uint64_t turn;
  Id id;
  std::uint32_t wake;
  bool operator==(const Event&) const = default;
};

void PrintTo(const Event& event, std::ostream* out) {
  *out << "turn " << event.turn << " id " << event.id.index << " wake " << event.wake;
}

// A reactor that writes down what it was told. Steps run one a turn, in the ready step; the reactor
// stops behind the last. A loop that sleeps when it should not is stopped after five seconds.
class Loop {
 public:
  using Step = std::function<void()>;

  void run(std::vector<Step> steps) {
    steps_ = std::move(steps);
    next_step_ = 0;
    if (!steps_.empty()) reactor.make_ready(kDriver);
    first_turn_ = reactor.turn() + 1;
    std::promise<void> done;
    std::thread watchdog([this, finished = done.get_future()] {
      if (finished.wait_for(std::chrono::seconds(5)) == std::future_status::ready) return;
      ADD_FAILURE() << "the loop slept";
      reactor.stop();
    });
    reactor.run();
    done.set_value();
    watchdog.join();
  }

  // 0 is the first turn of this run, in which the first step runs.
  std::uint64_t turn() const { return reactor.turn() - first_turn_; }

  std::vector<Event> events;
  std::function<void(Id, std::uint32_t)> on_wake;
  Reactor reactor{this, dispatch};

 private:
  static void dispatch(void* owner, Id id, std::uint32_t wake) {
    static_cast<Loop*>(owner)->wake(id, wake);
  }
  void wake(Id id, std::uint32_t reasons) {
    EXPECT_TRUE(reactor.in_thread());
    if (id == kDriver) {
      EXPECT_EQ(reasons, kResume);
      steps_[next_step_]();
      if (++next_step_ < steps_.size()) {
        reactor.make_ready(kDriver);
      } else {
        reactor.stop();
      }
      return;
    }
    events.push_back({turn(), id, reasons});
    if (on_wake) on_wake(id, reasons);
  }

  std::vector<Step> steps_;
  std::size_t next_step_ = 0;
  std::uint64_t first_turn_ = 0;
};

using Events = std::vector<Event>;

struct Pair {
  Pair() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    near = Fd(ends[0]);
    far = Fd(ends[1]);
  }
  void send_from_far() { EXPECT_EQ(::send(far.get(), "x", 1, MSG_NOSIGNAL), 1); }
  Fd near, far;
};

const auto kNothing = [] {};

TEST(Reactor, ReportsAnEdgeOnceAndAgainOnlyForNewBytes) {
  Loop loop;
  Pair pair;
  ASSERT_TRUE(loop.reactor.add(pair.near.get(), kA));
  loop.run({
      kNothing,  // the first look at a new descriptor: it can be written
      [&] { pair.send_from_far(); },
      kNothing,  // reported; nobody reads
      kNothing,
      [&] { pair.send_from_far(); },
      kNothing,  // new bytes are a new edge
      kNothing,
  });
  EXPECT_EQ(
      loop.events,
      (Events{{0, kA, kWritable}, {2, kA, kReadable | kWritable}, {5, kA, kReadable | kWritable}}));
}

TEST(Reactor, ReportsThatASocketTakesBytesAgain) {
  Loop loop;
  Pair pair;
  ASSERT_TRUE(loop.reactor.add(pair.near.get(), kA));
  std::vector<char> block(1 << 20);
  loop.run({
      [&] {
        while (::send(pair.near.get(), block.data(), block.size(), MSG_NOSIGNAL) > 0) {
        }
        EXPECT_EQ(errno, EAGAIN);
        loop.events.clear();
      },
      kNothing,
      [&] {
        EXPECT_EQ(loop.events, Events{});
        while (::recv(pair.far.get(), block.data(), block.size(), 0) > 0) {
        }
      },
      kNothing,
  });
  ASSERT_EQ(loop.events.size(), 1u);
  EXPECT_EQ(loop.events[0].wake, kWritable);
}

TEST(Reactor, ReportsAHangupAsReadableSoThatTheOwnerReadsToTheEnd) {
  Loop loop;
  Pair half_closed, closed;
  int pipe_ends[2];
  ASSERT_EQ(::pipe2(pipe_ends, O_NONBLOCK | O_CLOEXEC), 0);
  Fd pipe_reader(pipe_ends[0]);
  const Fd pipe_writer(pipe_ends[1]);
  ASSERT_TRUE(loop.reactor.add(half_closed.near.get(), kA));
  ASSERT_TRUE(loop.reactor.add(closed.near.get(), kB));
  ASSERT_TRUE(loop.reactor.add(pipe_writer.get(), kC));
  loop.run({
      [&] {
        loop.events.clear();
        closed.send_from_far();
        ::shutdown(half_closed.far.get(), SHUT_WR);
        closed.far.reset();
        pipe_reader.reset();  // EPOLLERR and nothing to read, as after a reset connection
      },
      kNothing,
  });
  std::vector<std::uint32_t> reported;
  for (const Event& event : loop.events) {
    EXPECT_EQ(event.wake, kReadable | kWritable | kHangup) << "id " << event.id.index;
    reported.push_back(event.id.index);
  }
  std::sort(reported.begin(), reported.end());
  EXPECT_EQ(reported, (std::vector<std::uint32_t>{kA.index, kB.index, kC.index}));
  char byte;
  EXPECT_EQ(::recv(closed.near.get(), &byte, 1, 0), 1);
}

TEST(Reactor, ResumesInTheNextTurnWithoutSleeping) {
  Loop loop;
  Pair pair;
  ASSERT_TRUE(loop.reactor.add(pair.near.get(), kA));
  int again = 3;
  loop.on_wake = [&](Id id, std::uint32_t) {
    if (again-- > 0) {
      loop.reactor.make_ready(id);  // also from the events step: not before the next turn
    } else {
      loop.reactor.stop();
    }
  };
  loop.run({});
  EXPECT_EQ(loop.events,
            (Events{{0, kA, kWritable}, {1, kA, kResume}, {2, kA, kResume}, {3, kA, kResume}}));
}

TEST(Reactor, FlushesThenReapsAtTheEndOfTheTurn) {
  Loop loop;
  bool task_ran = false;
  TimerNode timer;
  timer.owner = kC;
  loop.on_wake = [&](Id, std::uint32_t wake) { EXPECT_TRUE(task_ran || wake == kResume); };
  loop.run({
      [&] {
        loop.reactor.retire(kA);
        loop.reactor.mark_dirty(kB);
        loop.reactor.timers().arm(timer, 0);
        loop.reactor.post([&] { task_ran = true; });
        EXPECT_EQ(loop.events, Events{});
      },
  });
  EXPECT_EQ(loop.events, (Events{{0, timer.owner, kTimer}, {0, kB, kFlush}, {0, kA, kReap}}));
}

TEST(Reactor, HandlesWhatTheLastStepsAddInTheNextTurnWithoutSleeping) {
  Loop loop;
  int flushes = 0;
  int reaps = 0;
  loop.on_wake = [&](Id, std::uint32_t wake) {
    if (wake == kFlush) {
      if (++flushes == 1) loop.reactor.mark_dirty(kA);  // while flushing: next turn
      if (flushes == 2) loop.reactor.retire(kA);        // while flushing: this turn
    }
    if (wake == kReap) {
      if (++reaps == 1) loop.reactor.retire(kB);  // while reaping: next turn
      if (reaps == 2) loop.reactor.mark_dirty(kC);
    }
    if (flushes == 3) loop.reactor.stop();
  };
  loop.reactor.mark_dirty(kA);  // before run() counts too
  loop.run({});
  EXPECT_EQ(
      loop.events,
      (Events{{0, kA, kFlush}, {1, kA, kFlush}, {1, kA, kReap}, {2, kB, kReap}, {3, kC, kFlush}}));
}

TEST(Reactor, ReapsOnlyAfterEveryEventOfTheBatchSoThatStaleOnesMeetNoNewTenant) {
  Loop loop;
  Pair first, second;
  ASSERT_TRUE(loop.reactor.add(first.near.get(), kA));
  ASSERT_TRUE(loop.reactor.add(second.near.get(), kB));
  loop.on_wake = [&](Id, std::uint32_t wake) {
    if (wake == kReap) {
      first.near.reset();
      second.near.reset();
    } else if (loop.events.size() == 1) {
      loop.reactor.retire(kA);
      loop.reactor.retire(kB);
    }
  };
  loop.run({
      kNothing,
      [&] {
        ::shutdown(first.far.get(), SHUT_RDWR);
        ::shutdown(second.far.get(), SHUT_RDWR);
      },
      kNothing,  // closed descriptors report nothing
  });
  // Whichever came first retired both; the event of the other was still delivered, for its owner to
  // ignore.
  ASSERT_EQ(loop.events.size(), 4u);
  EXPECT_EQ(loop.events[0].wake, kWritable);
  EXPECT_EQ(loop.events[1].wake, kWritable);
  EXPECT_NE(loop.events[0].id, loop.events[1].id);
  EXPECT_EQ(loop.events[2], (Event{0, kA, kReap}));
  EXPECT_EQ(loop.events[3], (Event{0, kB, kReap}));
}

// And all before a timer that is due: after a stall it would find peers silent whose bytes are
// here.
TEST(Reactor, ReportsEachOfMoreDescriptorsThanOneBatchHolds) {
  constexpr std::uint32_t kCount = 600;
  Loop loop;
  TimerNode timer;
  timer.owner = Id{kCount, 1};
  loop.reactor.timers().arm(timer, monotonic_ms() + 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(3));
  std::vector<Fd> fds;
  for (std::uint32_t i = 0; i < kCount; ++i) {
    fds.emplace_back(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
    ASSERT_TRUE(fds.back());
    ASSERT_TRUE(loop.reactor.add(fds.back().get(), Id{i, 1}));
  }
  loop.run({kNothing, kNothing, kNothing, kNothing});
  std::vector<int> seen(kCount, 0);
  EXPECT_EQ(loop.events.back(), (Event{2, timer.owner, kTimer}));
  loop.events.pop_back();
  for (const Event& event : loop.events) {
    EXPECT_EQ(event.wake, kReadable | kWritable);
    EXPECT_LE(event.turn, 2u);
    ++seen[event.id.index];
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), static_cast<std::ptrdiff_t>(kCount));
}

TEST(Reactor, IsWokenByAPostFromAnotherThread) {
  Loop loop;
  std::atomic<bool> ran = false;
  std::thread other([&] {
    for (int i = 0; i < 20; ++i) {
      // Mostly long enough for the loop to be asleep again.
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      ran = false;
      loop.reactor.post([&] { ran = true; });
      const std::uint64_t start = monotonic_ms();
      while (!ran && monotonic_ms() - start < 4000) std::this_thread::yield();
      EXPECT_TRUE(ran);
    }
    loop.reactor.stop();
  });
  loop.run({});
  other.join();
  // Each post costs at most its wake-up and a look around: the loop did not spin meanwhile.
  EXPECT_LE(loop.turn(), 60u);
}

TEST(Reactor, IsNotWokenByWhatIsPostedWhileItIsAwake) {
  Loop loop;
  Pair pair;
  ASSERT_TRUE(loop.reactor.add(pair.near.get(), kA));
  TimerNode timer;
  timer.owner = kB;
  loop.on_wake = [&](Id id, std::uint32_t) {
    if (id == kA) {
      loop.reactor.post(kNothing);  // runs later in this turn
      loop.reactor.timers().arm(timer, loop.reactor.now_ms() + 30);
    } else {
      loop.reactor.stop();
    }
  };
  loop.run({});
  EXPECT_EQ(loop.events, (Events{{0, kA, kWritable}, {1, kB, kTimer}}));
}

TEST(Reactor, RunsTasksPostedBeforeItRuns) {
  Loop loop;
  bool ran = false;
  loop.reactor.post([&] {
    ran = true;
    EXPECT_TRUE(loop.reactor.in_thread());
  });
  loop.reactor.stop();
  EXPECT_FALSE(loop.reactor.in_thread());
  loop.run({});
  EXPECT_TRUE(ran);
  EXPECT_FALSE(loop.reactor.in_thread());
  EXPECT_EQ(loop.turn(), 0u);
}

TEST(Reactor, StopsFromAnotherThreadAndCanRunAgain) {
  Loop loop;
  for (int i = 0; i < 3; ++i) {
    std::thread other([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      EXPECT_FALSE(loop.reactor.in_thread());
      loop.reactor.stop();
    });
    loop.run({});
    other.join();
  }
}

TEST(Reactor, FinishesTheTurnInWhichItIsStopped) {
  Loop loop;
  loop.run({[&] {
    loop.reactor.stop();
    loop.reactor.mark_dirty(kA);
    loop.reactor.retire(kB);
  }});
  EXPECT_EQ(loop.events, (Events{{0, kA, kFlush}, {0, kB, kReap}}));
}

TEST(Reactor, FiresTimersNeverEarlyAndSoon) {
  Loop loop;
  TimerNode timer;
  timer.owner = kA;
  const std::array<std::uint64_t, 6> delays = {1, 5, 10, 20, 70, 130};
  std::size_t next = 0;
  std::uint64_t least_late_ms = UINT64_MAX;
  const auto arm = [&] { loop.reactor.timers().arm(timer, monotonic_ms() + delays[next++]); };
  loop.on_wake = [&](Id, std::uint32_t wake) {
    EXPECT_EQ(wake, kTimer);
    const std::uint64_t now = monotonic_ms();
    EXPECT_GE(now, timer.deadline_ms);
    EXPECT_GE(loop.reactor.now_ms(), timer.deadline_ms);
    EXPECT_LE(loop.reactor.now_ms(), now);
    least_late_ms = std::min(least_late_ms, now - timer.deadline_ms);
    if (next < delays.size()) {
      arm();
    } else {
      loop.reactor.stop();
    }
  };
  arm();
  loop.run({});
  EXPECT_EQ(loop.events.size(), delays.size());
  // A busy machine may delay any one of them, hardly all.
  EXPECT_LE(least_late_ms, 20u);
  // It sleeps: a wake-up each, and at most one more where a coarser level is left.
  EXPECT_LE(loop.turn(), 2 * delays.size());
}

TEST(Reactor, ReckonsTheFirstSleepFromRunNotFromConstruction) {
  Loop loop;
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  TimerNode timer;
  timer.owner = kA;
  loop.on_wake = [&](Id, std::uint32_t) { loop.reactor.stop(); };
  loop.reactor.timers().arm(timer, monotonic_ms() + 10);
  loop.run({});
  EXPECT_GE(monotonic_ms(), timer.deadline_ms);
  EXPECT_LT(monotonic_ms(), timer.deadline_ms + 150);
}

TEST(Reactor, CarriesOnWhenASignalInterruptsItsSleep) {
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) {};
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  Loop loop;
  const pthread_t thread = ::pthread_self();
  std::thread other([&] {
    for (int i = 0; i < 5; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      ::pthread_kill(thread, SIGUSR1);
    }
    loop.reactor.stop();
  });
  loop.run({});
  other.join();
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST(Reactor, SharesAListenerWithAnotherReactor) {
  // A Unix socket without a name in the file system.
  const Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socklen_t size = sizeof(sa_family_t);  // the kernel picks an abstract name
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listener.get(), 128), 0);
  size = sizeof address;
  ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);

  constexpr int kConnections = 50;
  std::atomic<int> accepted = 0;
  std::array<Loop, 2> loops;
  for (Loop& loop : loops) {
    ASSERT_TRUE(loop.reactor.add_shared(listener.get(), kA));
    loop.on_wake = [&](Id id, std::uint32_t wake) {
      EXPECT_EQ(id, kA);
      EXPECT_EQ(wake, kReadable);
      while (Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC))) ++accepted;
    };
  }
  std::thread first([&] { loops[0].run({}); });
  std::thread second([&] { loops[1].run({}); });
  for (int i = 0; i < kConnections; ++i) {
    const Fd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
  }
  const std::uint64_t start = monotonic_ms();
  while (accepted < kConnections && monotonic_ms() - start < 4000) std::this_thread::yield();
  for (Loop& loop : loops) loop.reactor.stop();
  first.join();
  second.join();
  EXPECT_EQ(accepted, kConnections);
}

TEST(Reactor, DestroysUnrunTasksWhileItsTimersStillWork) {
  Loop owner;
  struct Timed {
    explicit Timed(Reactor& its_reactor) : reactor(its_reactor) {
      reactor.timers().arm(node, 1'000'000);
    }
    ~Timed() {
      reactor.timers().cancel(node);
      reactor.make_ready(kA);
    }
    Reactor& reactor;
    TimerNode node;
  };
  auto reactor = std::make_unique<Reactor>(&owner, [](void*, Id, std::uint32_t) {});
  reactor->post([timed = std::make_unique<Timed>(*reactor)] { ADD_FAILURE(); });
  reactor.reset();
}

TEST(Reactor, RunsNoTaskAfterItsMailboxIsClosed) {
  Loop loop;
  loop.reactor.close_mailbox();
  EXPECT_FALSE(loop.reactor.post([] { ADD_FAILURE(); }));
  loop.reactor.turn_at(monotonic_ms());
}

// --- without descriptors and waiting ---

TEST(Reactor, TurnsByHandTakeTheStepsInOrder) {
  std::vector<std::uint32_t> wakes;
  Reactor reactor(&wakes, [](void* owner, Id, std::uint32_t wake) {
    static_cast<std::vector<std::uint32_t>*>(owner)->push_back(wake);
  });
  const std::uint64_t start = reactor.now_ms();
  TimerNode node;
  node.owner = kA;
  reactor.timers().arm(node, start + 10);
  reactor.retire(kA);
  reactor.mark_dirty(kA);
  reactor.post([&] { wakes.push_back(1000); });
  reactor.make_ready(kA);
  const std::uint64_t turn = reactor.turn();
  reactor.turn_at(start + 10);
  EXPECT_EQ(wakes, (std::vector<std::uint32_t>{kResume, 1000, kTimer, kFlush, kReap}));
  EXPECT_EQ(reactor.now_ms(), start + 10);
  EXPECT_EQ(reactor.turn(), turn + 1);
}

TEST(Reactor, TurnsByHandHaveNoTimeOfTheirOwn) {
  int fired = 0;
  Reactor reactor(&fired, [](void* owner, Id, std::uint32_t) { ++*static_cast<int*>(owner); });
  const std::uint64_t start = reactor.now_ms();
  TimerNode node;
  node.owner = kA;
  reactor.timers().arm(node, start + 5);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  reactor.turn_at(start + 4);
  EXPECT_EQ(fired, 0);
  EXPECT_FALSE(reactor.has_work());
  reactor.turn_at(start + 1'000'000);
  EXPECT_EQ(fired, 1);
}

TEST(Reactor, HasWorkWhileAnyListTheMailboxOrATimerDoes) {
  Reactor reactor(nullptr, [](void*, Id, std::uint32_t) {});
  const std::uint64_t now = reactor.now_ms();
  const auto works_once = [&] {
    const bool before = reactor.has_work();
    reactor.turn_at(now);
    return before && !reactor.has_work();
  };
  EXPECT_FALSE(reactor.has_work());
  reactor.make_ready(kA);
  EXPECT_TRUE(works_once());
  reactor.mark_dirty(kA);
  EXPECT_TRUE(works_once());
  reactor.retire(kA);
  EXPECT_TRUE(works_once());
  reactor.post([] {});
  EXPECT_TRUE(works_once());
  TimerNode node;
  reactor.timers().arm(node, now);
  EXPECT_TRUE(works_once());
  reactor.timers().arm(node, now + 1);
  EXPECT_FALSE(reactor.has_work()) << "it is not due";
  reactor.timers().cancel(node);
}

TEST(Reactor, ATurnLeavesWhatItsLastStepsAskForToTheNext) {
  struct Owner {
    Reactor* reactor = nullptr;
    int resumed = 0;
  } owner;
  Reactor reactor(&owner, [](void* self, Id id, std::uint32_t wake) {
    auto& of = *static_cast<Owner*>(self);
    if (wake == kReap) of.reactor->make_ready(id);
    if (wake == kResume) ++of.resumed;
  });
  owner.reactor = &reactor;
  reactor.retire(kA);
  reactor.turn_at(reactor.now_ms());
  EXPECT_EQ(owner.resumed, 0);
  EXPECT_TRUE(reactor.has_work());
  reactor.turn_at(reactor.now_ms());
  EXPECT_EQ(owner.resumed, 1);
  EXPECT_FALSE(reactor.has_work());
}

TEST(Reactor, AbortsOnAnIdOrDescriptorThatCannotBeWatched) {
  Loop loop;
  Pair pair;
  EXPECT_DEATH((void)loop.reactor.add(pair.near.get(), Id{5, 0}), "check failed");
  EXPECT_DEATH((void)loop.reactor.add_shared(pair.near.get(), Id{}), "check failed");
  EXPECT_DEATH((void)loop.reactor.add(-1, kA), "check failed");
  ASSERT_TRUE(loop.reactor.add(pair.near.get(), kA));
  EXPECT_DEATH((void)loop.reactor.add(pair.near.get(), kB), "check failed");
}

}  // namespace
}  // namespace ws::core
