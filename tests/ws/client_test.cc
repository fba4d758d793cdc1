// ws::Client: what is refused before anything is sent, threads, and the ends of its life.
#include "ws/client.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/raw_server.h"
#include "tests/support/test_server.h"
#include "ws/ws.h"

namespace ws::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

std::string error_of(const core::Result<DialId>& result) {
  return result ? "it was taken" : result.error().message();
}

// --- what is refused at once ---

TEST(Client, RefusesABadUrl) {
  ws::Client client;
  for (const char* url : {"", "http://127.0.0.1/", "ws://", "ws://host:99999/", "ws://host/#part",
                          "ws://user:secret@host/", "127.0.0.1:80"}) {
    const std::string error = error_of(client.connect(url, {}, {}));
    expect_has(error, "cannot connect to");
    EXPECT_EQ(error.find("secret"), std::string::npos) << "passwords stay out of logs: " << error;
  }
}

TEST(Client, RefusesHeadersAndSubprotocolsThatAreNoGood) {
  ws::Client client;
  const auto with_header = [&](std::string name, std::string value) {
    return error_of(client.connect("ws://127.0.0.1:1/", {.headers = {{name, value}}}, {}));
  };
  expect_has(with_header("X-A", "b\r\nX-Injected: c"), "X-A");
  expect_has(with_header("X A", "b"), "X A");
  expect_has(with_header("Host", "other"), "Host");
  expect_has(with_header("sec-websocket-key", "x"), "sec-websocket-key");
  const auto with_subprotocols = [&](std::vector<std::string> names) {
    return error_of(client.connect("ws://127.0.0.1:1/", {.subprotocols = names}, {}));
  };
  expect_has(with_subprotocols({"a b"}), "a b");
  expect_has(with_subprotocols({""}), "subprotocol");
  expect_has(with_subprotocols({"chat", "chat"}), "chat");
}

TEST(Client, RefusesAnExtensionThatIsNone) {
  ws::Client client;
  expect_has(error_of(client.connect("ws://127.0.0.1:1/", {.extensions = {nullptr}}, {})),
             "extension");
}

TEST(Client, RefusesTlsFilesThatAreNotThere) {
  ClientOptions options;
  options.tls.ca_file = "/nowhere/ca.pem";
  ws::Client client(options);
  expect_has(error_of(client.connect("wss://127.0.0.1:1/", {}, {})), "/nowhere/ca.pem");
  // It is of no concern to ws://.
  EXPECT_TRUE(client.connect("ws://127.0.0.1:1/", {}, {}));
}

TEST(Client, RefusesAPinThatIsNone) {
  ClientOptions options;
  options.tls.pinned_sha256 = {"12:34"};
  ws::Client client(options);
  EXPECT_FALSE(client.connect("wss://127.0.0.1:1/", {}, {}));
}

TEST(Client, NothingIsMadeAfterStop) {
  ws::Client client;
  client.stop();
  client.stop();
  expect_has(error_of(client.connect("ws://127.0.0.1:1/", {}, {})), "stopped");
}

TEST(Client, OnAServerThatDoesNotListenSaysSo) {
  Server server({.listen = {"ws://127.0.0.1:0"}, .threads = 1});
  ws::Client client(server);
  expect_has(error_of(client.connect("ws://127.0.0.1:1/", {}, {})), "listen");
}

// --- its own thread, or a server's ---

std::string owner(const testing::TestParamInfo<bool>& on_server) {
  return on_server.param ? "OfAServer" : "OfItsOwn";
}

class ClientOn : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    ServerOptions options{.threads = 2};
    options.limits = limits();
    server = std::make_unique<TestServer>(std::move(options), journal.handlers());
    client = on_server() ? std::make_unique<ws::Client>(server->server())
                         : std::make_unique<ws::Client>(ClientOptions{.limits = limits()});
  }
  virtual Limits limits() const { return {}; }
  static bool on_server() { return GetParam(); }
  // Connections of both sides that are open.
  void connect(int count, Journal& own) {
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(client->connect(server->url(), {}, own.handlers([](Conn&, const Message&) {})));
    }
    const auto wanted = static_cast<std::size_t>(count);
    ASSERT_TRUE(eventually([&] { return own.opens() == wanted && journal.opens() == wanted; }));
  }

  Journal journal;  // the server's side
  std::unique_ptr<TestServer> server;
  std::unique_ptr<ws::Client> client;
};
INSTANTIATE_TEST_SUITE_P(Threads, ClientOn, testing::Bool(), owner);

TEST_P(ClientOn, SendsAndReceives) {
  std::atomic<int> answers{0};
  std::atomic<bool> same_thread{true};
  std::atomic<std::thread::id> thread{};
  ASSERT_TRUE(client->connect(server->url("/room?x=1"), {},
                              {.on_open =
                                   [&](Conn& conn) {
                                     thread = std::this_thread::get_id();
                                     conn.send("hello");
                                     conn.send(std::vector<std::uint8_t>{1, 2, 3});
                                   },
                               .on_message =
                                   [&](Conn&, const Message& message) {
                                     if (thread != std::this_thread::get_id()) same_thread = false;
                                     if (answers++ == 0) {
                                       EXPECT_EQ(message.text(), "hello");
                                     } else {
                                       EXPECT_EQ(message.bytes.size(), 3U);
                                       EXPECT_EQ(message.type, MessageType::kBinary);
                                     }
                                   }}));
  EXPECT_TRUE(eventually([&] { return answers == 2; }));
  EXPECT_TRUE(same_thread);
}

TEST_P(ClientOn, PostReachesTheConnectionOnItsThread) {
  std::atomic<std::thread::id> handlers_thread{}, task_thread{};
  std::atomic<std::uint64_t> id{0};
  ASSERT_TRUE(client->connect(server->url(), {}, {.on_open = [&](Conn& conn) {
                                handlers_thread = std::this_thread::get_id();
                                id = conn.id().packed();
                              }}));
  ASSERT_TRUE(eventually([&] { return id != 0; }));
  const ConnId conn_id = ConnId::unpack(id);
  client->post(conn_id, [&](Conn& conn) {
    EXPECT_EQ(conn.id().packed(), id);
    task_thread = std::this_thread::get_id();
  });
  EXPECT_TRUE(eventually([&] { return task_thread.load() != std::thread::id(); }));
  EXPECT_EQ(task_thread.load(), handlers_thread.load());
  client->post(ConnId{}, [](Conn&) { ADD_FAILURE() << "the id of nobody"; });
}

TEST_P(ClientOn, StopClosesAllWithTheCode) {
  Journal own;
  connect(5, own);
  client->stop(static_cast<CloseCode>(4001));
  const auto closings = journal.closings(5);
  ASSERT_EQ(closings.size(), 5U);
  for (const auto& closing : closings) EXPECT_EQ(static_cast<int>(closing.code), 4001);
  const auto ours = own.closings(5);
  ASSERT_EQ(ours.size(), 5U);
  for (const auto& closing : ours) EXPECT_EQ(closing.cause, CloseCause::kShutdown);
  EXPECT_FALSE(client->connect(server->url(), {}, {}));
  EXPECT_EQ(server->serves(false), "") << "the server goes on";
}

TEST_P(ClientOn, TheEndOfTheClientIsTheEndOfItsConnections) {
  Journal own;
  connect(5, own);
  client.reset();
  // No waiting: the destructor did.
  EXPECT_EQ(own.closings(0).size(), 5U);
  EXPECT_EQ(own.opens(), 5U);
  EXPECT_EQ(journal.closings(5).size(), 5U);
  EXPECT_EQ(server->serves(false), "");
}

TEST_P(ClientOn, TheServersStopEndsConnectionsOnce) {
  Journal own;
  connect(5, own);
  server->stop_and_wait();
  const auto closings = own.closings(5);
  ASSERT_EQ(closings.size(), 5U);
  for (const auto& closing : closings) {
    EXPECT_EQ(static_cast<int>(closing.code), 1001);
    EXPECT_EQ(own.order(closing.id), "oc");
  }
  const auto start = Clock::now();
  client.reset();
  EXPECT_LT(Clock::now() - start, 5s);
  EXPECT_EQ(own.closings(5).size(), 5U);
}

TEST_P(ClientOn, ManyComeAndGoFromManyThreads) {
  Journal own;
  std::vector<std::thread> threads;
  constexpr int kThreads = 4, kEach = 25;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        const auto id = client->connect(server->url(), {}, own.handlers());
        EXPECT_TRUE(id);
        (void)client->stats();
        client->post(ConnId{1, 1}, [](Conn& conn) { conn.send("x"); });
        if (i % 3 == 0) client->cancel(id.value());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  client.reset();
  const auto closings = own.closings(0);
  EXPECT_EQ(closings.size(), own.opens());
  for (const auto& closing : closings) {
    EXPECT_TRUE(own.order(closing.id).starts_with("o"));
    EXPECT_TRUE(own.order(closing.id).ends_with("c"));
  }
  EXPECT_TRUE(server->has_connections(0));
}

// A peer that neither answers a Close nor hangs up.
class ClientDrain : public ClientOn {
 protected:
  static constexpr std::uint32_t kDrainMs = 100;
  Limits limits() const override {
    Limits limits;
    limits.drain_ms = kDrainMs;
    return limits;
  }
};
INSTANTIATE_TEST_SUITE_P(Threads, ClientDrain, testing::Bool(), owner);

TEST_P(ClientDrain, AfterTheDeadlineNoHandlerRunsAnyMore) {
  RawServer stubborn;
  Journal own;
  ASSERT_TRUE(client->connect(stubborn.url(), {}, own.handlers()));
  RawPeer peer = accept_upgrade(stubborn);
  ASSERT_TRUE(eventually([&] { return own.opens() == 1; }));
  const auto start = Clock::now();
  client.reset();
  EXPECT_LT(Clock::now() - start, 4s) << "sooner than the closing handshake's own deadline";
  const auto closings = own.closings(0);
  ASSERT_EQ(closings.size(), 1U) << "before the destructor returned";
  EXPECT_EQ(closings[0].cause, CloseCause::kShutdown);
}

// --- on a server's threads ---

TEST(ClientOnServer, AConnectionOfAHandlerIsOnItsThread) {
  std::unique_ptr<ws::Client> client;
  std::atomic<int> same{0}, other{0};
  TestServer target;
  TestServer gateway(
      {.threads = 3}, {.on_message = [&](Conn&, const Message&) {
        const auto here = std::this_thread::get_id();
        EXPECT_TRUE(client->connect(target.url(), {}, {.on_open = [&, here](Conn&) {
                                      ++(std::this_thread::get_id() == here ? same : other);
                                    }}));
      }});
  client = std::make_unique<ws::Client>(gateway.server());
  for (int i = 0; i < 6; ++i) {
    auto conn = ws::connect(gateway.url());
    ASSERT_TRUE(conn);
    ASSERT_TRUE(conn.value().send("go"));
    EXPECT_TRUE(eventually([&] { return same + other == i + 1; }));
  }
  EXPECT_EQ(other, 0);
  client.reset();  // before its server
}

TEST(ClientOnServer, FromOutsideTheyAreSharedOut) {
  std::mutex mutex;
  std::vector<std::thread::id> threads;
  TestServer server({.threads = 2}, {});
  ws::Client client(server.server());
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(client.connect(server.url(), {}, {.on_open = [&](Conn&) {
                                 const std::lock_guard lock(mutex);
                                 threads.push_back(std::this_thread::get_id());
                               }}));
  }
  ASSERT_TRUE(eventually([&] {
    const std::lock_guard lock(mutex);
    return threads.size() == 4;
  }));
  EXPECT_EQ(std::count(threads.begin(), threads.end(), threads[0]), 2);
}

TEST(ClientOnServer, AServerThatHasStoppedMakesNoMore) {
  TestServer server;
  ws::Client client(server.server());
  server.stop_and_wait();
  expect_has(error_of(client.connect(server.url(), {}, {})), "stopped");
}

TEST(ClientOnServer, WhatWasNeverTriedHoldsNobodyUp) {
  auto server = std::make_unique<TestServer>();
  auto client = std::make_unique<ws::Client>(server->server());
  RawServer target;
  // Whether they come in time or not.
  server->server().stop();
  for (int i = 0; i < 20; ++i) (void)client->connect(target.url(), {}, {});
  server->server().wait();
  const auto start = Clock::now();
  client.reset();
  EXPECT_LT(Clock::now() - start, 5s);
}

// "So the end of it all is an on_close or this" (ConnectOptions::on_failure): also of what came so
// late that the loop ended before it got to it.
TEST(ClientOnServer, WhatIsGrantedWhileTheServerStopsIsToldItsEnd) {
  for (int round = 0; round < 20; ++round) {
    std::atomic<long> granted = 0;
    std::atomic<long> ended = 0;
    std::atomic<std::thread::id> caller;
    {
      TestServer server;
      ws::Client client(server.server());
      const auto on_failure = [&](const ConnectFailure& why) {
        EXPECT_NE(std::this_thread::get_id(), caller.load())
            << "connect() tells by what it returns";
        if (why.retry_in_ms == 0) ++ended;
      };
      std::thread other([&] {
        caller = std::this_thread::get_id();
        while (client.connect("ws://127.0.0.1:1/", {.on_failure = on_failure}, {})) ++granted;
      });
      EXPECT_TRUE(eventually([&] { return granted > 0; }));
      server.server().stop();
      other.join();
    }
    EXPECT_EQ(ended, granted);
  }
}

// "Where its server does not run yet nothing has begun: on_failure is called from here, at once."
TEST(ClientOnServer, ItsEndBeforeTheServerRunsIsTheEndOfAll) {
  for (const bool runs_later : {true, false}) {
    RawServer target;
    ws::Server server({.listen = {"ws://127.0.0.1:0"}, .threads = 2});
    ASSERT_TRUE(server.listen());
    auto client = std::make_unique<ws::Client>(server);
    const auto held = std::make_shared<int>(0);
    std::vector<ConnectFailure> failures;
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(client->connect(
          target.url(),
          {.reconnect = {.first_ms = 1},
           .on_failure = [&, held](const ConnectFailure& why) { failures.push_back(why); }},
          {}));
    }
    const auto start = Clock::now();
    client.reset();
    EXPECT_LT(Clock::now() - start, 2s) << "Limits::drain_ms is 10 s";
    ASSERT_EQ(failures.size(), 3U);
    EXPECT_EQ(failures[0].retry_in_ms, 0U);
    expect_has(failures[0].reason, "stopped");
    EXPECT_EQ(held.use_count(), 1) << "what the program gave goes with the client";
    if (!runs_later) continue;
    ASSERT_TRUE(server.start());
    std::this_thread::sleep_for(50ms);
    server.stop();
    server.wait();
    EXPECT_EQ(failures.size(), 3U);
    EXPECT_EQ(server.stats().accepted, 0U) << "nobody was called";
  }
}

TEST(ClientOnServer, AServerMayStartWhileItsClientEnds) {
  for (int i = 0; i < 20; ++i) {
    RawServer target;
    ws::Server server({.listen = {"ws://127.0.0.1:0"}, .threads = 2});
    ASSERT_TRUE(server.listen());
    std::atomic<bool> gone = false;
    std::atomic<int> failures = 0;
    std::atomic<int> late = 0;
    auto client = std::make_unique<ws::Client>(server);
    for (int k = 0; k < 4; ++k) {
      ASSERT_TRUE(client->connect(target.url(),
                                  {.on_failure =
                                       [&](const ConnectFailure&) {
                                         ++failures;
                                         if (gone) ++late;
                                       }},
                                  {}));
    }
    std::thread starter([&] { EXPECT_TRUE(server.start()); });
    client.reset();
    gone = true;
    starter.join();
    server.stop();
    server.wait();
    EXPECT_EQ(failures, 4);
    EXPECT_EQ(late, 0);
  }
}

TEST(ClientOnServer, TwoClientsDoNotEndEachOthers) {
  TestServer server;
  Journal of_kept, of_ended;
  ws::Client kept(server.server());
  ASSERT_TRUE(kept.connect(server.url(), {}, of_kept.handlers()));
  {
    ws::Client ended(server.server());
    ASSERT_TRUE(ended.connect(server.url(), {}, of_ended.handlers()));
    ASSERT_TRUE(eventually([&] { return of_kept.opens() == 1 && of_ended.opens() == 1; }));
  }
  EXPECT_EQ(of_ended.closings(0).size(), 1U);
  EXPECT_EQ(of_kept.closings(0).size(), 0U);
}

// --- resources ---

TEST(Client, LeavesNoDescriptorBehind) {
  TestServer server;
  const std::size_t before = open_descriptors();
  {
    Journal own;
    RawServer raw;
    ws::Client client;
    ASSERT_TRUE(client.connect(server.url(), {}, own.handlers()));
    ASSERT_TRUE(client.connect(raw.url("wss"), {}, own.handlers()));
    ASSERT_TRUE(client.connect(raw.url(), {}, own.handlers()));
    raw.accept().reset();
    raw.accept().send_raw("no HTTP\r\n\r\n");
    ASSERT_TRUE(client.connect("ws://127.0.0.1:1/", {}, own.handlers()));
    ASSERT_TRUE(eventually([&] { return own.opens() == 1 && client.stats().connections == 1; }));
  }
  EXPECT_TRUE(server.has_connections(0));
  EXPECT_TRUE(eventually([&] { return open_descriptors() == before; })) << open_descriptors();
}

TEST(Client, MayHaveStaticStorage) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto leave_it_to_exit = [] {
    static ws::Client client;
    (void)client.connect("ws://127.0.0.1:1/", {.reconnect = {.first_ms = 1, .max_ms = 1}}, {});
    std::this_thread::sleep_for(20ms);
    std::exit(0);
  };
  EXPECT_EXIT(leave_it_to_exit(), testing::ExitedWithCode(0), "");
}

TEST(Client, WhatTheProgramGaveGoesWithItsEnd) {
  auto token = std::make_shared<int>(1);
  TestServer server;
  {
    ws::Client client;
    ASSERT_TRUE(client.connect(server.url(), {}, {.on_open = [token](Conn& c) { c.close(); }}));
    EXPECT_TRUE(eventually([&] { return token.use_count() == 1; })) << "no reconnect needs it";
    ASSERT_TRUE(client.connect("ws://127.0.0.1:1/", {.on_failure = [token](const auto&) {}}, {}));
    EXPECT_TRUE(eventually([&] { return token.use_count() == 1; }));
    ASSERT_TRUE(client.connect(server.url(), {}, {.on_open = [token](Conn&) {}}));
  }
  EXPECT_EQ(token.use_count(), 1);
}

TEST(Client, CountsWhatItDoes) {
  TestServer server;
  ws::Client client;
  std::atomic<int> answers{0};
  ASSERT_TRUE(client.connect(server.url(), {},
                             {.on_open = [](Conn& conn) { conn.send("abc"); },
                              .on_message =
                                  [&](Conn& conn, const Message&) {
                                    ++answers;
                                    conn.close();
                                  }}));
  ASSERT_TRUE(eventually([&] { return answers == 1 && client.stats().connections == 0; }));
  const Stats stats = client.stats();
  EXPECT_EQ(stats.accepted, 1U);
  EXPECT_EQ(stats.opened, 1U);
  EXPECT_EQ(stats.messages_sent, 1U);
  EXPECT_EQ(stats.messages_received, 1U);
  EXPECT_EQ(stats.closed_by(CloseCause::kLocal), 1U);
}

// Whoever refills the queue in on_drain, as conn.h says, reads the echoes meanwhile.
TEST(ClientEchoes, AServerThatPumpsGetsEverythingBack) {
  constexpr std::size_t kMessages = 8'000;
  std::size_t left = kMessages;
  std::atomic<std::size_t> got = 0;
  const auto pump = [&](Conn& conn) {
    const std::string message(16'000, 'x');
    while (left > 0 && conn.queued_bytes() <= Limits().queue_high_bytes) {
      if (conn.send(message) > SendStatus::kQueued) return;
      --left;
    }
  };
  TestServer server(
      {.on_open = pump, .on_message = [&](Conn&, const Message&) { ++got; }, .on_drain = pump});
  // All of it may wait in the client: which side reads sooner is the machine's business.
  ws::Client client({.limits = {.queue_max_bytes = 256 * 1024 * 1024}});
  ASSERT_TRUE(client.connect(server.url(), {}, {.on_message = echo}));
  EXPECT_TRUE(eventually([&] { return got == kMessages; })) << got << " of " << kMessages;
}

}  // namespace
}  // namespace ws::test
