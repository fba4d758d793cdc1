// A client's opening and its protocol, against servers that do as they are told; some of them
// hostile.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/loopback.h"
#include "tests/support/raw_server.h"
#include "tests/support/test_server.h"
#include "ws/ws.h"

namespace ws::test {
namespace {

using namespace std::chrono_literals;

// One client and one server of the test's own.
struct Scene {
  explicit Scene(ClientOptions client_options = {}) : client(std::move(client_options)) {}

  void connect(ConnectOptions options = {}, Handlers handlers = {}) {
    options.on_failure = [this](const ConnectFailure& why) {
      const std::lock_guard lock(mutex);
      failures.push_back(why);
      changed.notify_all();
    };
    Handlers own =
        journal.handlers([this, next = handlers.on_message](Conn& conn, const Message& message) {
          {
            const std::lock_guard lock(mutex);
            messages.emplace_back(message.text());
          }
          if (next) next(conn, message);
        });
    own.on_open = [note = own.on_open, next = handlers.on_open](Conn& conn) {
      note(conn);
      if (next) next(conn);
    };
    own.on_chunk = handlers.on_chunk;
    own.on_ping = handlers.on_ping;
    own.on_pong = handlers.on_pong;
    ASSERT_TRUE(client.connect(server.url(), std::move(options), std::move(own)));
  }
  ConnectFailure failure() {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, 20s, [&] { return !failures.empty(); });
    return failures.at(0);
  }
  bool opens() {
    return eventually([&] { return journal.opens() == 1; });
  }
  std::vector<std::string> got(std::size_t count) {
    (void)eventually([&] { return journal.messages() >= count; });
    const std::lock_guard lock(mutex);
    return messages;
  }
  // How the connection ends, for both sides: what the client's handler is told.
  Journal::Closing closing() {
    const auto all = journal.closings(1);
    return all.empty() ? Journal::Closing{} : all[0];
  }

  RawServer server;
  Journal journal;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<ConnectFailure> failures;
  std::vector<std::string> messages;
  ws::Client client;  // last, so destroyed first
};

// --- the request ---

TEST(LinkConnect, AsksAsRfc6455Says) {
  Scene scene;
  ASSERT_TRUE(
      scene.client.connect(scene.server.url() + "chat?room=1",
                           {.subprotocols = {"v2", "v1"},
                            .headers = {{"Authorization", "Bearer x"}, {"Origin", "https://o"}}},
                           {}));
  RawPeer peer = scene.server.accept();
  const std::string head = read_head(peer);
  EXPECT_TRUE(head.starts_with("GET /chat?room=1 HTTP/1.1\r\n")) << head;
  EXPECT_EQ(header_of(head, "Host"), "127.0.0.1:" + std::to_string(scene.server.port()));
  EXPECT_EQ(header_of(head, "Upgrade"), "websocket");
  EXPECT_EQ(header_of(head, "Connection"), "Upgrade");
  EXPECT_EQ(header_of(head, "Sec-WebSocket-Version"), "13");
  EXPECT_EQ(header_of(head, "Sec-WebSocket-Key").size(), 24U) << "16 bytes in base64";
  EXPECT_EQ(header_of(head, "Sec-WebSocket-Protocol"), "v2, v1");
  EXPECT_EQ(header_of(head, "Authorization"), "Bearer x");
  EXPECT_EQ(header_of(head, "Origin"), "https://o");
  EXPECT_EQ(header_of(head, "Sec-WebSocket-Extensions"), "") << "deflate is off unless asked for";
}

TEST(LinkConnect, EveryConnectionHasAKeyOfItsOwn) {
  Scene scene;
  std::set<std::string> keys;
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(scene.client.connect(scene.server.url(), {}, {}));
    RawPeer peer = scene.server.accept();
    keys.insert(header_of(read_head(peer), "Sec-WebSocket-Key"));
  }
  EXPECT_EQ(keys.size(), 8U);
}

// --- the answer ---

TEST(LinkConnect, TheAnswerIsHeardWholeByteByByteAndBehindInterimOnes) {
  for (const bool bytewise : {false, true}) {
    Scene scene;
    scene.connect();
    RawPeer peer = scene.server.accept();
    const std::string answer =
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" +
        switching(read_head(peer)) + server_frame(kText, "early");
    if (bytewise) {
      for (const char byte : answer) ASSERT_TRUE(peer.send_raw({&byte, 1}));
    } else {
      ASSERT_TRUE(peer.send_raw(answer));
    }
    EXPECT_EQ(scene.got(1), std::vector<std::string>{"early"});
  }
}

TEST(LinkConnect, FramesBehindTheAnswerComeAfterOnOpen) {
  Scene scene;
  scene.connect();
  RawPeer peer = accept_upgrade(scene.server, "",
                                server_frame(kText, "one") + server_frame(kBinary, "two") +
                                    server_frame(kPing, "p") + server_close(1000));
  std::string rest;
  EXPECT_EQ(read_client_frame(peer, rest).payload, "p");
  EXPECT_EQ(read_client_frame(peer, rest).opcode(), kClose);
  peer.half_close();
  const Journal::Closing closing = scene.closing();
  EXPECT_EQ(scene.journal.order(closing.id), "ommc");
  EXPECT_EQ(static_cast<int>(closing.code), 1000);
  EXPECT_EQ(closing.cause, CloseCause::kPeer);
}

TEST(LinkConnect, FramesBehindTheAnswerWaitForWhoPausesInOnOpen) {
  Scene scene;
  std::atomic<std::uint64_t> id{0};
  scene.connect({}, {.on_open = [&](Conn& conn) {
                  conn.pause_reading();
                  id = conn.id().packed();
                }});
  RawPeer peer = accept_upgrade(scene.server, "", server_frame(kText, "early"));
  ASSERT_TRUE(eventually([&] { return id != 0; }));
  std::atomic<bool> settled{false};
  scene.client.post(ConnId::unpack(id), [&](Conn& conn) {
    EXPECT_EQ(scene.journal.messages(), 0U);
    conn.resume_reading();
    settled = true;
  });
  EXPECT_EQ(scene.got(1), std::vector<std::string>{"early"});
  EXPECT_TRUE(settled);
}

TEST(LinkConnect, TheSubprotocolIsTheServersChoice) {
  Scene scene;
  std::promise<std::string> chosen;
  scene.connect({.subprotocols = {"a", "b"}}, {.on_open = [&](Conn& conn) {
                  chosen.set_value(std::string(conn.subprotocol()));
                }});
  RawPeer peer = accept_upgrade(scene.server, "Sec-WebSocket-Protocol: b\r\n");
  auto future = chosen.get_future();
  ASSERT_EQ(future.wait_for(20s), std::future_status::ready);
  EXPECT_EQ(future.get(), "b");
}

TEST(LinkConnect, OnResponseSeesTheAnswerAndMayRefuseIt) {
  Scene scene;
  std::string seen;
  scene.connect({.on_response = [&](const ConnectResponse& response) -> Result<Ok> {
    seen = std::to_string(response.status) + " " + std::string(response.header("x-NODE")) + " " +
           std::string(response.header("X-None"));
    return Error("the node is too old");
  }});
  RawPeer peer = accept_upgrade(scene.server, "X-Node: 7\r\n");
  const ConnectFailure why = scene.failure();
  EXPECT_EQ(seen, "101 7 ");
  EXPECT_EQ(why.reason, "the node is too old");
  EXPECT_EQ(why.retry_in_ms, 0U);
  EXPECT_EQ(scene.journal.opens(), 0U);
  EXPECT_EQ(peer.read(20'000), "");
  EXPECT_TRUE(peer.ended());
}

TEST(LinkConnect, WhatOnResponseThrowsIsAFailure) {
  for (const bool standard : {true, false}) {
    Scene scene;
    scene.connect({.on_response = [&](const ConnectResponse&) -> Result<Ok> {
      if (standard) throw std::runtime_error("not mine");
      throw 1;
    }});
    RawPeer peer = accept_upgrade(scene.server);
    expect_has(scene.failure().reason, standard ? "not mine" : "on_response");
    EXPECT_EQ(scene.journal.opens(), 0U);
  }
}

template <class Case>
std::string name_of(const testing::TestParamInfo<Case>& of) {
  return of.param.name;
}

// Answers that are none, and what the failure has to tell.
struct BadAnswer {
  const char* name;
  std::function<std::string(const std::string& request)> answer;
  const char* reason;
  int status;
};

void PrintTo(const BadAnswer& bad, std::ostream* out) {
  *out << bad.name;
}

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  const std::size_t at = text.find(what);
  return at == std::string::npos ? text : text.replace(at, what.size(), with);
}

BadAnswer always(const char* name, std::string bytes, const char* reason, int status) {
  return {name, [bytes](const std::string&) { return bytes; }, reason, status};
}

BadAnswer but(const char* name, const char* what, const char* with, const char* reason) {
  return {
      name,
      [what, with](const std::string& request) { return replaced(switching(request), what, with); },
      reason, 101};
}

BadAnswer plus(const char* name, const char* more, const char* reason) {
  return {name, [more](const std::string& request) { return switching(request, more); }, reason,
          101};
}

class LinkConnectBadAnswer : public testing::TestWithParam<BadAnswer> {};
INSTANTIATE_TEST_SUITE_P(
    All, LinkConnectBadAnswer,
    testing::Values(
        always("Unauthorized", "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\n\r\n",
               "401", 401),
        always("NotFoundWithBody", "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope", "404",
               404),
        always("Ok", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200", 200),
        always("Redirect", "HTTP/1.1 302 Found\r\nLocation: wss://elsewhere/x\r\n\r\n",
               "wss://elsewhere/x", 302),
        always("PermanentRedirect", "HTTP/1.1 308 P\r\nLocation: /other\r\n\r\n", "/other", 308),
        always("NoHttp", "SSH-2.0-OpenSSH_9.2\r\n", "HTTP", 0),
        always("OldHttp", "HTTP/1.0 101 Switching\r\nUpgrade: websocket\r\n\r\n", "HTTP/1.0", 101),
        always("BareLf", "HTTP/1.1 101 Switching\nUpgrade: websocket\n\n", "status line", 0),
        always("HugeHead", "HTTP/1.1 101 S\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n",
               "too long", 0),
        always("ManyHeaders", "HTTP/1.1 101 S\r\n" + repeat("A: b\r\n", 6 * 101) + "\r\n",
               "too many headers", 0),
        always("InterimFlood", repeat("HTTP/1.1 100 Continue\r\n\r\n", 25 * 2000), "too long", 0),
        always("FramesAtOnce", server_frame(kText, "hello"), "status line", 0),
        but("NoUpgrade", "Upgrade: websocket\r\n", "", "Upgrade"),
        but("WrongUpgrade", "Upgrade: websocket", "Upgrade: h2c", "Upgrade"),
        but("NoConnection", "Connection: Upgrade\r\n", "", "Connection"),
        but("NoAccept", "Sec-WebSocket-Accept: ", "X: ", "Sec-WebSocket-Accept"),
        but("WrongAccept", "Sec-WebSocket-Accept: ", "Sec-WebSocket-Accept: A",
            "Sec-WebSocket-Accept"),
        plus("SubprotocolNotOffered", "Sec-WebSocket-Protocol: other\r\n", "other"),
        plus("DeflateNotOffered", "Sec-WebSocket-Extensions: permessage-deflate\r\n", "extension"),
        plus("ExtensionNotOffered", "Sec-WebSocket-Extensions: x-other\r\n", "extension"),
        plus("MalformedExtensions", "Sec-WebSocket-Extensions: ;;\r\n", "extension")),
    name_of<BadAnswer>);

TEST_P(LinkConnectBadAnswer, FailsWithTheReason) {
  Scene scene;
  scene.connect();
  RawPeer peer = scene.server.accept();
  peer.send_raw(GetParam().answer(read_head(peer)));
  const ConnectFailure why = scene.failure();
  expect_has(why.reason, GetParam().reason);
  EXPECT_EQ(why.reason.find('\n'), std::string::npos) << "one line";
  EXPECT_EQ(why.status, GetParam().status);
  EXPECT_EQ(scene.journal.opens(), 0U);
  // Nothing was said on what is no WebSocket connection.
  EXPECT_EQ(peer.read(20'000), "");
  EXPECT_TRUE(peer.ended());
}

// client.h: "each in its part of the time that is left".
TEST(LinkConnect, AnAddressThatIsSilentLeavesTimeForTheNext) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  RawServer silent;  // localhost is 127.0.0.1, then ::1
  silent.stop_answering();
  RawServer server("::1", silent.port());
  ClientOptions options;
  options.limits.handshake_ms = 2'000;
  Journal journal;
  ws::Client client(options);
  const std::string url = "ws://localhost:" + std::to_string(silent.port()) + "/";
  ASSERT_TRUE(client.connect(url, {}, journal.handlers()));
  RawPeer peer = accept_upgrade(server);
  EXPECT_TRUE(eventually([&] { return journal.opens() == 1; }));
}

// The server is gone after each part of its answer.
TEST(LinkConnect, AnEndOrAResetAtEveryByteOfTheAnswerIsAFailure) {
  for (const bool reset : {false, true}) {
    Scene scene;
    std::atomic<std::size_t> failures{0};
    std::size_t size = 1;
    for (std::size_t cut = 0; cut < size; cut += reset ? 7 : 1) {
      ASSERT_TRUE(scene.client.connect(scene.server.url(),
                                       {.on_failure = [&](const ConnectFailure&) { ++failures; }},
                                       scene.journal.handlers()));
      RawPeer peer = scene.server.accept();
      const std::string answer = switching(read_head(peer));
      size = answer.size();
      ASSERT_TRUE(peer.send_raw(answer.substr(0, cut)));
      if (reset) peer.reset();
    }
    const std::size_t tries = scene.client.stats().accepted;
    EXPECT_TRUE(eventually([&] { return failures == tries; })) << failures << " of " << tries;
    EXPECT_EQ(scene.journal.opens(), 0U);
    EXPECT_TRUE(eventually([&] { return scene.client.stats().connections == 0; }));
  }
}

TEST(LinkConnect, AnEndOrAResetInsideFramesIsAnOnClose) {
  const std::string frames = server_frame(kPing, "p") + server_frame(kText, std::string(200, 'x')) +
                             server_close(1000).substr(0, 3);
  for (const bool reset : {false, true}) {
    for (std::size_t cut = 0; cut <= frames.size(); cut += 5) {
      Scene scene;
      scene.connect();
      RawPeer peer = accept_upgrade(scene.server, "", std::string_view(frames).substr(0, cut));
      if (reset) {
        ASSERT_TRUE(scene.opens());
        peer.reset();
      } else {
        peer.half_close();
      }
      const Journal::Closing closing = scene.closing();
      EXPECT_EQ(static_cast<int>(closing.code), 1006);
      EXPECT_EQ(closing.cause, CloseCause::kPeer);
      EXPECT_TRUE(eventually([&] { return scene.client.stats().connections == 0; }));
    }
  }
}

// --- frames ---

TEST(LinkConnect, EveryFrameIsMaskedWithAFreshKey) {
  Scene scene;
  constexpr int kFrames = 200;
  scene.connect({}, {.on_open = [](Conn& conn) {
                  for (int i = 0; i < kFrames; ++i) conn.send("same");
                  conn.ping("p");
                  conn.send(std::string(100'000, 'x'), {.frame_bytes = 30'000});
                  conn.begin(MessageType::kText);
                  conn.append("piece");
                  conn.end();
                  conn.close(CloseCode::kNormal, "bye");
                }});
  RawPeer peer = accept_upgrade(scene.server);
  std::string rest;
  std::set<std::string> keys;
  std::size_t frames = 0;
  for (bool closed = false; !closed; ++frames) {
    const ClientFrame frame = read_client_frame(peer, rest);
    ASSERT_TRUE(frame.masked) << frames;
    keys.insert(frame.key);
    if (frames < kFrames) {
      EXPECT_EQ(frame.payload, "same");
    }
    closed = frame.opcode() == kClose;
    if (closed) {
      EXPECT_EQ(frame.payload,
                "\x03\xe8"
                "bye");
    }
  }
  EXPECT_EQ(frames, kFrames + 1 + 4 + 3 + 1U);
  // Of so few among 2^32 none is there twice, but once in 200,000 runs.
  EXPECT_GE(keys.size(), frames - 1) << "RFC 6455 5.3: \"unpredictable\"";
  // Neither a counter nor a constant: each bit of the keys is sometimes set, sometimes not.
  for (std::size_t bit = 0; bit < 32; ++bit) {
    std::size_t set = 0;
    for (const std::string& key : keys) set += key[bit / 8] >> bit % 8 & 1;
    EXPECT_GT(set, keys.size() / 4) << bit;
    EXPECT_LT(set, keys.size() * 3 / 4) << bit;
  }
}

struct BadFrames {
  const char* name;
  std::string bytes;
  int code;
};

void PrintTo(const BadFrames& bad, std::ostream* out) {
  *out << bad.name;
}

std::string unmasked(std::uint8_t opcode, std::string_view payload, std::uint8_t rsv = 0) {
  return frame({.opcode = opcode, .rsv = rsv, .masked = false}, payload);
}

class LinkConnectBadFrames : public testing::TestWithParam<BadFrames> {};
INSTANTIATE_TEST_SUITE_P(
    All, LinkConnectBadFrames,
    testing::Values(
        // 5.1: "A client MUST close a connection if it detects a masked frame. In this case, it MAY
        // use the status code 1002".
        BadFrames{"Masked", text("hello"), 1002}, BadFrames{"MaskedPing", ping("x"), 1002},
        BadFrames{"Rsv1", unmasked(kText, "x", 4), 1002},
        BadFrames{"Rsv2", unmasked(kText, "x", 2), 1002},
        BadFrames{"Rsv3", unmasked(kText, "x", 1), 1002},
        BadFrames{"ReservedOpcode", unmasked(3, "x"), 1002},
        BadFrames{"StrayContinuation", unmasked(kContinuation, "x"), 1002},
        BadFrames{"LongPing", unmasked(kPing, std::string(126, 'x')), 1002},
        BadFrames{"NotUtf8", unmasked(kText, "\xff"), 1007},
        BadFrames{"OneByteClose", unmasked(kClose, "\x03"), 1002},
        BadFrames{"Giant", frame({.opcode = kBinary, .masked = false, .announced = 1ULL << 62}, ""),
                  1009},
        BadFrames{"BeyondAllBounds",
                  frame({.opcode = kBinary, .masked = false, .announced = 1ULL << 63}, ""), 1002}),
    name_of<BadFrames>);

TEST_P(LinkConnectBadFrames, EndWithTheCode) {
  Scene scene;
  scene.connect();
  RawPeer peer = accept_upgrade(scene.server, "", server_frame(kText, "good") + GetParam().bytes);
  const auto closed = [&] {
    std::string rest;
    return read_client_frame(peer, rest);
  }();
  EXPECT_EQ(closed.opcode(), kClose);
  ASSERT_GE(closed.payload.size(), 2U);
  EXPECT_EQ(static_cast<std::uint8_t>(closed.payload[0]) << 8 |
                static_cast<std::uint8_t>(closed.payload[1]),
            GetParam().code);
  peer.half_close();
  const Journal::Closing closing = scene.closing();
  EXPECT_EQ(static_cast<int>(closing.code), GetParam().code);
  EXPECT_EQ(closing.cause, CloseCause::kProtocol);
  EXPECT_EQ(scene.got(1), std::vector<std::string>{"good"});
}

TEST(LinkConnect, MessagesComeInPiecesWhereThatIsAskedFor) {
  Scene scene;
  std::mutex mutex;
  std::string all;
  std::atomic<int> firsts{0}, lasts{0};
  scene.connect({}, {.on_chunk = [&](Conn&, const Chunk& chunk) {
                  const std::lock_guard lock(mutex);
                  all.append(reinterpret_cast<const char*>(chunk.bytes.data()), chunk.bytes.size());
                  firsts += chunk.first;
                  lasts += chunk.last;
                }});
  RawPeer peer = accept_upgrade(scene.server);
  const std::string big = repeat("0123456789", 300'000);
  peer.queue(unmasked(kText, big));
  peer.push(20'000);
  EXPECT_TRUE(eventually([&] { return lasts == 1; }));
  const std::lock_guard lock(mutex);
  EXPECT_EQ(firsts, 1);
  EXPECT_TRUE(all == big);
}

// --- the end ---

// RFC 6455 7.1.1: "when a client is instructed to do the same, it SHOULD wait for a TCP Close from
// the server."
TEST(LinkConnect, TheServerClosesTcpFirst) {
  for (const bool client_begins : {true, false}) {
    Scene scene;
    scene.connect({}, {.on_open = [&](Conn& conn) {
                    if (client_begins) conn.close();
                  }});
    RawPeer peer = accept_upgrade(scene.server, "", client_begins ? "" : server_close(1000));
    std::string rest;
    EXPECT_EQ(read_client_frame(peer, rest).opcode(), kClose);
    if (client_begins) peer.send_raw(server_close(1000));
    EXPECT_EQ(peer.read(100), "");
    EXPECT_FALSE(peer.ended()) << "the client was first";
    peer.half_close();
    EXPECT_EQ(peer.read(20'000), "");
    EXPECT_TRUE(peer.ended());
    const Journal::Closing closing = scene.closing();
    EXPECT_EQ(static_cast<int>(closing.code), 1000);
    EXPECT_EQ(closing.cause, client_begins ? CloseCause::kLocal : CloseCause::kPeer);
  }
}

TEST(LinkConnect, AServerThatNeverClosesTcpIsNotWaitedForForEver) {
  ClientOptions options;
  options.limits.linger_ms = 50;
  Scene scene(options);
  scene.connect();
  RawPeer peer = accept_upgrade(scene.server, "", server_close(1001));
  const Journal::Closing closing = scene.closing();
  EXPECT_EQ(static_cast<int>(closing.code), 1001);
  std::string all;
  while (!peer.ended()) all += peer.read(20'000);
  EXPECT_EQ(take_client_frame(all)->opcode(), kClose);
}

TEST(LinkConnect, PingsDoNotPutOffTheEndOfAClosing) {
  ClientOptions options;
  options.limits.close_ms = options.limits.linger_ms = 100;
  Scene scene(options);
  scene.connect({}, {.on_open = [](Conn& conn) { conn.close(); }});
  RawPeer peer = accept_upgrade(scene.server);
  const auto start = std::chrono::steady_clock::now();
  while (scene.journal.closings(0).empty() && std::chrono::steady_clock::now() - start < 10s) {
    peer.send_raw(server_frame(kPing, "still here"));
    (void)peer.read(5);
  }
  const Journal::Closing closing = scene.closing();
  EXPECT_EQ(closing.cause, CloseCause::kTimeout);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
}

TEST(LinkConnect, HandlersThatThrowEndTheirConnectionWith1011) {
  Scene scene;
  scene.connect({}, {.on_open = [](Conn&) { throw std::runtime_error("oh"); }});
  RawPeer peer = accept_upgrade(scene.server, "", server_frame(kText, "unheard"));
  std::string rest;
  EXPECT_EQ(read_client_frame(peer, rest).payload.substr(0, 2), "\x03\xf3");
  peer.half_close();
  const Journal::Closing closing = scene.closing();
  EXPECT_EQ(closing.cause, CloseCause::kHandlerThrew);
  EXPECT_EQ(scene.journal.order(closing.id), "oc");
}

TEST(LinkConnect, OverAUnixSocket) {
  const std::string path = "/tmp/ws_link_connect_" + std::to_string(::getpid()) + ".sock";
  Journal served;
  TestServer server({.listen = {"ws+unix:" + path, "wss+unix:" + path + "s"}}, served.handlers());
  auto plain = ws::connect("ws+unix:" + path + ":/room");
  ASSERT_TRUE(plain) << plain.error().message();
  ASSERT_TRUE(plain.value().send("hello"));
  EXPECT_EQ(plain.value().receive(20'000).value()->text(), "hello");
  auto sealed =
      ws::connect("wss+unix:" + path + "s", {},
                  {.tls = {.pinned_sha256 = {server.server().certificate_fingerprint()}}});
  ASSERT_TRUE(sealed) << sealed.error().message();
  ASSERT_TRUE(sealed.value().send("hello"));
  EXPECT_EQ(sealed.value().receive(20'000).value()->text(), "hello");
}

}  // namespace
}  // namespace ws::test
