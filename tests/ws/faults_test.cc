// The fault matrix: on_close exactly once for every on_open, with the right code and cause, under
// every way in which a connection can end.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/support/raw_peer.h"
#include "tests/support/test_server.h"

namespace ws::test {
namespace {

// What handlers do, by the text of the message that came last.
struct Fault {
  const char* name;
  int code;
  const char* cause;
  std::function<void(RawPeer&, TestServer&, ConnId)> strike;
  // Which handler throws: one of "open", "message", "chunk", "ping", "pong", "drain", "close".
  const char* throws_in = "";
  std::function<void(Conn&)> on_text = {};
  bool tls_only = false;
  Limits limits = {};
};

void say(RawPeer& peer, const std::string& bytes) {
  peer.queue(bytes);
  peer.push(20'000);
}

void reset(RawPeer& peer, TestServer& /*server*/, ConnId /*id*/) {
  peer.reset();
}

Limits with(const std::function<void(Limits&)>& set) {
  Limits limits;
  limits.close_ms = 100;
  set(limits);
  return limits;
}

const Limits kShort = with([](Limits&) {});

void speak(RawPeer& peer, TestServer& /*server*/, ConnId /*id*/) {
  say(peer, text("go"));
}
std::function<void(RawPeer&, TestServer&, ConnId)> sends(std::string bytes) {
  return [bytes = std::move(bytes)](RawPeer& peer, TestServer&, ConnId) { say(peer, bytes); };
}
void do_nothing(RawPeer& /*peer*/, TestServer& /*server*/, ConnId /*id*/) {}

// Says "go", and resets once our Close has come.
void reset_after_our_close(RawPeer& peer, TestServer& /*server*/, ConnId /*id*/) {
  say(peer, text("go"));
  EXPECT_EQ(peer.exchange(4), server_close(4001));
  peer.reset();
}

void close_4001(Conn& conn) {
  conn.close(CloseCode{4001});
}

void fill_the_queue(Conn& conn) {
  while (conn.send(std::string(60'000, 'x')) <= SendStatus::kQueued) {
  }
}

// Passes the high mark once; the drain comes when the peer reads, which it does not before.
std::atomic<bool> mark_passed = false;
void pass_the_mark(Conn& conn) {
  while (conn.queued_bytes() <= 100'000) {
    if (conn.send(std::string(60'000, 'x')) > SendStatus::kQueued) break;
  }
  mark_passed = true;
}

void go_and_read(RawPeer& peer, TestServer& /*server*/, ConnId /*id*/) {
  mark_passed = false;
  say(peer, text("go"));
  EXPECT_TRUE(eventually([] { return mark_passed.load(); }));
  while (!peer.ended()) {
    if (peer.exchange(1, 20'000).empty()) break;
  }
}

void stop_and_answer(RawPeer& peer, TestServer& server, ConnId /*id*/) {
  server.server().stop();
  EXPECT_EQ(peer.exchange(4), server_close(1001));
  say(peer, close(1001));
}

void stop_and_be_silent(RawPeer& /*peer*/, TestServer& server, ConnId /*id*/) {
  server.server().stop(100);
}

void stop_and_reset(RawPeer& peer, TestServer& server, ConnId /*id*/) {
  server.server().stop(20'000);
  EXPECT_EQ(peer.exchange(4), server_close(1001));
  peer.reset();
}

void post_a_throw(RawPeer& /*peer*/, TestServer& server, ConnId id) {
  server.server().post(id, [](Conn&) { throw std::runtime_error("on purpose"); });
}

const std::vector<Fault> kFaults = {
    {"the peer closes", 4000, "peer", sends(close(4000, "bye"))},
    {"the peer closes in a message", 1000, "peer", sends(first(kText, "x") + close(1000))},
    {"a FIN", 1006, "peer", [](RawPeer& peer, auto&, auto) { peer.half_close(); }},
    {"an RST", 1006, "peer", reset},
    {"an RST in a message", 1006, "peer",
     [](RawPeer& peer, auto&, auto) {
       say(peer, text("torn").substr(0, 7));
       peer.reset();
     }},
    {"no TLS",
     1006,
     "tls",
     [](RawPeer& peer, auto&, auto) { peer.send_raw("this is no TLS record, nor will it be"); },
     "",
     {},
     true},
    {"an unmasked frame", 1002, "protocol", sends(frame({.masked = false}, "x"))},
    {"text that is no UTF-8", 1007, "protocol", sends(text("\xff"))},
    {"a message above the limit",
     1009,
     "protocol",
     sends(binary(std::string(1001, 'x'))),
     "",
     {},
     false,
     with([](Limits& l) { l.message_bytes = 1000; })},
    {"too many fragments",
     1008,
     "protocol",
     sends(first(kText, "") + middle("") + middle("")),
     "",
     {},
     false,
     with([](Limits& l) { l.message_fragments = 2; })},
    {"silence", 1008, "timeout", do_nothing, "", {}, false, with([](Limits& l) {
       l.ping_after_ms = l.pong_wait_ms = 50;
     })},
    {"a message that takes too long",
     1008,
     "timeout",
     sends(first(kText, "x")),
     "",
     {},
     false,
     with([](Limits& l) { l.assembly_ms = 50; })},
    {"close() and no answer", 4001, "timeout", speak, "", close_4001, false, kShort},
    {"close() and an answer", 1000, "local",
     [](RawPeer& peer, auto&, auto) { say(peer, text("go") + close(1000)); }, "", close_4001},
    {"close() and an RST", 4001, "local", reset_after_our_close, "", close_4001},
    {"a queue at its maximum", 1013, "slow consumer", speak, "", fill_the_queue, false,
     with([](Limits& l) { l.queue_max_bytes = 8'000'000; })},
    {"a throw in on_open", 1011, "handler threw", do_nothing, "open"},
    {"a throw in on_message", 1011, "handler threw", speak, "message"},
    {"a throw in on_chunk", 1011, "handler threw", sends(first(kText, "a")), "chunk"},
    {"a throw in on_ping", 1011, "handler threw", sends(ping("x")), "ping"},
    {"a throw in on_pong", 1011, "handler threw", sends(pong("x")), "pong"},
    {"a throw in on_drain", 1011, "handler threw", go_and_read, "drain", pass_the_mark, false,
     with([](Limits& l) { l.queue_high_bytes = 50'000; })},
    {"a throw in on_close", 4000, "peer", sends(close(4000)), "close"},
    {"a throw in a posted task", 1011, "handler threw", post_a_throw},
    {"a throw after close()", 4001, "handler threw", speak, "",
     [](Conn& conn) {
       close_4001(conn);
       throw 1;
     }},
    {"stop() and an answer", 1001, "shutdown", stop_and_answer},
    {"stop() and no answer", 1001, "shutdown", stop_and_be_silent},
    {"stop() and an RST", 1001, "shutdown", stop_and_reset},
};

// Every handler counts, and throws where it shall.
class Watched {
 public:
  explicit Watched(const Fault& fault) : fault_(fault) {}

  Handlers handlers() {
    Handlers handlers = journal.handlers([this](Conn& conn, const Message&) {
      strike("message");
      if (fault_.on_text) fault_.on_text(conn);
    });
    handlers.on_open = [this, next = handlers.on_open](Conn& conn) {
      next(conn);
      id = conn.id().packed();
      strike("open");
    };
    handlers.on_close = [this, next = handlers.on_close](Conn& conn, const Close& why) {
      next(conn, why);
      strike("close");
    };
    if (fault_.throws_in == std::string("chunk")) {
      handlers.on_chunk = [this](Conn&, const Chunk&) { strike("chunk"); };
    }
    handlers.on_ping = [this](Conn&, auto) { strike("ping"); };
    handlers.on_pong = [this](Conn&, auto) { strike("pong"); };
    handlers.on_drain = [this](Conn&) { strike("drain"); };
    return handlers;
  }

  Journal journal;
  std::atomic<std::uint64_t> id = 0;

 private:
  void strike(const char* where) const {
    if (fault_.throws_in == std::string(where)) throw std::runtime_error(where);
  }
  const Fault& fault_;
};

void expect_one_close(const Fault& fault, bool tls) {
  SCOPED_TRACE(fault.name);
  Watched watched(fault);
  Limits limits = fault.limits;
  limits.linger_ms = 20;
  TestServer server(watched.handlers(), limits);
  RawPeer peer(connect_tcp(server.port(tls), {.receive_buffer_bytes = 16'384}), tls);
  say(peer, Request().str());
  EXPECT_TRUE(peer.exchange(1).starts_with("HTTP/1.1 101 "));
  ASSERT_TRUE(eventually([&] { return watched.journal.opens() == 1; }));
  fault.strike(peer, server, ConnId::unpack(watched.id));

  const auto closings = watched.journal.closings(1);
  ASSERT_EQ(closings.size(), 1U) << "on_close was not called";
  EXPECT_EQ(static_cast<int>(closings[0].code), fault.code);
  EXPECT_EQ(to_string(closings[0].cause), fault.cause);
  EXPECT_TRUE(server.has_connections(0));
  const Stats stats = server.server().stats();
  EXPECT_EQ(stats.opened, 1U);
  EXPECT_EQ(stats.closed_by(closings[0].cause), 1U);
  // Whatever might still happen to it.
  server.server().post(ConnId::unpack(watched.id), [](Conn&) { ADD_FAILURE() << "it is gone"; });
  server.stop_and_wait();
  EXPECT_EQ(watched.journal.closings(1).size(), 1U);
  const std::string order = watched.journal.order(watched.id);
  EXPECT_TRUE(order.starts_with('o') && order.ends_with('c')) << order;
}

class FaultMatrix : public OverBothSchemes {};
INSTANTIATE_TEST_SUITE_P(Over, FaultMatrix, testing::Bool(), scheme);

TEST_P(FaultMatrix, OneOnCloseForEachOnOpen) {
  for (const Fault& fault : kFaults) {
    if (tls() || !fault.tls_only) expect_one_close(fault, tls());
  }
}

// All of them at once, on a server that is then stopped: the sums agree.
TEST(FaultMatrixStorm, TheSumsAgree) {
  Journal journal;
  TestServer server({.threads = 2}, journal.handlers([](Conn& conn, const Message& message) {
    if (message.text() == "throw") throw 1;
    if (message.text() == "close") conn.close();
    conn.send(message);
  }));
  std::vector<std::unique_ptr<RawPeer>> peers;
  for (int i = 0; i < 60; ++i) {
    peers.push_back(std::make_unique<RawPeer>(connect_tcp(server.port(i % 4 == 0)), i % 4 == 0));
    RawPeer& peer = *peers.back();
    peer.upgrade();
    const std::string kSays[] = {text("throw"), text("close"), text("\xff"), close(1000),
                                 text("hello")};
    say(peer, kSays[i % 5]);
    if (i % 7 == 0) peer.reset();
    if (i % 7 == 1) peer.half_close();
  }
  server.server().stop(300);
  server.server().wait();
  EXPECT_EQ(journal.closings(journal.opens()).size(), journal.opens());
  const Stats stats = server.server().stats();
  EXPECT_EQ(stats.opened, 60U);
  std::uint64_t closed = 0;
  for (const std::uint64_t each : stats.closed) closed += each;
  EXPECT_EQ(closed, 60U);
  for (const Journal::Closing& closing : journal.closings(60)) {
    const std::string order = journal.order(closing.id);
    EXPECT_EQ(std::count(order.begin(), order.end(), 'o'), 1) << order;
    EXPECT_EQ(std::count(order.begin(), order.end(), 'c'), 1) << order;
  }
}

}  // namespace
}  // namespace ws::test
