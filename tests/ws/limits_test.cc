// Limits on how many may connect and on what one may take from the others (rows R5, R6, E1, E3 and
// E4).
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/support/raw_peer.h"
#include "tests/support/test_server.h"
#include "tests/support/wsd_process.h"

namespace ws::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class ServerLimits : public OverBothSchemes {};
INSTANTIATE_TEST_SUITE_P(Over, ServerLimits, testing::Bool(), scheme);

// "At most 1 GiB" (core/limits.h): above it a buffer could not hold what waits.
TEST(Limits, MayNotBeMoreThanABufferHolds) {
  const auto fault_of = [](const Limits& limits) {
    const auto good = Server({.limits = limits}).check();
    return good ? "" : good.error().message();
  };
  EXPECT_EQ(fault_of({.message_bytes = kMessageBytesMost, .queue_max_bytes = kMessageBytesMost}),
            "");
  EXPECT_EQ(fault_of({.message_bytes = kMessageBytesMost + 1}),
            "limits: message_bytes is at most 1 GiB");
  EXPECT_EQ(fault_of({.queue_max_bytes = kMessageBytesMost + 1}),
            "limits: queue_max_bytes is at most 1 GiB");
}

// --- how many ---

void expect_503(std::unique_ptr<Stream> stream) {
  ASSERT_NE(stream, nullptr);
  Client client(*stream);
  Answer answer;
  ASSERT_TRUE(stream->write(Request().str()));
  ASSERT_EQ(client.read_answer(answer, 20'000), "");
  EXPECT_EQ(answer.status, 503);
  EXPECT_TRUE(answer.header("Retry-After").has_value());
  EXPECT_TRUE(answer.has_token("Connection", "close"));
  EXPECT_EQ(client.read_end(20'000), "");
}

TEST_P(ServerLimits, ConnectionsBeyondTheLimitGet503) {
  Limits limits;
  limits.connections = 2;
  TestServer server(limits);
  Peer one = server.peer(tls());
  {
    Peer two = server.peer(tls());
    // More than are told so at a time: one after the other they all are.
    for (int i = 0; i < 40; ++i) expect_503(server.connect(tls()));
    EXPECT_EQ(one.play(Script().sends(text("a")).gets_text("a")), "");
    EXPECT_EQ(two.play(Script().sends(text("b")).gets_text("b").bye()), "");
  }
  EXPECT_TRUE(server.has_connections(1));
  EXPECT_EQ(server.serves(tls()), "") << "a place is free again";
  EXPECT_EQ(server.journal().opens(), 3U);
}

// Who waits to be told that there is no room takes none.
TEST_P(ServerLimits, TheRefusedTakeNoPlace) {
  Limits limits;
  limits.connections = 2;
  TestServer server(limits);
  std::vector<std::unique_ptr<Stream>> silent;
  {
    Peer one = server.peer(tls());
    Peer two = server.peer(tls());
    for (int i = 0; i < 8; ++i) silent.push_back(server.connect(tls()));
    expect_503(server.connect(tls()));
    EXPECT_EQ(one.play(Script().bye()), "");
    EXPECT_EQ(two.play(Script().bye()), "");
  }
  EXPECT_TRUE(server.has_connections(0));
  EXPECT_EQ(server.serves(tls()), "");
}

TEST_P(ServerLimits, TheLimitIsForAllThreadsTogether) {
  Limits limits;
  limits.connections = 3;
  Journal journal;
  TestServer server({.listen = {}, .tls = {}, .origins = {}, .threads = 3, .limits = limits},
                    journal.handlers());
  std::vector<Peer> peers;
  for (int i = 0; i < 3; ++i) peers.push_back(server.peer(tls()));
  for (int i = 0; i < 5; ++i) expect_503(server.connect(tls()));
  peers.clear();
  EXPECT_TRUE(server.has_connections(0));
  EXPECT_EQ(server.serves(tls()), "");
  server.stop_and_wait();
}

// However many come: nobody inside notices, and all of it is over when they leave.
TEST_P(ServerLimits, ACrowdAtTheDoorIsTurnedAway) {
  Limits limits;
  limits.connections = 1;
  limits.handshake_ms = 2'000;
  TestServer server(limits);
  Peer inside = server.peer(tls());
  {
    std::vector<std::unique_ptr<Stream>> crowd;
    for (int i = 0; i < 150; ++i) crowd.push_back(Stream::open(server.port(tls()), tls()));
    EXPECT_EQ(inside.play(Script().sends(text("a")).gets_text("a")), "");
  }
  EXPECT_TRUE(server.has_connections(1));
  EXPECT_EQ(inside.play(Script().sends(text("b")).gets_text("b").bye()), "");
}

TEST_P(ServerLimits, ConnectionsOfOneAddressBeyondItsLimitGet503) {
  Limits limits;
  limits.connections_per_ip = 2;
  TestServer server(limits);
  Peer one = server.peer(tls());
  {
    Peer two = server.peer(tls());
    expect_503(server.connect(tls()));
    RawPeer elsewhere(connect_tcp(server.port(tls()), {.source_ip = "127.0.0.2"}), tls());
    elsewhere.upgrade();
    EXPECT_EQ(two.play(Script().bye()), "");
  }
  EXPECT_TRUE(server.has_connections(1));
  EXPECT_EQ(server.serves(tls()), "");
  EXPECT_EQ(one.play(Script().bye()), "");
}

// Silent ones hold few places, and only until they are told; nobody else is kept out by them.
TEST_P(ServerLimits, ACrowdOfOneAddressKeepsNobodyElseOut) {
  Limits limits;
  limits.connections = 20;
  limits.connections_per_ip = 2;
  TestServer server(limits);
  Peer one = server.peer(tls());
  Peer two = server.peer(tls());
  std::vector<std::unique_ptr<Stream>> crowd;
  for (int i = 0; i < 60; ++i) crowd.push_back(Stream::open(server.port(tls()), tls()));
  RawPeer elsewhere(connect_tcp(server.port(tls()), {.source_ip = "127.0.0.2"}), tls());
  elsewhere.upgrade();
  // Nor do they take the place of who leaves.
  EXPECT_EQ(two.play(Script().bye()), "");
  EXPECT_TRUE(eventually([&] { return server.serves(tls()).empty(); }));
  EXPECT_EQ(one.play(Script().bye()), "");
}

// --- how much at a time ---

// Handlers that stop the server's only thread at the first message, until the test says go; and the
// order in which all messages were handled, one letter each: its first byte. Answering the greedy
// peer's is quick; `slow` handlers answer none, so that more of them always waits.
class Gate {
 public:
  Handlers handlers(bool slow) {
    return {.on_open = {},
            .on_message =
                [this, slow](Conn& conn, const Message& message) {
                  const char letter = message.text().front();
                  {
                    std::unique_lock lock(mutex_);
                    order_.push_back(letter);
                    if (letter == '|') changed_.wait_for(lock, 20s, [&] { return open_; });
                  }
                  if (slow && letter == 'a') {
                    std::this_thread::sleep_for(100us);
                  } else {
                    conn.send(message);
                  }
                },
            .on_close = {}};
  }
  bool reached() const {
    const std::lock_guard lock(mutex_);
    return !order_.empty();
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  // How many messages were handled before the first of this letter.
  std::size_t before(char letter) const {
    const std::lock_guard lock(mutex_);
    return std::min(order_.find(letter), order_.size());
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::string order_;
  bool open_ = false;
};

// Row E4. While the server stands still, one peer fills its pipe and another sends one message; how
// many of the first peer's are handled before the other's?
std::size_t handled_before_the_other(const Limits& limits, bool tls, bool slow,
                                     const std::string& flood, const std::string& owed) {
  Gate gate;
  TestServer server(gate.handlers(slow), limits);
  RawPeer greedy(connect_tcp(server.port(tls)), tls);
  greedy.upgrade();
  Peer other = server.peer(tls);
  greedy.queue(text("|"));
  greedy.push(20'000);
  EXPECT_TRUE(eventually([&] { return gate.reached(); }));
  greedy.queue(flood);
  greedy.push(200);
  EXPECT_TRUE(other.stream->write(text("b")));
  std::this_thread::sleep_for(20ms);
  gate.open();
  const std::string wanted = server_frame(kText, "|") + owed;
  EXPECT_TRUE(greedy.exchange(wanted.size(), 60'000) == wanted);
  greedy.queue(close(1000));
  EXPECT_EQ(greedy.exchange(4), server_close(1000));
  EXPECT_EQ(other.play(Script().gets_text("b").bye()), "");
  return gate.before('b');
}

TEST_P(ServerLimits, TinyMessagesOfOneDoNotHoldUpAnother) {
  constexpr std::size_t kMessages = 100'000;
  Limits limits;
  limits.link_messages_per_turn = 100;
  const std::size_t count =
      handled_before_the_other(limits, tls(), false, repeat(text("a"), kMessages * 7),
                               repeat(server_frame(kText, "a"), kMessages * 3));
  EXPECT_LE(count, 500U) << "a few turns of 100";
}

TEST_P(ServerLimits, FragmentsOfOneDoNotHoldUpAnother) {
  constexpr std::size_t kMessages = 1'000;
  Limits limits;
  limits.link_messages_per_turn = 100;
  const std::string payload(99, 'a');
  const std::string message = fragmented(kText, payload, 1);
  const std::string answer = server_frame(kText, payload);
  const std::size_t count =
      handled_before_the_other(limits, tls(), false, repeat(message, kMessages * message.size()),
                               repeat(answer, kMessages * answer.size()));
  EXPECT_LE(count, 20U) << "a few turns of 100 fragments, each a message";
}

TEST_P(ServerLimits, LargeMessagesOfOneDoNotHoldUpAnother) {
  constexpr std::size_t kMessages = 1'000;
  Limits limits;
  limits.link_bytes_per_turn = 16 * 1024;
  std::string flood;
  const std::string message = binary(std::string(8'192, 'a'));
  for (std::size_t i = 0; i < kMessages; ++i) flood += message;
  const std::size_t count = handled_before_the_other(limits, tls(), true, flood, "");
  // One read may take 256 KiB, or 32 of them, where the budget's end is noticed after it.
  EXPECT_LE(count, 100U);
}

TEST_P(ServerLimits, AFloodLeavesOthersTheirLatency) {
  TestServer server;
  Peer other = server.peer(tls());
  std::atomic<bool> enough = false;
  std::thread flood([&] {
    RawPeer greedy(connect_tcp(server.port(tls())), tls());
    greedy.upgrade();
    while (!enough) {
      greedy.queue(repeat(text("a"), 7 * 100'000));
      EXPECT_TRUE(greedy.exchange(3 * 100'000).size() >= 3 * 100'000);
    }
  });
  auto longest = Clock::duration::zero();
  for (int i = 0; i < 30; ++i) {
    const auto start = Clock::now();
    EXPECT_EQ(other.play(Script().sends(text("b")).gets_text("b")), "");
    longest = std::max(longest, Clock::now() - start);
    std::this_thread::sleep_for(5ms);
  }
  enough = true;
  flood.join();
  EXPECT_LT(longest, 2s);
}

// Row E3: whatever a budget leaves behind is picked up again, though no edge says so.
TEST_P(ServerLimits, TheSmallestBudgetsStillServeEverything) {
  Limits limits;
  limits.accepts_per_turn = 1;
  limits.tls_handshakes_per_turn = 1;
  limits.link_bytes_per_turn = 1;
  limits.link_messages_per_turn = 1;
  TestServer server(limits);
  std::string flood;
  std::string owed;
  for (int i = 0; i < 300; ++i) {
    const std::string payload = std::to_string(i) + std::string(i % 10 == 0 ? 5'000 : 0, 'x');
    flood += i % 3 == 0 ? fragmented(kText, payload, payload.size() / 2 + 1) : text(payload);
    owed += server_frame(kText, payload);
  }
  flood += close(1000);
  owed += server_close(1000);
  std::vector<std::unique_ptr<RawPeer>> peers;
  for (int i = 0; i < 15; ++i) {
    peers.push_back(std::make_unique<RawPeer>(connect_tcp(server.port(tls())), tls()));
    peers.back()->queue(Request().str() + flood);
    peers.back()->push(5'000);
  }
  for (const auto& peer : peers) {
    std::string got = peer->exchange(1'000'000, 60'000);  // until the end
    EXPECT_TRUE(peer->ended());
    const std::size_t head = got.find("\r\n\r\n");
    ASSERT_NE(head, std::string::npos);
    EXPECT_TRUE(got.substr(head + 4) == owed) << got.size();
  }
}

// --- descriptors run out (row E1, P11) ---

// Milliseconds of processor time, user and system, from /proc/PID/stat.
long cpu_ms(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);
  text.erase(0, text.rfind(')') + 2);  // the name may hold anything
  std::istringstream fields(text);
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  long user = 0;
  long system = 0;
  fields >> user >> system;
  return (user + system) * 1000 / ::sysconf(_SC_CLK_TCK);
}

TEST(ServerOutOfDescriptors, NeitherSpinsNorStaysDeaf) {
  WsdProcess wsd({"--listen", "ws://127.0.0.1:0", "--threads", "1"});
  ASSERT_TRUE(wsd.wait_listening(1)) << wsd.output();
  const std::uint16_t port = wsd.port("ws://");
  auto early_stream = Stream::connect(port, false);
  ASSERT_NE(early_stream, nullptr);
  Peer early(std::move(early_stream));
  const std::filesystem::directory_iterator open("/proc/" + std::to_string(wsd.pid()) + "/fd");
  const auto used = static_cast<rlim_t>(std::distance(begin(open), end(open)));
  const rlimit tight = {.rlim_cur = used + 10, .rlim_max = used + 10};
  ASSERT_EQ(::prlimit(wsd.pid(), RLIMIT_NOFILE, &tight, nullptr), 0);

  std::vector<std::unique_ptr<Stream>> crowd;
  for (int i = 0; i < 200; ++i) crowd.push_back(Stream::open(port, false));
  std::this_thread::sleep_for(200ms);
  const long before_ms = cpu_ms(wsd.pid());
  const auto start = Clock::now();
  std::this_thread::sleep_for(1s);
  EXPECT_EQ(early.play(Script().sends(text("a")).gets_text("a")), "") << "the others go on";
  const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start);
  EXPECT_LT(cpu_ms(wsd.pid()) - before_ms, passed.count() / 5) << "it spins";
  const std::string output = wsd.output();
  EXPECT_LE(std::count(output.begin(), output.end(), '\n'), 40) << output;

  crowd.clear();
  std::string wrong = "not tried";
  for (int tries = 0; tries < 100 && !wrong.empty(); ++tries) {
    std::this_thread::sleep_for(50ms);
    const auto stream = Stream::connect(port, false);
    if (stream == nullptr) continue;
    Client client(*stream);
    wrong = client.upgrade();
    if (wrong.empty()) wrong = client.play(Script().sends(text("b")).gets_text("b").bye());
  }
  EXPECT_EQ(wrong, "") << wsd.output();
  EXPECT_EQ(early.play(Script().bye()), "");
}

}  // namespace
}  // namespace ws::test
