// What the conformance cases do not reach: the client's role, memory, direct receiving, held pongs.
#include "ws/proto/protocol.h"
#include "tests/conformance/conformance.h"
#include "tests/support/bytes.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

namespace ws::proto {
namespace {

using Kind = Event::Kind;
using test::bytes_of;

std::string string_of(core::ConstBytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// One end with what it needs around it.
struct End {
  explicit End(Role role, std::uint64_t message_bytes_max = 1 << 20) {
    config.self = {.role = role, .keys = &keys};
    config.message_bytes_max = message_bytes_max;
    config.message_fragments_max = 100;
    config.pool = &pool;
  }

  // Decodes `wire` (a copy: it is unmasked in place) and keeps what came out.
  std::vector<Kind> take(std::string_view wire) {
    received.assign(wire.begin(), wire.end());
    core::Bytes in = received;
    std::vector<Kind> kinds;
    for (;;) {
      const Event event = protocol.next(in, out);
      if (event.kind == Kind::kNone) return kinds;
      frames_of_nothing += event.kind == Kind::kProgress ? 1 : 0;
      if (event.kind == Kind::kProgress) continue;
      kinds.push_back(event.kind);
      last = event;
      payload = string_of(event.payload);
    }
  }
  std::string sent() {
    std::string all = string_of(out.bytes());
    out.clear();
    return all;
  }
  std::string encoded(Opcode opcode, std::string_view text) {
    core::Buffer buffer;
    encode_frame(buffer, config.self, opcode, bytes_of(text));
    return string_of(buffer.bytes());
  }

  MaskKeys keys;
  core::BufferPool pool;
  ProtocolConfig config;
  Protocol protocol{config};
  core::Buffer out;
  std::vector<std::uint8_t> received;
  Event last;
  std::string payload;
  int frames_of_nothing = 0;
};

TEST(Protocol, TalksToItselfInBothRoles) {
  End server(Role::kServer);
  End client(Role::kClient);
  EXPECT_EQ(server.take(client.encoded(Opcode::kText, "to the server")),
            std::vector{Kind::kMessage});
  EXPECT_EQ(server.payload, "to the server");
  EXPECT_EQ(client.take(server.encoded(Opcode::kBinary, std::string(70'000, 'x'))),
            std::vector{Kind::kMessage});
  EXPECT_EQ(client.payload.size(), 70'000u);

  EXPECT_EQ(client.take(server.encoded(Opcode::kPing, "p")), std::vector{Kind::kPing});
  EXPECT_EQ(server.take(client.sent()), std::vector{Kind::kPong});
  EXPECT_EQ(server.payload, "p");
}

// Whoever serves many counts what a peer makes it do, also where nothing comes of it.
TEST(Protocol, TellsOfEveryFrame) {
  End server(Role::kServer);
  EXPECT_EQ(server.take(test::fragmented(test::kText, "abc", 1)), std::vector{Kind::kMessage});
  EXPECT_EQ(server.frames_of_nothing, 3);
  const std::string empty = test::frame({.opcode = test::kContinuation, .fin = false}, "");
  EXPECT_TRUE(server.take(test::frame({.opcode = test::kText, .fin = false}, "") + empty).empty());
  EXPECT_EQ(server.frames_of_nothing, 5);
  server.protocol.close(server.out, CloseCode::kNormal, {});
  EXPECT_TRUE(server.take(empty).empty());
  EXPECT_EQ(server.frames_of_nothing, 6);
}

TEST(Protocol, KnowsWhetherAHeaderLiesInFrontOfItsMessage) {
  for (const std::size_t size : {5u, 300u, 70'000u}) {
    End server(Role::kServer);
    End client(Role::kClient);
    const std::string frame = client.encoded(Opcode::kBinary, std::string(size, 'x'));
    const std::size_t header_bytes = frame.size() - size;
    for (std::size_t at = 0; at <= header_bytes + 1; ++at) {
      EXPECT_TRUE(server.take(frame.substr(0, at)).empty());
      std::vector<std::uint8_t> rest(frame.begin() + static_cast<std::ptrdiff_t>(at), frame.end());
      core::Bytes in = rest;
      EXPECT_EQ(server.protocol.next(in, server.out).kind, Kind::kMessage);
      EXPECT_EQ(server.protocol.header_in_front(), at == 0) << at << " of " << size;
      EXPECT_EQ(server.protocol.next(in, server.out).kind, Kind::kNone);
    }
  }
}

TEST(Protocol, ClientRefusesAMaskedFrameAndMasksItsClose) {
  End server(Role::kServer);
  End client(Role::kClient);
  End other_client(Role::kClient);
  EXPECT_EQ(client.take(other_client.encoded(Opcode::kText, "x")), std::vector{Kind::kFailed});
  EXPECT_EQ(client.last.error, Error::kMaskedFrame);
  EXPECT_EQ(server.take(client.sent()), std::vector{Kind::kClosed});
  EXPECT_EQ(server.last.code, CloseCode::kProtocolError);
}

TEST(Protocol, ClosingHandshakeFromEitherSide) {
  for (const bool server_begins : {true, false}) {
    End server(Role::kServer);
    End client(Role::kClient);
    End& first = server_begins ? server : client;
    End& second = server_begins ? client : server;
    first.protocol.close(first.out, static_cast<CloseCode>(3999), "done");
    EXPECT_EQ(second.take(first.sent()), std::vector{Kind::kClosed});
    EXPECT_EQ(second.last.code, static_cast<CloseCode>(3999));
    EXPECT_EQ(second.payload, "done");
    EXPECT_EQ(first.take(second.sent()), std::vector{Kind::kClosed});
    EXPECT_EQ(first.last.code, static_cast<CloseCode>(3999));
    EXPECT_EQ(first.sent(), "");  // 5.5.1: one Close frame each
  }
}

TEST(Protocol, DropsMessagesThatComeAfterItsOwnClose) {
  End server(Role::kServer);
  End client(Role::kClient);
  const std::string half = client.encoded(Opcode::kText, "half").substr(0, 8);
  EXPECT_EQ(server.take(half), std::vector<Kind>{});
  server.protocol.close(server.out, CloseCode::kGoingAway, {});
  const std::string rest = client.encoded(Opcode::kText, "half").substr(8);
  EXPECT_EQ(
      server.take(rest + client.encoded(Opcode::kText, "more") + client.encoded(Opcode::kPing, "")),
      std::vector{Kind::kPing});
  EXPECT_EQ(server.sent(), std::string("\x88\x02\x03\xe9", 4));  // and no pong behind it
  client.protocol.close(client.out, CloseCode::kGoingAway, {});
  EXPECT_EQ(server.take(client.sent()), std::vector{Kind::kClosed});
}

TEST(Protocol, IgnoresEverythingAfterTheEnd) {
  End server(Role::kServer);
  End client(Role::kClient);
  client.protocol.close(client.out, CloseCode::kNormal, {});
  const std::string close = client.sent();
  EXPECT_EQ(server.take(close + client.encoded(Opcode::kText, "late")), std::vector{Kind::kClosed});
  EXPECT_EQ(server.take(client.encoded(Opcode::kText, "later")), std::vector<Kind>{});
}

TEST(Protocol, HoldsOnlyTheNewestPongWhileOutputIsBlocked) {
  End server(Role::kServer);
  End client(Role::kClient);
  server.protocol.hold_pongs(true);
  for (const char* text : {"first", "second", "newest"})
    server.take(client.encoded(Opcode::kPing, text));
  EXPECT_EQ(server.sent(), "");
  server.protocol.release_pong(server.out);
  EXPECT_EQ(client.take(server.sent()), std::vector{Kind::kPong});
  EXPECT_EQ(client.payload, "newest");
  server.protocol.release_pong(server.out);
  EXPECT_EQ(server.sent(), "");
}

TEST(Protocol, NeverSendsAnOlderPongBehindANewerOne) {
  End server(Role::kServer);
  End client(Role::kClient);
  server.protocol.hold_pongs(true);
  server.take(client.encoded(Opcode::kPing, "older"));
  server.protocol.hold_pongs(false);
  server.take(client.encoded(Opcode::kPing, "newer"));
  server.protocol.release_pong(server.out);
  EXPECT_EQ(client.take(server.sent()), std::vector{Kind::kPong});
  EXPECT_EQ(client.payload, "newer");
}

TEST(Protocol, GivesTheEventsOfOneSegmentOneByOneAndKeepsTheRestUnread) {
  End server(Role::kServer);
  End client(Role::kClient);
  const std::string wire =
      client.encoded(Opcode::kText, "one") + client.encoded(Opcode::kText, "two");
  std::vector<std::uint8_t> received(wire.begin(), wire.end());
  core::Bytes in = received;
  EXPECT_EQ(string_of(server.protocol.next(in, server.out).payload), "one");
  EXPECT_EQ(in.size(), wire.size() / 2);
  // A caller out of budget keeps the rest, and goes on with it later.
  std::vector<std::uint8_t> kept(in.begin(), in.end());
  core::Bytes rest = kept;
  EXPECT_EQ(string_of(server.protocol.next(rest, server.out).payload), "two");
  EXPECT_TRUE(rest.empty());
}

TEST(Protocol, ReceivesALargePayloadStraightIntoItsBuffer) {
  End server(Role::kServer, 1 << 24);
  End client(Role::kClient);
  std::string message;
  for (int i = 0; i < 1'000'000; ++i) message += static_cast<char>('a' + i % 26);
  const std::string wire = client.encoded(Opcode::kText, message);
  EXPECT_TRUE(server.protocol.payload_space().empty());
  server.take(std::string_view(wire).substr(0, 3'000));
  std::size_t at = 3'000;
  while (at < wire.size()) {
    const core::Bytes space = server.protocol.payload_space();
    if (space.empty()) break;  // the last few bytes come the usual way
    const std::size_t received = at - 14;
    // Never more than what came before, or 4 KiB, whatever the header announced. (The buffer's own
    // spare room may add to it: capacity is at most twice the content.)
    EXPECT_LE(space.size(), std::max<std::size_t>(received * 2, 8192));
    const std::size_t count = std::min({space.size(), wire.size() - at, std::size_t{50'000}});
    std::memcpy(space.data(), wire.data() + at, count);
    server.protocol.payload_received(count);
    at += count;
    const auto events = server.take({});
    if (at == wire.size()) {
      ASSERT_EQ(events, std::vector{Kind::kMessage});
    }
  }
  if (at < wire.size()) {
    ASSERT_EQ(server.take(std::string_view(wire).substr(at)), std::vector{Kind::kMessage});
  }
  EXPECT_EQ(server.payload, message);
}

TEST(Protocol, FailsOnBadTextReceivedDirectly) {
  End server(Role::kServer);
  End client(Role::kClient);
  std::string message(100'000, 'a');
  message[50'000] = '\xff';
  const std::string wire = client.encoded(Opcode::kText, message);
  server.take(std::string_view(wire).substr(0, 40'000));
  const core::Bytes space = server.protocol.payload_space();
  ASSERT_GE(space.size(), 20'000u);
  std::memcpy(space.data(), wire.data() + 40'000, 20'000);
  server.protocol.payload_received(20'000);
  EXPECT_EQ(server.take({}), std::vector{Kind::kFailed});
  EXPECT_EQ(server.last.code, CloseCode::kInvalidPayload);
}

TEST(Protocol, HandsOverTheMemoryOfAGatheredMessageOnly) {
  End server(Role::kServer);
  End client(Role::kClient);
  const std::string wire = client.encoded(Opcode::kBinary, std::string(1000, 'g'));
  std::vector<std::uint8_t> received(wire.begin(), wire.end());
  core::Bytes in = received;
  EXPECT_TRUE(server.protocol.take_message(server.protocol.next(in, server.out).payload).empty());
  EXPECT_EQ(server.protocol.next(in, server.out).kind, Kind::kNone);

  server.take(std::string_view(wire).substr(0, 500));
  received.assign(wire.begin() + 500, wire.end());
  in = received;
  const Event event = server.protocol.next(in, server.out);
  ASSERT_EQ(event.kind, Kind::kMessage);
  EXPECT_TRUE(server.protocol.take_message(event.payload.subspan(1)).empty());
  core::Buffer taken = server.protocol.take_message(event.payload);
  EXPECT_EQ(server.protocol.next(in, server.out).kind, Kind::kNone);
  EXPECT_EQ(string_of(taken.bytes()), std::string(1000, 'g'));
}

TEST(Protocol, KnowsWhenItIsInsideAMessage) {
  End server(Role::kServer);
  End client(Role::kClient);
  const std::string wire = client.encoded(Opcode::kText, "hello");
  EXPECT_FALSE(server.protocol.mid_message());
  server.take(std::string_view(wire).substr(0, 1));
  EXPECT_TRUE(server.protocol.mid_message());
  server.take(std::string_view(wire).substr(1, 7));
  EXPECT_TRUE(server.protocol.mid_message());
  EXPECT_EQ(server.protocol.flowed_bytes(), 2u);
  server.take(std::string_view(wire).substr(8));
  EXPECT_FALSE(server.protocol.mid_message());
}

// A torn header behind a message in chunks is the start of another: nothing of it has flowed.
TEST(Protocol, CountsTheBytesOfEachMessageInChunks) {
  End server(Role::kServer);
  server.config.chunks = true;
  End client(Role::kClient);
  const std::string wire = client.encoded(Opcode::kBinary, "hello");
  server.take(std::string_view(wire).substr(0, 8));
  EXPECT_EQ(server.protocol.flowed_bytes(), 2u);
  server.take(wire.substr(8) + wire.substr(0, 3));
  EXPECT_TRUE(server.protocol.mid_message());
  EXPECT_EQ(server.protocol.flowed_bytes(), 0u);
}

TEST(Protocol, AbortWritesOneCloseAndEnds) {
  End server(Role::kServer);
  End client(Role::kClient);
  server.protocol.abort(server.out, CloseCode::kTryAgainLater, "too slow");
  server.protocol.abort(server.out, CloseCode::kInternalError, {});
  EXPECT_EQ(client.take(server.sent()), std::vector{Kind::kClosed});
  EXPECT_EQ(client.last.code, CloseCode::kTryAgainLater);
  EXPECT_EQ(server.take(client.sent()), std::vector<Kind>{});
}

}  // namespace
}  // namespace ws::proto
