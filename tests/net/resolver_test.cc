#include "net/resolver.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/loopback.h"

namespace ws::net {
namespace {

using namespace test;
using namespace std::chrono_literals;

std::vector<std::string> text_of(Addresses found) {
  if (!found) return {found.error().message()};
  std::vector<std::string> texts;
  for (const Address& address : *found) texts.push_back(address.to_string());
  return texts;
}

// A name server that answers when it is told to.
class Gate {
 public:
  Addresses look_up(const std::string& host, std::uint16_t port) {
    std::unique_lock lock(mutex_);
    hosts_.insert(host);
    inside_max_ = std::max(inside_max_, ++inside_);
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
    --inside_;
    changed_.notify_all();
    return std::vector{ip("127.0.0.1", port)};
  }
  bool await_inside(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 5s, [&] { return inside_ == count; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  std::size_t inside_max() {
    const std::lock_guard lock(mutex_);
    return inside_max_;
  }
  std::multiset<std::string> hosts() {
    const std::lock_guard lock(mutex_);
    return hosts_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::multiset<std::string> hosts_;  // that were asked for
  std::size_t inside_ = 0, inside_max_ = 0;
  bool open_ = false;
};

Resolver::LookUp behind(const std::shared_ptr<Gate>& gate) {
  return [gate](const std::string& host, std::uint16_t port) { return gate->look_up(host, port); };
}

// Counts down; await() says whether it came to zero.
class Countdown {
 public:
  explicit Countdown(int count) : count_(count) {}
  void tick() {
    const std::lock_guard lock(mutex_);
    --count_;
    changed_.notify_all();
  }
  bool await() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 5s, [&] { return count_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int count_;
};

TEST(LookUp, GivesEachAddressOnceWithThePort) {
  const auto found = text_of(look_up("localhost", 4711));
  ASSERT_FALSE(found.empty());
  const std::set<std::string> loopback{"127.0.0.1:4711", "[::1]:4711"};
  for (const std::string& address : found) EXPECT_TRUE(loopback.contains(address)) << address;
  EXPECT_EQ(std::set(found.begin(), found.end()).size(), found.size());
}

TEST(LookUp, NamesTheHostThatIsNotFoundAndTheCure) {
  // RFC 1035 section 2.3.4: a label has 63 octets or less. No name server needs to be asked.
  const std::string host(64, 'a');
  const auto found = look_up(host, 80);
  ASSERT_FALSE(found);
  EXPECT_TRUE(found.error().message().starts_with(host + ": no address found ("))
      << text_of(found)[0];
  EXPECT_TRUE(found.error().message().ends_with(
      "); check the name, and that this machine's name servers answer"));
}

TEST(Resolver, AnswersLiteralsAndLocalhostInsideTheCall) {
  const auto gate = std::make_shared<Gate>();
  Resolver resolver(behind(gate));
  const auto answer = [&](const std::string& host) {
    std::vector<std::string> got;
    resolver.resolve(host, 80, [&](Addresses found) { got = text_of(std::move(found)); });
    return got;
  };
  using Texts = std::vector<std::string>;
  EXPECT_EQ(answer("192.0.2.1"), Texts{"192.0.2.1:80"});
  EXPECT_EQ(answer("2001:db8::1"), Texts{"[2001:db8::1]:80"});
  EXPECT_EQ(answer("localhost"), (Texts{"127.0.0.1:80", "[::1]:80"}));
  EXPECT_TRUE(gate->hosts().empty());
}

TEST(Resolver, RefusesWhatIsNoHostInsideTheCall) {
  const auto gate = std::make_shared<Gate>();
  Resolver resolver(behind(gate));
  for (const std::string& host : {std::string(), std::string("*"), std::string("a.test\0b", 8)}) {
    std::vector<std::string> got;
    resolver.resolve(host, 80, [&](Addresses found) { got = text_of(std::move(found)); });
    EXPECT_EQ(
        got, std::vector{"\"" + host + "\": not a host; write a name, or an IPv4 or IPv6 address"});
  }
  EXPECT_TRUE(gate->hosts().empty());
}

TEST(Resolver, LooksNamesUpOnAnotherThreadWithTheSystemsResolver) {
  Resolver resolver;
  std::promise<std::pair<std::thread::id, std::vector<std::string>>> answer;
  // inet_aton(3) has more spellings than inet_pton(3); the system knows this one without a server.
  resolver.resolve("127.1", 8080, [&](Addresses found) {
    answer.set_value({std::this_thread::get_id(), text_of(std::move(found))});
  });
  auto future = answer.get_future();
  ASSERT_EQ(future.wait_for(30s), std::future_status::ready);
  const auto [thread, found] = future.get();
  EXPECT_NE(thread, std::this_thread::get_id());
  EXPECT_EQ(found, std::vector<std::string>{"127.0.0.1:8080"});
}

TEST(Resolver, PassesOnTheErrorOfALookUp) {
  Resolver resolver([](const std::string& host, std::uint16_t) -> Addresses {
    return core::Error(host + ": gone fishing");
  });
  std::promise<std::vector<std::string>> answer;
  resolver.resolve("a.test", 80, [&](Addresses found) { answer.set_value(text_of(found)); });
  EXPECT_EQ(answer.get_future().get(), std::vector<std::string>{"a.test: gone fishing"});
}

TEST(Resolver, DoesNotWaitInResolve) {
  const auto gate = std::make_shared<Gate>();
  Resolver resolver(behind(gate));
  Countdown answered(1);
  resolver.resolve("slow.test", 80, [&](Addresses) { answered.tick(); });
  EXPECT_TRUE(gate->await_inside(1));  // the look-up hangs; we are here
  gate->open();
  EXPECT_TRUE(answered.await());
}

TEST(Resolver, AnswersEveryRequestOnceWithFourThreadsAtMost) {
  const auto gate = std::make_shared<Gate>();
  constexpr int kRequests = 50;
  std::vector<std::atomic<int>> answers(kRequests);
  Countdown answered(kRequests);
  Resolver resolver(behind(gate));
  std::multiset<std::string> asked;
  for (int i = 0; i < kRequests; ++i) {
    asked.insert("host" + std::to_string(i));
    const auto port = static_cast<std::uint16_t>(1000 + i);
    resolver.resolve("host" + std::to_string(i), port, [&, i, port](Addresses found) {
      EXPECT_EQ(text_of(found), std::vector{"127.0.0.1:" + std::to_string(port)});
      ++answers[static_cast<std::size_t>(i)];
      answered.tick();
    });
  }
  EXPECT_TRUE(gate->await_inside(Resolver::kThreadsMax));
  gate->open();
  ASSERT_TRUE(answered.await());
  for (const auto& count : answers) EXPECT_EQ(count, 1);
  EXPECT_EQ(gate->hosts(), asked);
  EXPECT_LE(gate->inside_max(), Resolver::kThreadsMax);
}

TEST(Resolver, StartsAgainAfterItsThreadsHaveGone) {
  Resolver resolver([](const std::string&, std::uint16_t port) -> Addresses {
    return std::vector{ip("127.0.0.1", port)};
  });
  for (int i = 0; i < 100; ++i) {
    Countdown answered(1);
    resolver.resolve("a.test", 80, [&](Addresses) { answered.tick(); });
    ASSERT_TRUE(answered.await()) << i;
  }
}

TEST(Resolver, CanBeAskedFromManyThreadsAndFromItsOwn) {
  constexpr int kThreads = 4, kEach = 50;
  Countdown answered(2 * kThreads * kEach);
  Resolver resolver([](const std::string&, std::uint16_t port) -> Addresses {
    return std::vector{ip("127.0.0.1", port)};
  });
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        resolver.resolve("a.test", 80, [&](Addresses) {
          resolver.resolve("b.test", 80, [&](Addresses) { answered.tick(); });
          answered.tick();
        });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(answered.await());
}

TEST(Resolver, GoesWithoutWaitingForLookUpsAndTellsNobodyAfterwards) {
  const auto gate = std::make_shared<Gate>();
  const auto told = std::make_shared<std::atomic<int>>(0);
  {
    Resolver resolver(behind(gate));
    for (int i = 0; i < 10; ++i) {  // more than threads: some are in the queue
      resolver.resolve("stuck.test", 80, [told](Addresses) { ++*told; });
    }
    ASSERT_TRUE(gate->await_inside(Resolver::kThreadsMax));
  }
  // What they held has been let go of, though the threads are still inside.
  EXPECT_EQ(told.use_count(), 1);
  gate->open();
  EXPECT_TRUE(gate->await_inside(0));
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(*told, 0);
  EXPECT_EQ(gate->hosts().size(), Resolver::kThreadsMax);  // the queue was dropped
}

TEST(Resolver, WaitsForAnAnswerThatIsBeingGiven) {
  auto resolver = std::make_unique<Resolver>(
      [](const std::string&, std::uint16_t) -> Addresses { return std::vector{ip("127.0.0.1")}; });
  Countdown begun(1);
  std::atomic<bool> finished = false;
  resolver->resolve("a.test", 80, [&](Addresses) {
    begun.tick();
    std::this_thread::sleep_for(50ms);
    finished = true;
  });
  ASSERT_TRUE(begun.await());
  resolver.reset();
  EXPECT_TRUE(finished);
}

TEST(Resolver, MayGoWhileAnswersCome) {
  for (int round = 0; round < 50; ++round) {
    const auto alive = std::make_shared<std::atomic<bool>>(true);
    {
      Resolver resolver([](const std::string&, std::uint16_t) -> Addresses {
        return std::vector{ip("127.0.0.1")};
      });
      for (int i = 0; i < 20; ++i) {
        resolver.resolve("a.test", 80, [alive](Addresses) { EXPECT_TRUE(*alive); });
      }
    }
    *alive = false;
    EXPECT_EQ(alive.use_count(), 1);
  }
}

TEST(ResolverDeathTest, AStuckLookUpDoesNotKeepTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        const auto gate = std::make_shared<Gate>();
        {
          Resolver resolver(behind(gate));
          resolver.resolve("stuck.test", 80, [](Addresses) {});
          gate->await_inside(1);
        }
        std::exit(7);
      },
      testing::ExitedWithCode(7), "");
}

// Signals are for the threads of the program, which know what to do about them.
TEST(Resolver, ItsThreadsTakeNoSignals) {
  sigset_t blocked;
  sigemptyset(&blocked);
  Countdown answered(1);
  Resolver resolver([&](const std::string&, std::uint16_t) -> Addresses {
    ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
    return std::vector{ip("127.0.0.1")};
  });
  sigset_t before, after;
  ::pthread_sigmask(SIG_BLOCK, nullptr, &before);
  resolver.resolve("a.test", 80, [&](Addresses) { answered.tick(); });
  ::pthread_sigmask(SIG_BLOCK, nullptr, &after);
  ASSERT_TRUE(answered.await());
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGCHLD}) {
    EXPECT_EQ(sigismember(&blocked, signal), 1) << signal;
    EXPECT_EQ(sigismember(&after, signal), sigismember(&before, signal)) << signal;
  }
}

}  // namespace
}  // namespace ws::net
