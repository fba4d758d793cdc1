// Server::post(), stats(), and calls in the wrong place or twice (ws/server.h, ws/stats.h).
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/support/raw_peer.h"
#include "tests/support/test_server.h"

namespace ws::test {
namespace {

// A server whose open connections are known by their ids, and one client.
class Post : public OverBothSchemes {
 protected:
  void start(unsigned threads = 1) {
    Handlers handlers = journal.handlers([this](Conn& conn, const Message& message) {
      if (message.text() == "where") thread = std::this_thread::get_id();
      conn.send(message);
    });
    handlers.on_open = [this, next = handlers.on_open](Conn& conn) {
      next(conn);
      const std::lock_guard lock(mutex);
      ids.push_back(conn.id());
    };
    server.emplace(ServerOptions{.threads = threads}, handlers);
  }
  ConnId id_of_last() {
    const std::lock_guard lock(mutex);
    return ids.back();
  }

  Journal journal;
  std::mutex mutex;
  std::vector<ConnId> ids;
  std::thread::id thread;
  std::optional<TestServer> server;
};
INSTANTIATE_TEST_SUITE_P(Over, Post, testing::Bool(), scheme);

TEST_P(Post, RunsOnTheConnectionsThreadInOrder) {
  start(3);
  Peer peer = server->peer(tls());
  EXPECT_EQ(peer.play(Script().sends(text("where")).gets_text("where")), "");
  const ConnId id = id_of_last();
  std::thread::id ran;
  Script script;
  for (int i = 0; i < 200; ++i) {
    server->server().post(id, [&ran, id, i](Conn& conn) {
      ran = std::this_thread::get_id();
      EXPECT_EQ(conn.id(), id);
      conn.send(std::to_string(i));
    });
    script.gets_text(std::to_string(i));
  }
  EXPECT_EQ(peer.play(script), "");
  EXPECT_EQ(ran, thread);
}

TEST_P(Post, FromAHandlerRunsAfterIt) {
  Server* self = nullptr;
  TestServer echoing({}, [&](Conn& conn, const Message&) {
    self->post(conn.id(), [&](Conn& c) {
      self->post(c.id(), [](Conn& again) { again.send("3"); });
      c.send("2");
    });
    conn.send("1");
  });
  self = &echoing.server();
  Peer peer = echoing.peer(tls());
  EXPECT_EQ(peer.play(Script().sends(text("x")).gets_text("1").gets_text("2").gets_text("3").bye()),
            "");
}

// "Nothing happens if it is not open then."
TEST_P(Post, ToOneThatIsNotOpenDoesNothing) {
  start();
  const auto never = [](Conn&) { ADD_FAILURE() << "a task of the dead was run"; };
  ConnId id;
  {
    Peer peer = server->peer(tls());
    EXPECT_EQ(peer.play(Script().sends(text("x")).gets_text("x")), "");
    id = id_of_last();
    server->server().post(id, [](Conn& conn) { conn.close(CloseCode{4001}); });
    server->server().post(id, never);
    EXPECT_EQ(peer.play(Script().gets_close(4001)), "");
    server->server().post(id, never);
    EXPECT_EQ(peer.play(Script().sends(close(4001)).eof()), "");
    peer.stream->half_close();
    EXPECT_TRUE(server->has_connections(0));
  }
  // Its slot has another tenant now.
  Peer next = server->peer(tls());
  server->server().post(id, never);
  server->server().post(ConnId{}, never);
  server->server().post(ConnId{0xffffffff, 1}, never);
  server->server().post(ConnId{id_of_last().index, id_of_last().generation + 1}, never);
  EXPECT_EQ(next.play(Script().sends(text("x")).gets_text("x").bye()), "");
  next.stream->half_close();
  server->stop_and_wait();
  server->server().post(id, never);
}

TEST_P(Post, MayComeFromFourThreadsWhileConnectionsComeAndGo) {
  start(2);
  std::atomic<bool> done = false;
  std::atomic<int> ran = 0;
  std::vector<std::thread> posting;
  for (int i = 0; i < 4; ++i) {
    posting.emplace_back([&] {
      for (std::size_t n = 0; !done; ++n) {
        std::unique_lock lock(mutex);
        const ConnId id = ids.empty() ? ConnId{} : ids[n % ids.size()];
        lock.unlock();
        server->server().post(id, [&, n](Conn& conn) {
          ++ran;
          conn.send("posted");
          if (n % 16 == 0) conn.close();
        });
        if (n % 8 == 0) server->server().publish("t", "to nobody");
        if (n % 64 == 0) std::this_thread::yield();
        if (n % 256 == 0) (void)server->server().stats();
      }
    });
  }
  for (int round = 0; round < 20 || (ran < 20 && round < 2'000); ++round) {
    const auto stream = server->connect(tls());
    ASSERT_NE(stream, nullptr);
    stream->write(Request().str());
    std::string some;
    stream->read(some, 20'000);
    if (round % 2 == 0) stream->reset();
  }
  server->server().stop(500);
  server->server().wait();
  done = true;
  for (std::thread& each : posting) each.join();
  EXPECT_GE(ran, 20);
  EXPECT_EQ(journal.closings(journal.opens()).size(), journal.opens());
}

// --- stats ---

TEST(ServerStats, AreExact) {
  Journal journal;
  TestServer server({}, journal.handlers());
  Request bad;
  bad.line = "POST /ws HTTP/1.1";
  std::uint64_t sent_to_peer = 0;
  std::uint64_t sent_by_peer = 0;
  {
    RawPeer refused(connect_tcp(server.port(false)), false);
    refused.queue(bad.str());
    while (!refused.ended()) sent_to_peer += refused.exchange(1, 1'000).size();
    sent_by_peer += bad.str().size();
  }
  {
    RawPeer peer(connect_tcp(server.port(false)), false);
    const std::string said = Request().str() + text("one") + binary(std::string(70'000, 'x')) +
                             first(kText, "a") + ping("p") + last("b") + close(1000);
    peer.queue(said);
    std::string got;
    while (!peer.ended()) got += peer.exchange(1, 1'000);
    sent_by_peer += said.size();
    sent_to_peer += got.size();
  }
  EXPECT_TRUE(server.has_connections(0));
  Peer open = server.peer(false);
  sent_by_peer += Request().str().size();
  server.server().stop(0);
  server.server().wait();
  const Stats stats = server.server().stats();
  EXPECT_EQ(stats.connections, 0U);
  EXPECT_EQ(stats.accepted, 3U);
  EXPECT_EQ(stats.opened, 2U);
  EXPECT_EQ(stats.closed_by(CloseCause::kPeer), 1U);
  EXPECT_EQ(stats.closed_by(CloseCause::kShutdown), 1U);
  std::uint64_t closed = 0;
  for (const std::uint64_t each : stats.closed) closed += each;
  EXPECT_EQ(closed, 2U) << "the refused one was never open";
  EXPECT_EQ(stats.messages_received, 3U);
  EXPECT_EQ(stats.messages_sent, 3U) << "control frames are no messages";
  EXPECT_EQ(stats.bytes_received, sent_by_peer);
  std::string last;
  while (open.stream->read(last, 5'000) == Stream::Got::kData) {
  }
  EXPECT_EQ(last, server_close(1001));
  // The head of that 101 was read away by the upgrade; it is as long as every other.
  EXPECT_GT(stats.bytes_sent, sent_to_peer + last.size());
  EXPECT_LT(stats.bytes_sent, sent_to_peer + last.size() + 300);
}

// "bytes_sent: plain bytes: what TLS adds is not counted", and messages of topics and streams count
// as any other.
TEST(ServerStats, CountPublishedAndStreamedMessages) {
  Loopback net;
  net.route("/", {.on_open = [](Conn& conn) {
              conn.subscribe("t");
              conn.begin(MessageType::kText);
              conn.append("a");
              conn.append("b");
              conn.end();
            }});
  std::atomic<int> got = 0;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(net.connect("ws://test/", {}, {.on_message = [&](Conn&, auto) { ++got; }}));
  }
  net.run();
  net.publish("t", "x");
  net.publish("none", "x");
  net.run();
  const Stats stats = net.stats();
  EXPECT_EQ(got, 6);
  EXPECT_EQ(stats.messages_sent, 6U);
  EXPECT_EQ(stats.messages_received, 6U) << "by the clients, which are counted too";
  EXPECT_EQ(stats.bytes_sent, stats.bytes_received);
}

TEST(ServerStats, CountAMessageBeforeItsHandlerRuns) {
  Loopback net;
  std::vector<std::uint64_t> seen;
  net.route("/",
            {.on_message = [&](Conn&, auto) { seen.push_back(net.stats().messages_received); }});
  ASSERT_TRUE(net.connect("ws://test/", {}, {.on_open = [](Conn& conn) {
                            for (int i = 0; i < 4; ++i) conn.send("in one read");
                          }}));
  net.run();
  EXPECT_EQ(seen, (std::vector<std::uint64_t>{1, 2, 3, 4}));
}

// --- calls in the wrong place, or twice ---

ServerOptions one_listener() {
  return {.listen = {"ws://127.0.0.1:0"}, .threads = 1};
}

#ifdef NDEBUG
TEST(ServerMisuse, ASecondStartIsAnError) {
  Server server(one_listener());
  ASSERT_TRUE(server.start());
  for (const auto& again : {server.start(), server.run(), server.listen()}) {
    ASSERT_FALSE(again);
    EXPECT_FALSE(again.error().message().empty());
    EXPECT_EQ(again.error().message().find('\n'), std::string::npos);
  }
  server.stop();
  server.wait();
  EXPECT_FALSE(server.run()) << "a server runs once";
}

// "What is to come before listen() has no effect afterwards".
TEST(ServerMisuse, SettingUpAfterListenHasNoEffect) {
  TestServer server(Handlers{.on_message = echo});
  server.server().route("/late", {});
  server.server().route("bad pattern", {});
  server.server().topic("late", {});
  server.server().watch(0, [] { ADD_FAILURE(); });
  server.server().stop_on_signals();
  EXPECT_TRUE(server.server().check());
  EXPECT_EQ(server.serves(false), "");
  struct sigaction action {};
  EXPECT_EQ(::sigaction(SIGTERM, nullptr, &action), 0);
  EXPECT_EQ(action.sa_handler, SIG_DFL);
}

TEST(ServerMisuse, AWaitInAHandlerReturns) {
  std::atomic<Server*> self = nullptr;
  TestServer server({}, [&](Conn& conn, const Message& message) {
    self.load()->wait();
    conn.send(message);
  });
  self = &server.server();
  EXPECT_EQ(server.serves(false), "");
}
#else
TEST(ServerMisuseDeathTest, ASecondStartIsNamed) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto twice = [](auto what) {
    Server server(one_listener());
    if (!server.start()) return;
    what(server);
  };
  EXPECT_DEATH(twice([](Server& s) { (void)s.start(); }), "misuse: .*second time");
  EXPECT_DEATH(twice([](Server& s) { (void)s.run(); }), "misuse: .*second time");
  EXPECT_DEATH(twice([](Server& s) { (void)s.listen(); }), "misuse: .*second time");
}

TEST(ServerMisuseDeathTest, SettingUpAfterListenIsNamed) {
  const auto late = [](auto what) {
    Server server(one_listener());
    if (server.listen()) what(server);
  };
  EXPECT_DEATH(late([](Server& s) { s.route("/", {}); }), "misuse: .*before listen");
  EXPECT_DEATH(late([](Server& s) { s.topic("t", {}); }), "misuse: .*before listen");
  EXPECT_DEATH(late([](Server& s) { s.watch(0, {}); }), "misuse: .*before listen");
  EXPECT_DEATH(late([](Server& s) { s.stop_on_signals(); }), "misuse: .*before listen");
}

TEST(ServerMisuseDeathTest, AWaitInAHandlerIsNamedWithItsCure) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto wait_inside = [] {
    std::atomic<Server*> self = nullptr;
    TestServer server({}, [&](Conn&, const Message&) { self.load()->wait(); });
    self = &server.server();
    server.serves(false);
  };
  EXPECT_DEATH(wait_inside(), "misuse: .*wait.*stop\\(\\)");
}
#endif

TEST(ServerRoutes, BadPatternsAreNamedInOneLine) {
  for (const char* pattern : {"chat", "", "/a/*/b", "/:", "/x/:/y"}) {
    Server server(one_listener());
    server.route("/good", {});
    server.route(pattern, {});
    server.route("/good/too", {});
    for (const auto& result : {server.check(), server.listen(), server.start(), server.run()}) {
      ASSERT_FALSE(result) << pattern;
      EXPECT_NE(result.error().message().find("\"" + std::string(pattern) + "\""),
                std::string::npos)
          << result.error().message();
      EXPECT_EQ(result.error().message().find('\n'), std::string::npos);
    }
    EXPECT_TRUE(server.urls().empty());
  }
}

}  // namespace
}  // namespace ws::test
