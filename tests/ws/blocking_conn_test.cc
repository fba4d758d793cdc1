// The client for scripts and tests: every call waits, and every wait has an end.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "tests/support/raw_server.h"
#include "tests/support/test_server.h"
#include "ws/ws.h"

namespace ws::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::uint32_t kReceiveMs = 20'000;

// The next message as text, "(none)" when none came in time, or the error.
std::string received(BlockingConn& conn, std::uint32_t ms = kReceiveMs) {
  auto message = conn.receive(ms);
  if (!message) return message.error().message();
  return message.value() ? std::string(message.value()->text()) : "(none)";
}

std::string error_of(const core::Result<core::Ok>& result) {
  return result ? "it was sent" : result.error().message();
}

TEST(BlockingConn, SendsAndReceivesInOrder) {
  TestServer server;
  BlockingConn conn = connected(server.url());
  ASSERT_TRUE(conn.send("one"));
  ASSERT_TRUE(conn.send(binary_message("two")));
  ASSERT_TRUE(conn.send(""));
  auto one = conn.receive(kReceiveMs);
  ASSERT_TRUE(one && one.value());
  EXPECT_EQ(one.value()->type, MessageType::kText);
  EXPECT_EQ(one.value()->text(), "one");
  auto two = conn.receive(kReceiveMs);
  ASSERT_TRUE(two && two.value());
  EXPECT_EQ(two.value()->type, MessageType::kBinary);
  EXPECT_EQ(two.value()->text(), "two");
  EXPECT_EQ(received(conn), "");
  ASSERT_TRUE(conn.send(*one.value())) << "what was received can be sent as it is";
  EXPECT_EQ(received(conn), "one");
}

TEST(BlockingConn, ATimeoutIsNoEnd) {
  TestServer server;
  BlockingConn conn = connected(server.url());
  const auto start = Clock::now();
  EXPECT_EQ(received(conn, 50), "(none)");
  EXPECT_GE(Clock::now() - start, 50ms);
  EXPECT_EQ(received(conn, 0), "(none)");
  ASSERT_TRUE(conn.send("still here"));
  EXPECT_EQ(received(conn), "still here");
}

TEST(BlockingConn, CloseWaitsForTheClosingHandshake) {
  TestServer server;
  BlockingConn conn = connected(server.url());
  conn.close(static_cast<CloseCode>(4000), "done");
  const auto closings = server.journal().closings(1);
  ASSERT_EQ(closings.size(), 1U);
  EXPECT_EQ(static_cast<int>(closings[0].code), 4000);
  EXPECT_EQ(closings[0].reason, "done");
  conn.close();  // nothing happens
  expect_has(error_of(conn.send("late")), "ended");
  expect_has(received(conn), "ended");
  EXPECT_EQ(server.journal().messages(), 0U);
}

TEST(BlockingConn, ItsEndIsAClose) {
  TestServer server;
  { BlockingConn conn = connected(server.url()); }
  const auto closings = server.journal().closings(1);
  ASSERT_EQ(closings.size(), 1U);
  EXPECT_EQ(static_cast<int>(closings[0].code), 1000);
}

TEST(BlockingConn, ANewValueClosesTheOldConnection) {
  TestServer server;
  BlockingConn conn = connected(server.url());
  conn = connected(server.url());
  const auto closings = server.journal().closings(1);
  ASSERT_EQ(closings.size(), 1U);
  EXPECT_EQ(static_cast<int>(closings[0].code), 1000);
  ASSERT_TRUE(conn.send("new"));
  EXPECT_EQ(received(conn), "new");
}

TEST(BlockingConn, CanBeMoved) {
  TestServer server;
  BlockingConn first = connected(server.url());
  BlockingConn second = std::move(first);
  ASSERT_TRUE(second.send("moved"));
  EXPECT_EQ(received(second), "moved");
  // What is left behind is safe to use, though of no use.
  BlockingConn& left = first;
  expect_has(error_of(left.send("x")), "moved from");
  expect_has(received(left, 0), "moved from");
  left.close();
  EXPECT_EQ(left.subprotocol(), "");
}

TEST(BlockingConn, TellsItsSubprotocol) {
  RawServer server;
  std::thread serving([&] {
    RawPeer peer = accept_upgrade(server, "Sec-WebSocket-Protocol: b\r\n", server_close(1000));
    (void)peer.read(20'000);
  });
  auto conn = ws::connect(server.url(), {.subprotocols = {"a", "b"}});
  serving.join();
  ASSERT_TRUE(conn);
  EXPECT_EQ(conn.value().subprotocol(), "b");
}

// --- why there is none ---

TEST(BlockingConn, SaysWhyItCannotConnect) {
  TestServer server;
  const auto why = [](const std::string& url) {
    const auto conn = ws::connect(url);
    return conn ? "it is connected" : conn.error().message();
  };
  expect_has(why("http://127.0.0.1/"), "http://127.0.0.1/");
  const std::string refused = ws_url(RawServer().port());
  expect_has(why(refused), "refused");
  expect_has(why(refused), refused);
  const std::string insecure = "wss://127.0.0.1:" + std::to_string(server.port(true)) + "/";
  expect_has(why(insecure), "self-signed");
}

TEST(BlockingConn, DoesNotReconnectAndTellsOnFailureOnce) {
  const std::string url = ws_url(RawServer().port());
  std::atomic<int> failures{0};
  EXPECT_FALSE(
      ws::connect(url, {.reconnect = {.first_ms = 1}, .on_failure = [&](const ConnectFailure& why) {
                          EXPECT_EQ(why.retry_in_ms, 0U);
                          ++failures;
                          throw 1;
                        }}));
  EXPECT_EQ(failures, 1);
}

// --- the end ---

TEST(BlockingConn, WhatCameBeforeTheEndIsReceivedFirst) {
  TestServer server(Limits{}, [](Conn& conn, const Message& message) {
    conn.send(message);
    conn.send("last");
    conn.close(static_cast<CloseCode>(4321), "enough");
  });
  BlockingConn conn = connected(server.url());
  ASSERT_TRUE(conn.send("first"));
  ASSERT_EQ(server.journal().closings(1).size(), 1U);
  EXPECT_EQ(received(conn), "first");
  EXPECT_EQ(received(conn), "last");
  const std::string why = received(conn);
  expect_has(why, "4321");
  expect_has(why, "enough");
  expect_has(error_of(conn.send("late")), "4321");
}

TEST(BlockingConn, AWaitEndsWithTheConnection) {
  TestServer server;
  BlockingConn conn = connected(server.url());
  std::thread stopping([&] {
    ASSERT_TRUE(eventually([&] { return server.journal().opens() == 1; }));
    server.server().stop();
  });
  const auto start = Clock::now();
  expect_has(received(conn), "1001");
  EXPECT_LT(Clock::now() - start, 15s);
  stopping.join();
}

TEST(BlockingConn, AResetIsAnEndToo) {
  RawServer server;
  std::thread resetting([&] { accept_upgrade(server).reset(); });
  BlockingConn conn = connected(server.url());
  expect_has(received(conn), "1006");
  resetting.join();
}

TEST(BlockingConn, CloseDoesNotWaitForEver) {
  ClientOptions options;
  options.limits.close_ms = options.limits.linger_ms = 50;
  RawServer server;
  std::optional<RawPeer> peer;
  std::thread serving([&] { peer.emplace(accept_upgrade(server)); });
  BlockingConn conn = connected(server.url(), options);
  serving.join();
  const auto start = Clock::now();
  conn.close();
  EXPECT_LT(Clock::now() - start, 5s);
  expect_has(received(conn), "timeout");
}

// --- backpressure ---

TEST(BlockingConn, WhatIsNotReceivedMakesTheServerWait) {
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{100'000}}) {
    RawServer server;
    std::optional<RawPeer> peer;
    std::thread serving([&] { peer.emplace(accept_upgrade(server)); });
    BlockingConn conn = connected(server.url());
    serving.join();
    const std::string message = server_frame(kBinary, std::string(bytes, 'x'));
    // Far more than the inbox and both socket buffers hold.
    constexpr std::size_t kSent = 32 * 1024 * 1024;
    peer->queue(repeat(message, kSent / message.size() * message.size()));
    peer->push(100);
    EXPECT_FALSE(peer->all_sent()) << "messages of " << bytes << " bytes are kept without bound";
    // It goes on when messages are taken; of empty ones the sockets hold too many to wait for that.
    EXPECT_EQ(received(conn), std::string(bytes, 'x'));
    EXPECT_TRUE(bytes == 0 || eventually([&] {
                  for (int i = 0; i < 10; ++i) EXPECT_NE(received(conn), "(none)");
                  return peer->push(0) > 0;
                }));
    peer->reset();
  }
}

TEST(BlockingConn, CloseEndsAConnectionWhoseInboxIsFull) {
  TestServer server(Handlers{.on_open = [](Conn& conn) {
    for (int i = 0; i < 40; ++i) conn.send(binary_message(std::string(100'000, 'x')));
  }});
  BlockingConn conn = connected(server.url());
  const auto start = Clock::now();
  conn.close();
  EXPECT_LT(Clock::now() - start, 10s);
  EXPECT_TRUE(server.has_connections(0));
}

TEST(BlockingConn, SendWaitsForAServerThatDoesNotRead) {
  ClientOptions options;
  options.limits.queue_high_bytes = 64 * 1024;
  options.limits.queue_max_bytes = 1024 * 1024;
  RawServer server;
  std::optional<RawPeer> peer;
  std::thread serving([&] { peer.emplace(accept_upgrade(server)); });
  BlockingConn conn = connected(server.url(), options);
  serving.join();
  constexpr std::size_t kMessages = 200, kBytes = 100'000;
  std::atomic<std::size_t> sent{0};
  std::thread sender([&] {
    const std::string payload(kBytes, 'x');
    for (std::size_t i = 0; i < kMessages; ++i, ++sent)
      ASSERT_TRUE(conn.send(binary_message(payload)));
  });
  // Neither all sent nor closed for slowness, however long nobody reads.
  std::size_t before = 0;
  EXPECT_TRUE(eventually([&] {
    const std::size_t now = sent;
    std::this_thread::sleep_for(50ms);
    return std::exchange(before, now) == now && now > 0;
  }));
  EXPECT_LT(sent, kMessages);
  std::size_t got = 0;
  std::string rest;
  while (got < kMessages) {
    EXPECT_EQ(read_client_frame(*peer, rest).payload.size(), kBytes);
    ++got;
  }
  sender.join();
  EXPECT_EQ(sent, kMessages);
  peer->reset();
}

TEST(BlockingConn, ASendThatWaitsEndsWithTheConnection) {
  RawServer server;
  std::optional<RawPeer> peer;
  std::thread serving([&] { peer.emplace(accept_upgrade(server)); });
  BlockingConn conn = connected(server.url());
  serving.join();
  std::atomic<std::size_t> sent{0};
  std::string error;
  std::thread sender([&] {
    const std::string payload(1'000'000, 'x');
    for (;; ++sent) {
      if (const auto done = conn.send(binary_message(payload)); !done) {
        error = done.error().message();
        return;
      }
    }
  });
  EXPECT_TRUE(eventually([&] { return sent > 0; }));
  peer->reset();
  sender.join();
  expect_has(error, "1006");
}

// --- where it may not be used ---

TEST(BlockingConn, AHandlerMayNotWait) {
#ifdef NDEBUG
  TestServer echo_server;
  const std::string url = echo_server.url();
  BlockingConn outside = connected(url);
  std::atomic<int> asked{0};
  TestServer server(Limits{}, [&](Conn& conn, const Message&) {
    const auto made = ws::connect(url);
    EXPECT_FALSE(made);
    expect_has(error_of(outside.send("x")), "handler");
    expect_has(received(outside, 0), "handler");
    outside.close();
    ++asked;
    conn.send("done");
  });
  BlockingConn conn = connected(server.url());
  ASSERT_TRUE(conn.send("go"));
  EXPECT_EQ(received(conn), "done");
  EXPECT_EQ(asked, 1);
  ASSERT_TRUE(outside.send("untouched"));
  EXPECT_EQ(received(outside), "untouched");
#else
  GTEST_SKIP() << "debug builds stop there";
#endif
}

TEST(BlockingConn, HandsOverBetweenThreads) {
  TestServer server;
  BlockingConn conn = connected(server.url());
  for (int i = 0; i < 8; ++i) {
    std::thread([&] {
      ASSERT_TRUE(conn.send(std::to_string(i)));
      EXPECT_EQ(received(conn), std::to_string(i));
    }).join();
  }
}

}  // namespace
}  // namespace ws::test
