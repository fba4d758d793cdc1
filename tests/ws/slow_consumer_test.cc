// The policies of topics for subscribers that do not read, against a model written from ws/topic.h.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <string>
#include <string_view>

#include "tests/support/hall.h"
#include "ws/topics.h"

namespace ws::test {
namespace {

using Guest = Hall::Guest;

constexpr std::uint32_t kWaiting = 300;

// A message whose frame has 100 bytes.
std::string hundred(int number) {
  std::string text = std::to_string(number) + ":";
  text.resize(98, '.');
  return text;
}

Strings hundreds(std::initializer_list<std::pair<int, int>> ranges) {
  Strings all;
  for (const auto& [from, to] : ranges) {
    for (int i = from; i <= to; ++i) all.push_back(hundred(i));
  }
  return all;
}

struct Expected {
  std::size_t pipe_bytes;
  SlowConsumer policy;
  Strings got;
  std::uint64_t dropped;
};

// The pipe takes 10 frames, or 10 and a half; 50 are published, one per turn. A subscriber is slow
// when more than 300 bytes wait, so a fourth frame still joins three, and a fifth does not.
TEST(SlowConsumers, GetWhatThePolicySays) {
  const Expected table[] = {
      {1000, SlowConsumer::kDropNewest, hundreds({{1, 14}}), 36},
      {1000, SlowConsumer::kDropOldest, hundreds({{1, 10}, {47, 50}}), 36},
      {1000, SlowConsumer::kKeepLatest, hundreds({{1, 10}, {50, 50}}), 39},
      // Half of the 11th is out, so it stays, and its other half counts.
      {1050, SlowConsumer::kDropNewest, hundreds({{1, 14}}), 36},
      {1050, SlowConsumer::kDropOldest, hundreds({{1, 11}, {48, 50}}), 36},
      {1050, SlowConsumer::kKeepLatest, hundreds({{1, 11}, {50, 50}}), 38},
  };
  for (const Expected& row : table) {
    Hall hall;
    hall.net.set_pipe_bytes(row.pipe_bytes);
    hall.net.topic("t", {.slow_consumer = row.policy, .waiting_bytes = kWaiting});
    Guest& guest = hall.join_asleep("t");
    for (int i = 1; i <= 50; ++i) hall.publish("t", hundred(i));
    TopicStats stats = hall.net.topic_stats("t");
    EXPECT_EQ(stats.delivered, row.got.size());
    EXPECT_EQ(stats.dropped, row.dropped);
    EXPECT_EQ(stats.delivered + stats.dropped, stats.published);
    EXPECT_EQ(stats.closed, 0u);
    hall.reads(guest);
    EXPECT_EQ(guest.got, row.got) << static_cast<int>(row.policy) << ", " << row.pipe_bytes;
    hall.publish("t", "one more");
    EXPECT_EQ(guest.got.back(), "one more");
    EXPECT_FALSE(guest.closed);
  }
}

TEST(SlowConsumers, AreClosedWhereTheTopicSaysSo) {
  Hall hall;
  hall.net.set_pipe_bytes(1000);
  hall.net.topic("t", {.slow_consumer = SlowConsumer::kClose, .waiting_bytes = kWaiting});
  Guest& guest = hall.join_asleep("t");
  Guest& witness = hall.join("t");
  for (int i = 1; i <= 50; ++i) hall.publish("t", hundred(i));
  const TopicStats stats = hall.net.topic_stats("t");
  EXPECT_EQ(stats.published, 50u);
  EXPECT_EQ(stats.delivered, 14u + 50u);
  EXPECT_EQ(stats.dropped, 1u) << "the one that found it slow; then it was not open any more";
  EXPECT_EQ(stats.closed, 1u);
  hall.reads(guest);
  EXPECT_EQ(guest.got, hundreds({{1, 14}})) << "what was taken for it still comes";
  EXPECT_EQ(guest.closed, CloseCode::kTryAgainLater);
  EXPECT_EQ(witness.got, hundreds({{1, 50}}));
  hall.net.advance(60'000);
  EXPECT_EQ(hall.net.topic_stats("t").subscriptions, 1u);
  EXPECT_EQ(hall.net.stats().closed_by(CloseCause::kSlowConsumer), 1u) << "the server's side";
}

// A client's frames are masked, each with its own key, so nothing of them is shared.
TEST(SlowConsumers, LoseTheNewestWhereTheFramesAreTheirOwn) {
  for (const SlowConsumer policy :
       {SlowConsumer::kDropNewest, SlowConsumer::kDropOldest, SlowConsumer::kKeepLatest}) {
    Strings got;
    Hall hall;
    hall.net.set_pipe_bytes(1000);
    hall.net.topic("t", {.slow_consumer = policy, .waiting_bytes = kWaiting});
    hall.serve({.on_message = [&](Conn&, const Message& m) { got.emplace_back(m.text()); }});
    Guest& guest = hall.join("");
    hall.on(guest.client, [](Conn& conn) { EXPECT_TRUE(conn.subscribe("t")); });
    hall.on(guest.id, [](Conn& conn) { conn.pause_reading(); });
    Strings published;
    for (int i = 0; i < 50; ++i) {
      published.push_back(hundred(i).substr(0, 94));  // and a mask of 4 bytes
      hall.publish("t", published.back());
    }
    hall.on(guest.id, [](Conn& conn) { conn.resume_reading(); });
    published.resize(14);
    EXPECT_EQ(got, published) << static_cast<int>(policy);
    EXPECT_EQ(hall.net.topic_stats("t").delivered, 14u);
    EXPECT_EQ(hall.net.topic_stats("t").dropped, 36u);
  }
}

// waiting_bytes of 0: the limits of the connection.
TEST(SlowConsumers, AreMeasuredByTheLimitsUnlessTheTopicSaysMore) {
  for (const bool closes : {false, true}) {
    Hall hall({.limits = {.queue_high_bytes = 1000, .queue_max_bytes = 3000}});
    hall.net.set_pipe_bytes(100);
    hall.net.topic("t",
                   {.slow_consumer = closes ? SlowConsumer::kClose : SlowConsumer::kDropNewest});
    Guest& guest = hall.join_asleep("t");
    for (int i = 1; i <= 50; ++i) hall.publish("t", hundred(i));
    // One in the pipe, then as many as fit exactly, and the one that found no more than that.
    EXPECT_EQ(hall.net.topic_stats("t").delivered, closes ? 1u + 31u : 1u + 11u);
    EXPECT_EQ(hall.net.topic_stats("t").closed, closes ? 1u : 0u);
    hall.reads(guest);
    EXPECT_EQ(guest.got, closes ? hundreds({{1, 32}}) : hundreds({{1, 12}}));
  }
}

// What send() and ping() say is never dropped, however much is published around it; nor is Close.
TEST(SlowConsumers, NeverLoseWhatIsTheirOwn) {
  for (const SlowConsumer policy :
       {SlowConsumer::kDropNewest, SlowConsumer::kDropOldest, SlowConsumer::kKeepLatest}) {
    Hall hall;
    hall.net.set_pipe_bytes(50);
    hall.net.topic("t", {.slow_consumer = policy, .waiting_bytes = kWaiting});
    Guest& guest = hall.join_asleep("t");
    Strings own;
    for (int i = 0; i < 200; ++i) {
      hall.publish("t", hundred(i));
      const std::string name = "own " + std::to_string(i);
      hall.on(guest.id, [&](Conn& conn) {
        if (i % 3 == 0) conn.ping(name);
        if (i % 3 == 1) conn.send(name);
      });
      if (i % 3 == 0) own.push_back("ping:" + name);
      if (i % 3 == 1) own.push_back(name);
    }
    hall.on(guest.id, [](Conn& conn) { conn.close(CloseCode::kNormal, "that was all"); });
    hall.publish("t", "too late");
    hall.reads(guest);
    Strings got_own;
    for (const std::string& message : guest.got) {
      if (message.find("own") != std::string::npos) got_own.push_back(message);
    }
    EXPECT_EQ(got_own, own);
    EXPECT_EQ(guest.closed, CloseCode::kNormal);
    const TopicStats stats = hall.net.topic_stats("t");
    EXPECT_EQ(stats.delivered, guest.got.size() - own.size());
    EXPECT_EQ(stats.delivered + stats.dropped, 200u);
  }
}

// "slow: one whose socket takes no more": of a subscriber that reads nothing is ever dropped, even
// if more is published in one turn than may wait.
TEST(SlowConsumers, AreNotThoseWhoseSocketTakesABurst) {
  for (const SlowConsumer policy : {SlowConsumer::kClose, SlowConsumer::kDropNewest,
                                    SlowConsumer::kDropOldest, SlowConsumer::kKeepLatest}) {
    Hall hall({.limits = {.queue_high_bytes = 1000, .queue_max_bytes = 5000}});
    hall.net.set_pipe_bytes(200'000);
    hall.net.topic("t", {.slow_consumer = policy});
    hall.net.topic("u", {.slow_consumer = policy, .waiting_bytes = 10});
    Guest& guest = hall.join("t");
    hall.on(guest.id, [](Conn& conn) { conn.subscribe("u"); });
    Strings wanted;
    for (int burst = 0; burst < 3; ++burst) {
      for (int i = 0; i < 600; ++i) {
        wanted.push_back(hundred(i));
        ASSERT_TRUE(hall.net.publish(i % 2 == 0 ? "t" : "u", wanted.back()));
      }
      hall.net.run();
    }
    EXPECT_EQ(guest.got, wanted) << static_cast<int>(policy);
    EXPECT_FALSE(guest.closed);
  }
}

TEST(SlowConsumers, KeepTheLatestOfEachTopic) {
  Hall hall;
  hall.net.set_pipe_bytes(1);
  hall.net.topic("*", {.slow_consumer = SlowConsumer::kKeepLatest});
  Guest& guest = hall.join_asleep("a");
  hall.on(guest.id, [](Conn& conn) {
    conn.subscribe("b");
    conn.subscribe("c");
    conn.send("first");
  });
  for (int i = 0; i < 10; ++i) {
    hall.publish("a", "a" + std::to_string(i));
    hall.publish("b", "b" + std::to_string(i));
    if (i == 4) hall.publish("c", "c4");
    if (i == 5) hall.on(guest.id, [](Conn& conn) { conn.send("middle"); });
  }
  std::size_t queued = 0;
  hall.on(guest.id, [&](Conn& conn) { queued = conn.queued_bytes(); });
  EXPECT_EQ(queued, 6u + 8u + 3 * 4u);
  hall.reads(guest);
  EXPECT_EQ(guest.got, (Strings{"first", "c4", "middle", "a9", "b9"}));
  EXPECT_EQ(hall.net.topic_stats("*").delivered, 3u);
  EXPECT_EQ(hall.net.topic_stats("*").dropped, 18u);
}

// Also when it publishes the messages itself, from a handler.
TEST(SlowConsumers, KeepTheLatestOfTheirOwn) {
  Hall hall;
  hall.net.set_pipe_bytes(1);
  hall.net.topic("*", {.slow_consumer = SlowConsumer::kKeepLatest});
  Guest& guest = hall.join_asleep("t");
  hall.on(guest.id, [&](Conn& conn) { conn.send("begun"); });
  hall.on(guest.id, [&](Conn& conn) {
    for (int i = 0; i < 10; ++i) {
      hall.net.publish("t", std::to_string(i));
      if (i == 3) conn.send("own");
    }
  });
  hall.reads(guest);
  EXPECT_EQ(guest.got, (Strings{"begun", "own", "9"}));
}

// While a message is streamed to it the others wait for its end; that is no reason to keep more.
TEST(SlowConsumers, KeepTheLatestBehindAStreamedMessage) {
  Hall hall;
  hall.net.set_pipe_bytes(1);
  hall.net.topic("*", {.slow_consumer = SlowConsumer::kKeepLatest});
  Guest& guest = hall.join_asleep("t");
  hall.on(guest.id, [](Conn& conn) {
    conn.begin(MessageType::kText);
    conn.append("streamed");
  });
  std::size_t before = 0;
  std::size_t after = 0;
  hall.on(guest.id, [&](Conn& conn) { before = conn.queued_bytes(); });
  for (int i = 0; i < 100; ++i) hall.publish("t", hundred(i));
  hall.on(guest.id, [&](Conn& conn) { after = conn.queued_bytes(); });
  EXPECT_EQ(after, before + 100);
  hall.on(guest.id, [](Conn& conn) { conn.end(); });
  hall.publish("t", "newest");
  hall.reads(guest);
  EXPECT_EQ(guest.got, (Strings{"streamed", "newest"}));
  EXPECT_EQ(hall.net.topic_stats("*").delivered, 1u);
  EXPECT_EQ(hall.net.topic_stats("*").dropped, 100u);
}

// What a topic drops may take the queue below the low mark, behind a streamed message too: a
// program that waits for on_drain before it goes on with the message is told at once.
TEST(SlowConsumers, AreToldOfTheRoomThatDroppingMade) {
  Hall hall;
  hall.net.topic("*", {.slow_consumer = SlowConsumer::kDropOldest});
  int drains = 0;
  hall.serve({.on_drain = [&](Conn&) { ++drains; }});
  Guest& guest = hall.join("t");
  hall.on(guest.id, [](Conn& conn) {
    conn.begin(MessageType::kText);
    conn.append("streamed");
  });
  hall.publish("t", std::string(Limits{}.queue_high_bytes + 1, 'x'));
  EXPECT_EQ(drains, 0);
  hall.publish("t", "small");
  EXPECT_EQ(hall.net.topic_stats("*").dropped, 1u);
  EXPECT_EQ(drains, 1);
  hall.on(guest.id, [](Conn& conn) { conn.end(); });
  EXPECT_EQ(guest.got, (Strings{"streamed", "small"}));
  EXPECT_EQ(drains, 1);
}

// The queue of one subscriber in the words of ws/topic.h: a pipe, and what waits before it.
class Model {
 public:
  Model(SlowConsumer policy, std::size_t pipe_bytes) : policy_(policy), free_(pipe_bytes) {}

  void publish(const std::string& text) {
    const bool blocked = waiting() > 0;
    if (policy_ == SlowConsumer::kKeepLatest && blocked) drop_down_to(0);
    if (policy_ == SlowConsumer::kDropOldest) drop_down_to(kWaiting);
    const bool keeps = policy_ == SlowConsumer::kKeepLatest && blocked;
    if (!keeps && waiting() > kWaiting) {
      ++dropped;
      return;
    }
    ++delivered;
    add({text, true});
  }
  void send(const std::string& text) { add({text, false}); }
  void read() {
    for (const Piece& piece : queue_) got.push_back(piece.text);
    queue_.clear();
    free_ = pipe_bytes_;
  }

  Strings got;
  std::uint64_t delivered = 0;
  std::uint64_t dropped = 0;

 private:
  struct Piece {
    std::string text;
    bool published;
    std::size_t left = text.size() + 2;
    bool begun = false;
  };
  std::size_t waiting() const {
    std::size_t bytes = 0;
    for (const Piece& piece : queue_) bytes += piece.left;
    return bytes;
  }
  void drop_down_to(std::size_t bytes) {
    for (auto piece = queue_.begin(); piece != queue_.end() && waiting() > bytes;) {
      const bool drops = piece->published && !piece->begun;
      piece = drops ? queue_.erase(piece) : std::next(piece);
      if (!drops) continue;
      ++dropped;
      --delivered;
    }
  }
  void add(Piece piece) {
    queue_.push_back(std::move(piece));
    for (Piece& each : queue_) {
      const std::size_t out = std::min(free_, each.left);
      if (out > 0) each.begun = true;
      each.left -= out;
      free_ -= out;
    }
  }

  SlowConsumer policy_;
  std::size_t free_;
  std::size_t pipe_bytes_ = free_;
  std::deque<Piece> queue_;
};

TEST(SlowConsumers, FollowTheModelThroughRandomDays) {
  std::mt19937 random(6455);
  const auto below = [&](std::size_t bound) {
    return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random);
  };
  for (const SlowConsumer policy :
       {SlowConsumer::kDropNewest, SlowConsumer::kDropOldest, SlowConsumer::kKeepLatest}) {
    for (int day = 0; day < 10; ++day) {
      const std::size_t pipe_bytes = 1 + below(600);
      Hall hall;
      hall.net.set_pipe_bytes(pipe_bytes);
      hall.net.topic("t", {.slow_consumer = policy, .waiting_bytes = kWaiting});
      Guest& guest = hall.join_asleep("t");
      Model model(policy, pipe_bytes);
      for (int step = 0; step < 300; ++step) {
        std::string text = std::to_string(step) + ":";
        text.resize(4 + below(120), '.');
        const std::size_t what = below(12);
        if (what < 9) {
          hall.publish("t", text);
          model.publish(text);
        } else if (what < 11) {
          hall.on(guest.id, [&](Conn& conn) { conn.send(text); });
          model.send(text);
        } else {
          hall.reads(guest);
          hall.sleeps(guest);
          model.read();
          ASSERT_EQ(guest.got, model.got) << static_cast<int>(policy) << ", " << pipe_bytes;
        }
        ASSERT_EQ(hall.net.topic_stats("t").delivered, model.delivered) << step;
        ASSERT_EQ(hall.net.topic_stats("t").dropped, model.dropped) << step;
      }
    }
  }
}

// A slow one in the middle of others, at every policy: the counters of all add up.
TEST(SlowConsumers, AreCountedOnceForEachMessage) {
  for (const SlowConsumer policy : {SlowConsumer::kClose, SlowConsumer::kDropNewest,
                                    SlowConsumer::kDropOldest, SlowConsumer::kKeepLatest}) {
    Hall hall({.limits = {.queue_high_bytes = 400, .queue_max_bytes = 400}});
    hall.net.set_pipe_bytes(500);
    hall.net.topic("t", {.slow_consumer = policy, .waiting_bytes = 1000});
    std::vector<Guest*> guests;
    for (int i = 0; i < 9; ++i) {
      guests.push_back(i % 3 == 1 ? &hall.join_asleep("t") : &hall.join("t"));
    }
    // One that has been streamed to, which keeps what is published for later.
    hall.on(guests[4]->id, [](Conn& conn) { conn.begin(MessageType::kText); });
    std::uint64_t owed = 0;
    for (int i = 0; i < 60; ++i) {
      owed += 9 - hall.net.topic_stats("t").closed;
      hall.publish("t", hundred(i));
    }
    const TopicStats stats = hall.net.topic_stats("t");
    EXPECT_EQ(stats.delivered + stats.dropped, owed) << static_cast<int>(policy);
    EXPECT_EQ(stats.closed, policy == SlowConsumer::kClose ? 3u : 0u);
    EXPECT_EQ(guests[0]->got.size(), 60u);
    EXPECT_EQ(guests[8]->got.size(), 60u);
  }
}

}  // namespace
}  // namespace ws::test
