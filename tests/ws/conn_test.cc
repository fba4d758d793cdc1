// What a Conn sends, frame by frame, how it closes, and what becomes of misuse (ws/conn.h).
#include "ws/conn.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/support/raw_peer.h"
#include "tests/support/test_server.h"

namespace ws::test {
namespace {

using OnConn = std::function<void(Conn&)>;

std::string fin0(Op opcode, std::string_view payload) {
  return frame({.opcode = opcode, .fin = false, .masked = false}, payload);
}

std::string close_frame(int code, std::string_view reason) {
  const char head[] = {static_cast<char>(code >> 8), static_cast<char>(code & 0xff)};
  return server_frame(kClose, std::string(head, 2).append(reason));
}

// A server of one client, who says "go" each time that the server has something to do.
class OneClient {
 public:
  explicit OneClient(std::vector<OnConn> acts, Handlers handlers = {}) : acts_(std::move(acts)) {
    handlers.on_message = [this](Conn& conn, const Message&) { acts_.at(next_++)(conn); };
    server_.emplace(std::move(handlers));
    peer_.emplace(connect_tcp(server_->port(false)), false);
    peer_->upgrade();
  }
  // What the next act sends: everything up to and with `last`.
  std::string go(std::string_view last) {
    peer_->queue(text("go"));
    std::string got;
    while (!got.ends_with(last) && !peer_->ended()) {
      const std::string more = peer_->exchange(1, 20'000);
      if (more.empty()) break;
      got += more;
    }
    return got;
  }
  RawPeer& peer() { return *peer_; }
  TestServer& server() { return *server_; }

 private:
  std::vector<OnConn> acts_;
  std::size_t next_ = 0;
  std::optional<TestServer> server_;
  std::optional<RawPeer> peer_;
};

// What `act` puts on the wire in front of a text message "end".
std::string sent_by(const OnConn& act) {
  OneClient client({[&](Conn& conn) {
    act(conn);
    conn.send("end");
  }});
  std::string got = client.go(server_frame(kText, "end"));
  if (!got.ends_with(server_frame(kText, "end"))) return got + " without the end";
  got.resize(got.size() - server_frame(kText, "end").size());
  return got;
}

// --- send ---

TEST(ConnSend, WhatIsTextToCppIsATextMessage) {
  EXPECT_EQ(sent_by([](Conn& conn) {
              const std::string owned = "caf\xc3\xa9";
              EXPECT_EQ(conn.send("literal"), SendStatus::kSent);
              conn.send(owned);
              conn.send(std::string_view(owned).substr(0, 3));
              conn.send("");
              conn.send(Message(MessageType::kText, std::vector<std::uint8_t>{'x'}));
            }),
            server_frame(kText, "literal") + server_frame(kText, "caf\xc3\xa9") +
                server_frame(kText, "caf") + server_frame(kText, "") + server_frame(kText, "x"));
}

TEST(ConnSend, BytesAreABinaryOne) {
  EXPECT_EQ(sent_by([](Conn& conn) {
              const std::vector<std::uint8_t> vector = {0, 0xff};
              const std::array<std::byte, 3> array{std::byte{1}, std::byte{2}, std::byte{3}};
              conn.send(vector);
              conn.send(array);
              conn.send(std::span(vector).first(1));
              conn.send(std::span<const std::byte>());
            }),
            server_frame(kBinary, std::string("\0\xff", 2)) +
                server_frame(kBinary, "\x01\x02\x03") +
                server_frame(kBinary, std::string("\0", 1)) + server_frame(kBinary, ""));
}

// SendOptions::frame_bytes: "the most payload bytes of one frame". RFC 6455 5.4: the first frame
// has the opcode, those behind it 0, only the last one FIN.
TEST(ConnSend, CutsAMessageIntoFrames) {
  for (const std::size_t size : {0U, 1U, 3U, 4U, 5U, 8U, 9U, 1'000U, 70'000U, 300'000U}) {
    for (const std::size_t most : {1U, 4U, 125U, 126U, 65'536U, 400'000U}) {
      if (size / most > 5'000) continue;
      const std::string payload = repeat("abcdefghijk", size);
      std::string wanted;
      for (std::size_t at = 0; at == 0 || at < size; at += most) {
        wanted += frame(
            {.opcode = at == 0 ? kText : kContinuation, .fin = at + most >= size, .masked = false},
            std::string_view(payload).substr(at, most));
      }
      const std::string got =
          sent_by([&](Conn& conn) { conn.send(payload, {.frame_bytes = most}); });
      EXPECT_TRUE(got == wanted) << size << " in frames of " << most << ": " << got.size()
                                 << " bytes instead of " << wanted.size();
    }
  }
}

// --- begin, append, end ---

// Without the empty frames that a stream may have anywhere.
std::string stream_of(std::string got) {
  std::string out;
  while (!got.empty()) {
    const bool fin = (static_cast<unsigned char>(got[0]) & 0x80) != 0;
    const auto next = take_frame(got);
    if (!next) return out + "|torn";
    if (next->payload.empty() && next->opcode == kContinuation && !fin) continue;
    out += std::to_string(next->opcode) + (fin ? "!" : "+") + next->payload + " ";
  }
  return out;
}

// kDropped: "the queue is at its maximum, or this is above 1 GiB (kMessageBytesMost)".
TEST(ConnSend, MoreThanAQueueMayHoldIsDroppedAndTheEnd) {
  constexpr std::size_t kBytes = kMessageBytesMost + 1;
  void* const memory = ::mmap(nullptr, kBytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  const std::span huge(static_cast<const std::uint8_t*>(memory), kBytes);
  std::vector<SendStatus> sent;
  bool published = true;
  OneClient client({[&](Conn& conn) {
    conn.subscribe("t");
    published = conn.publish("t", huge);
    sent = {conn.send("before"), conn.send(huge), conn.send("behind")};
  }});
  EXPECT_TRUE(client.go(close_frame(1013, "too slow")).starts_with(server_frame(kText, "before")));
  EXPECT_EQ(sent, (std::vector{SendStatus::kSent, SendStatus::kDropped, SendStatus::kClosed}));
  EXPECT_FALSE(published);
  ::munmap(memory, kBytes);
}

TEST(ConnStream, SendsAMessageInPiecesAsTheyCome) {
  const std::vector<std::uint8_t> bytes = {'b', 'b'};
  OneClient client(
      {[](Conn& conn) { EXPECT_EQ(conn.begin(MessageType::kBinary), SendStatus::kSent); },
       [](Conn& conn) { EXPECT_EQ(conn.append("aaa"), SendStatus::kSent); },
       [&](Conn& conn) {
         conn.append("");
         conn.append(bytes);
       },
       [](Conn& conn) { EXPECT_EQ(conn.end(), SendStatus::kSent); }});
  EXPECT_EQ(stream_of(client.go(fin0(kBinary, ""))), "2+ ");
  EXPECT_EQ(client.go(fin0(kContinuation, "aaa")), fin0(kContinuation, "aaa"))
      << "at once, not with the end";
  EXPECT_EQ(stream_of(client.go(fin0(kContinuation, "bb"))), "0+bb ");
  EXPECT_EQ(client.go(server_frame(kContinuation, "")), server_frame(kContinuation, ""));
}

TEST(ConnStream, MayBeEmptyOrLong) {
  EXPECT_EQ(stream_of(sent_by([](Conn& conn) {
              conn.begin(MessageType::kText);
              conn.end();
            })),
            "1+ 0! ");
  const std::string piece(100'000, 'x');
  std::string wanted = "2+ ";
  for (int i = 0; i < 30; ++i) wanted += "0+" + piece + " ";
  EXPECT_TRUE(stream_of(sent_by([&](Conn& conn) {
                conn.begin(MessageType::kBinary);
                for (int i = 0; i < 30; ++i) conn.append(piece);
                conn.end();
              })) == wanted + "0! ");
}

// "What send() and topics have for this peer meanwhile waits for end(), since messages do not
// interleave (RFC 6455 5.4); pings, pongs and Close do not wait."
TEST(ConnStream, MessagesWaitForItsEndAndPingsDoNot) {
  OneClient client({[](Conn& conn) {
                      conn.subscribe("news");
                      conn.begin(MessageType::kText);
                      conn.append("a");
                      EXPECT_EQ(conn.send("first"), SendStatus::kQueued);
                      EXPECT_GT(conn.queued_bytes(), 0U);
                      conn.ping("p");
                      conn.append("b");
                    },
                    [](Conn& conn) {
                      conn.send("third", {.frame_bytes = 3});
                      conn.append("c");
                      conn.end();
                      EXPECT_EQ(conn.send("last"), SendStatus::kSent);
                      EXPECT_EQ(conn.queued_bytes(), 0U);
                    }});
  EXPECT_EQ(stream_of(client.go(fin0(kContinuation, "b"))), "1+ 0+a 9!p 0+b ");
  // A pong does not wait either, and the topic does.
  client.server().server().publish("news", "second");
  client.peer().queue(ping("q"));
  EXPECT_EQ(client.peer().exchange(3), server_frame(kPong, "q"));
  EXPECT_EQ(stream_of(client.go(server_frame(kText, "last"))),
            "0+c 0! 1!first 1!second 1+thi 0!rd 1!last ");
}

TEST(ConnStream, ACloseDoesNotWait) {
  OneClient client({[](Conn& conn) {
    conn.begin(MessageType::kText);
    conn.append("a");
    conn.close(CloseCode{4000}, "why");
    EXPECT_EQ(conn.append("b"), SendStatus::kClosed);
    EXPECT_EQ(conn.end(), SendStatus::kClosed);
    EXPECT_EQ(conn.begin(MessageType::kText), SendStatus::kClosed);
  }});
  EXPECT_EQ(stream_of(client.go(close_frame(4000, "why"))),
            "1+ 0+a 8!" + close_frame(4000, "why").substr(2) + " ");
  client.peer().queue(close(4000));
  EXPECT_EQ(client.peer().exchange(1), "");
}

TEST(ConnStream, AThrowInItIsAClose1011) {
  OneClient client({[](Conn& conn) {
    conn.begin(MessageType::kText);
    conn.send("held");
    throw 1;
  }});
  EXPECT_EQ(stream_of(client.go("internal error")).substr(0, 6), "1+ 8!\x03");
}

// "kClosed also when a call is out of place."
TEST(ConnStream, CallsOutOfPlaceDoNothing) {
  EXPECT_EQ(stream_of(sent_by([](Conn& conn) {
              EXPECT_EQ(conn.append("x"), SendStatus::kClosed);
              EXPECT_EQ(conn.append(std::vector<std::uint8_t>{1}), SendStatus::kClosed);
              EXPECT_EQ(conn.end(), SendStatus::kClosed);
              conn.begin(MessageType::kText);
              EXPECT_EQ(conn.begin(MessageType::kBinary), SendStatus::kClosed);
              conn.append("a");
              EXPECT_EQ(conn.begin(MessageType::kText), SendStatus::kClosed);
              conn.end();
              EXPECT_EQ(conn.end(), SendStatus::kClosed);
              EXPECT_EQ(conn.append("y"), SendStatus::kClosed);
              conn.begin(MessageType::kBinary);
              conn.end();
            })),
            "1+ 0+a 0! 2+ 0! ");
}

// --- ping ---

TEST(ConnPing, SendsUpTo125BytesAndHearsThePong) {
  std::string pongs;
  Handlers handlers;
  handlers.on_pong = [&](Conn& conn, std::span<const std::uint8_t> payload) {
    conn.send("pong " + std::string(payload.begin(), payload.end()));
  };
  OneClient client({[](Conn& conn) {
                     EXPECT_EQ(conn.ping(), SendStatus::kSent);
                     conn.ping("abc");
                     conn.ping(std::string(125, 'x'));
                     conn.ping(std::string(126, 'y'));
                   }},
                   handlers);
  const std::string last = server_frame(kPing, std::string(125, 'y'));
  EXPECT_EQ(client.go(last), server_frame(kPing, "") + server_frame(kPing, "abc") +
                                 server_frame(kPing, std::string(125, 'x')) + last);
  // RFC 6455 5.5.3: a pong may also come unsolicited.
  client.peer().queue(pong("abc") + pong(""));
  const std::string wanted = server_frame(kText, "pong abc") + server_frame(kText, "pong ");
  EXPECT_EQ(client.peer().exchange(wanted.size()), wanted);
}

// "Pings are answered before this is called."
TEST(ConnPing, IsAnsweredBeforeItsHandlerIsCalled) {
  Handlers handlers;
  handlers.on_ping = [](Conn& conn, std::span<const std::uint8_t> payload) {
    conn.send("ping " + std::string(payload.begin(), payload.end()));
  };
  OneClient client({}, handlers);
  client.peer().queue(ping("one") + first(kText, "x") + ping(std::string(125, 'z')));
  const std::string wanted = server_frame(kPong, "one") + server_frame(kText, "ping one") +
                             server_frame(kPong, std::string(125, 'z')) +
                             server_frame(kText, "ping " + std::string(125, 'z'));
  EXPECT_EQ(client.peer().exchange(wanted.size()), wanted);
}

// --- close ---

// RFC 6455 7.4: what may be sent, and what MUST NOT be.
TEST(ConnClose, SendsACodeThatMayBeSentOr1011) {
  const struct {
    int code;
    int sent;
  } kCodes[] = {{1000, 1000}, {1001, 1001}, {1003, 1003}, {1007, 1007}, {1014, 1014}, {3000, 3000},
                {4999, 4999}, {0, 1011},    {999, 1011},  {1004, 1011}, {1006, 1011}, {1015, 1011},
                {1016, 1011}, {2999, 1011}, {5000, 1011}, {65535, 1011}};
  for (const auto& each : kCodes) {
    Journal journal;
    OneClient client({[&](Conn& conn) { conn.close(static_cast<CloseCode>(each.code), "why"); }},
                     journal.handlers());
    EXPECT_EQ(client.go("why"), close_frame(each.sent, "why")) << each.code;
    client.peer().reset();
    ASSERT_EQ(journal.closings(1).size(), 1U);
    EXPECT_EQ(static_cast<int>(journal.closings(1)[0].code), each.sent);
  }
}

TEST(ConnClose, WithoutACodeIsAnEmptyFrame) {
  OneClient client(
      {[&](Conn& conn) { conn.close(CloseCode::kNoStatus, "a reason needs a code"); }});
  EXPECT_EQ(client.go(server_frame(kClose, "")), server_frame(kClose, ""));
}

// 5.5: 125 bytes, two of them the code; a reason stays UTF-8 (5.5.1).
TEST(ConnClose, CutsAReasonAtTheEdgeOfACharacter) {
  for (const std::string_view character : {"x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"}) {
    for (std::size_t before = 118; before <= 124; ++before) {
      std::string reason(before, 'a');
      for (int i = 0; i < 4; ++i) reason += character;
      const std::size_t whole =
          before >= 123 ? 0 : std::min<std::size_t>(4, (123 - before) / character.size());
      const std::string kept = reason.substr(0, std::min<std::size_t>(before, 123)) +
                               reason.substr(before, whole * character.size());
      OneClient client({[&](Conn& conn) { conn.close(CloseCode::kNormal, reason); }});
      EXPECT_EQ(client.go(close_frame(1000, kept)), close_frame(1000, kept))
          << before << " and " << character;
    }
  }
}

TEST(ConnClose, NothingWorksAfterIt) {
  std::string wrong;
  Handlers handlers;
  const auto expect_closed = [&](Conn& conn, const char* where) {
    const bool closed =
        conn.send("x") == SendStatus::kClosed && conn.ping() == SendStatus::kClosed &&
        conn.begin(MessageType::kText) == SendStatus::kClosed &&
        conn.append("x") == SendStatus::kClosed && conn.end() == SendStatus::kClosed &&
        !conn.subscribe("t") && !conn.unsubscribe("t");
    if (!closed) wrong += where;
    conn.pause_reading();
    conn.resume_reading();
    conn.close(CloseCode{4444});
  };
  std::optional<Close> end;
  handlers.on_close = [&](Conn& conn, const Close& why) {
    expect_closed(conn, "in on_close");
    end = {why.code, {}, why.cause};
  };
  OneClient client({[&](Conn& conn) {
                     conn.close(CloseCode{4001});
                     expect_closed(conn, "after close()");
                   }},
                   handlers);
  EXPECT_EQ(client.go(close_frame(4001, "")), close_frame(4001, ""));
  client.peer().queue(close(4001));
  EXPECT_EQ(client.peer().exchange(1), "");
  client.peer().reset();
  EXPECT_TRUE(client.server().has_connections(0));
  client.server().stop_and_wait();
  EXPECT_EQ(wrong, "");
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(static_cast<int>(end->code), 4001);
  EXPECT_EQ(to_string(end->cause), "local");
}

// --- misuse ---

// Calls `use` with a Conn on a thread that is not its own.
void use_elsewhere(const OnConn& use) {
  Loopback net;
  net.route("/", {.on_open = [&](Conn& conn) { std::thread([&] { use(conn); }).join(); }});
  EXPECT_TRUE(net.connect("ws://test/", {}, {}));
  net.run();
}

// Calls `use` with a Conn whose connection is gone.
void use_afterwards(const OnConn& use) {
  Conn* gone = nullptr;
  Loopback net;
  net.route("/", {.on_open = [&](Conn& conn) {
              gone = &conn;
              conn.close();
            }});
  net.route("/later", {.on_message = [&](Conn&, const Message&) { use(*gone); }});
  // The one that lives comes first, so that it does not get the other's slot.
  EXPECT_TRUE(
      net.connect("ws://test/later", {}, {.on_pong = [](Conn& conn, auto) { conn.send("now"); }}));
  net.run();
  EXPECT_TRUE(net.connect("ws://test/", {}, {}));
  net.run();
  net.advance(25'000);
  ASSERT_NE(gone, nullptr);
  net.advance(60'000);
}

struct Use {
  const char* name;
  OnConn call;
};
const std::vector<Use> kUses = {
    {"send", [](Conn& c) { EXPECT_EQ(c.send("x"), SendStatus::kClosed); }},
    {"begin", [](Conn& c) { EXPECT_EQ(c.begin(MessageType::kText), SendStatus::kClosed); }},
    {"append", [](Conn& c) { EXPECT_EQ(c.append("x"), SendStatus::kClosed); }},
    {"end", [](Conn& c) { EXPECT_EQ(c.end(), SendStatus::kClosed); }},
    {"ping", [](Conn& c) { EXPECT_EQ(c.ping(), SendStatus::kClosed); }},
    {"close", [](Conn& c) { c.close(); }},
    {"subscribe", [](Conn& c) { EXPECT_FALSE(c.subscribe("t")); }},
    {"unsubscribe", [](Conn& c) { EXPECT_FALSE(c.unsubscribe("t")); }},
    {"publish", [](Conn& c) { EXPECT_FALSE(c.publish("t", "x")); }},
    {"queued_bytes", [](Conn& c) { EXPECT_EQ(c.queued_bytes(), 0U); }},
    {"pause_reading", [](Conn& c) { c.pause_reading(); }},
    {"resume_reading", [](Conn& c) { c.resume_reading(); }},
    {"id", [](Conn& c) { EXPECT_EQ(c.id(), ConnId{}); }},
    {"peer", [](Conn& c) { EXPECT_EQ(c.peer(), ""); }},
    {"request", [](Conn& c) { EXPECT_EQ(c.request().target, ""); }},
    {"subprotocol", [](Conn& c) { EXPECT_EQ(c.subprotocol(), ""); }},
};

#ifdef NDEBUG
TEST(ConnMisuse, OnAnotherThreadIsAnsweredNo) {
  for (const Use& use : kUses) {
    bool used = false;
    use_elsewhere([&](Conn& conn) { used = true, use.call(conn); });
    EXPECT_TRUE(used) << use.name;
  }
}

TEST(ConnMisuse, AfterItsEndIsAnsweredNo) {
  for (const Use& use : kUses) {
    bool used = false;
    use_afterwards([&](Conn& conn) { used = true, use.call(conn); });
    EXPECT_TRUE(used) << use.name;
  }
}
#else
TEST(ConnMisuseDeathTest, OnAnotherThreadIsNamedWithItsCure) {
  for (const Use& use : kUses) {
    EXPECT_DEATH(use_elsewhere(use.call), "misuse: .*another thread.*use post\\(\\)") << use.name;
  }
}

TEST(ConnMisuseDeathTest, AfterItsEndIsNamedWithItsCure) {
  for (const Use& use : kUses) {
    EXPECT_DEATH(use_afterwards(use.call), "misuse: .*after its on_close.*use post\\(\\)")
        << use.name;
  }
}

TEST(ConnMisuseDeathTest, TextThatIsNotUtf8IsNamedWithItsCure) {
  const auto send_bad = [](bool publish) {
    Loopback net;
    net.route("/", {.on_open = [&](Conn& conn) {
                if (publish) conn.publish("t", "\xff");
                if (!publish) conn.send("\xff");
              }});
    EXPECT_TRUE(net.connect("ws://test/", {}, {}));
    net.run();
  };
  EXPECT_DEATH(send_bad(false), "misuse: .*not UTF-8.*binary");
  EXPECT_DEATH(send_bad(true), "misuse: .*not UTF-8.*binary");
  EXPECT_DEATH(Loopback().publish("t", "\xff"), "misuse: .*not UTF-8.*binary");
  EXPECT_DEATH(Server().publish("t", "\xff"), "misuse: .*not UTF-8.*binary");
}
#endif

// data<T>() has nothing it could return.
TEST(ConnMisuseDeathTest, ItsDataOnAnotherThreadEndsTheProcess) {
  EXPECT_DEATH(use_elsewhere([](Conn& conn) { conn.data<int>() = 1; }), "check failed");
  EXPECT_DEATH(use_afterwards([](Conn& conn) { conn.data<int>() = 1; }), "check failed");
}

}  // namespace
}  // namespace ws::test
