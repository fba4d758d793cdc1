#include "core/mailbox.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace ws::core {
namespace {

bool wake_fd_is_written(const Mailbox& mailbox, int timeout_ms = 0) {
  pollfd wait{.fd = mailbox.wake_fd(), .events = POLLIN, .revents = 0};
  return ::poll(&wait, 1, timeout_ms) == 1;
}

TEST(Mailbox, RunsTasksInTheOrderTheyWerePosted) {
  Mailbox mailbox;
  std::string order;
  for (const char letter : {'a', 'b', 'c'}) mailbox.post([&order, letter] { order += letter; });
  EXPECT_EQ(order, "");
  mailbox.run_all();
  EXPECT_EQ(order, "abc");
  mailbox.run_all();
  EXPECT_EQ(order, "abc");
}

TEST(Mailbox, LeavesWhatATaskPostsForTheNextTurn) {
  Mailbox mailbox;
  int runs = 0;
  std::function<void()> again = [&] {
    ++runs;
    mailbox.post(again);
  };
  mailbox.post(again);
  mailbox.run_all();
  EXPECT_EQ(runs, 1);
  EXPECT_FALSE(mailbox.prepare_sleep());
  mailbox.run_all();
  EXPECT_EQ(runs, 2);
}

TEST(Mailbox, WritesTheEventfdOnlyForASleeper) {
  Mailbox mailbox;
  mailbox.post([] {});
  EXPECT_FALSE(wake_fd_is_written(mailbox));
  mailbox.run_all();

  ASSERT_TRUE(mailbox.prepare_sleep());
  mailbox.post([] {});
  EXPECT_TRUE(wake_fd_is_written(mailbox));
  mailbox.finish_sleep();
  mailbox.acknowledge_wake();
  EXPECT_FALSE(wake_fd_is_written(mailbox));
  mailbox.acknowledge_wake();  // does not block when there is nothing to empty
  mailbox.run_all();

  ASSERT_TRUE(mailbox.prepare_sleep());
  mailbox.finish_sleep();
  mailbox.post([] {});
  EXPECT_FALSE(wake_fd_is_written(mailbox));
}

TEST(Mailbox, WakesASleeperOnceForManyTasks) {
  Mailbox mailbox;
  ASSERT_TRUE(mailbox.prepare_sleep());
  for (int i = 0; i < 100; ++i) mailbox.post([] {});
  eventfd_t writes = 0;
  ASSERT_EQ(::eventfd_read(mailbox.wake_fd(), &writes), 0);
  EXPECT_EQ(writes, 1u);
}

TEST(Mailbox, DoesNotSleepOverMail) {
  Mailbox mailbox;
  mailbox.post([] {});
  EXPECT_FALSE(mailbox.prepare_sleep());
  mailbox.post([] {});
  EXPECT_FALSE(wake_fd_is_written(mailbox));  // it was told not to sleep, so it is awake
  mailbox.run_all();
  EXPECT_TRUE(mailbox.prepare_sleep());
}

// Writes its letter when it goes away.
struct Trace {
  Trace(std::string& its_log, char its_letter) : log(its_log), letter(its_letter) {}
  ~Trace() { log += letter; }
  std::string& log;
  char letter;
};

TEST(Mailbox, DestroysEachTaskBeforeTheNextRuns) {
  Mailbox mailbox;
  std::string log;
  for (const char letter : {'a', 'b'}) {
    mailbox.post([&log, trace = std::make_unique<Trace>(log, letter)] { log += '.'; });
  }
  mailbox.run_all();
  EXPECT_EQ(log, ".a.b");
}

TEST(Mailbox, DestroysUnrunTasksInOrderAlsoWhenTheyPostFromTheirDestructors) {
  std::string log;
  {
    std::optional<Mailbox> mailbox(std::in_place);
    struct PostsWhenDestroyed {
      PostsWhenDestroyed(Mailbox& its_mailbox, std::string& its_log)
          : mailbox(its_mailbox), log(its_log) {}
      ~PostsWhenDestroyed() {
        log += 'p';
        EXPECT_FALSE(mailbox.post([trace = std::make_unique<Trace>(log, 'z')] { ADD_FAILURE(); }));
      }
      Mailbox& mailbox;
      std::string& log;
    };
    mailbox->post([trace = std::make_unique<Trace>(log, 'a')] { ADD_FAILURE(); });
    mailbox->post(
        [poster = std::make_unique<PostsWhenDestroyed>(*mailbox, log)] { ADD_FAILURE(); });
    mailbox->post([trace = std::make_unique<Trace>(log, 'b')] { ADD_FAILURE(); });
    mailbox.reset();
  }
  EXPECT_EQ(log, "apzb") << "refused, and destroyed with the call";
}

TEST(Mailbox, KeepsNothingOnceItIsClosed) {
  std::string log;
  Mailbox mailbox;
  EXPECT_TRUE(mailbox.post([trace = std::make_unique<Trace>(log, 'a')] { ADD_FAILURE(); }));
  mailbox.close();
  EXPECT_EQ(log, "a");
  EXPECT_TRUE(mailbox.empty());
  EXPECT_FALSE(mailbox.post([trace = std::make_unique<Trace>(log, 'b')] { ADD_FAILURE(); }));
  EXPECT_EQ(log, "ab") << "destroyed with the call";
  mailbox.run_all();
  mailbox.close();
  EXPECT_EQ(log, "ab");
}

TEST(Mailbox, MayBeClosedWhileOthersPost) {
  std::atomic<int> made{0}, destroyed{0};
  struct Counted {
    Counted(std::atomic<int>& made_count, std::atomic<int>& destroyed_count)
        : destroyed(destroyed_count) {
      ++made_count;
    }
    ~Counted() { ++destroyed; }
    std::atomic<int>& destroyed;
  };
  Mailbox mailbox;
  std::vector<std::thread> producers;
  for (int producer = 0; producer < 3; ++producer) {
    producers.emplace_back([&] {
      while (mailbox.post([counted = std::make_unique<Counted>(made, destroyed)] {})) {
      }
    });
  }
  mailbox.close();
  for (std::thread& producer : producers) producer.join();
  EXPECT_EQ(destroyed, made);
}

TEST(Mailbox, LosesNoTaskAndNoWakeUpOfFourProducers) {
  constexpr int kProducers = 4;
  constexpr int kTasks = 5000;
  Mailbox mailbox;
  std::vector<int> next(kProducers, 0);  // the consumer's: not atomic, so TSan sees any mistake
  int total = 0;
  std::vector<std::thread> producers;
  for (int producer = 0; producer < kProducers; ++producer) {
    producers.emplace_back([&, producer] {
      std::minstd_rand random(static_cast<unsigned>(producer) + 1);
      for (int i = 0; i < kTasks; ++i) {
        mailbox.post([&, producer, i] {
          EXPECT_EQ(next[static_cast<std::size_t>(producer)]++, i);
          ++total;
        });
        if (random() % 64 == 0) std::this_thread::yield();  // lets the consumer fall asleep
      }
    });
  }
  while (total < kProducers * kTasks) {
    if (mailbox.prepare_sleep()) {
      const bool woken = wake_fd_is_written(mailbox, 10'000);
      mailbox.finish_sleep();
      if (!woken) {
        ADD_FAILURE() << "slept over mail after " << total << " tasks";
        break;
      }
      mailbox.acknowledge_wake();
    }
    mailbox.run_all();
  }
  for (std::thread& producer : producers) producer.join();
  EXPECT_EQ(total, kProducers * kTasks);
}

}  // namespace
}  // namespace ws::core
