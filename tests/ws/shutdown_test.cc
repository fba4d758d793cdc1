// The end of a server: "stop accepting, Close 1001 to everyone, flush", and a hard end for those
// who do not answer (ws/server.h).
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
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

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class ServerShutdown : public OverBothSchemes {};
INSTANTIATE_TEST_SUITE_P(Over, ServerShutdown, testing::Bool(), scheme);

TEST_P(ServerShutdown, TellsEveryoneAndReturns) {
  TestServer server;
  std::vector<Peer> peers;
  for (int i = 0; i < 5; ++i) peers.push_back(server.peer(tls()));
  server.server().stop();
  for (Peer& peer : peers) {
    EXPECT_EQ(peer.play(Script().gets_close(1001).sends(close(1001)).eof()), "");
    peer.stream->half_close();
  }
  server.server().wait();
  EXPECT_EQ(server.server().connections(), 0U);
  EXPECT_EQ(server.connect(tls()), nullptr) << "still accepting";
  const auto closings = server.journal().closings(5);
  ASSERT_EQ(closings.size(), 5U);
  for (const auto& closing : closings) {
    EXPECT_EQ(static_cast<int>(closing.code), 1001);
    EXPECT_EQ(to_string(closing.cause), to_string(CloseCause::kShutdown));
    EXPECT_EQ(server.journal().order(closing.id), "oc");
  }
}

TEST_P(ServerShutdown, ClosesWithTheCodeItIsGiven) {
  TestServer server;
  Peer peer = server.peer(tls());
  server.server().stop(10'000, CloseCode::kServiceRestart);
  server.server().stop(10'000, CloseCode{4000});  // "the first call counts"
  EXPECT_EQ(peer.play(Script().gets_close(1012).sends(close(1012)).eof()), "");
}

// "code: as for Conn::close()": RFC 6455 7.4.1, 1006 "MUST NOT be set as a status code in a Close
// control frame by an endpoint".
TEST_P(ServerShutdown, NeverSendsACodeThatMayNotBeSent) {
  for (const int code : {1006, 1015, 999, 0}) {
    TestServer server;
    Peer peer = server.peer(tls());
    server.server().stop(10'000, static_cast<CloseCode>(code));
    EXPECT_EQ(peer.play(Script().gets_close(1011).sends(close(1011)).eof()), "") << code;
  }
}

TEST_P(ServerShutdown, ADeadlineOfItsOwnRules) {
  Limits limits;
  limits.drain_ms = 60'000;
  TestServer server(limits);
  RawPeer silent(connect_tcp(server.port(tls())), tls());
  silent.upgrade();
  const auto start = Clock::now();
  server.server().stop(200);
  server.server().wait();
  EXPECT_GE(Clock::now() - start, 180ms);
  EXPECT_LT(Clock::now() - start, 20s);
  EXPECT_EQ(server.journal().closings(1).size(), 1U);
}

TEST_P(ServerShutdown, TheDestructorStops) {
  std::optional<TestServer> server(std::in_place);
  Peer peer = server->peer(tls());
  std::thread ending([&] { server.reset(); });
  EXPECT_EQ(peer.play(Script().gets_close(1001).sends(close(1001)).eof()), "");
  peer.stream->half_close();
  ending.join();
}

TEST_P(ServerShutdown, EndsThoseWhoNeverAnswer) {
  Limits limits;
  limits.drain_ms = 300;
  TestServer server(limits);
  RawPeer silent(connect_tcp(server.port(tls())), tls());
  silent.upgrade();
  const auto start = Clock::now();
  server.stop_and_wait();
  EXPECT_GE(Clock::now() - start, 280ms);
  EXPECT_EQ(server.server().connections(), 0U);
  // What was said before the end arrives all the same.
  EXPECT_EQ(silent.exchange(4), server_close(1001));
  const auto closings = server.journal().closings(1);
  ASSERT_EQ(closings.size(), 1U);
  EXPECT_EQ(static_cast<int>(closings[0].code), 1001) << "what the peer sent, else what we did";
  EXPECT_EQ(to_string(closings[0].cause), to_string(CloseCause::kShutdown));
}

TEST_P(ServerShutdown, EndsThoseWhoDoNotRead) {
  Limits limits;
  limits.drain_ms = 300;
  TestServer server(limits, [](Conn& conn, const Message& message) {
    for (int i = 0; i < 30; ++i) conn.send(message);
  });
  RawPeer deaf(connect_tcp(server.port(tls()), {.receive_buffer_bytes = 16'384}), tls());
  deaf.upgrade();
  deaf.queue(binary(std::string(500'000, 'x')));
  deaf.push(20'000);
  EXPECT_TRUE(eventually([&] { return server.journal().messages() == 1; }));
  server.stop_and_wait();
  EXPECT_EQ(server.server().connections(), 0U);
  EXPECT_EQ(server.journal().closings(1).size(), 1U);
}

// "stop accepting, Close 1001 to everyone, flush".
TEST_P(ServerShutdown, WhatIsQueuedPrecedesTheClose) {
  constexpr std::size_t kBytes = 5'000'000;
  TestServer server({}, [](Conn& conn, const Message&) {
    const std::string body(kBytes, 'x');
    conn.send(binary_message(body));
  });
  RawPeer peer(connect_tcp(server.port(tls()), {.receive_buffer_bytes = 16'384}), tls());
  peer.upgrade();
  peer.queue(text("go"));
  peer.push(20'000);
  EXPECT_TRUE(eventually([&] { return server.journal().messages() == 1; }));
  server.server().stop();
  const std::string wanted = server_frame(kBinary, std::string(kBytes, 'x')) + server_close(1001);
  EXPECT_TRUE(peer.exchange(wanted.size()) == wanted);
  peer.queue(close(1001));
  EXPECT_EQ(peer.exchange(1), "");
  EXPECT_TRUE(peer.ended());
  peer.reset();
  server.server().wait();
}

// "at a limit, or shutting down: 503 + Retry-After".
TEST_P(ServerShutdown, ThoseWhoAreStillAskingGet503) {
  TestServer server;
  const auto asking = server.connect(tls());
  const auto silent = server.connect(tls());
  ASSERT_TRUE(asking != nullptr && silent != nullptr);
  ASSERT_TRUE(asking->write("GET /ws HTTP/1.1\r\nHost: local"));
  EXPECT_TRUE(server.has_connections(2));
  std::this_thread::sleep_for(50ms);  // so that TLS is through on both sides
  server.server().stop();
  for (Stream* stream : {asking.get(), silent.get()}) {
    Client client(*stream);
    Answer answer;
    EXPECT_EQ(client.read_answer(answer, 20'000), "");
    EXPECT_EQ(answer.status, 503);
    EXPECT_TRUE(answer.header("Retry-After").has_value());
    EXPECT_EQ(client.read_end(20'000), "");
    stream->half_close();
  }
  server.server().wait();
  EXPECT_EQ(server.journal().opens(), 0U);
}

TEST(ServerShutdownOverTls, AnUnfinishedTlsHandshakeIsNotWaitedFor) {
  TestServer server;
  const auto half = Stream::open(server.port(true), true);
  ASSERT_NE(half, nullptr);
  EXPECT_TRUE(server.has_connections(1));
  const auto start = Clock::now();
  server.stop_and_wait();
  EXPECT_LT(Clock::now() - start, 5s) << "the drain deadline is 10 s";
  std::string heard;
  EXPECT_NE(half->read(heard, 20'000), Stream::Got::kTimeout);
}

// "drain the backlog first": whoever connected before the stop gets an answer, not an RST. 200 wait
// at the door while the only thread is busy.
TEST(ServerShutdownBacklog, ThoseWhoWaitAtTheDoorGet503) {
  std::mutex mutex;
  std::condition_variable changed;
  bool busy = false;
  bool go = false;
  TestServer server({}, [&](Conn&, const Message&) {
    std::unique_lock lock(mutex);
    busy = true;
    changed.notify_all();
    changed.wait_for(lock, 20s, [&] { return go; });
  });
  Peer peer = server.peer(false);
  ASSERT_TRUE(peer.stream->write(text("wait")));
  {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, 20s, [&] { return busy; }));
  }
  std::vector<std::unique_ptr<Stream>> waiting;
  for (int i = 0; i < 200; ++i) {
    waiting.push_back(Stream::open(server.port(false), false));
    ASSERT_NE(waiting.back(), nullptr);
    ASSERT_TRUE(waiting.back()->write(Request().str()));
  }
  server.server().stop();
  {
    const std::lock_guard lock(mutex);
    go = true;
    changed.notify_all();
  }
  int refused = 0;
  std::string wrong;
  for (const auto& stream : waiting) {
    Client client(*stream);
    Answer answer;
    const std::string problem = client.read_answer(answer, 20'000);
    if (problem.empty() && answer.status == 503) ++refused;
    if (wrong.empty()) wrong = problem;
  }
  EXPECT_EQ(refused, 200) << wrong;
  EXPECT_EQ(peer.play(Script().gets_close(1001).sends(close(1001)).eof()), "");
  waiting.clear();
  peer.stream->half_close();
  server.server().wait();
}

TEST_P(ServerShutdown, AHandlerMayStopTheServer) {
  Server* self = nullptr;
  TestServer server({}, [&](Conn& conn, const Message& message) {
    conn.send(message);
    self->stop();
  });
  self = &server.server();
  Peer peer = server.peer(tls());
  EXPECT_EQ(
      peer.play(
          Script().sends(text("stop")).gets_text("stop").gets_close(1001).sends(close(1001)).eof()),
      "");
  peer.stream->half_close();
  server.server().wait();
}

// "thread: any; returns at once; the first call counts."
TEST_P(ServerShutdown, MayComeFromSeveralThreadsWhileClientsCome) {
  for (int round = 0; round < 3; ++round) {
    Journal journal;
    TestServer server({.listen = {}, .tls = {}, .origins = {}, .threads = 2, .limits = {}},
                      journal.handlers());
    std::atomic<bool> done = false;
    std::thread clients([&] {
      while (!done) server.serves(tls());
    });
    EXPECT_GE(journal.closings(2).size(), 2U);
    std::vector<std::thread> stoppers;
    for (int i = 0; i < 4; ++i) stoppers.emplace_back([&] { server.server().stop(); });
    for (std::thread& stopper : stoppers) stopper.join();
    server.server().wait();
    EXPECT_EQ(server.server().connections(), 0U);
    server.server().stop();
    server.server().wait();
    done = true;
    clients.join();
    EXPECT_EQ(journal.closings(journal.opens()).size(), journal.opens());
  }
}

}  // namespace
}  // namespace ws::test
