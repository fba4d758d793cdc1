// What must happen by the clock (rows H9, R3, R4 and T1), with short times.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <future>
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

constexpr int kPatienceMs = 20'000;

class ServerTimeouts : public OverBothSchemes {};
INSTANTIATE_TEST_SUITE_P(Over, ServerTimeouts, testing::Bool(), scheme);

// A deadline may be late on a busy machine, never early. The clock of a turn is read once, so a
// few milliseconds are nobody's fault.
void expect_not_before(Clock::time_point start, std::chrono::milliseconds due) {
  EXPECT_GE(Clock::now() - start, due - 20ms);
}

void expect_end(TestServer& server, int code, CloseCause cause) {
  const auto closings = server.journal().closings(1);
  ASSERT_EQ(closings.size(), 1U);
  EXPECT_EQ(static_cast<int>(closings[0].code), code);
  EXPECT_EQ(to_string(closings[0].cause), to_string(cause));
}

// --- keep-alive ---

Limits short_keep_alive() {
  Limits limits;
  limits.ping_after_ms = 150;
  limits.pong_wait_ms = 200;
  return limits;
}

TEST_P(ServerTimeouts, ASilentPeerIsPingedThenClosed) {
  TestServer server(short_keep_alive());
  {
    const auto start = Clock::now();
    Peer peer = server.peer(tls());
    ServerFrame frame;
    ASSERT_EQ(peer.client.read_frame(frame, kPatienceMs), "");
    EXPECT_EQ(frame.opcode, kPing);
    expect_not_before(start, 150ms);
    ASSERT_EQ(peer.client.read_frame(frame, kPatienceMs), "");
    EXPECT_EQ(frame.opcode, kClose);
    EXPECT_EQ(frame.payload.substr(0, 2), "\x03\xf0") << "1008";
    expect_not_before(start, 350ms);
    EXPECT_EQ(peer.client.read_end(kPatienceMs), "");
  }
  expect_end(server, 1008, CloseCause::kTimeout);
}

TEST_P(ServerTimeouts, APeerThatAnswersPingsStays) {
  TestServer server(short_keep_alive());
  Peer peer = server.peer(tls());
  for (int i = 0; i < 5; ++i) {
    ServerFrame frame;
    ASSERT_EQ(peer.client.read_frame(frame, kPatienceMs), "") << i;
    ASSERT_EQ(frame.opcode, kPing) << i;
    ASSERT_TRUE(peer.stream->write(pong(frame.payload)));
  }
  EXPECT_EQ(peer.play(Script().sends(text("still here")).gets_text("still here").bye()), "");
}

// "20 s for any answer": a byte of anything will do.
TEST_P(ServerTimeouts, AnyByteAnswersAPing) {
  TestServer server(short_keep_alive());
  Peer peer = server.peer(tls());
  const std::string message = text("slow");
  for (std::size_t i = 0; i < 5; ++i) {
    ServerFrame frame;
    ASSERT_EQ(peer.client.read_frame(frame, kPatienceMs), "") << i;
    ASSERT_EQ(frame.opcode, kPing) << i;
    ASSERT_TRUE(peer.stream->write(message.substr(i, 1)));
  }
  EXPECT_EQ(peer.play(Script().sends(message.substr(5)).gets_text("slow").bye()), "");
}

TEST_P(ServerTimeouts, APeerThatSendsIsNotPinged) {
  Limits limits;
  limits.ping_after_ms = 500;
  TestServer server(limits);
  Peer peer = server.peer(tls());
  auto last = Clock::now();
  Clock::duration longest_gap{};
  for (int i = 0; i < 17; ++i) {
    ASSERT_TRUE(peer.stream->write(i % 2 == 0 ? text("x") : pong()));
    longest_gap = std::max(longest_gap, Clock::now() - last);
    last = Clock::now();
    std::this_thread::sleep_for(50ms);
  }
  if (longest_gap > 250ms) GTEST_SKIP() << "this machine is too busy to be steady";
  Script script;
  for (int i = 0; i < 9; ++i) script.gets_text("x");
  EXPECT_EQ(peer.play(script.bye()), "");
}

// A peer that takes its output is alive, though our ping waits behind that output.
TEST(ServerTimeoutsOfReaders, ASlowReaderIsNotSilent) {
  constexpr std::size_t kBytes = 12U << 20;
  Limits limits;
  limits.ping_after_ms = 400;
  limits.pong_wait_ms = 1'600;
  TestServer server(limits, [](Conn& conn, const Message& message) {
    const std::string body(kBytes, 'x');
    if (message.text() != "go") return;
    conn.send(binary_message(body));
  });
  RawPeer peer(connect_tcp(server.port(false), {.receive_buffer_bytes = 16'384}), false);
  peer.upgrade();
  peer.queue(text("go"));
  peer.push(kPatienceMs);
  std::string got;
  while (got.size() < kBytes && !peer.ended()) {
    got += peer.exchange(100'000);
    std::this_thread::sleep_for(25ms);  // three seconds in all
  }
  EXPECT_GE(got.size(), kBytes);
  EXPECT_EQ(take_frame(got).value_or(ServerFrame{}).payload.size(), kBytes);
}

// --- assembling a message ---

// Sends `unit` every 20 ms until the server says something. Returns what it said.
std::string drip(Peer& peer, const std::function<std::string(int)>& unit) {
  std::string heard;
  for (int i = 0; i < 1'000; ++i) {
    if (!peer.stream->write(unit(i))) break;
    if (peer.stream->read(heard, 20) != Stream::Got::kTimeout) break;
  }
  return heard;
}

void expect_1008_for(bool tls, const std::function<std::string(int)>& unit) {
  Limits limits;
  limits.assembly_ms = 250;
  TestServer server(limits);
  {
    Peer peer = server.peer(tls);
    const auto start = Clock::now();
    std::string heard = drip(peer, unit);
    expect_not_before(start, 250ms);
    const auto frame = take_frame(heard);
    ASSERT_TRUE(frame.has_value());
    EXPECT_EQ(frame->opcode, kClose);
    EXPECT_EQ(frame->payload.substr(0, 2), "\x03\xf0") << "1008";
    EXPECT_EQ(peer.client.read_end(kPatienceMs), "");
  }
  expect_end(server, 1008, CloseCause::kTimeout);
  EXPECT_EQ(server.journal().messages(), 0U);
}

// Row R3: "assembly deadline (30 s) or min rate -> 1008".
TEST_P(ServerTimeouts, ADrippedMessageIsClosed1008) {
  const std::string message = binary(std::string(60'000, 'x'));
  const std::function<std::string(int)> drips[] = {
      [&](int i) { return message.substr(static_cast<std::size_t>(i), 1); },
      [](int i) { return i == 0 ? first(kText, "x") : middle(""); },
      [](int i) { return i == 0 ? first(kText, "x") : middle("y"); },
      [](int i) { return i == 0 ? first(kText, "x") : pong("not a part of it"); },
      [](int i) { return i == 0 ? text("x").substr(0, 1) : std::string(); },
  };
  std::vector<std::future<void>> peers;
  for (const auto& unit : drips) {
    peers.push_back(std::async(std::launch::async, expect_1008_for, tls(), unit));
  }
  for (auto& peer : peers) peer.get();
}

// "30 s to assemble a message unless bytes keep flowing at >= 16 KiB/s".
TEST_P(ServerTimeouts, ASteadyMessageMayTakeLonger) {
  Limits limits;
  limits.assembly_ms = 700;
  limits.assembly_bytes_per_s = 200;
  TestServer server(limits);
  Peer peer = server.peer(tls());
  const std::string payload(12'000, 'x');
  const std::string message = text(payload);
  for (std::size_t at = 0; at < message.size(); at += 300) {
    ASSERT_TRUE(peer.stream->write(message.substr(at, 300)));
    std::this_thread::sleep_for(40ms);  // 1.6 s in all, at 7,500 bytes per second
  }
  EXPECT_EQ(peer.play(Script().gets_text(payload).bye()), "");
}

TEST_P(ServerTimeouts, TheDeadlineIsForEachMessageByItself) {
  Limits limits;
  limits.assembly_ms = 200;
  TestServer server(limits);
  Peer peer = server.peer(tls());
  Script script;
  // A whole message in each write; a new one begins in the write that ends another.
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(peer.stream->write(text("whole") + first(kText, "a") + last("b")));
    script.gets_text("whole").gets_text("ab");
    std::this_thread::sleep_for(25ms);
  }
  EXPECT_EQ(peer.play(script.bye()), "");
}

// --- the opening handshake ---

Limits short_handshake() {
  Limits limits;
  limits.handshake_ms = 300;
  return limits;
}

void expect_408(Stream& stream, Clock::time_point start) {
  Client client(stream);
  Answer answer;
  EXPECT_EQ(client.read_answer(answer, kPatienceMs), "");
  EXPECT_EQ(answer.status, 408);
  EXPECT_TRUE(answer.has_token("Connection", "close"));
  EXPECT_EQ(client.read_end(kPatienceMs), "");
  expect_not_before(start, 300ms);
}

// Row H9: "one absolute deadline from accept() covering TLS + HTTP, not an idle timer".
TEST_P(ServerTimeouts, ADrippedRequestGets408) {
  TestServer server(short_handshake());
  const auto start = Clock::now();
  const auto stream = server.connect(tls());
  ASSERT_NE(stream, nullptr);
  const std::string request = Request().with("X-Padding: " + std::string(500, 'x')).str();
  std::string heard;
  for (std::size_t i = 0; i < 10; ++i) {
    ASSERT_TRUE(stream->write(request.substr(i, 1)));
    std::this_thread::sleep_for(20ms);
  }
  expect_408(*stream, start);
  EXPECT_EQ(server.journal().opens(), 0U);
}

TEST_P(ServerTimeouts, APeerThatAsksNothingGets408) {
  TestServer server(short_handshake());
  const auto start = Clock::now();
  const auto stream = server.connect(tls());
  ASSERT_NE(stream, nullptr);
  expect_408(*stream, start);
}

TEST_P(ServerTimeouts, TheHandshakeDeadlineEndsWithTheHandshake) {
  TestServer server(short_handshake());
  Peer peer = server.peer(tls());
  EXPECT_EQ(peer.play(Script().silent(700).sends(text("hi")).gets_text("hi").bye()), "");
}

// Row T1. There is nobody to answer in TLS's or HTTP's terms.
TEST(ServerTimeoutsOfTls, AnUnfinishedTlsHandshakeIsDropped) {
  TestServer server(short_handshake());
  const std::string hello = TlsClient().take();
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{11}, hello.size()}) {
    const auto start = Clock::now();
    const auto stream = Stream::open(server.port(true), false);  // TLS by hand
    ASSERT_NE(stream, nullptr);
    for (std::size_t i = 0; i < bytes; ++i) {
      ASSERT_TRUE(stream->write(hello.substr(i, i == 11 ? hello.size() : 1)));
      if (i == 11) break;
    }
    std::string heard;
    Stream::Got got = Stream::Got::kData;
    while (got == Stream::Got::kData) got = stream->read(heard, kPatienceMs);
    EXPECT_NE(got, Stream::Got::kTimeout) << bytes;
    EXPECT_EQ(heard.find("HTTP"), std::string::npos);
    expect_not_before(start, 300ms);
  }
  EXPECT_TRUE(server.has_connections(0));
}

// --- the closing handshake ---

TEST_P(ServerTimeouts, AnUnansweredCloseEndsAtItsDeadline) {
  Limits limits;
  limits.close_ms = 250;
  TestServer server(limits,
                    [](Conn& conn, const Message&) { conn.close(CloseCode{4001}, "go away"); });
  {
    Peer peer = server.peer(tls());
    const auto start = Clock::now();
    EXPECT_EQ(peer.play(Script().sends(text("x")).gets_close(4001)), "");
    // More messages are no answer, and win no time.
    ASSERT_TRUE(peer.stream->write(text("y") + ping()));
    EXPECT_EQ(peer.client.read_end(kPatienceMs), "");
    expect_not_before(start, 250ms);
  }
  // "code: what the peer sent, else what we did"; "kTimeout: ... a closing handshake that took too
  // long".
  expect_end(server, 4001, CloseCause::kTimeout);
  EXPECT_EQ(server.journal().messages(), 1U);
}

// "lingering drain 2 s": a peer that never closes its side does not keep its place.
TEST_P(ServerTimeouts, LingeringEnds) {
  Limits limits;
  limits.linger_ms = 250;
  TestServer server(limits);
  Peer peer = server.peer(tls());
  const auto start = Clock::now();
  EXPECT_EQ(peer.play(Script().sends(text("\xff")).fails(1007)), "");
  EXPECT_TRUE(server.has_connections(0));
  expect_not_before(start, 250ms);
  expect_end(server, 1007, CloseCause::kProtocol);
}

TEST_P(ServerTimeouts, LingeringEndsForTheRefusedToo) {
  Limits limits;
  limits.linger_ms = 250;
  TestServer server(limits);
  const auto stream = server.connect(tls());
  ASSERT_NE(stream, nullptr);
  EXPECT_EQ(Client(*stream).play(Script().sends(Request().without("Host").str()).refused(400)), "");
  EXPECT_TRUE(server.has_connections(0));
}

// What our kernel holds for a slow reader, megabytes of it, comes before the end: no deadline is
// for one that goes on reading.
std::string read_slowly(RawPeer& peer, std::size_t wanted, const std::string& says_meanwhile) {
  std::string got;
  while (got.size() < wanted && !peer.ended()) {
    got += peer.exchange(std::min<std::size_t>(wanted - got.size(), 100'000), kPatienceMs);
    if (!says_meanwhile.empty() && !peer.send_raw(says_meanwhile)) break;
    std::this_thread::sleep_for(100ms);
  }
  return got;
}

TEST_P(ServerTimeouts, ASlowReaderGetsAllThatIsOwedBeforeTheEnd) {
  Limits limits;
  limits.close_ms = limits.linger_ms = 500;
  TestServer server(limits);
  RawPeer peer(connect_tcp(server.port(tls()), {.receive_buffer_bytes = 16'384}), tls());
  peer.upgrade();
  const std::string payload(3'500'000, 'z');
  peer.queue(binary(payload) + close(1000));
  peer.push(kPatienceMs);
  const std::string owed = server_frame(kBinary, payload) + server_close(1000);
  EXPECT_TRUE(read_slowly(peer, owed.size(), "") == owed);
}

// It cannot know yet that the conversation is over, and says more.
TEST(ServerTimeoutsOfReaders, ASlowReaderThatSpeaksOnHearsWhyItEnds) {
  Limits limits;
  limits.linger_ms = 500;
  TestServer server(limits);
  RawPeer peer(connect_tcp(server.port(false), {.receive_buffer_bytes = 16'384}), false);
  peer.upgrade();
  const std::string payload(1'500'000, 'z');
  peer.queue(binary(payload) + text("\xff"));
  peer.push(kPatienceMs);
  const std::string owed = server_frame(kBinary, payload) + server_frame(kClose, "\x03\xef");
  const std::string got = read_slowly(peer, owed.size() - 2, ping("still here"));
  EXPECT_GT(got.size(), owed.size() - 4);
  EXPECT_EQ(got.substr(payload.size() + 10, 1), "\x88");
}

// Late bytes of a peer that was told to go meet no RST, which might destroy what it was told.
TEST_P(ServerTimeouts, LateBytesAreDrained) {
  TestServer server;
  RawPeer peer(connect_tcp(server.port(tls())), tls());
  peer.upgrade();
  peer.queue(text("\xff"));
  for (int i = 0; i < 50; ++i) peer.queue(text("late"));
  peer.push(kPatienceMs);
  std::this_thread::sleep_for(50ms);
  peer.queue(text("later"));
  peer.push(kPatienceMs);
  std::this_thread::sleep_for(50ms);
  std::string heard = peer.exchange(1'000, 10'000);
  const auto frame = take_frame(heard);
  ASSERT_TRUE(frame.has_value());
  EXPECT_EQ(frame->payload.substr(0, 2), "\x03\xef") << "1007";
}

}  // namespace
}  // namespace ws::test
