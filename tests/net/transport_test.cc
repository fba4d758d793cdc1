// What a transport says of its progress (RFC 8446 records over sockets that are memory).
#include "net/transport.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <string>

#include "net/memory_socket.h"
#include "tests/support/test_certs.h"
#include "tests/support/tls_client.h"
#include "tls/context.h"

namespace ws::test {
namespace {

using net::MemorySockets;
using net::Transport;

std::string take_all(net::Socket& socket) {
  std::string room(100'000, '\0');
  const auto got = socket.read({reinterpret_cast<std::uint8_t*>(room.data()), room.size()});
  room.resize(got.bytes);
  return room;
}

// A server's end of an established TLS connection, and what its client does.
struct Sealed {
  explicit Sealed(std::size_t pipe_bytes) : Sealed(MemorySockets::connect(pipe_bytes)) {
    for (int round = 0; round < 4; ++round) {
      const std::string flight = client.take();
      const iovec part{const_cast<char*>(flight.data()), flight.size()};
      peer.write({&part, 1});
      (void)transport.read({}, scratch);
      while (transport.pending() > 0) {
        EXPECT_FALSE(transport.flush(scratch).failed);
        client.receive(take_all(peer));
      }
      client.receive(take_all(peer));
    }
    EXPECT_TRUE(client.established());
  }
  explicit Sealed(std::pair<MemorySockets::Handle, MemorySockets::Handle> ends)
      : peer(ends.first),
        transport(net::Socket(ends.second),
                  std::make_unique<tls::Session>(tls::Context::make_server({}).value())) {}

  net::Scratch scratch;
  TlsClient client;
  net::Socket peer;
  Transport transport;
};

// "sent: went to the socket, of TLS as sealed": a reader that takes a little at a time makes
// progress though nothing new is sealed meanwhile.
TEST(Transport, SealedBytesThatLeaveLaterAreProgress) {
  constexpr std::size_t kPipeBytes = 2'000;
  Sealed sealed(kPipeBytes);
  const std::string payload(20'000, 'x');
  const iovec part{const_cast<char*>(payload.data()), payload.size()};
  const Transport::Output first = sealed.transport.write({&part, 1}, sealed.scratch);
  EXPECT_FALSE(first.failed);
  EXPECT_EQ(first.bytes, payload.size()) << "sealed ahead of the socket";
  EXPECT_EQ(first.sent, kPipeBytes);
  std::size_t sent = first.sent;
  std::size_t received = 0;
  while (sealed.transport.pending() > 0) {
    EXPECT_EQ(sealed.transport.flush(sealed.scratch).sent, 0U) << "nothing was taken";
    const std::string bytes = take_all(sealed.peer);
    received += bytes.size();
    sealed.client.receive(bytes);
    const Transport::Output more = sealed.transport.flush(sealed.scratch);
    ASSERT_FALSE(more.failed);
    ASSERT_GT(more.sent, 0U);
    sent += more.sent;
  }
  const std::string rest = take_all(sealed.peer);
  sealed.client.receive(rest);
  EXPECT_EQ(sent, received + rest.size());
  EXPECT_EQ(sealed.client.read(), payload);
  sealed.peer.close();
  EXPECT_TRUE(sealed.transport.write({&part, 1}, sealed.scratch).failed);
}

// RFC 8446 6.1: "Each party MUST send a "close_notify" alert before closing its write side of the
// connection", also where the last message filled the socket to the brim.
TEST(Transport, ACloseNotifyThatFindsNoRoomIsNotLost) {
  constexpr std::size_t kPipeBytes = 2'000;
  constexpr std::size_t kRecordOverheadBytes = 22;
  Sealed sealed(kPipeBytes);
  const std::string payload(kPipeBytes - kRecordOverheadBytes, 'x');
  const iovec part{const_cast<char*>(payload.data()), payload.size()};
  EXPECT_EQ(sealed.transport.write({&part, 1}, sealed.scratch).sent, kPipeBytes);
  ASSERT_EQ(sealed.transport.pending(), 0U);
  EXPECT_EQ(sealed.transport.finish(sealed.scratch), Transport::Ended::kBlocked);
  EXPECT_GT(sealed.transport.pending(), 0U);
  sealed.client.receive(take_all(sealed.peer));
  EXPECT_FALSE(sealed.transport.flush(sealed.scratch).failed);
  EXPECT_EQ(sealed.transport.finish(sealed.scratch), Transport::Ended::kYes);
  sealed.client.receive(take_all(sealed.peer));
  EXPECT_EQ(sealed.client.read(), payload);
  EXPECT_TRUE(sealed.client.closed());
}

// A second buffer would be one that grew from nothing, copying.
TEST(Transport, AMessageOfManyRecordsIsSealedInOneBuffer) {
  constexpr std::size_t kBytes = 1024 * 1024;
  Sealed sealed(2 * kBytes);
  const std::string payload(kBytes, 'x');
  const iovec part{const_cast<char*>(payload.data()), payload.size()};
  const Transport::Output output = sealed.transport.write({&part, 1}, sealed.scratch);
  EXPECT_EQ(output.bytes, kBytes);
  EXPECT_EQ(sealed.transport.pending(), 0U);
  std::size_t spares = 0;
  while (sealed.scratch.pool.take(2 * kBytes).capacity() > 0) ++spares;
  EXPECT_EQ(spares, 1U);
}

TEST(Transport, WithoutTlsWhatWasTakenWasSent) {
  const auto ends = MemorySockets::connect(1'000);
  const net::Socket peer(ends.first);
  net::Scratch scratch;
  Transport transport(net::Socket(ends.second), nullptr);
  const std::string payload(3'000, 'x');
  const iovec part{const_cast<char*>(payload.data()), payload.size()};
  const Transport::Output output = transport.write({&part, 1}, scratch);
  EXPECT_EQ(output.bytes, 1'000U);
  EXPECT_EQ(output.sent, 1'000U);
}

}  // namespace
}  // namespace ws::test
