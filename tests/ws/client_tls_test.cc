// Clients over TLS: whom they trust (tls/options.h), and servers that break off.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <utility>

#include "tests/support/loopback.h"
#include "tests/support/raw_server.h"
#include "tests/support/test_certs.h"
#include "tests/support/test_server.h"
#include "ws/ws.h"

namespace ws::test {
namespace {

class ClientTls : public testing::Test {
 protected:
  ClientTls() {
    certs.make_ca("ca");
    certs.make_ca("other");
    certs.make("good", {.dns_names = {"localhost"}, .ip_addresses = {"127.0.0.1"}, .issuer = "ca"});
    certs.make("elsewhere", {.dns_names = {"elsewhere.test"}, .issuer = "ca"});
    certs.make("client", {.issuer = "ca"});
  }
  // "" when a client with these options is served by one with that certificate; else why not.
  std::string outcome(const std::string& certificate, ws::TlsClientOptions options,
                      std::string_view host = "127.0.0.1", TlsOptions server_tls = {}) {
    server_tls.certificates = {{certs.cert(certificate), certs.key(certificate)}};
    TestServer server({.listen = {"wss://127.0.0.1:0"}, .tls = server_tls}, {.on_message = echo});
    fingerprint = server.server().certificate_fingerprint();
    if (options.pinned_sha256 == std::vector<std::string>{"its own"}) {
      options.pinned_sha256 = {std::string(64, '0'), fingerprint};
    }
    auto conn =
        ws::connect("wss://" + std::string(host) + ":" + std::to_string(server.port(true)) + "/",
                    {}, {.tls = std::move(options)});
    if (!conn) return conn.error().message();
    if (!conn.value().send("hello")) return "not sent";
    const auto got = conn.value().receive(20'000);
    if (!got) return got.error().message();
    return got.value() && got.value()->text() == "hello" ? "" : "no echo";
  }

  TestCerts certs;
  std::string fingerprint;
};

TEST_F(ClientTls, TrustsTheAuthorityItIsGiven) {
  EXPECT_EQ(outcome("good", {.ca_file = certs.cert("ca")}), "");
  EXPECT_EQ(outcome("good", {.ca_file = certs.cert("ca")}, "localhost"), "");
}

TEST_F(ClientTls, TrustsNobodyElse) {
  expect_has(outcome("good", {}), "tls: ");  // the system does not know our authority
  expect_has(outcome("good", {.ca_file = certs.cert("other")}), "tls: ");
  expect_has(outcome("elsewhere", {.ca_file = certs.cert("ca")}), "tls: ");
  expect_has(outcome("elsewhere", {.ca_file = certs.cert("ca")}, "localhost"), "tls: ");
}

TEST_F(ClientTls, APinAloneCounts) {
  EXPECT_EQ(outcome("good", {.pinned_sha256 = {"its own"}}), "");
  EXPECT_EQ(outcome("elsewhere", {.pinned_sha256 = {"its own"}}), "");
  expect_has(outcome("good", {.pinned_sha256 = {std::string(64, 'a')}}), "tls: ");
  expect_has(outcome("good", {.verify = false, .pinned_sha256 = {std::string(64, 'a')}}), "tls: ");
}

TEST_F(ClientTls, WithoutVerificationAnyCertificateWillDo) {
  EXPECT_EQ(outcome("elsewhere", {.verify = false}), "");
}

TEST_F(ClientTls, ShowsItsCertificateToAServerThatAsks) {
  const TlsOptions asks{.client_certificates = ClientCertificates::kRequired,
                        .client_ca_file = certs.cert("ca")};
  ws::TlsClientOptions options{.ca_file = certs.cert("ca")};
  EXPECT_NE(outcome("good", options, "127.0.0.1", asks), "");
  options.certificate = {certs.cert("client"), certs.key("client")};
  EXPECT_EQ(outcome("good", options, "127.0.0.1", asks), "");
}

TEST_F(ClientTls, NothingIsSaidToAServerThatIsNotTrusted) {
  std::atomic<int> asked{0};
  TestServer server(ServerOptions{}, {.on_upgrade = [&](const ws::Request&) -> Upgrade {
                      ++asked;
                      return Accept{};
                    }});
  EXPECT_FALSE(ws::connect("wss://127.0.0.1:" + std::to_string(server.port(true)) + "/?secret", {},
                           {.tls = {.ca_file = certs.cert("ca")}}));
  EXPECT_TRUE(server.has_connections(0));
  EXPECT_EQ(asked, 0);
}

TEST_F(ClientTls, AServerThatIsNoneOrBreaksOffIsAFailure) {
  RawServer server;
  ws::Client client;
  std::atomic<int> failures{0};
  const auto connect = [&] {
    ASSERT_TRUE(client.connect(server.url("wss"),
                               {.on_failure =
                                    [&](const ConnectFailure& why) {
                                      expect_has(why.reason, " ");
                                      ++failures;
                                    }},
                               {.on_open = [](Conn&) { ADD_FAILURE(); }}));
  };
  const auto hello = [](RawPeer& peer) { EXPECT_EQ(peer.read(20'000).substr(0, 1), "\x16"); };
  connect();
  {
    RawPeer peer = server.accept();
    hello(peer);
    peer.send_raw("HTTP/1.1 400 This is plain HTTP\r\n\r\n");
    EXPECT_TRUE(eventually([&] { return failures == 1; }));
  }
  connect();
  {
    RawPeer peer = server.accept();
    hello(peer);
    peer.half_close();
    EXPECT_TRUE(eventually([&] { return failures == 2; }));
  }
  connect();
  {
    RawPeer peer = server.accept();
    hello(peer);
    peer.reset();
    EXPECT_TRUE(eventually([&] { return failures == 3; }));
  }
  connect();
  {
    RawPeer peer = server.accept();
    hello(peer);
    peer.send_raw(std::string("\x16\x03\x03\x40\x00\x02", 6));  // the start of a record
    peer.half_close();
    EXPECT_TRUE(eventually([&] { return failures == 4; }));
  }
}

// What TLS has ready when the first one refuses is not for the next one's socket before that is
// connected.
TEST_F(ClientTls, TheAddressesOfANameAreTriedInTurn) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  RawServer server("::1");
  // localhost is 127.0.0.1, where nobody listens, then ::1.
  ws::Client client;
  ASSERT_TRUE(client.connect("wss://localhost:" + std::to_string(server.port()) + "/", {}, {}));
  RawPeer peer = server.accept();
  EXPECT_EQ(peer.read(20'000).substr(0, 1), "\x16") << "a ClientHello";
}

TEST_F(ClientTls, WhenAllAddressesFailTheLastOneTellsWhy) {
  const std::string host = "localhost:" + std::to_string(RawServer().port());
  const auto conn = ws::connect("wss://" + host + "/");
  ASSERT_FALSE(conn);
  expect_has(conn.error().message(), "Connection refused");
}

TEST_F(ClientTls, TheClosingHandshakeIsClean) {
  Journal served;
  TestServer server(ServerOptions{}, served.handlers());
  ClientOptions options;
  options.tls.pinned_sha256 = {server.server().certificate_fingerprint()};
  auto conn =
      ws::connect("wss://127.0.0.1:" + std::to_string(server.port(true)) + "/", {}, options);
  ASSERT_TRUE(conn) << conn.error().message();
  conn.value().close(static_cast<CloseCode>(4000), "done");
  const auto closings = served.closings(1);
  ASSERT_EQ(closings.size(), 1U);
  EXPECT_EQ(static_cast<int>(closings[0].code), 4000);
  EXPECT_EQ(closings[0].cause, CloseCause::kPeer);
  EXPECT_EQ(conn.value().receive(0).error().message(),
            "the connection has ended: code 4000, local");
}

}  // namespace
}  // namespace ws::test
