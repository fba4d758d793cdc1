// Peers that read slowly and all the time: README promises them all that is owed, and that they are
// not taken for dead.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <functional>
#include <future>
#include <string>
#include <thread>
#include <utility>

#include "tests/conformance/conformance.h"
#include "tests/support/raw_peer.h"
#include "tests/support/test_server.h"
#include "ws/ws.h"

namespace ws::test {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMegabyte = 1024 * 1024;

// One that takes `bytes` each 10 ms, through a small window.
struct SteadyPeer {
  explicit SteadyPeer(std::uint16_t port, std::size_t bytes)
      : peer(connect_tcp(port, {.receive_buffer_bytes = 64 * 1024}), false), step_bytes(bytes) {
    peer.queue(Request().str());
    peer.push(20'000);
    while (head.find("\r\n\r\n") == std::string::npos) head += peer_bytes(1);
  }
  // Up to `bytes` that are there.
  std::string peer_bytes(std::size_t bytes) {
    std::string some(bytes, '\0');
    const ssize_t count = ::recv(peer.fd(), some.data(), bytes, MSG_DONTWAIT);
    if (count == 0) fin = true;
    if (count < 0 && errno != EAGAIN) reset = true;
    some.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
    return some;
  }
  // Until it has so much, or the end.
  void read(std::size_t bytes) {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (got.size() < bytes && !fin && !reset && std::chrono::steady_clock::now() < deadline) {
      got += peer_bytes(std::min(step_bytes, bytes - got.size()));
      std::this_thread::sleep_for(10ms);
    }
  }

  RawPeer peer;
  std::size_t step_bytes;
  std::string head, got;
  bool fin = false, reset = false;
};

// What a server's handlers do once there is a connection.
Handlers on_open(Journal& journal, std::function<void(Conn&)> what) {
  Handlers handlers = journal.handlers();
  handlers.on_open = [note = handlers.on_open, what = std::move(what)](Conn& conn) {
    note(conn);
    what(conn);
  };
  return handlers;
}

void send_megabytes(Conn& conn, int count) {
  for (int i = 0; i < count; ++i) conn.send(std::string(kMegabyte, 'x'));
}

TEST(SteadyPeers, TakeWhatIsOwedBeforeTheCloseInAllTheTimeTheyNeed) {
  Journal journal;
  TestServer server(on_open(journal,
                            [](Conn& conn) {
                              send_megabytes(conn, 8);
                              conn.close();
                            }),
                    {.close_ms = 200});
  SteadyPeer peer(server.port(false), 128 * 1024);
  const std::size_t owed = 8 * (kMegabyte + 10);
  peer.read(owed + 4);
  ASSERT_EQ(peer.got.size(), owed + 4);
  EXPECT_EQ(peer.got.substr(owed), "\x88\x02\x03\xe8") << "Close 1000";
  EXPECT_TRUE(peer.peer.send_raw(frame({.opcode = 8}, "\x03\xe8")));
  const auto closings = journal.closings(1);
  ASSERT_EQ(closings.size(), 1U);
  EXPECT_EQ(closings[0].cause, CloseCause::kLocal);
}

// The peer had much more than a message on its way when it broke the protocol.
TEST(SteadyPeers, AreNotResetForWhatTheyHadOnTheWay) {
  TestServer server(Limits{.message_bytes = 64 * 1024});
  SteadyPeer peer(server.port(false), 128 * 1024);
  const std::string message = frame({.opcode = 2}, std::string(50'000, 'a'));
  for (int i = 0; i < 60; ++i) peer.peer.queue(message);
  peer.peer.queue(frame({.opcode = 3}, {}));
  for (int i = 0; i < 60; ++i) peer.peer.queue(message);
  std::thread writer([&] { peer.peer.push(500); });
  const std::size_t owed = 60 * (50'000 + 4);
  peer.read(owed + 1'000);
  writer.join();
  EXPECT_TRUE(peer.fin);
  EXPECT_FALSE(peer.reset);
  ASSERT_GT(peer.got.size(), owed);
  EXPECT_EQ(peer.got.substr(owed, 1), "\x88");
  EXPECT_EQ(peer.got.substr(owed + 2, 2), "\x03\xea") << "1002";
}

// A ping stands behind megabytes that the kernel has taken: nobody can answer it yet.
TEST(SteadyPeers, AreAliveWhileTheyTakeWhatIsOwed) {
  Journal journal;
  TestServer server(on_open(journal, [](Conn& conn) { send_megabytes(conn, 3); }),
                    {.ping_after_ms = 200, .pong_wait_ms = 300});
  SteadyPeer peer(server.port(false), 16 * 1024);
  peer.read(2 * kMegabyte);  // 1.3 s
  EXPECT_FALSE(peer.fin || peer.reset);
  EXPECT_TRUE(peer.peer.send_raw(frame({.opcode = 1}, "here")));
  peer.step_bytes = kMegabyte;
  const std::size_t owed = 3 * (kMegabyte + 10);
  peer.read(owed);
  // Behind a ping, or two.
  for (int i = 0; i < 10 && !peer.got.ends_with("\x81\x04here"); ++i)
    peer.read(peer.got.size() + 2);
  EXPECT_TRUE(peer.got.ends_with("\x81\x04here")) << peer.got.size() - owed;
}

// Its server never falls silent: what is in flight does not get less, much as the peer takes.
TEST(SteadyPeers, AreAliveWhileTheServerSendsOn) {
  Journal journal;
  std::atomic<bool> enough = false;
  std::promise<ConnId> opened;
  TestServer server(on_open(journal,
                            [&](Conn& conn) {
                              opened.set_value(conn.id());
                              send_megabytes(conn, 2);
                            }),
                    {.ping_after_ms = 200, .pong_wait_ms = 300});
  SteadyPeer peer(server.port(false), 16 * 1024);
  std::thread sender([&, id = opened.get_future().get()] {
    while (!enough &&
           server.server().post(id, [](Conn& conn) { conn.send(std::string(18'000, 'y')); }))
      std::this_thread::sleep_for(10ms);
  });
  peer.read(3 * kMegabyte);  // 2 s
  enough = true;
  sender.join();
  EXPECT_FALSE(peer.fin || peer.reset);
  EXPECT_EQ(peer.got.size(), 3 * kMegabyte);
  EXPECT_TRUE(journal.closings(0).empty());
}

// All that is owed is in our kernel: close() counts what the peer takes of it.
TEST(SteadyPeers, MayAnswerACloseThatCameBehindMuch) {
  Journal journal;
  TestServer server(on_open(journal,
                            [](Conn& conn) {
                              send_megabytes(conn, 1);
                              conn.close();
                            }),
                    {.close_ms = 500});
  SteadyPeer peer(server.port(false), 25 * 1024);
  peer.read(kMegabyte + 10 + 4);  // 0.42 s
  std::this_thread::sleep_for(300ms);
  EXPECT_TRUE(peer.peer.send_raw(frame({.opcode = 8}, "\x03\xe8")));
  const auto closings = journal.closings(1);
  ASSERT_EQ(closings.size(), 1U);
  EXPECT_EQ(closings[0].cause, CloseCause::kLocal);
}

// One that takes nothing of it is waited for once each time, not twice.
TEST(SteadyPeers, AreNotWhoTakesNothing) {
  Journal journal;
  std::promise<ConnId> opened;
  TestServer server(on_open(journal,
                            [&](Conn& conn) {
                              send_megabytes(conn, 1);
                              opened.set_value(conn.id());
                            }),
                    {.close_ms = 500, .linger_ms = 1'000});
  SteadyPeer peer(server.port(false), 1);
  std::this_thread::sleep_for(200ms);  // until its kernel has taken what it will
  const auto begin = std::chrono::steady_clock::now();
  server.server().post(opened.get_future().get(), [](Conn& conn) { conn.close(); });
  ASSERT_EQ(journal.closings(1).size(), 1U);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 2'500ms) << "3 s: twice both";
}

// And one that stops taking is still found out.
TEST(SteadyPeers, AreDeadOnceTheyStop) {
  Journal journal;
  TestServer server(on_open(journal, [](Conn& conn) { send_megabytes(conn, 8); }),
                    {.ping_after_ms = 200, .pong_wait_ms = 300, .close_ms = 100});
  SteadyPeer peer(server.port(false), 16 * 1024);
  peer.read(kMegabyte);
  const auto closings = journal.closings(1);
  ASSERT_EQ(closings.size(), 1U);
  EXPECT_EQ(closings[0].cause, CloseCause::kSlowConsumer);
}

}  // namespace
}  // namespace ws::test
