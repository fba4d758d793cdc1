// Peers that vanish: FIN and RST after every byte of a handshake and three messages (rows H8, T7
// and E6; P8).
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "tests/conformance/conformance.h"
#include "tests/support/raw_peer.h"
#include "tests/support/test_server.h"

namespace ws::test {
namespace {

enum class End { kFin, kReset };

// No deadline may come to the rescue: the end itself has to be noticed.
Limits without_deadlines() {
  Limits limits;
  limits.handshake_ms = limits.ping_after_ms = 600'000;
  return limits;
}

std::string conversation() {
  return Request().str() + text("one") + fragmented(kBinary, "two", 2) + ping("three") +
         text(std::string(200, 'x'));
}

// false: the server did not end the connection in its turn.
bool end(RawPeer& peer, End how) {
  if (how == End::kReset) {
    peer.reset();
    return true;
  }
  peer.half_close();
  // What is owed, then FIN: a peer that has finished writing is not left waiting.
  while (!peer.read(5'000).empty()) continue;
  return peer.ended();
}

// Plays `tear` for every number of bytes up to `bytes`, and then looks for traces.
// descriptors: how many were open before anybody came.
void tear_everywhere(TestServer& server, bool tls, std::size_t bytes, std::size_t descriptors,
                     const std::function<bool(std::size_t)>& tear) {
  for (std::size_t cut = 0; cut <= bytes; ++cut) {
    ASSERT_TRUE(tear(cut)) << "after " << cut << " of " << bytes << " bytes";
    if (cut % 100 == 0) {
      ASSERT_EQ(server.serves(tls), "") << "after " << cut;
    }
  }
  EXPECT_EQ(server.serves(tls), "");
  EXPECT_TRUE(server.has_connections(0));
  EXPECT_TRUE(eventually([&] { return open_descriptors() == descriptors; }))
      << open_descriptors() << " descriptors instead of " << descriptors;
  const std::size_t opens = server.journal().opens();
  EXPECT_EQ(server.journal().closings(opens).size(), opens) << "on_close once for each on_open";
}

class ServerTorn : public testing::TestWithParam<End> {};
INSTANTIATE_TEST_SUITE_P(By, ServerTorn, testing::Values(End::kFin, End::kReset),
                         [](const testing::TestParamInfo<End>& by) {
                           return by.param == End::kFin ? "fin" : "reset";
                         });

TEST_P(ServerTorn, AfterEveryByte) {
  TestServer server(without_deadlines());
  const std::string bytes = conversation();
  tear_everywhere(server, false, bytes.size(), open_descriptors(), [&](std::size_t cut) {
    RawPeer peer(connect_tcp(server.port(false)), false);
    return peer.send_raw(bytes.substr(0, cut)) && end(peer, GetParam());
  });
}

// Without close_notify, and mostly in the middle of a record.
TEST_P(ServerTorn, AfterEveryByteOverTls) {
  TestServer server(without_deadlines());
  const std::size_t descriptors = open_descriptors();
  std::size_t sealed_bytes = 0;
  {
    RawPeer peer(connect_tcp(server.port(true)), true);
    peer.take_queued();
    peer.queue(conversation());
    sealed_bytes = peer.take_queued().size();
    ASSERT_GT(sealed_bytes, conversation().size());
  }
  tear_everywhere(server, true, sealed_bytes, descriptors, [&](std::size_t cut) {
    RawPeer peer(connect_tcp(server.port(true)), true);
    const std::string finished = peer.take_queued();
    peer.queue(conversation());
    return peer.send_raw(finished + peer.take_queued().substr(0, cut)) && end(peer, GetParam());
  });
}

TEST_P(ServerTorn, AfterEveryByteOfTheTlsHandshake) {
  TestServer server(without_deadlines());
  const std::string hello = TlsClient().take();
  tear_everywhere(server, true, hello.size(), open_descriptors(), [&](std::size_t cut) {
    RawPeer peer(connect_tcp(server.port(true)), false);
    return peer.send_raw(hello.substr(0, cut)) && end(peer, GetParam());
  });
}

}  // namespace
}  // namespace ws::test
