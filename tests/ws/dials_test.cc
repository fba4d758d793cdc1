// What a client does when there is no connection, or no more: pauses, attempts, addresses, and
// ends at every stage. Pauses by the virtual clock; the rest over sockets.
#include "ws/dials.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/loopback.h"
#include "tests/support/raw_server.h"
#include "tests/support/test_server.h"
#include "ws/ws.h"

namespace ws::test {
namespace {

// --- pauses ---

// Connects to nothing: the loopback has no routes, so each attempt is answered 404.
struct Backoff {
  explicit Backoff(Reconnect plan) {
    EXPECT_TRUE(net.connect("ws://test/", {.reconnect = plan, .on_failure = note()}, {}));
    net.run();
  }
  std::function<void(const ConnectFailure&)> note() {
    return [this](const ConnectFailure& why) { failures.push_back(why); };
  }
  // Waits until the next attempt, which must not come before the pause it was told is over.
  void await_next() {
    const std::size_t count = failures.size();
    net.advance(failures.back().retry_in_ms - 1);
    ASSERT_EQ(failures.size(), count) << "too early";
    net.advance(1);
    ASSERT_EQ(failures.size(), count + 1) << "too late";
  }

  std::vector<ConnectFailure> failures;
  Loopback net;  // last, so destroyed first
};

void expect_between(std::uint32_t value, std::uint32_t least, std::uint32_t most) {
  EXPECT_GE(value, least);
  EXPECT_LE(value, most);
}

TEST(Dials, WithoutReconnectOneFailureIsTheEnd) {
  Backoff backoff({});
  ASSERT_EQ(backoff.failures.size(), 1U);
  EXPECT_EQ(backoff.failures[0].status, 404);
  EXPECT_EQ(backoff.failures[0].attempt, 1U);
  EXPECT_EQ(backoff.failures[0].retry_in_ms, 0U);
  EXPECT_NE(backoff.failures[0].reason.find("404"), std::string::npos);
  backoff.net.advance(3'600'000);
  EXPECT_EQ(backoff.failures.size(), 1U);
}

TEST(Dials, PausesDoubleUpToTheirMaximum) {
  Backoff backoff({.first_ms = 1000, .max_ms = 6000});
  for (const std::uint32_t whole : {1000U, 2000U, 4000U, 6000U, 6000U, 6000U}) {
    ASSERT_FALSE(backoff.failures.empty());
    expect_between(backoff.failures.back().retry_in_ms, whole / 2, whole);
    backoff.await_next();
  }
  EXPECT_EQ(backoff.failures.back().attempt, 7U);
}

TEST(Dials, DoublingDoesNotOverflow) {
  Backoff backoff({.first_ms = 1, .max_ms = 50});
  for (int i = 0; i < 80; ++i) backoff.await_next();
  expect_between(backoff.failures.back().retry_in_ms, 25, 50);
  EXPECT_EQ(backoff.failures.back().attempt, 81U);
}

TEST(Dials, ThePauseIsRandomBetweenHalfAndWhole) {
  std::uint32_t least = UINT32_MAX, most = 0;
  for (int i = 0; i < 60; ++i) {
    const Backoff backoff({.first_ms = 10'000});
    least = std::min(least, backoff.failures.at(0).retry_in_ms);
    most = std::max(most, backoff.failures.at(0).retry_in_ms);
  }
  EXPECT_GE(least, 5000U);
  EXPECT_LE(most, 10'000U);
  EXPECT_LT(least, 6000U) << "1 in 600,000: all 60 above a fifth of the range";
  EXPECT_GT(most, 9000U);
}

TEST(Dials, GivesUpAfterSoManyAttemptsInARow) {
  Backoff backoff({.first_ms = 100, .attempts = 3});
  backoff.await_next();
  backoff.await_next();
  ASSERT_EQ(backoff.failures.size(), 3U);
  for (unsigned i = 0; i < 3; ++i) EXPECT_EQ(backoff.failures[i].attempt, i + 1);
  EXPECT_EQ(backoff.failures[2].retry_in_ms, 0U);
  backoff.net.advance(3'600'000);
  EXPECT_EQ(backoff.failures.size(), 3U);
}

// A server that lets the first `refusals` of every `period` connections go unserved.
struct Flaky {
  Flaky(unsigned refusals, unsigned period, Reconnect plan) {
    net.route("/", {.on_upgrade = [this, refusals, period](const ws::Request&) -> Upgrade {
                      if (asked++ % period < refusals) return Reject{.status = 503};
                      return Accept{};
                    },
                    .on_open = [this](Conn& conn) { served = conn.id(); }});
    EXPECT_TRUE(net.connect("ws://test/",
                            {.reconnect = plan,
                             .on_failure =
                                 [this](const ConnectFailure& why) {
                                   log += "f" + std::to_string(why.attempt) + " ";
                                   pauses.push_back(why.retry_in_ms);
                                 }},
                            {.on_open =
                                 [this](Conn& conn) {
                                   log += "o ";
                                   client = conn.id();
                                 },
                             .on_close = [this](Conn&, const Close&) { log += "c "; }}));
    net.run();
  }
  void server_closes() {
    net.post(served, [](Conn& conn) { conn.close(); });
    net.run();
  }

  unsigned asked = 0;
  ConnId served, client;
  std::string log;
  std::vector<std::uint32_t> pauses;
  Loopback net;  // last, so destroyed first: it calls the handlers above
};

TEST(Dials, AConnectionThatEndsIsMadeAgain) {
  Flaky flaky(0, 1, {.first_ms = 1000});
  EXPECT_EQ(flaky.log, "o ");
  flaky.net.advance(1000);
  flaky.server_closes();
  EXPECT_EQ(flaky.log, "o c ");
  flaky.net.advance(499);
  EXPECT_EQ(flaky.log, "o c ") << "at least half of the pause";
  flaky.net.advance(501);
  EXPECT_EQ(flaky.log, "o c o ");
  flaky.net.advance(1000);
  flaky.server_closes();
  flaky.net.advance(1000);
  EXPECT_EQ(flaky.log, "o c o c o ") << "the same first pause again";
}

// "A connection that was open for as long as the whole of the pause before it": here 2 s.
TEST(Dials, AConnectionThatLastsStartsTheCountAnew) {
  Flaky flaky(2, 3, {.first_ms = 1000, .attempts = 4});
  flaky.net.advance(3000);
  EXPECT_EQ(flaky.log, "f1 f2 o ");
  flaky.net.advance(2000);
  flaky.server_closes();
  flaky.net.advance(1000 + 2000 + 4000);
  EXPECT_EQ(flaky.log, "f1 f2 o c f1 f2 o ");
  ASSERT_EQ(flaky.pauses.size(), 4U);
  expect_between(flaky.pauses[0], 500, 1000);
  expect_between(flaky.pauses[1], 1000, 2000);
  // The pause before this attempt was the first one.
  expect_between(flaky.pauses[2], 1000, 2000);
  expect_between(flaky.pauses[3], 2000, 4000);
}

// "one that ended sooner counts as an attempt that failed, so that a server which takes everybody
// and ends them at once is left alone too".
TEST(Dials, ServersThatEndEverybodyAtOnceAreLeftAlone) {
  std::vector<std::uint64_t> opens;
  std::uint64_t now_ms = 0;
  Loopback net;
  net.route("/", {.on_open = [](Conn& conn) { conn.close(CloseCode::kPolicyViolation); }});
  ASSERT_TRUE(net.connect("ws://test/", {.reconnect = {.first_ms = 1000, .max_ms = 6000}},
                          {.on_open = [&](Conn&) { opens.push_back(now_ms); }}));
  net.run();
  for (; now_ms < 60'000; now_ms += 10) net.advance(10);
  ASSERT_GE(opens.size(), 8U);
  std::size_t at = 0;
  for (const double whole : {1e3, 2e3, 4e3, 6e3, 6e3, 6e3}) {
    ++at;
    EXPECT_NEAR(static_cast<double>(opens[at] - opens[at - 1]), whole * 0.75, whole * 0.25 + 10);
  }
}

TEST(Dials, ConnectionsThatEndTooSoonAreCountedAsAttempts) {
  Flaky flaky(0, 1, {.first_ms = 1000, .attempts = 3});
  flaky.server_closes();
  flaky.net.advance(1000);  // half of which it is open at most
  flaky.server_closes();
  flaky.net.advance(2000);
  EXPECT_EQ(flaky.log, "o c o c o ");
  flaky.server_closes();
  EXPECT_EQ(flaky.log, "o c o c o c f3 ");
  EXPECT_EQ(flaky.pauses, std::vector<std::uint32_t>{0}) << "given up";
  flaky.net.advance(3'600'000);
  EXPECT_EQ(flaky.log, "o c o c o c f3 ");
}

TEST(Dials, OneThatLastsBetweenThoseThatDoNotStartsTheCountAnew) {
  Flaky flaky(0, 1, {.first_ms = 1000, .attempts = 3});
  flaky.server_closes();
  flaky.net.advance(1000);
  flaky.net.advance(1000);  // as long as the pause before it
  flaky.server_closes();
  flaky.net.advance(1000);
  flaky.server_closes();
  flaky.net.advance(2000);
  flaky.server_closes();
  EXPECT_EQ(flaky.log, "o c o c o c o c ");
  flaky.net.advance(4000);
  EXPECT_EQ(flaky.log, "o c o c o c o c o ");
}

TEST(Dials, NotAfterTheProgramClosed) {
  Flaky flaky(0, 1, {.first_ms = 1000});
  flaky.net.post(flaky.client, [](Conn& conn) { conn.close(); });
  flaky.net.run();
  EXPECT_EQ(flaky.log, "o c ");
  flaky.net.advance(3'600'000);
  EXPECT_EQ(flaky.log, "o c ");
}

TEST(Dials, NotAfterTheProgramClosedWhatThePeerHadClosedAlready) {
  Loopback net;
  ConnId served;
  int opens = 0;
  net.route("/", {.on_open = [&](Conn& conn) { served = conn.id(); }});
  ASSERT_TRUE(net.connect("ws://test/", {.reconnect = {.first_ms = 10}},
                          {.on_open = [&](Conn&) { ++opens; },
                           .on_close = [](Conn& conn, const Close&) { conn.close(); }}));
  net.run();
  net.post(served, [](Conn& conn) { conn.close(); });
  net.advance(60'000);
  EXPECT_EQ(opens, 1);
}

TEST(Dials, NotAfterStop) {
  Flaky flaky(0, 1, {.first_ms = 1000});
  flaky.net.stop();
  flaky.net.run();
  EXPECT_EQ(flaky.log, "o c ");
  flaky.net.advance(3'600'000);
  EXPECT_EQ(flaky.log, "o c ");
}

TEST(Dials, WhatIsAskedForAfterAStopFails) {
  Backoff backoff({});
  backoff.net.stop();
  backoff.failures.clear();
  ASSERT_TRUE(backoff.net.connect(
      "ws://test/", {.reconnect = {.first_ms = 1}, .on_failure = backoff.note()}, {}));
  backoff.net.advance(60'000);
  ASSERT_EQ(backoff.failures.size(), 1U);
  EXPECT_EQ(backoff.failures[0].retry_in_ms, 0U);
}

// The pause of one dial is not to be taken for a deadline of a connection (their numbers are
// alike).
TEST(Dials, PausesDoNotDisturbConnections) {
  std::string log;
  Loopback net;
  net.route("/slow", {.on_upgrade = [](const ws::Request&) { return Upgrade(Defer{}); }});
  ASSERT_TRUE(net.connect("ws://test/none", {.reconnect = {.first_ms = 1000, .attempts = 2}}, {}));
  net.run();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(net.connect(
        "ws://test/slow",
        {.on_failure = [&](const ConnectFailure& why) { log += why.reason + ";"; }}, {}));
  }
  net.advance(2000);
  EXPECT_EQ(log, "");
}

// "The same, with retry_in_ms 0, when cancel() or stop() comes while there is no connection".
TEST(Dials, AStopDuringThePauseIsToldOnce) {
  Backoff backoff({.first_ms = 1000});
  ASSERT_EQ(backoff.failures.size(), 1U);
  EXPECT_GT(backoff.failures[0].retry_in_ms, 0U);
  backoff.net.stop();
  backoff.net.run();
  ASSERT_EQ(backoff.failures.size(), 2U);
  EXPECT_NE(backoff.failures[1].reason.find("stopped"), std::string::npos);
  EXPECT_EQ(backoff.failures[1].status, 0);
  EXPECT_EQ(backoff.failures[1].attempt, 1U);
  EXPECT_EQ(backoff.failures[1].retry_in_ms, 0U);
  backoff.net.advance(3'600'000);
  EXPECT_EQ(backoff.failures.size(), 2U);
}

TEST(Dials, AStopDuringAnAttemptIsToldOnce) {
  std::vector<ConnectFailure> failures;
  Loopback net;
  net.route("/slow", {.on_upgrade = [](const ws::Request&) { return Upgrade(Defer{}); }});
  ASSERT_TRUE(net.connect("ws://test/slow",
                          {.reconnect = {.first_ms = 1},
                           .on_failure = [&](const auto& why) { failures.push_back(why); }},
                          {}));
  net.run();
  EXPECT_EQ(failures.size(), 0U);
  net.stop();
  net.advance(60'000);
  ASSERT_EQ(failures.size(), 1U);
  EXPECT_NE(failures[0].reason.find("stopped"), std::string::npos);
  EXPECT_EQ(failures[0].attempt, 1U);
  EXPECT_EQ(failures[0].retry_in_ms, 0U);
}

// --- why ---

// Failures and ends of a client's connections. thread: any.
struct Attempts {
  ConnectOptions options(Reconnect plan = {}) {
    return {.reconnect = plan, .on_failure = [this](const ConnectFailure& why) {
              const std::lock_guard lock(mutex);
              all.push_back(why);
              changed.notify_all();
            }};
  }
  // The failure of that number, within 20 s.
  ConnectFailure at(std::size_t index) {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, std::chrono::seconds(20), [&] { return all.size() > index; });
    return all.at(index);
  }
  std::size_t count() {
    const std::lock_guard lock(mutex);
    return all.size();
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::vector<ConnectFailure> all;
};

TEST(Dials, ARefusedAddressIsNamedWithTheCure) {
  const std::uint16_t port = RawServer().port();  // closed again
  Attempts attempts;
  ws::Client client;
  ASSERT_TRUE(client.connect(ws_url(port), attempts.options(), {}));
  const ConnectFailure why = attempts.at(0);
  expect_has(why.reason, "127.0.0.1:" + std::to_string(port));
  expect_has(why.reason, "Connection refused");
  EXPECT_EQ(why.status, 0);
  EXPECT_EQ(why.retry_in_ms, 0U);
}

TEST(Dials, AMissingUnixSocketIsNamed) {
  Attempts attempts;
  ws::Client client;
  ASSERT_TRUE(client.connect("ws+unix:/nowhere/to/be.found", attempts.options(), {}));
  expect_has(attempts.at(0).reason, "/nowhere/to/be.found");
  ASSERT_TRUE(client.connect("ws+unix:/" + std::string(200, 'x'), attempts.options(), {}));
  expect_has(attempts.at(1).reason, std::string(200, 'x'));
}

TEST(Dials, ANameWithoutAddressIsNamed) {
  // RFC 1035 section 2.3.4: a label has 63 octets or less, so no name server is asked.
  const std::string host(64, 'a');
  Attempts attempts;
  ws::Client client;
  ASSERT_TRUE(
      client.connect("ws://" + host + "/", attempts.options({.first_ms = 1, .attempts = 2}), {}));
  expect_has(attempts.at(0).reason, host + ": no address found");
  EXPECT_EQ(attempts.at(0).retry_in_ms, 1U);
  expect_has(attempts.at(1).reason, host + ": no address found");
  EXPECT_EQ(attempts.at(1).attempt, 2U);
  EXPECT_EQ(attempts.at(1).retry_in_ms, 0U);
}

TEST(Dials, TheAddressesOfANameAreTriedInTurn) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  RawServer server("::1");
  // localhost is 127.0.0.1, where nobody listens, then ::1.
  Journal journal;
  ws::Client client;
  ASSERT_TRUE(client.connect("ws://localhost:" + std::to_string(server.port()) + "/", {},
                             journal.handlers()));
  RawPeer peer = accept_upgrade(server);
  EXPECT_TRUE(eventually([&] { return journal.opens() == 1; }));
}

TEST(Dials, WhenAllAddressesFailTheLastOneTellsWhy) {
  const std::uint16_t port = RawServer().port();
  Attempts attempts;
  ws::Client client;
  ASSERT_TRUE(
      client.connect("ws://localhost:" + std::to_string(port) + "/", attempts.options(), {}));
  expect_has(attempts.at(0).reason, "[::1]:" + std::to_string(port));
  EXPECT_EQ(attempts.count(), 1U) << "one attempt for all addresses";
}

TEST(Dials, AHandlerThatThrowsDoesNotStopTheNextAttempt) {
  const std::uint16_t port = RawServer().port();
  std::atomic<int> failures{0};
  ws::Client client;
  ASSERT_TRUE(client.connect(ws_url(port),
                             {.reconnect = {.first_ms = 1, .attempts = 3},
                              .on_failure =
                                  [&](const ConnectFailure&) {
                                    if (++failures == 1) throw std::runtime_error("first");
                                    throw 2;
                                  }},
                             {}));
  EXPECT_TRUE(eventually([&] { return failures == 3; }));
}

// --- the deadline of the whole opening ---

constexpr std::uint32_t kShortMs = 150;

ClientOptions short_opening() {
  ClientOptions options;
  options.limits.handshake_ms = kShortMs;
  options.tls.verify = false;
  return options;
}

// Where a client is kept waiting. The peer has to live as long as the test.
enum class Stage { kConnecting, kTls, kAnswer, kHalfAnswer };

struct WaitingServer {
  explicit WaitingServer(Stage where) : stage(where) {
    if (stage == Stage::kConnecting) server.stop_answering();
  }
  std::string url() const { return server.url(stage == Stage::kTls ? "wss" : "ws"); }
  // Until the client is there.
  void arrive() {
    if (stage == Stage::kConnecting) return;
    peer.emplace(server.accept());
    if (stage == Stage::kTls) {
      EXPECT_NE(peer->read(20'000), "");
    }
    if (stage >= Stage::kAnswer) read_head(*peer);
    if (stage == Stage::kHalfAnswer) peer->send_raw("HTTP/1.1 101 Switching Protocols\r\nUpgr");
  }
  void expect_client_gone() {
    if (!peer) return;
    (void)peer->read(20'000);
    EXPECT_TRUE(peer->ended());
  }

  Stage stage;
  RawServer server;
  std::optional<RawPeer> peer;
};

std::string stage_name(const testing::TestParamInfo<Stage>& stage) {
  constexpr std::array kNames{"Connecting", "Tls", "Answer", "HalfAnswer"};
  return kNames[static_cast<std::size_t>(stage.param)];
}

class DialsAtStage : public testing::TestWithParam<Stage> {};
INSTANTIATE_TEST_SUITE_P(Each, DialsAtStage,
                         testing::Values(Stage::kConnecting, Stage::kTls, Stage::kAnswer,
                                         Stage::kHalfAnswer),
                         stage_name);

TEST_P(DialsAtStage, NobodyIsWaitedForLongerThanTheDeadline) {
  WaitingServer waiting(GetParam());
  Attempts attempts;
  ws::Client client(short_opening());
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(client.connect(waiting.url(), attempts.options(), {}));
  waiting.arrive();
  const ConnectFailure why = attempts.at(0);
  const auto took = std::chrono::steady_clock::now() - start;
  EXPECT_GE(took, std::chrono::milliseconds(kShortMs - 20));
  expect_has(why.reason, GetParam() == Stage::kConnecting ? "timed out" : "too long");
  EXPECT_EQ(why.status, 0);
  waiting.expect_client_gone();
}

TEST_P(DialsAtStage, CancelEndsItAndIsToldOnce) {
  WaitingServer waiting(GetParam());
  Attempts attempts;
  Journal journal;
  ClientOptions options;
  options.tls.verify = false;
  ws::Client client(options);
  const auto id =
      client.connect(waiting.url(), attempts.options({.first_ms = 1}), journal.handlers());
  ASSERT_TRUE(id);
  waiting.arrive();
  client.cancel(id.value());
  waiting.expect_client_gone();
  EXPECT_TRUE(eventually([&] { return client.stats().connections == 0; }));
  if (GetParam() != Stage::kConnecting) {
    EXPECT_FALSE(waiting.server.is_called(20)) << "it tried again";
  }
  const ConnectFailure why = attempts.at(0);
  expect_has(why.reason, "cancelled");
  EXPECT_EQ(why.attempt, 1U);
  EXPECT_EQ(why.retry_in_ms, 0U);
  EXPECT_EQ(attempts.count(), 1U);
  EXPECT_EQ(journal.opens(), 0U);
}

TEST_P(DialsAtStage, TheClientsEndDoesNotWait) {
  WaitingServer waiting(GetParam());
  Attempts attempts;
  ClientOptions options;
  options.tls.verify = false;
  const auto start = std::chrono::steady_clock::now();
  {
    ws::Client client(options);
    ASSERT_TRUE(client.connect(waiting.url(), attempts.options({.first_ms = 1}), {}));
    waiting.arrive();
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(8));
  ASSERT_EQ(attempts.count(), 1U) << "told before the client is gone";
  expect_has(attempts.at(0).reason, "stopped");
  EXPECT_EQ(attempts.at(0).retry_in_ms, 0U);
  waiting.expect_client_gone();
}

// --- cancel ---

TEST(Dials, CancelOfAnOpenConnectionClosesItWith1000) {
  TestServer server;
  Journal journal;
  ws::Client client;
  const std::string url = server.server().urls()[0];
  const auto id = client.connect(url, {.reconnect = {.first_ms = 1}}, journal.handlers());
  ASSERT_TRUE(id);
  ASSERT_TRUE(eventually([&] { return server.journal().opens() + journal.opens() == 2; }));
  client.cancel(id.value());
  const auto served = server.journal().closings(1);
  ASSERT_EQ(served.size(), 1U);
  EXPECT_EQ(static_cast<int>(served[0].code), 1000);
  EXPECT_EQ(served[0].cause, CloseCause::kPeer);
  const auto own = journal.closings(1);
  ASSERT_EQ(own.size(), 1U);
  EXPECT_EQ(own[0].cause, CloseCause::kLocal);
  EXPECT_TRUE(server.has_connections(0));
  EXPECT_EQ(journal.opens(), 1U);
  client.cancel(id.value());  // nothing happens
  client.cancel(0);
  client.cancel(id.value() + 1000);
}

TEST(Dials, CancelDuringThePauseEndsIt) {
  RawServer server;
  Attempts attempts;
  ws::Client client;
  const auto id = client.connect(server.url(), attempts.options({.first_ms = 60}), {});
  ASSERT_TRUE(id);
  server.accept().send_raw("HTTP/1.1 500 No\r\n\r\n");
  EXPECT_EQ(attempts.at(0).status, 500);
  client.cancel(id.value());
  client.cancel(id.value());  // has ended
  expect_has(attempts.at(1).reason, "cancelled");
  EXPECT_EQ(attempts.at(1).status, 0);
  EXPECT_EQ(attempts.at(1).retry_in_ms, 0U);
  EXPECT_FALSE(server.is_called(100));
  EXPECT_EQ(attempts.count(), 2U);
}

TEST(Dials, ReconnectsOverSockets) {
  RawServer server;
  Journal journal;
  Attempts attempts;
  ws::Client client;
  ASSERT_TRUE(client.connect(server.url(), attempts.options({.first_ms = 2}), journal.handlers()));
  {
    RawPeer peer = accept_upgrade(server);
    EXPECT_TRUE(eventually([&] { return journal.opens() == 1; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // it lasts
  }
  server.accept().reset();
  server.accept().send_raw("HTTP/1.1 503 Busy\r\n\r\n");
  RawPeer last = accept_upgrade(server);
  EXPECT_TRUE(eventually([&] { return journal.opens() == 2; }));
  EXPECT_EQ(attempts.at(0).attempt, 1U);
  EXPECT_EQ(attempts.at(1).attempt, 2U);
  EXPECT_EQ(attempts.at(1).status, 503);
  EXPECT_EQ(journal.closings(1).size(), 1U);
}

}  // namespace
}  // namespace ws::test
