// What a Conn does when one side is slower than the other: queued bytes, the marks, on_drain,
// pausing; and what it carries for its program (ws/conn.h). In memory, with virtual time.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/support/test_server.h"
#include "ws/ws.h"

namespace ws::test {
namespace {

// A server and one client of it, each with a name for posts, and what their handlers saw.
struct Pair {
  explicit Pair(const Limits& limits = {}, std::size_t pipe_bytes = 64 * 1024)
      : net({.limits = limits}) {
    net.set_pipe_bytes(pipe_bytes);
  }

  void open() {
    served.on_open = [this, next = served.on_open](Conn& conn) {
      server = conn.id();
      if (next) next(conn);
    };
    if (!served.on_message) {
      served.on_message = [this](Conn&, const Message& m) { heard.push_back(text_of(m)); };
    }
    if (!served.on_close) {
      served.on_close = [this](Conn&, const Close& why) {
        ends.push_back(std::to_string(static_cast<int>(why.code)) + " " + std::string(why.reason) +
                       " " + std::string(to_string(why.cause)));
      };
    }
    net.route("/", std::move(served));
    Handlers handlers = std::move(asking);
    handlers.on_open = [this](Conn& conn) { client = conn.id(); };
    if (!handlers.on_message) {
      handlers.on_message = [this](Conn&, const Message& m) { got.push_back(text_of(m)); };
    }
    EXPECT_TRUE(net.connect("ws://test/", {}, std::move(handlers)));
    net.run();
  }
  static std::string text_of(const Message& message) { return std::string(message.text()); }

  void on_server(std::function<void(Conn&)> task) { post(server, std::move(task)); }
  void on_client(std::function<void(Conn&)> task) { post(client, std::move(task)); }
  void post(ConnId id, std::function<void(Conn&)> task) {
    net.post(id, std::move(task));
    net.run();
  }
  std::size_t queued() {
    std::size_t bytes = 0;
    on_server([&](Conn& conn) { bytes = conn.queued_bytes(); });
    return bytes;
  }

  Handlers served;
  Handlers asking;
  std::vector<std::string> heard;  // messages at the server
  std::vector<std::string> got;    // messages at the client
  std::vector<std::string> ends;   // on_close at the server
  ConnId server;
  ConnId client;
  Loopback net;
};

using Strings = std::vector<std::string>;

constexpr std::size_t kFrameOf1000 = 1'004;  // RFC 6455 5.2: 2 bytes, and 16 bits of length

void send_1000(Conn& conn, int times, SendStatus wanted = SendStatus::kQueued) {
  for (int i = 0; i < times; ++i) EXPECT_EQ(conn.send(std::string(1'000, 'x')), wanted);
}

// --- output ---

TEST(ConnFlow, CountsWhatWaitsForThePeer) {
  Pair pair({}, 10'000);
  pair.open();
  EXPECT_EQ(pair.queued(), 0U);
  pair.on_client([](Conn& conn) { conn.pause_reading(); });
  pair.on_server([](Conn& conn) { send_1000(conn, 30, SendStatus::kSent); });
  EXPECT_EQ(pair.queued(), 30 * kFrameOf1000 - 10'000);
  pair.on_server([](Conn& conn) { send_1000(conn, 1); });
  EXPECT_EQ(pair.queued(), 31 * kFrameOf1000 - 10'000);
  pair.on_client([](Conn& conn) { conn.resume_reading(); });
  EXPECT_EQ(pair.queued(), 0U);
  EXPECT_EQ(pair.got, Strings(31, std::string(1'000, 'x')));
}

// So that a callback can send as long as there is room.
TEST(ConnFlow, CountsWhatTheCallbackItselfHasSent) {
  Pair pair({}, 4'000);
  pair.open();
  pair.on_client([](Conn& conn) { conn.pause_reading(); });
  for (int i = 1; i <= 3; ++i) {
    const std::size_t most = static_cast<std::size_t>(i) * 150'000;
    pair.on_server([&](Conn& conn) {
      while (conn.queued_bytes() < most) {
        ASSERT_LE(conn.send(std::string(10'000, 'x')), SendStatus::kQueued);
      }
      EXPECT_LT(conn.queued_bytes(), most + 10'100);
    });
    EXPECT_GE(pair.queued(), most);
    EXPECT_LT(pair.queued(), most + 10'100) << "the same from outside";
  }
}

// "The queue had passed its high mark and is now down to its low mark: once for each such passing."
TEST(ConnFlow, DrainsOncePerPassingOfTheMarks) {
  Limits limits;
  limits.queue_high_bytes = 40'000;
  Pair pair(limits, 4'000);
  std::vector<std::size_t> drains;
  pair.served.on_drain = [&](Conn& conn) { drains.push_back(conn.queued_bytes()); };
  pair.open();
  for (int round = 0; round < 3; ++round) {
    pair.on_client([](Conn& conn) { conn.pause_reading(); });
    pair.on_server([](Conn& conn) { send_1000(conn, 35, SendStatus::kSent); });
    EXPECT_LE(pair.queued(), 40'000U) << "below the mark, and no drain for it";
    pair.on_client([](Conn& conn) { conn.resume_reading(); });
    EXPECT_EQ(pair.queued(), 0U);
    ASSERT_EQ(drains.size(), static_cast<std::size_t>(round));

    pair.on_client([](Conn& conn) { conn.pause_reading(); });
    pair.on_server([](Conn& conn) { send_1000(conn, 50, SendStatus::kSent); });
    pair.on_server([](Conn& conn) { send_1000(conn, 50); });  // further beyond is no new passing
    EXPECT_EQ(drains.size(), static_cast<std::size_t>(round)) << "nothing has been taken yet";
    pair.on_client([](Conn& conn) { conn.resume_reading(); });
    ASSERT_EQ(drains.size(), static_cast<std::size_t>(round) + 1);
    EXPECT_LE(drains.back(), limits.queue_high_bytes / 4);
  }
  EXPECT_EQ(pair.got.size(), 3U * 135);
}

// Refilling the queue in on_drain is no pause of reading that the peer's half message gains from.
TEST(ConnFlow, AHalfMessageIsJudgedThoughOnDrainRefills) {
  Limits limits;
  limits.queue_high_bytes = 40'000;
  limits.assembly_ms = 10'000;
  Pair pair(limits, 4'000);
  int drains = 0;
  pair.served.on_drain = [&](Conn& conn) {
    ++drains;
    send_1000(conn, 50);
  };
  pair.asking.on_message = [read = 0](Conn& conn, const Message&) mutable {
    if (++read % 20 == 0) conn.pause_reading();
  };
  pair.open();
  pair.on_client([](Conn& conn) { conn.begin(MessageType::kBinary); });
  pair.on_server([](Conn& conn) { send_1000(conn, 50, SendStatus::kSent); });
  for (int step = 0; step < 400 && pair.ends.empty(); ++step) {
    pair.on_client([](Conn& conn) {
      conn.append("x");
      conn.resume_reading();
    });
    pair.net.advance(100);
  }
  EXPECT_EQ(pair.ends, std::vector<std::string>{"1008 message took too long timeout"});
  EXPECT_GT(drains, 10);
}

// What waits for the end of a stream is in queued_bytes(), so who waits for on_drain because of it
// gets one; and the peer, whose message may be what ends the stream, is read from meanwhile.
TEST(ConnFlow, WhatWaitsForTheEndOfAStreamDrainsOnceToo) {
  Limits limits;
  limits.queue_high_bytes = 40'000;
  Pair pair(limits);
  int drains = 0;
  pair.served.on_drain = [&](Conn& conn) {
    ++drains;
    EXPECT_LE(conn.queued_bytes(), 10'000U);
  };
  pair.served.on_message = [](Conn& conn, const Message&) {
    EXPECT_EQ(conn.end(), SendStatus::kSent);
  };
  pair.open();
  for (int round = 1; round <= 2; ++round) {
    pair.on_server([](Conn& conn) {
      conn.begin(MessageType::kText);
      send_1000(conn, 50);
      EXPECT_GT(conn.queued_bytes(), 40'000U);
    });
    EXPECT_EQ(drains, round - 1);
    pair.on_client([](Conn& conn) { conn.send("enough"); });
    EXPECT_EQ(pair.queued(), 0U);
    EXPECT_EQ(drains, round);
  }
  pair.on_server([](Conn& conn) {
    conn.begin(MessageType::kText);
    send_1000(conn, 39);
    conn.end();
  });
  EXPECT_EQ(drains, 2) << "not above the mark";
  pair.on_server([](Conn& conn) {
    conn.begin(MessageType::kText);
    send_1000(conn, 50);
    conn.end();
  });
  EXPECT_EQ(drains, 3) << "all in one callback";
  EXPECT_EQ(pair.got.size(), 3U * 51 + 40);
}

// The stream's own frames wait for the peer, what is behind it for the end: one passing.
TEST(ConnFlow, AStreamAndWhatWaitsBehindItDrainTogetherOnce) {
  Limits limits;
  limits.queue_high_bytes = 40'000;
  Pair pair(limits, 4'000);
  int drains = 0;
  pair.served.on_drain = [&](Conn&) { ++drains; };
  pair.open();
  pair.on_client([](Conn& conn) { conn.pause_reading(); });
  pair.on_server([](Conn& conn) {
    conn.begin(MessageType::kText);
    for (int i = 0; i < 30; ++i) conn.append(std::string(1'000, 'x'));
    send_1000(conn, 30);
  });
  pair.on_server([](Conn& conn) { conn.end(); });
  EXPECT_GT(pair.queued(), 40'000U);
  EXPECT_EQ(drains, 0);
  pair.on_client([](Conn& conn) { conn.resume_reading(); });
  EXPECT_EQ(pair.queued(), 0U);
  EXPECT_EQ(drains, 1);
  EXPECT_EQ(pair.got.size(), 31U);
}

// What on_drain sends may pass the mark again: that is another passing, not the same.
TEST(ConnFlow, ADrainMayFillTheQueueAgain) {
  Limits limits;
  limits.queue_high_bytes = 40'000;
  Pair pair(limits, 4'000);
  int drains = 0;
  pair.served.on_drain = [&](Conn& conn) {
    if (++drains < 5) {
      for (int i = 0; i < 60; ++i) conn.send(std::string(1'000, 'x'));
    }
  };
  pair.open();
  pair.on_server([](Conn& conn) { send_1000(conn, 60, SendStatus::kSent); });
  EXPECT_EQ(drains, 5);
  EXPECT_EQ(pair.got.size(), 300U);
}

// "Above Limits::queue_high_bytes nothing is read from the peer until the queue is down to a
// quarter of that".
TEST(ConnFlow, DoesNotReadAPeerThatDoesNotRead) {
  Limits limits;
  limits.queue_high_bytes = 40'000;
  Pair pair(limits, 4'000);
  pair.open();
  pair.on_client([](Conn& conn) { conn.pause_reading(); });
  pair.on_server([](Conn& conn) { send_1000(conn, 60, SendStatus::kSent); });
  pair.on_client([](Conn& conn) { conn.send("later"); });
  EXPECT_EQ(pair.heard, Strings{});
  pair.on_client([](Conn& conn) { conn.resume_reading(); });
  EXPECT_EQ(pair.heard, Strings{"later"});
}

// "at the maximum it is closed (1013)"
TEST(ConnFlow, EndsAPeerAtTheMaximum) {
  Limits limits;
  limits.queue_high_bytes = 20'000;
  limits.queue_max_bytes = 50'000;
  Pair pair(limits, 4'000);
  int drains = 0;
  pair.served.on_drain = [&](Conn&) { ++drains; };
  pair.open();
  pair.on_client([](Conn& conn) { conn.pause_reading(); });
  std::vector<SendStatus> seen;
  pair.on_server([&](Conn& conn) {
    while (seen.empty() || seen.back() < SendStatus::kDropped) {
      seen.push_back(conn.send(std::string(10'000, 'x')));
    }
    EXPECT_EQ(conn.send("x"), SendStatus::kClosed);
  });
  EXPECT_EQ(seen.back(), SendStatus::kDropped);
  EXPECT_LE(seen.size() * 10'000, 50'000U + 4'000 + 3 * 10'000) << "the maximum, and one message";
  EXPECT_GE(seen.size() * 10'000, 50'000U);
  pair.on_client([](Conn& conn) { conn.resume_reading(); });
  pair.net.advance(10'000);
  EXPECT_EQ(pair.ends, Strings{"1013 too slow slow consumer"});
  EXPECT_EQ(pair.got.size(), seen.size() - 1) << "each message whole or not at all";
  EXPECT_EQ(drains, 0);
}

// --- pausing ---

TEST(ConnPause, DeliversNothingAndLosesNothing) {
  Pair pair({}, 4'000);
  int pings = 0;
  pair.served.on_ping = [&](Conn&, std::span<const std::uint8_t>) { ++pings; };
  pair.open();
  pair.on_server([](Conn& conn) {
    conn.pause_reading();
    conn.pause_reading();
  });
  Strings sent;
  for (int i = 0; i < 100; ++i) sent.push_back(std::to_string(i) + std::string(500, 'x'));
  pair.on_client([&](Conn& conn) {
    for (const std::string& each : sent) conn.send(each);
    conn.ping();
    conn.close(CloseCode{4000}, "done");
  });
  pair.net.advance(1'000);
  EXPECT_EQ(pair.heard, Strings{});
  EXPECT_EQ(pings, 0);
  EXPECT_EQ(pair.ends, Strings{});
  pair.on_server([](Conn& conn) {
    EXPECT_EQ(conn.send("can be sent all the same"), SendStatus::kSent);
    conn.resume_reading();
  });
  EXPECT_EQ(pair.heard, sent);
  EXPECT_EQ(pings, 1);
  EXPECT_EQ(pair.ends, Strings{"4000 done peer"});
}

// Messages that came with the one that pauses are "received already": kept, and not delivered.
TEST(ConnPause, TakesEffectWithinABatch) {
  Pair pair;
  pair.served.on_message = [&](Conn& conn, const Message& message) {
    pair.heard.push_back(Pair::text_of(message));
    conn.pause_reading();
  };
  pair.open();
  pair.on_client([](Conn& conn) {
    for (const char* each : {"a", "b", "c"}) conn.send(each);
  });
  EXPECT_EQ(pair.heard, Strings{"a"});
  const auto resume = [](Conn& conn) { conn.resume_reading(); };
  pair.on_server(resume);
  EXPECT_EQ(pair.heard, (Strings{"a", "b"}));
  pair.on_server(resume);
  EXPECT_EQ(pair.heard, (Strings{"a", "b", "c"}));
  pair.on_server(resume);
  pair.on_client([](Conn& conn) { conn.send("d"); });
  EXPECT_EQ(pair.heard, (Strings{"a", "b", "c", "d"}));
}

TEST(ConnPause, MayBeTakenBackInTheSameCallback) {
  Pair pair;
  pair.served.on_message = [&](Conn& conn, const Message& message) {
    conn.pause_reading();
    pair.heard.push_back(Pair::text_of(message));
    conn.resume_reading();
  };
  pair.open();
  pair.on_client([](Conn& conn) {
    for (const char* each : {"a", "b", "c"}) conn.send(each);
  });
  EXPECT_EQ(pair.heard, (Strings{"a", "b", "c"}));
}

TEST(ConnPause, MayBeginInOnOpen) {
  Handlers handlers;
  std::atomic<int> heard = 0;
  std::atomic<std::uint64_t> id = 0;
  handlers.on_open = [&](Conn& conn) {
    conn.pause_reading();
    id = conn.id().packed();
  };
  handlers.on_message = [&](Conn& conn, const Message& message) {
    ++heard;
    conn.send(message);
  };
  TestServer server(handlers);
  const auto stream = server.connect(false);
  ASSERT_NE(stream, nullptr);
  Client client(*stream);
  EXPECT_EQ(client.play(Script().sends(Request().str() + text("early")).upgraded().silent(50)), "");
  EXPECT_EQ(heard, 0);
  server.server().post(ConnId::unpack(id), [](Conn& conn) { conn.resume_reading(); });
  EXPECT_EQ(client.play(Script().gets_text("early").bye()), "");
}

// Keep-alive: what a paused peer says is not heard, so its silence means nothing.
TEST(ConnPause, IsNotSilence) {
  Pair pair;
  pair.open();
  pair.on_server([](Conn& conn) { conn.pause_reading(); });
  pair.on_client([](Conn& conn) { conn.send("before"); });
  for (int i = 0; i < 60; ++i) {
    // So that the client, whose pings are not answered, hears something.
    pair.on_server([](Conn& conn) { conn.send("tick"); });
    pair.net.advance(10'000);
  }
  EXPECT_EQ(pair.ends, Strings{});
  pair.on_server([](Conn& conn) { conn.resume_reading(); });
  EXPECT_EQ(pair.heard, Strings{"before"});
  pair.net.advance(10 * 60'000);
  EXPECT_EQ(pair.ends, Strings{});
}

// "longer only while bytes flow at the rate below": none flow while we do not read.
TEST(ConnPause, IsNoReasonToCallAMessageSlow) {
  Pair pair({}, 16 * 1024);
  pair.open();
  pair.on_client([](Conn& conn) {
    conn.begin(MessageType::kText);
    conn.append("x");
  });
  pair.on_server([](Conn& conn) { conn.pause_reading(); });
  pair.net.advance(29'900);
  pair.on_server([](Conn& conn) { conn.resume_reading(); });
  pair.net.advance(5'000);
  EXPECT_EQ(pair.ends, Strings{}) << "it had 0.1 s, then 5 s more";
  pair.on_client([](Conn& conn) { conn.end(); });
  EXPECT_EQ(pair.heard, Strings{"x"});
}

// The same where it is the output's marks that stop the reading.
TEST(ConnPause, ByAFullQueueIsNoReasonEither) {
  Limits limits;
  limits.queue_high_bytes = 40'000;
  Pair pair(limits, 4'000);
  pair.open();
  pair.on_client([](Conn& conn) {
    conn.begin(MessageType::kText);
    conn.append("x");
    conn.pause_reading();
  });
  pair.on_server([](Conn& conn) { send_1000(conn, 60, SendStatus::kSent); });
  pair.net.advance(29'900);
  pair.on_client([](Conn& conn) { conn.resume_reading(); });
  pair.net.advance(5'000);
  EXPECT_EQ(pair.ends, Strings{});
  pair.on_client([](Conn& conn) { conn.end(); });
  EXPECT_EQ(pair.heard, Strings{"x"});
}

TEST(ConnPause, DoesNotStandInTheWayOfAClose) {
  Pair pair;
  pair.open();
  pair.on_server([](Conn& conn) { conn.pause_reading(); });
  pair.on_client([](Conn& conn) { conn.send("never heard"); });
  pair.on_server([](Conn& conn) { conn.close(CloseCode{4001}); });
  pair.net.advance(10);
  EXPECT_EQ(pair.ends, Strings{"4001  local"}) << "at once, not after the closing time-out";
  EXPECT_EQ(pair.heard, Strings{}) << "after close() no message comes";
}

TEST(ConnPause, DoesNotStandInTheWayOfAStop) {
  Pair pair;
  pair.open();
  pair.on_server([](Conn& conn) { conn.pause_reading(); });
  pair.net.stop();
  pair.net.advance(10);
  EXPECT_EQ(pair.ends, Strings{"1001  shutdown"});
}

TEST(ConnPause, EndsWithTheConnectionThatWasReset) {
  Journal journal;
  Handlers handlers = journal.handlers();
  std::atomic<std::uint64_t> id = 0;
  handlers.on_open = [&, next = handlers.on_open](Conn& conn) {
    next(conn);
    conn.pause_reading();
    id = conn.id().packed();
  };
  TestServer server(handlers);
  Peer peer = server.peer(false);
  peer.stream->reset();
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_EQ(journal.order(id), "o") << "no callback for its end until it is resumed";
  server.server().post(ConnId::unpack(id), [](Conn& conn) { conn.resume_reading(); });
  EXPECT_EQ(journal.closings(1).size(), 1U);
}

// --- data ---

// Counts itself.
struct Counted {
  explicit Counted(std::vector<std::string>& l) : log(&l) {}
  Counted(Counted&& other) noexcept : log(std::exchange(other.log, nullptr)) {}
  ~Counted() {
    if (log != nullptr) log->push_back("destroyed");
  }
  std::vector<std::string>* log;
};

TEST(ConnData, IsMadeOnTheFirstUseAndKept) {
  struct State {
    int count = 3;
    std::unique_ptr<int> only_moved;
  };
  Pair pair;
  pair.served.on_message = [&](Conn& conn, const Message&) {
    conn.send(std::to_string(conn.data<State>().count++));
  };
  pair.served.on_close = [&](Conn& conn, const Close&) {
    pair.heard.push_back(std::to_string(conn.data<State>().count));
  };
  pair.open();
  pair.on_client([](Conn& conn) {
    conn.send("");
    conn.send("");
  });
  EXPECT_EQ(pair.got, (Strings{"3", "4"}));
  pair.on_client([](Conn& conn) { conn.close(); });
  EXPECT_EQ(pair.heard, Strings{"5"}) << "it is there in on_close";
}

TEST(ConnData, OfAnAcceptIsDestroyedOnceAfterOnClose) {
  Strings log;
  Pair pair;
  pair.served.on_upgrade = [&](const ws::Request&) -> Upgrade {
    return Accept{.data = Counted(log)};
  };
  pair.served.on_close = [&](Conn& conn, const Close&) {
    conn.data<Counted>().log->push_back("close");
  };
  pair.open();
  pair.net.advance(1'000);
  EXPECT_EQ(log, Strings{});
  pair.on_client([](Conn& conn) { conn.close(); });
  pair.net.advance(10'000);
  EXPECT_EQ(log, (Strings{"close", "destroyed"}));
}

TEST(ConnData, OfAConnectionThatNeverOpensIsDestroyed) {
  Strings log;
  Pair pair;
  pair.served.on_upgrade = [&](const ws::Request&) -> Upgrade {
    return Accept{.subprotocol = "not offered", .data = Counted(log)};
  };
  pair.open();
  EXPECT_EQ(log, Strings{"destroyed"});
  EXPECT_EQ(pair.ends, Strings{});
}

TEST(ConnData, IsOneForEachConnection) {
  Loopback net;
  std::vector<int> seen;
  net.route("/", {.on_open = [&](Conn& conn) { conn.data<int>() += 1; },
                  .on_message = [&](Conn& conn, auto) { seen.push_back(++conn.data<int>()); }});
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(net.connect("ws://test/", {}, {.on_open = [](Conn& conn) { conn.send("x"); }}));
  }
  net.run();
  EXPECT_EQ(seen, std::vector<int>(3, 2));
}

TEST(ConnDataDeathTest, OfAnotherTypeEndsTheProcess) {
  const auto use = [] {
    Pair pair;
    pair.served.on_open = [](Conn& conn) {
      conn.data<int>() = 1;
      conn.data<unsigned>() = 2;
    };
    pair.open();
  };
  EXPECT_DEATH(use(), "check failed");
}

}  // namespace
}  // namespace ws::test
