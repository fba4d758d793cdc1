// What must happen by the clock (row H9), on a real wsd. All peers run side by
// side, so that the test takes as long as the slowest of them.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <thread>

#include "tests/conformance/conformance.h"
#include "tests/conformance/runner.h"
#include "tests/support/stream.h"
#include "tests/support/wsd_process.h"

namespace ws::test {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

const std::vector<std::string> kBothSchemes = {"--listen",          "ws://127.0.0.1:0", "--listen",
                                               "wss://127.0.0.1:0", "--threads",        "1"};

class Stopwatch {
 public:
  // "" when so much time has passed since the start, give or take what a busy machine takes.
  std::string shows(Clock::duration from, Clock::duration to) const {
    const auto passed = Clock::now() - start_;
    if (passed >= from && passed <= to) return "";
    return "after " +
           std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(passed).count()) +
           " ms";
  }
  Clock::time_point start() const { return start_; }

 private:
  Clock::time_point start_ = Clock::now();
};

// "one absolute deadline of 10 s from accept covering TLS and HTTP".
std::string at_the_handshake_deadline(const Stopwatch& watch) {
  return watch.shows(9500ms, 12000ms);
}

std::string reads_408(Stream& stream, const Stopwatch& watch) {
  Client client(stream);
  Answer answer;
  std::string wrong = client.read_answer(answer, 13'000);
  if (wrong.empty()) wrong = at_the_handshake_deadline(watch);
  if (wrong.empty() && answer.status != 408) wrong = "status " + std::to_string(answer.status);
  if (wrong.empty() && !answer.has_token("Connection", "close")) wrong = "no Connection: close";
  return wrong.empty() ? client.read_end(1'500) : wrong;
}

// A byte a second never is silence, and is no progress either.
std::string drips_its_request(std::uint16_t port, bool tls) {
  const Stopwatch watch;
  const auto stream = Stream::connect(port, tls);
  if (stream == nullptr) return "no connection";
  const std::string request = Request().str();
  for (std::size_t i = 0; i < 9; ++i) {
    if (!stream->write(request.substr(i, 1))) return "cut off after " + std::to_string(i);
    std::this_thread::sleep_for(1s);
  }
  return reads_408(*stream, watch);
}

std::string stops_before_the_last_byte(std::uint16_t port, bool tls) {
  const Stopwatch watch;
  const auto stream = Stream::connect(port, tls);
  if (stream == nullptr) return "no connection";
  const std::string request = Request().str();
  if (!stream->write(std::string_view(request).substr(0, request.size() - 1))) return "cut off";
  return reads_408(*stream, watch);
}

// The time that TLS takes is not given to HTTP again.
std::string shakes_hands_late(std::uint16_t port) {
  const Stopwatch watch;
  const auto stream = Stream::open(port, true);
  std::this_thread::sleep_for(5s);
  if (stream == nullptr || !stream->shake_hands()) return "no connection";
  if (!stream->write("GET /ws HTTP/1.1\r\n")) return "cut off";
  return reads_408(*stream, watch);
}

// Whoever said nothing at all, in HTTP or TLS, may get no answer, but gets no more time.
std::string says_nothing(std::uint16_t port) {
  const Stopwatch watch;
  const auto stream = Stream::open(port, false);
  if (stream == nullptr) return "no connection";
  std::string heard;
  Stream::Got got = Stream::Got::kData;
  while (got == Stream::Got::kData) got = stream->read(heard, 13'000);
  if (got == Stream::Got::kTimeout) return "still there";
  return at_the_handshake_deadline(watch);
}

std::string drips_its_client_hello(std::uint16_t port) {
  const Stopwatch watch;
  const auto stream = Stream::open(port, false);
  if (stream == nullptr) return "no connection";
  constexpr std::string_view kClientHello("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
  std::string heard;
  for (const char byte : kClientHello) {
    if (!stream->write({&byte, 1})) break;
    const Stream::Got got = stream->read(heard, 1'000);
    if (got != Stream::Got::kTimeout && got != Stream::Got::kData) break;
  }
  while (stream->read(heard, 3'000) == Stream::Got::kData) continue;
  return at_the_handshake_deadline(watch);
}

// The deadline is the handshake's alone.
std::string stays_idle(std::uint16_t port, bool tls) {
  const auto stream = Stream::connect(port, tls);
  if (stream == nullptr) return "no connection";
  Client client(*stream);
  std::string wrong = client.upgrade();
  if (!wrong.empty()) return wrong;
  return client.play(Script()
                         .sends(first(kText, "a") + ping())
                         .gets_pong("")
                         .silent(12'000)
                         .sends(last("b"))
                         .gets_text("ab")
                         .bye());
}

// After its Close, or its refusal, and FIN, the server drains for two seconds what still comes,
// whether the peer closes or not; then it is gone, and the next bytes meet an RST.
std::string keeps_talking(std::uint16_t port, bool tls, const Case& c) {
  const auto stream = Stream::connect(port, tls);
  if (stream == nullptr) return "no connection";
  Client client(*stream);
  const std::string wrong = client.play(c);
  if (!wrong.empty()) return wrong;
  const Stopwatch watch;
  while (stream->write("?")) {
    if (Clock::now() - watch.start() > 10s) return "still drained after 10 s";
    std::this_thread::sleep_for(50ms);
  }
  return watch.shows(1500ms, 4000ms);
}

// Lingering ends after 2 s, or after one largest message and a little more: whichever comes first.
std::string floods_after_the_end(std::uint16_t port, bool tls) {
  const auto stream = Stream::connect(port, tls);
  if (stream == nullptr) return "no connection";
  Client client(*stream);
  std::string wrong = client.upgrade();
  if (wrong.empty()) wrong = client.play(Script().bye());
  if (!wrong.empty()) return wrong;
  constexpr std::uint64_t kSocketBuffers = 32 * 1024 * 1024;  // what may lie in both, unread
  const std::string noise = repeat("noise", 64 * 1024);
  std::uint64_t sent = 0;
  while (stream->write(noise)) {
    sent += noise.size();
    if (sent > kLimits.message_bytes + kSocketBuffers) return "drained without end";
  }
  return "";
}

struct Peer {
  std::string what;
  std::future<std::string> wrong;
};

TEST(Deadlines, AreKeptWithPeersOfAllKinds) {
  WsdProcess wsd(kBothSchemes);
  ASSERT_TRUE(wsd.wait_listening(2)) << wsd.output();
  std::vector<Peer> peers;
  const auto add_peer = [&peers](std::string what, std::function<std::string()> run) {
    peers.push_back({std::move(what), std::async(std::launch::async, std::move(run))});
  };
  const Case violates{.id = "violates", .script = [] {
                        return Script().sends(frame({.rsv = 1}, "bad")).fails(1002);
                      }};
  const Case closes{.id = "closes", .script = [] { return Script().bye(); }};
  const Case refused{
      .id = "refused",
      .script = [] { return Script().sends("GET /ws HTTP/1.0\r\n\r\n").refused(505); },
      .raw = true};
  for (const bool tls : {false, true}) {
    const std::uint16_t port = wsd.port(tls ? "wss://" : "ws://");
    const std::string over = tls ? " over wss" : " over ws";
    add_peer("drips its request" + over, [=] { return drips_its_request(port, tls); });
    add_peer("stops before the last byte" + over,
             [=] { return stops_before_the_last_byte(port, tls); });
    add_peer("says nothing" + over, [=] { return says_nothing(port); });
    add_peer("stays idle" + over, [=] { return stays_idle(port, tls); });
    for (const Case* c : {&violates, &closes, &refused}) {
      add_peer(c->id + " and keeps talking" + over, [=] { return keeps_talking(port, tls, *c); });
    }
    add_peer("floods after the end" + over, [=] { return floods_after_the_end(port, tls); });
  }
  const std::uint16_t port = wsd.port("wss://");
  add_peer("shakes hands late", [=] { return shakes_hands_late(port); });
  add_peer("drips its ClientHello", [=] { return drips_its_client_hello(port); });
  for (Peer& peer : peers) EXPECT_EQ(peer.wrong.get(), "") << peer.what;
  wsd.signal(SIGTERM);
  EXPECT_EQ(wsd.wait_exit(12'000), 0) << wsd.output();
}

// "SIGTERM: stop accepting, Close 1001 to everyone, flush, exit 0"; the closing handshake that the
// server began gives a peer 5 s to answer.
TEST(Shutdown, ClosesEveryoneAndWaitsFiveSecondsForTheAnswer) {
  WsdProcess wsd(kBothSchemes);
  ASSERT_TRUE(wsd.wait_listening(2)) << wsd.output();
  std::vector<std::unique_ptr<Stream>> streams;
  std::vector<Client> clients;
  for (const bool tls : {false, true, false, true}) {  // two that answer, two that do not
    streams.push_back(Stream::connect(wsd.port(tls ? "wss://" : "ws://"), tls));
    ASSERT_NE(streams.back(), nullptr);
    clients.emplace_back(*streams.back());
    ASSERT_EQ(clients.back().upgrade(), "");
  }
  const auto asking = Stream::connect(wsd.port("ws://"), false);
  ASSERT_NE(asking, nullptr);
  ASSERT_TRUE(asking->write("GET /ws HTTP/1.1\r\nHost: local"));
  std::this_thread::sleep_for(50ms);  // so that wsd has accepted it

  wsd.signal(SIGTERM);
  const Stopwatch watch;
  for (Client& client : clients) EXPECT_EQ(client.play(Script().gets_close(1001)), "");
  Client latecomer(*asking);
  Answer answer;
  EXPECT_EQ(latecomer.read_answer(answer, 2'000), "");
  EXPECT_EQ(answer.status, 503);
  EXPECT_TRUE(answer.header("Retry-After").has_value());
  EXPECT_EQ(latecomer.read_end(1'500), "");
  EXPECT_EQ(Stream::connect(wsd.port("ws://"), false), nullptr) << "still accepting";
  for (std::size_t i : Sizes{0, 1}) {
    EXPECT_EQ(clients[i].play(Script().sends(close(1001)).eof()), "");
  }
  EXPECT_EQ(watch.shows(0ms, 2000ms), "");
  for (std::size_t i : Sizes{2, 3}) EXPECT_EQ(clients[i].read_end(7'000), "");
  EXPECT_EQ(watch.shows(4500ms, 7000ms), "");
  streams.clear();
  EXPECT_EQ(wsd.wait_exit(3'000), 0) << wsd.output();
}

TEST(Shutdown, IsQuickWhenEveryoneAnswers) {
  WsdProcess wsd(kBothSchemes);
  ASSERT_TRUE(wsd.wait_listening(2)) << wsd.output();
  const auto stream = Stream::connect(wsd.port("ws://"), false);
  ASSERT_NE(stream, nullptr);
  Client client(*stream);
  ASSERT_EQ(client.upgrade(), "");
  wsd.signal(SIGTERM);
  // What is under way in both directions still arrives.
  EXPECT_EQ(client.play(Script().gets_close(1001).sends(close(1001)).eof()), "");
  stream->half_close();
  EXPECT_EQ(wsd.wait_exit(1'500), 0) << wsd.output();
}

}  // namespace
}  // namespace ws::test
