// Topics over sockets: threads, and subscribers that agreed on different compression.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/support/libz.h"
#include "tests/support/raw_peer.h"
#include "tests/support/test_server.h"
#include "ws/shard.h"
#include "ws/topics.h"

namespace ws::test {
namespace {

// A message that compresses, told apart by its number.
std::string event(int number) {
  std::string text = "{\"number\":" + std::to_string(number) + ",\"rows\":[";
  for (int i = 0; i < 40; ++i) {
    text += "{\"id\":" + std::to_string(number * 31 + i * 7 % 11) + ",\"state\":\"open\"},";
  }
  return text + "{}]}";
}

ServerOptions deflating(DeflateOptions deflate, unsigned threads = 1) {
  return {.listen = {"ws://127.0.0.1:0"}, .threads = threads, .deflate = deflate};
}

Handlers subscribing() {
  return {.on_open = [](Conn& conn) { conn.subscribe("t"); },
          .on_message = [](Conn& conn, const Message& message) { conn.send(message); }};
}

bool subscribed(TestServer& server, std::uint64_t count) {
  return eventually([&] { return server.server().topic_stats("*").subscriptions == count; });
}

// What a subscriber got, in order. thread: any.
class Inbox {
 public:
  Handlers handlers() {
    return {.on_message = [this](Conn&, const Message& message) {
      const std::lock_guard lock(mutex_);
      got_.emplace_back(message.text());
    }};
  }
  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return got_.size();
  }
  std::vector<std::string> got() const {
    const std::lock_guard lock(mutex_);
    return got_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> got_;
};

// Four threads outside, four inside: each message reaches everyone once, and those of one publisher
// in order.
TEST(FanOut, ReachesEveryoneOnceAndInOrderAcrossThreads) {
  constexpr std::size_t kSubscribers = 24;
  constexpr int kPublishers = 4;
  constexpr int kMessages = 500;
  TestServer server(deflating({}, 4), subscribing());
  std::deque<Inbox> inboxes(kSubscribers);
  ws::Client client;
  for (Inbox& inbox : inboxes) {
    ASSERT_TRUE(client.connect(server.server().urls()[0], {}, inbox.handlers()));
  }
  ASSERT_TRUE(subscribed(server, kSubscribers));
  std::vector<std::thread> publishers;
  for (int p = 0; p < kPublishers; ++p) {
    publishers.emplace_back([&, p] {
      for (int i = 0; i < kMessages; ++i) {
        EXPECT_TRUE(server.server().publish("t", std::to_string(p) + ":" + std::to_string(i)));
      }
    });
  }
  for (std::thread& publisher : publishers) publisher.join();
  constexpr std::size_t kAll = kPublishers * kMessages;
  for (const Inbox& inbox : inboxes) {
    ASSERT_TRUE(eventually([&] { return inbox.size() >= kAll; }));
    std::array<int, kPublishers> next{};
    for (const std::string& message : inbox.got()) {
      const auto publisher = static_cast<std::size_t>(message[0] - '0');
      ASSERT_EQ(message.substr(2), std::to_string(next[publisher]++));
    }
    EXPECT_EQ(inbox.size(), kAll);
  }
  EXPECT_EQ(server.server().topic_stats("*").published, kAll);
  ASSERT_TRUE(eventually(
      [&] { return server.server().topic_stats("*").delivered == kAll * kSubscribers; }));
}

// Each connection publishes from its handler, to all threads, with both calls.
TEST(FanOut, KeepsTheOrderOfHandlersAcrossThreads) {
  constexpr std::size_t kConnections = 12;
  constexpr int kRounds = 60;
  Server* inside = nullptr;
  TestServer server(deflating({}, 4), {.on_open = [](Conn& conn) { conn.subscribe("t"); },
                                       .on_message =
                                           [&](Conn& conn, const Message& message) {
                                             const std::string name(message.text());
                                             for (int i = 0; i < kRounds; ++i) {
                                               const std::string text =
                                                   name + ":" + std::to_string(i);
                                               EXPECT_TRUE(i % 2 == 0 ? inside->publish("t", text)
                                                                      : conn.publish("t", text));
                                             }
                                           }});
  inside = &server.server();
  std::deque<Inbox> inboxes(kConnections);
  std::mutex mutex;
  std::vector<ConnId> ids(kConnections);
  ws::Client client;
  for (std::size_t i = 0; i < kConnections; ++i) {
    Handlers handlers = inboxes[i].handlers();
    handlers.on_open = [&, i](Conn& conn) {
      const std::lock_guard lock(mutex);
      ids[i] = conn.id();
    };
    ASSERT_TRUE(client.connect(server.server().urls()[0], {}, std::move(handlers)));
  }
  ASSERT_TRUE(subscribed(server, kConnections));
  ASSERT_TRUE(eventually([&] {
    const std::lock_guard lock(mutex);
    return std::find(ids.begin(), ids.end(), ConnId{}) == ids.end();
  }));
  for (std::size_t i = 0; i < kConnections; ++i) {
    client.post(ids[i], [i](Conn& conn) { conn.send(std::to_string(i)); });
  }
  // Of its own messages everyone misses the odd ones.
  constexpr std::size_t kEach = kConnections * kRounds - kRounds / 2;
  for (std::size_t i = 0; i < kConnections; ++i) {
    ASSERT_TRUE(eventually([&] { return inboxes[i].size() >= kEach; }));
    std::array<int, kConnections> next{};
    for (const std::string& message : inboxes[i].got()) {
      const std::size_t colon = message.find(':');
      const auto publisher = static_cast<std::size_t>(std::stoi(message.substr(0, colon)));
      ASSERT_EQ(message.substr(colon + 1), std::to_string(next[publisher]));
      next[publisher] += publisher == i ? 2 : 1;
    }
    EXPECT_EQ(inboxes[i].size(), kEach);
  }
}

// Issue 4: "Cross-thread publish [...] adds at most one wake-up per shard and turn". While a thread
// is busy in one turn, whatever is published goes into the next one.
TEST(FanOut, ManyPublishesAreOneTurn) {
  Common common;
  const auto made = Shard::make(common, 0).value();
  Shard& shard = *made;
  common.shards.push_back(&shard);
  std::thread thread([&] { shard.run(); });
  std::atomic<bool> held = false;
  std::atomic<bool> go = false;
  std::atomic<std::uint64_t> first = 0;
  std::atomic<std::uint64_t> last = 0;
  shard.post([&] {
    first = shard.reactor().turn();
    held = true;
    eventually([&] { return go.load(); });
  });
  EXPECT_TRUE(eventually([&] { return held.load(); }));
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(common.publish("t", "message", {}));
  shard.post([&] { last = shard.reactor().turn(); });
  shard.post([&] { shard.shut_down(CloseCode::kGoingAway, 0); });
  go = true;
  thread.join();
  EXPECT_EQ(last, first + 1);
}

proto::PermessageDeflate deflate_for(proto::DeflateEngine& engine, unsigned window_bits,
                                     bool takeover) {
  return proto::PermessageDeflate(
      engine, proto::Role::kServer,
      {.server_no_context_takeover = !takeover, .server_max_window_bits = window_bits},
      {.mode = DeflateMode::kTakeover, .threshold_bytes = 100});
}

// Issue 3: "Fan-out compresses once for all subscribers with the same parameters".
TEST(Publication, IsCompressedOnceForEachWindow) {
  proto::DeflateEngine engine;
  proto::DeflateEngine of_another_thread;
  auto first = deflate_for(engine, 15, false);
  auto taking_over = deflate_for(engine, 15, true);
  auto elsewhere = deflate_for(of_another_thread, 15, false);
  auto narrow = deflate_for(engine, 9, false);
  Publication publication("t", event(1), {});
  const auto bytes = publication.compressed(first);
  ASSERT_GT(bytes.size(), 0u);
  EXPECT_LT(bytes.size(), publication.plain().size());
  EXPECT_EQ(publication.compressed(first).bytes().data(), bytes.bytes().data());
  EXPECT_EQ(publication.compressed(taking_over).bytes().data(), bytes.bytes().data());
  EXPECT_EQ(publication.compressed(elsewhere).bytes().data(), bytes.bytes().data());
  const auto narrower = publication.compressed(narrow);
  ASSERT_GT(narrower.size(), 0u);
  EXPECT_NE(narrower.bytes().data(), bytes.bytes().data());
  EXPECT_EQ(publication.compressed(narrow).bytes().data(), narrower.bytes().data());
}

TEST(Publication, IsPlainWhereCompressionIsNotWanted) {
  proto::DeflateEngine engine;
  auto deflate = deflate_for(engine, 15, false);
  EXPECT_EQ(Publication("t", event(1), {.compress = false}).compressed(deflate).size(), 0u);
  EXPECT_EQ(Publication("t", std::string(99, 'a'), {}).compressed(deflate).size(), 0u);
  EXPECT_GT(Publication("t", std::string(100, 'a'), {}).compressed(deflate).size(), 0u);
  std::mt19937 random(1951);
  std::vector<std::uint8_t> noise(1000);
  for (std::uint8_t& byte : noise) byte = static_cast<std::uint8_t>(random());
  Publication publication("t", noise, {});
  EXPECT_EQ(publication.compressed(deflate).size(), 0u) << "it does not shrink";
  EXPECT_EQ(publication.compressed(deflate).size(), 0u);
}

// A browser of any kind, with zlib for its decoder.
class ZlibPeer {
 public:
  // answer: part of what must have been agreed on; takeover: whether messages may refer to earlier
  // ones.
  ZlibPeer(const TestServer& server, const std::string& offer, const std::string& answer,
           bool takeover, int window_bits)
      : peer_(connect_tcp(server.port(false)), false), takeover_(takeover) {
    ws::test::Request request;
    if (!offer.empty()) request.with("Sec-WebSocket-Extensions: " + offer);
    peer_.queue(request.str());
    while (in_.find("\r\n\r\n") == std::string::npos && !peer_.ended()) in_ += peer_.exchange(1);
    const std::size_t head = in_.find("\r\n\r\n");
    EXPECT_NE(in_.find(" 101 "), std::string::npos) << in_;
    EXPECT_NE(in_.find(answer), std::string::npos) << in_;
    in_.erase(0, head + 4);
    EXPECT_EQ(Libz::get()->inflate_init(&z_, window_bits), kZOk);
  }
  ~ZlibPeer() { Libz::get()->inflate_end(&z_); }
  ZlibPeer(const ZlibPeer&) = delete;
  ZlibPeer& operator=(const ZlibPeer&) = delete;

  void says(const std::string& message) {
    peer_.queue(text(message));
    peer_.push(1000);
  }

  // The next message; wire: its payload as it came.
  std::string next(std::string* wire = nullptr) {
    for (;;) {
      const std::size_t header = in_.size() < 4 ? 4 : (in_[1] & 0x7f) == 126 ? 4 : 2;
      std::size_t bytes = header;
      if (in_.size() >= 4) {
        bytes += header == 2 ? static_cast<std::size_t>(in_[1] & 0x7f)
                             : static_cast<std::size_t>(static_cast<std::uint8_t>(in_[2]) << 8 |
                                                        static_cast<std::uint8_t>(in_[3]));
      }
      if (in_.size() >= std::max<std::size_t>(bytes, 4)) {
        const bool packed = (in_[0] & 0x40) != 0;
        const std::string payload = in_.substr(header, bytes - header);
        in_.erase(0, bytes);
        if (wire != nullptr) *wire = payload;
        return packed ? inflated(payload) : payload;
      }
      const std::string more = peer_.exchange(1);
      if (more.empty()) return "nothing came";
      in_ += more;
    }
  }

 private:
  // RFC 7692 7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload".
  std::string inflated(const std::string& payload) {
    const Libz& zlib = *Libz::get();
    if (!takeover_) zlib.inflate_reset(&z_);
    const std::string in = payload + std::string("\x00\x00\xff\xff", 4);
    std::vector<std::uint8_t> out(1 << 16);
    z_.next_in = reinterpret_cast<const std::uint8_t*>(in.data());
    z_.avail_in = static_cast<unsigned>(in.size());
    z_.next_out = out.data();
    z_.avail_out = static_cast<unsigned>(out.size());
    const int status = zlib.inflate(&z_, kZSyncFlush);
    if (status != kZOk || z_.avail_in > 0) return "zlib refuses it: " + std::to_string(status);
    return {out.begin(), out.end() - z_.avail_out};
  }

  RawPeer peer_;
  bool takeover_;
  std::string in_;
  ZStream z_{};
};

// Published messages and answers of each one's own, mixed: with takeover the latter refer to
// earlier ones, but never to what another connection was sent.
TEST(FanOut, IsDecodedByZlibWhateverWasAgreedOn) {
  if (Libz::get() == nullptr) GTEST_SKIP() << "no libz on this machine";
  TestServer server(deflating({.mode = DeflateMode::kTakeover, .threshold_bytes = 64}),
                    subscribing());
  const auto peer = [&](const char* offer, const char* answer, bool takeover, int bits) {
    return std::make_unique<ZlibPeer>(server, offer, answer, takeover, bits);
  };
  const std::unique_ptr<ZlibPeer> peers[] = {
      peer("", "", false, 15),
      peer("permessage-deflate", "permessage-deflate", true, 15),
      peer("permessage-deflate; server_max_window_bits=10", "server_max_window_bits=10", true, 10),
      peer("permessage-deflate; server_no_context_takeover", "server_no_context_takeover", false,
           15),
      peer("permessage-deflate; server_no_context_takeover; server_max_window_bits=9",
           "server_max_window_bits=9", false, 9),
      peer("permessage-deflate; server_no_context_takeover; server_max_window_bits=9",
           "server_max_window_bits=9", false, 9)};
  ASSERT_TRUE(subscribed(server, std::size(peers)));
  for (int i = 0; i < 30; ++i) {
    const std::string published = event(i);
    server.server().publish("t", published);
    std::array<std::string, std::size(peers)> wire;
    for (std::size_t p = 0; p < std::size(peers); ++p) {
      ASSERT_EQ(peers[p]->next(&wire[p]), published) << p << ", " << i;
    }
    EXPECT_EQ(wire[0], published);
    EXPECT_EQ(wire[1], wire[3]);
    EXPECT_EQ(wire[4], wire[5]);
    EXPECT_LT(wire[1].size(), published.size() / 2);
    for (std::size_t p = 0; p < std::size(peers); ++p) {
      if ((static_cast<std::size_t>(i) + p) % 3 == 0) continue;
      // Some repeat what was published just now, some what they said before.
      const std::string own = event(i % 2 == 0 ? i : 1000 + static_cast<int>(p));
      for (int twice = 0; twice < 2; ++twice) {
        peers[p]->says(own);
        ASSERT_EQ(peers[p]->next(), own) << p << ", " << i;
      }
    }
  }
}

// The same with our client at the other end, its compression and takeover both ways, and fragments.
TEST(FanOut, IsDecodedByOurClientWhateverWasAgreedOn) {
  TestServer server(deflating({.mode = DeflateMode::kTakeover, .threshold_bytes = 64}, 2),
                    subscribing());
  const DeflateOptions choices[] = {
      {},
      {.mode = DeflateMode::kOn, .threshold_bytes = 64},
      {.mode = DeflateMode::kOn, .window_bits = 9, .threshold_bytes = 64},
      {.mode = DeflateMode::kTakeover, .threshold_bytes = 64},
      {.mode = DeflateMode::kTakeover, .window_bits = 10, .threshold_bytes = 64}};
  std::deque<ws::Client> clients;
  std::deque<Inbox> inboxes(std::size(choices));
  for (std::size_t i = 0; i < std::size(choices); ++i) {
    clients.emplace_back(ClientOptions{.deflate = choices[i]});
    Handlers handlers = inboxes[i].handlers();
    handlers.on_message = [note = handlers.on_message](Conn& conn, const Message& m) {
      note(conn, m);
      // Every published message is answered once, which comes back.
      if (m.text().starts_with("{\"number\":7")) conn.send(event(100'000));
    };
    ASSERT_TRUE(clients.back().connect(server.server().urls()[0], {}, std::move(handlers)));
  }
  ASSERT_TRUE(subscribed(server, std::size(choices)));
  std::vector<std::string> published;
  for (int i = 0; i < 100; ++i) {
    published.push_back(event(i));
    server.server().publish("t", published.back(), {.frame_bytes = i % 3 == 0 ? 50u : 0u});
  }
  constexpr std::size_t kEchoes = 11;  // 7 and 70 to 79
  for (std::size_t i = 0; i < inboxes.size(); ++i) {
    ASSERT_TRUE(eventually([&] { return inboxes[i].size() >= published.size() + kEchoes; })) << i;
    std::vector<std::string> got = inboxes[i].got();
    EXPECT_EQ(std::erase(got, event(100'000)), kEchoes) << i;
    EXPECT_EQ(got, published) << i;
  }
}

}  // namespace
}  // namespace ws::test
