// on_chunk: messages that are received as they come (ws/handlers.h, ws/message.h).
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/support/raw_peer.h"
#include "tests/support/test_server.h"

namespace ws::test {
namespace {

// Answers each message with what its chunks said: "text 5 hello", and says so where they were out
// of order.
struct Gathering {
  std::string bytes;
  bool open = false;
  MessageType type{};
};
void gather(Conn& conn, const Chunk& chunk) {
  auto& [bytes, open, type] = conn.data<Gathering>();
  if (chunk.first == open) conn.send("first is wrong");
  if (!chunk.first && chunk.type != type) conn.send("another type");
  type = chunk.type;
  open = true;
  bytes.append(chunk.bytes.begin(), chunk.bytes.end());
  if (!chunk.last) return;
  bytes.insert(0, type == MessageType::kText ? "text " : "binary ");
  conn.send(type == MessageType::kText ? Message(bytes) : binary_message(bytes));
  bytes.clear();
  open = false;
}

Handlers gathering() {
  return {.on_message = [](Conn& conn, auto) { conn.send("on_message was called"); },
          .on_chunk = gather,
          .on_ping = [](Conn& conn, auto) { conn.send("pinged"); }};
}

class Chunks : public OverBothSchemes {};
INSTANTIATE_TEST_SUITE_P(Over, Chunks, testing::Bool(), scheme);

Script messages_and_answers(const Chop& chop) {
  return Script()
      .sends(text("hello") + binary(std::string("\0\xff", 2)) + text("") + binary(""), chop)
      .gets_text("text hello")
      .gets_binary(std::string("binary \0", 8) + "\xff")
      .gets_text("text ")
      .gets_binary("binary ")
      .sends(first(kText, "a") + middle("") + middle("b") + ping("p") + last("c"), chop)
      .gets_pong("p")
      .gets_text("pinged")
      .gets_text("text abc")
      .sends(first(kBinary, "") + middle("") + last(""), chop)
      .gets_binary("binary ")
      .sends(first(kText, "only") + last(""), chop)
      .gets_text("text only")
      .bye();
}

TEST_P(Chunks, ReplaceOnMessage) {
  TestServer server(gathering());
  for (const Chop& chop : {Chop{}, bytewise(), pieces(3)}) {
    Peer peer = server.peer(tls());
    // What a fragment of its own sends cannot be told from what follows, so answers may differ in
    // order only between pong and chunk: the script fixes it.
    EXPECT_EQ(peer.play(messages_and_answers(chop)), "");
  }
}

TEST_P(Chunks, ComeAsTheyArrive) {
  std::mutex mutex;
  std::string seen;
  Handlers handlers;
  handlers.on_chunk = [&](Conn&, const Chunk& chunk) {
    const std::lock_guard lock(mutex);
    seen += (chunk.first ? "[" : "") + std::string(chunk.bytes.begin(), chunk.bytes.end()) +
            (chunk.last ? "]" : "");
  };
  TestServer server(handlers);
  Peer peer = server.peer(tls());
  const std::string whole = text("one message");
  const auto has = [&](const std::string& wanted) {
    return eventually([&] {
      const std::lock_guard lock(mutex);
      return seen == wanted;
    });
  };
  ASSERT_TRUE(peer.stream->write(whole.substr(0, 9)));
  EXPECT_TRUE(has("[one")) << seen;
  ASSERT_TRUE(peer.stream->write(whole.substr(9, 5)));
  EXPECT_TRUE(has("[one mess")) << seen;
  ASSERT_TRUE(peer.stream->write(whole.substr(14)));
  EXPECT_TRUE(has("[one message]")) << seen;
}

// 8.1 and "its text is part of valid UTF-8, yet a piece may end inside a character".
TEST_P(Chunks, KeepCharactersThatAreTornApart) {
  TestServer server(gathering());
  const std::string euro = "\xe2\x82\xac";
  for (const Chop& chop : {Chop{}, bytewise()}) {
    Peer peer = server.peer(tls());
    EXPECT_EQ(peer.play(Script()
                            .sends(text(euro + "\xf0\x9f\x98\x80"), chop)
                            .gets_text("text " + euro + "\xf0\x9f\x98\x80")
                            .sends(first(kText, "\xe2") + middle("\x82") + last("\xac"), chop)
                            .gets_text("text " + euro)
                            .bye()),
              "");
  }
}

TEST_P(Chunks, RefuseWhatIsNoUtf8) {
  for (const std::string& bad :
       {text("\xff"), text("ok\xe2\x82"), first(kText, "ok\xe2\x82") + last("x"),
        first(kText, "\xf0\x9f") + last(""), first(kText, "x") + middle("\xc0") + last("y"),
        text(std::string(300, 'x') + "\xed\xa0\x80")}) {
    for (const Chop& chop : {Chop{}, bytewise()}) {
      Journal journal;
      Handlers handlers = journal.handlers();
      handlers.on_chunk = [](Conn&, const Chunk& chunk) {
        for (const std::uint8_t byte : chunk.bytes) EXPECT_LT(byte, 0xf8) << "delivered";
        EXPECT_FALSE(chunk.last) << "a bad message was ended";
      };
      TestServer server(handlers);
      {
        Peer peer = server.peer(tls());
        EXPECT_EQ(peer.play(Script().sends(bad, chop).fails(1007)), "");
      }
      const auto closings = journal.closings(1);
      ASSERT_EQ(closings.size(), 1U);
      EXPECT_EQ(to_string(closings[0].cause), "protocol");
    }
  }
}

TEST_P(Chunks, ViolationsStayViolations) {
  TestServer server(gathering());
  const std::string kBad[] = {last("stray"), first(kText, "x") + text("interleaved"),
                              frame({.masked = false}, "x"), frame({.rsv = 4}, "x"),
                              frame({.opcode = kPing, .fin = false}, "")};
  for (const std::string& bad : kBad) {
    Peer peer = server.peer(tls());
    EXPECT_EQ(peer.play(Script().sends(bad).fails(1002)), "");
  }
}

TEST(ChunksCompression, IsNotNegotiated) {
  ServerOptions options;
  options.deflate.mode = DeflateMode::kOn;
  TestServer server(options, gathering());
  const auto stream = server.connect(false);
  ASSERT_NE(stream, nullptr);
  EXPECT_EQ(Client(*stream).play(
                Script()
                    .sends(Request().with("Sec-WebSocket-Extensions: permessage-deflate").str())
                    .upgraded("")
                    .sends(text("plain"))
                    .gets_text("text plain")
                    .bye()),
            "");
}

// "pieces as they come, for messages of any size in bounded memory. Limits of messages do not
// hold".
TEST_P(Chunks, AMessageMayBeLargerThanAnyLimit) {
  constexpr std::size_t kBytes = std::size_t{24} << 20;
  Limits limits;
  limits.message_bytes = 1'000;
  limits.message_fragments = 2;
  std::atomic<std::size_t> largest = 0;
  std::uint64_t sum = 0;
  std::size_t bytes = 0;
  Handlers handlers;
  handlers.on_chunk = [&](Conn& conn, const Chunk& chunk) {
    largest = std::max<std::size_t>(largest, chunk.bytes.size());
    bytes += chunk.bytes.size();
    for (std::size_t i = 0; i < chunk.bytes.size(); i += 101) sum += chunk.bytes[i] == 'x';
    if (chunk.last) conn.send(std::to_string(bytes));
  };
  TestServer server(handlers, limits);
  for (const bool in_fragments : {false, true}) {
    bytes = 0;
    Peer peer = server.peer(tls());
    const std::string payload(kBytes, 'x');
    if (in_fragments) {
      EXPECT_TRUE(peer.stream->write(fragmented(kBinary, payload, 50'000)));
    } else {
      EXPECT_TRUE(peer.stream->write(binary(payload)));
    }
    EXPECT_EQ(peer.play(Script().gets_text(std::to_string(kBytes)).bye()), "");
  }
  EXPECT_GT(sum, 2 * kBytes / 101 - 10'000);
  EXPECT_LE(largest, std::size_t{1} << 20) << "a piece is as large as a read, not as a message";
}

// The header of a message of 2^62 bytes costs nothing, and its first bytes are delivered.
TEST_P(Chunks, ALengthThatIsOnlyAnnouncedCostsNothing) {
  std::atomic<std::size_t> bytes = 0;
  Handlers handlers;
  handlers.on_chunk = [&](Conn& conn, const Chunk& chunk) {
    bytes += chunk.bytes.size();
    EXPECT_FALSE(chunk.last);
    conn.send("got");
  };
  TestServer server(handlers);
  Peer peer = server.peer(tls());
  EXPECT_EQ(peer.play(Script()
                          .sends(frame({.opcode = kBinary, .announced = std::uint64_t{1} << 62},
                                       std::string(100, 'x')))
                          .gets_text("got")),
            "");
  EXPECT_EQ(bytes, 100U);
}

// "that its bytes keep flowing does" hold.
TEST(ChunksTime, AMessageThatStopsIsTooSlow) {
  Loopback net;
  std::vector<std::string> ends;
  std::size_t bytes = 0;
  ConnId client;
  net.route("/", {.on_chunk = [&](Conn&, const Chunk& c) { bytes += c.bytes.size(); },
                  .on_close =
                      [&](Conn&, const Close& why) {
                        ends.push_back(std::to_string(static_cast<int>(why.code)) + " " +
                                       std::string(to_string(why.cause)));
                      }});
  ASSERT_TRUE(net.connect("ws://test/", {}, {.on_open = [&](Conn& conn) {
                            client = conn.id();
                            conn.begin(MessageType::kBinary);
                          }}));
  net.run();
  const std::string second(20'000, 'x');  // above Limits::assembly_bytes_per_s
  for (int i = 0; i < 100; ++i) {
    net.post(client, [&](Conn& conn) { conn.append(second); });
    net.advance(1'000);
  }
  EXPECT_EQ(bytes, 100 * second.size());
  EXPECT_TRUE(ends.empty()) << "it flows";
  net.advance(65'000);
  EXPECT_EQ(ends, std::vector<std::string>{"1008 timeout"});
}

TEST_P(Chunks, MayBePausedAndClosedAndThrow) {
  std::atomic<std::uint64_t> id = 0;
  Handlers handlers;
  handlers.on_chunk = [&](Conn& conn, const Chunk& chunk) {
    const std::string said(chunk.bytes.begin(), chunk.bytes.end());
    if (said == "throw") throw std::runtime_error("on purpose");
    if (said == "close") conn.close(CloseCode{4001});
    id = conn.id().packed();
    if (said == "pause") conn.pause_reading();
    conn.send(said);
  };
  TestServer server(handlers);
  Peer peer = server.peer(tls());
  EXPECT_EQ(peer.play(Script()
                          .sends(first(kText, "pause") + middle("b") + middle("throw"))
                          .gets_text("pause")
                          .silent(50)),
            "");
  server.server().post(ConnId::unpack(id), [](Conn& conn) { conn.resume_reading(); });
  EXPECT_EQ(peer.play(Script().gets_text("b").fails(1011)), "");
  Peer other = server.peer(tls());
  EXPECT_EQ(other.play(Script()
                           .sends(first(kText, "close") + middle("never") + last("throw"))
                           .gets_close(4001)
                           .sends(close(4001))
                           .eof()),
            "");
}

}  // namespace
}  // namespace ws::test
