// Peers that do not take their output (rows R1, R2 and E5): memory stays bounded,
// nothing is lost or reordered for those who read in the end.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <future>
#include <initializer_list>
#include <string>
#include <thread>

#include "tests/conformance/conformance.h"
#include "tests/support/raw_peer.h"
#include "tests/support/test_server.h"

namespace ws::test {
namespace {

constexpr int kStuckMs = 150;

class ServerBackpressure : public OverBothSchemes {
 protected:
  // One whose own window is small, so that little disappears in its kernel.
  RawPeer narrow_peer(const TestServer& server) const {
    RawPeer peer(connect_tcp(server.port(tls()), {.receive_buffer_bytes = 16'384}), tls());
    peer.upgrade();
    return peer;
  }
};
INSTANTIATE_TEST_SUITE_P(Over, ServerBackpressure, testing::Bool(), scheme);

// The most that the kernel keeps for one socket: the last number of tcp_rmem or tcp_wmem.
std::size_t kernel_buffer_max(const char* name) {
  std::ifstream file(std::string("/proc/sys/net/ipv4/") + name);
  std::size_t least = 0;
  std::size_t usual = 0;
  std::size_t most = std::size_t{8} << 20;
  file >> least >> usual >> most;
  return most;
}

// Bytes that no piece of them repeats, told apart by `seed`.
std::string noise(std::size_t bytes, std::uint32_t seed) {
  std::string out(bytes, '\0');
  std::uint32_t state = seed * 2 + 1;
  for (char& each : out) {
    state = state * 1664525 + 1013904223;
    each = static_cast<char>(state >> 24);
  }
  return out;
}

// Says where two long strings part.
void expect_same(const std::string& got, const std::string& wanted) {
  if (got == wanted) return;
  std::size_t at = 0;
  while (at < got.size() && at < wanted.size() && got[at] == wanted[at]) ++at;
  ADD_FAILURE() << got.size() << " bytes instead of " << wanted.size() << ", first difference at "
                << at;
}

// Queues echo requests until the kernel takes no more. Returns what has to come back.
std::string pipeline_until_stuck(RawPeer& peer, std::size_t bytes_max) {
  constexpr std::size_t kMessageBytes = 4'096;
  constexpr int kBatch = 64;
  std::string owed;
  std::uint32_t number = 0;
  while (owed.size() < bytes_max) {
    std::string batch;
    for (int i = 0; i < kBatch; ++i) {
      // Sizes around those at which the frame's header grows, and a large one at times.
      const std::size_t bytes = number % 97 == 0 ? 200'000 : number % 2 == 0 ? kMessageBytes : 125;
      const std::string payload = noise(bytes, number++);
      batch += binary(payload);
      owed += server_frame(kBinary, payload);
    }
    peer.queue(batch);
    peer.push(kStuckMs);
    if (!peer.all_sent()) break;
  }
  return owed;
}

// "queued output per link: 256 KiB pauses reading from that link".
TEST_P(ServerBackpressure, StopsReadingFromAPeerThatDoesNot) {
  std::atomic<bool> dropped = false;
  TestServer server({}, [&](Conn& conn, const Message& message) {
    const SendStatus status = conn.send(message);
    if (status == SendStatus::kDropped || status == SendStatus::kClosed) dropped = true;
  });
  RawPeer peer = narrow_peer(server);
  // Both kernels' buffers in both directions, and room for what the server may hold by its limits.
  const std::size_t bound =
      kernel_buffer_max("tcp_rmem") + 2 * kernel_buffer_max("tcp_wmem") + (std::size_t{4} << 20);
  const std::string owed = pipeline_until_stuck(peer, 2 * bound);
  EXPECT_LT(owed.size(), bound) << "the server takes everything";
  // What was handled has been answered: by the queue's high mark, or what the kernel holds. One
  // read and one message may go beyond.
  const std::size_t handled_max =
      kLimits.queue_high_bytes + kernel_buffer_max("tcp_wmem") + std::size_t{2} * 1024 * 1024;
  EXPECT_LT(server.journal().bytes(), handled_max);
  const Peer witness = server.peer(tls());
  EXPECT_EQ(server.serves(tls()), "") << "others feel nothing of it";

  expect_same(peer.exchange(owed.size(), 120'000), owed);
  EXPECT_FALSE(dropped);
  peer.queue(close(1000));
  EXPECT_EQ(peer.exchange(4), server_close(1000));
}

// on_close says "what the peer sent", also when it is a write that first meets the reset.
TEST_P(ServerBackpressure, WhatWasSaidBeforeAResetIsHeard) {
  std::atomic<bool> waiting = false;
  std::atomic<bool> heard = false;
  ConnId id;
  TestServer server({}, [&](Conn& conn, const Message& message) {
    if (message.text() == "last words") {
      heard = true;
      return;
    }
    while (conn.queued_bytes() == 0) conn.send(std::string(60'000, 'x'));
    id = conn.id();
    waiting = true;
  });
  RawPeer peer = narrow_peer(server);
  peer.queue(text("fill the queue, but not up to the mark where reading stops"));
  peer.push(kStuckMs);
  ASSERT_TRUE(eventually([&] { return waiting.load(); }));
  // Its thread sleeps, so that all of it is one event.
  std::atomic<bool> asleep = false;
  std::atomic<bool> awake = false;
  server.server().post(id, [&](Conn&) {
    asleep = true;
    eventually([&] { return awake.load(); });
  });
  ASSERT_TRUE(eventually([&] { return asleep.load(); }));
  peer.queue(text("last words") + close(4000));
  peer.push(kStuckMs);
  peer.reset();
  awake = true;
  const auto closings = server.journal().closings(1);
  ASSERT_EQ(closings.size(), 1U);
  EXPECT_TRUE(heard);
  EXPECT_EQ(static_cast<int>(closings[0].code), 4000);
  EXPECT_EQ(closings[0].cause, CloseCause::kPeer);
}

// Nothing else would ever tell of it.
TEST(ServerPauses, APeerThatIsGoneIsNotKeptByAPause) {
  std::promise<void> go;
  TestServer server({}, [&](Conn& conn, const Message&) {
    go.get_future().wait();
    conn.send(std::string(40'000, 'x'));
    conn.pause_reading();
  });
  RawPeer peer(connect_tcp(server.port(false)), false);
  peer.upgrade();
  ASSERT_TRUE(peer.send_raw(text("hello")));
  ASSERT_TRUE(eventually([&] { return server.journal().messages() == 1; }));
  peer.reset();
  go.set_value();
  ASSERT_EQ(server.journal().closings(1).size(), 1U);
}

// Everything owed comes, then the answer to the Close that stood behind all of it.
TEST_P(ServerBackpressure, AnswersACloseBehindALongPipeline) {
  TestServer server;
  RawPeer peer = narrow_peer(server);
  std::string owed;
  for (std::uint32_t i = 0; i < 32; ++i) {
    const std::string payload = noise(100'000, i);
    peer.queue(binary(payload));
    owed += server_frame(kBinary, payload);
  }
  peer.queue(close(4000) + text("never answered"));
  peer.push(kStuckMs);
  owed += server_close(4000);
  expect_same(peer.exchange(owed.size() + 1, 60'000), owed);
  EXPECT_TRUE(peer.ended());
  peer.reset();
  EXPECT_EQ(static_cast<int>(server.journal().closings(1).at(0).code), 4000);
}

// Row E6: "on HUP or RDHUP read to EOF first, then close"; a peer that has finished writing still
// reads.
TEST_P(ServerBackpressure, AnswersEverythingThatPrecedesAFin) {
  TestServer server;
  RawPeer peer = narrow_peer(server);
  std::string owed;
  for (std::uint32_t i = 0; i < 32; ++i) {
    const std::string payload = noise(50'000, i);
    peer.queue(binary(payload));
    owed += server_frame(kBinary, payload);
  }
  // The last of it needs the server to read on, so it has to be drained meanwhile.
  std::string got;
  while (!peer.all_sent()) got += peer.exchange(1, 20'000);
  peer.half_close();
  got += peer.exchange(owed.size() - got.size(), 60'000);
  expect_same(got, owed);
}

// The same received bytes queued three times: none of the copies may go with the first.
TEST_P(ServerBackpressure, OneMessageMayBeSentThreeTimesFromItsCallback) {
  std::atomic<int> statuses = 0;
  TestServer server({}, [&](Conn& conn, const Message& message) {
    for (int i = 0; i < 3; ++i) {
      const SendStatus status = conn.send(message);
      statuses += status == SendStatus::kSent || status == SendStatus::kQueued ? 1 : 0;
    }
  });
  RawPeer peer = narrow_peer(server);
  const std::string payload = noise(std::size_t{1} << 20, 7);
  peer.queue(binary(payload) + binary(payload) + text("end"));
  peer.push(kStuckMs);
  std::string owed;
  for (int i = 0; i < 6; ++i) owed += server_frame(kBinary, payload);
  for (int i = 0; i < 3; ++i) owed += server_frame(kText, "end");
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  expect_same(peer.exchange(owed.size(), 60'000), owed);
  EXPECT_EQ(statuses, 9);
}

// Messages of every size from the smallest to one that fills several reads, echoed twice, to a peer
// that reads late: every way a message can be held must keep its bytes.
TEST_P(ServerBackpressure, KeepsMessagesOfEverySizeIntact) {
  TestServer server({}, [](Conn& conn, const Message& message) {
    conn.send(message);
    conn.send(message);
  });
  RawPeer peer = narrow_peer(server);
  std::string owed;
  std::string sent;
  for (const std::size_t bytes : std::initializer_list<std::size_t>{
           1, 125, 126, 1'000, 4'096, 16'383, 16'384, 16'385, 65'535, 65'536, 100'000, 262'143,
           262'144, 262'145, 500'000, 1'000'000}) {
    for (const char* opening : {"", "frag"}) {
      const std::string payload = noise(bytes, static_cast<std::uint32_t>(bytes));
      sent += *opening == '\0' ? binary(payload) : fragmented(kBinary, payload, bytes / 3 + 1);
      for (int i = 0; i < 2; ++i) owed += server_frame(kBinary, payload);
    }
  }
  peer.queue(sent);
  peer.push(kStuckMs);
  expect_same(peer.exchange(owed.size(), 60'000), owed);
}

// Row R1: "hold one pending pong (newest; RFC 6455 5.5.3 allows it)".
TEST_P(ServerBackpressure, APingFloodCostsOnePong) {
  Limits limits;
  limits.queue_max_bytes = 512 * 1024;
  TestServer server(limits);
  RawPeer peer = narrow_peer(server);
  // First fill the way back, so that no pong gets through any more.
  peer.queue(binary(noise(5'000'000, 1)) + binary(noise(5'000'000, 2)));
  peer.push(kStuckMs);
  constexpr std::uint32_t kPings = 60'000;  // of 131 bytes: far more than queue_max_bytes
  std::string flood;
  for (std::uint32_t i = 1; i <= kPings; ++i) {
    std::string payload = std::to_string(i);
    payload.resize(125, ' ');
    flood += ping(payload);
  }
  peer.queue(flood);
  peer.push(kStuckMs);

  std::string bytes;
  std::uint32_t newest = 0;
  std::size_t messages = 0;
  while (newest < kPings) {
    bytes += peer.exchange(1, 20'000);
    while (auto frame = take_frame(bytes)) {
      if (frame->opcode == kBinary) {
        ++messages;
        continue;
      }
      ASSERT_EQ(frame->opcode, kPong) << "after " << newest;
      const auto number = static_cast<std::uint32_t>(std::stoul(frame->payload));
      ASSERT_GT(number, newest);
      newest = number;
    }
    ASSERT_FALSE(peer.ended()) << "after " << newest;
  }
  EXPECT_EQ(messages, 2U);
  peer.queue(close(1000));
  EXPECT_EQ(peer.exchange(4), server_close(1000));
}

// "hard limit 16 MiB + one message -> close 1013", and what had been promised still comes.
TEST_P(ServerBackpressure, DropsWhatExceedsTheQueueAndCloses1013) {
  Limits limits;
  limits.queue_high_bytes = 64 * 1024;
  limits.queue_max_bytes = 1024 * 1024;
  constexpr std::size_t kBytes = 100'000;
  // Whatever the kernel takes, this is more.
  const std::size_t sends_max = (2 * kernel_buffer_max("tcp_wmem") + (8U << 20)) / kBytes;
  std::atomic<std::size_t> accepted = 0;
  std::atomic<int> first_refusal = -1;
  std::atomic<int> second_refusal = -1;
  TestServer server(limits, [&](Conn& conn, const Message&) {
    for (std::uint32_t i = 0; i < sends_max && second_refusal < 0; ++i) {
      const std::string payload = noise(kBytes, i);
      const SendStatus status = conn.send(binary_message(payload));
      if (status == SendStatus::kSent || status == SendStatus::kQueued) {
        ++accepted;
      } else {
        (first_refusal < 0 ? first_refusal : second_refusal) = static_cast<int>(status);
      }
    }
  });
  RawPeer peer = narrow_peer(server);
  peer.queue(text("go"));
  peer.push(20'000);
  ASSERT_TRUE(eventually([&] { return second_refusal >= 0; })) << accepted << " were accepted";
  EXPECT_EQ(first_refusal, static_cast<int>(SendStatus::kDropped));
  EXPECT_EQ(second_refusal, static_cast<int>(SendStatus::kClosed));

  std::string owed;
  for (std::uint32_t i = 0; i < accepted; ++i) owed += server_frame(kBinary, noise(kBytes, i));
  const std::string got = peer.exchange(owed.size() + 200, 60'000);
  expect_same(got.substr(0, owed.size()), owed);
  std::string rest = got.substr(std::min(owed.size(), got.size()));
  const auto last = take_frame(rest);
  ASSERT_TRUE(last.has_value()) << "no Close frame";
  EXPECT_EQ(last->opcode, kClose);
  EXPECT_EQ(last->payload.substr(0, 2), "\x03\xf5") << "1013";
  EXPECT_EQ(rest, "");
  EXPECT_TRUE(peer.ended());
  peer.reset();
  const auto closings = server.journal().closings(1);
  ASSERT_EQ(closings.size(), 1U);
  EXPECT_EQ(static_cast<int>(closings[0].code), 1013);
  EXPECT_EQ(to_string(closings[0].cause), to_string(CloseCause::kSlowConsumer));
}

// The same for a peer that never reads again: its memory does not stay.
TEST_P(ServerBackpressure, ASlowConsumerThatNeverReadsIsGoneInTime) {
  Limits limits;
  limits.queue_max_bytes = 1024 * 1024;
  limits.close_ms = 200;
  limits.linger_ms = 200;
  TestServer server(limits, [](Conn& conn, const Message& message) {
    for (int i = 0; i < 100'000; ++i) {
      if (conn.send(message) == SendStatus::kDropped) return;
    }
  });
  RawPeer peer = narrow_peer(server);
  peer.queue(binary(noise(50'000, 1)));
  peer.push(20'000);
  const auto closings = server.journal().closings(1);
  ASSERT_EQ(closings.size(), 1U);
  EXPECT_EQ(static_cast<int>(closings[0].code), 1013);
  EXPECT_EQ(to_string(closings[0].cause), to_string(CloseCause::kSlowConsumer));
  EXPECT_TRUE(server.has_connections(0));
}

// Row R4: every state owns a timer. Nobody reads here, so no ping can be answered; still it ends.
TEST_P(ServerBackpressure, APausedPeerIsNotKeptForEver) {
  Limits limits;
  limits.ping_after_ms = 150;
  limits.pong_wait_ms = 150;
  limits.close_ms = 150;
  limits.linger_ms = 150;
  TestServer server(limits);
  RawPeer peer = narrow_peer(server);
  peer.queue(binary(noise(10'000'000, 1)));
  peer.push(kStuckMs);
  peer.queue(binary(noise(10'000'000, 2)) + binary(noise(10'000'000, 3)));
  peer.push(kStuckMs);
  const auto closings = server.journal().closings(1);
  ASSERT_EQ(closings.size(), 1U);
  EXPECT_TRUE(closings[0].cause == CloseCause::kTimeout ||
              closings[0].cause == CloseCause::kSlowConsumer)
      << to_string(closings[0].cause);
  EXPECT_TRUE(server.has_connections(0));
}

}  // namespace
}  // namespace ws::test
