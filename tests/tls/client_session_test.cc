#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <random>
#include <string>
#include <string_view>

#include "tests/support/test_certs.h"
#include "tests/support/tls_pair.h"
#include "tls/session.h"

// The client's side, against our own server's.
namespace ws::tls {
namespace {

using namespace std::string_literals;
using test::bytes_of;
using test::kTls11;
using test::kTls12;
using test::kTls13;

Context make_server(const ServerOptions& options) {
  auto made = Context::make_server(options);
  EXPECT_TRUE(made) << made.error().message();
  return std::move(made).value();
}

Context make_client(const ClientOptions& options) {
  auto made = Context::make_client(options);
  EXPECT_TRUE(made) << made.error().message();
  EXPECT_EQ(ERR_peek_error(), 0u);
  return std::move(made).value();
}

struct End {
  template <class... Arguments>
  explicit End(const Arguments&... arguments) : session(arguments...) {}

  void feed(std::string_view ciphertext) {
    std::array<std::uint8_t, 5000> room;
    session.feed(bytes_of(ciphertext));
    for (;;) {
      const auto unsealed = session.unseal(room);
      EXPECT_EQ(ERR_peek_error(), 0u);
      received.append(reinterpret_cast<const char*>(room.data()), unsealed.bytes);
      status = unsealed.status;
      if (unsealed.bytes < room.size() || status != Status::kOk) return;
    }
  }
  std::string take() {
    core::Buffer& pending = session.pending();
    std::string out(reinterpret_cast<const char*>(pending.data()), pending.size());
    pending.consume(pending.size());
    return out;
  }

  Session session;
  std::string received{};
  Status status = Status::kOk;
};

struct Pair {
  Pair(const Context& server_context, const Context& client_context, std::string_view host)
      : server(server_context), client(client_context, host) {}

  // Moves ciphertext both ways until there is none.
  void run(const std::function<std::size_t()>& split = [] { return std::size_t{1} << 20; }) {
    for (;;) {
      const std::string to_server = client.take(), to_client = server.take();
      if (to_server.empty() && to_client.empty()) return;
      const auto move = [&](std::string_view bytes, End& end) {
        while (!bytes.empty()) {
          const std::string_view piece = bytes.substr(0, std::max<std::size_t>(split(), 1));
          end.feed(piece);
          bytes.remove_prefix(piece.size());
        }
      };
      move(to_server, server);
      move(to_client, client);
    }
  }
  bool established() const { return server.session.established() && client.session.established(); }
  void expect_talks() {
    ASSERT_TRUE(established()) << client.session.failure() << " / " << server.session.failure();
    ASSERT_TRUE(client.session.seal(bytes_of("ping")));
    ASSERT_TRUE(server.session.seal(bytes_of("pong")));
    run();
    EXPECT_EQ(server.received, "ping");
    EXPECT_EQ(client.received, "pong");
  }

  End server;
  End client;
};

// The SSL of the newest server session made from `context`, to make it do what ours never does.
SSL* newest_server = nullptr;
void watch(const Context& context) {
  SSL_CTX_set_info_callback(
      context.handle(), [](const SSL* ssl, int, int) { newest_server = const_cast<SSL*>(ssl); });
}

class ClientSession : public testing::Test {
 protected:
  KeyPair files(const std::string& name) const { return {certs_.cert(name), certs_.key(name)}; }
  void SetUp() override {
    certs_.make_ca("ca");
    certs_.make("good", {.dns_names = {"good.test", "*.wild.test", "f*.part.test"},
                         .ip_addresses = {"127.0.0.1", "2001:db8::1"},
                         .issuer = "ca"});
  }
  ClientOptions trusting(const std::string& ca = "ca") const {
    return {.ca_file = certs_.cert(ca)};
  }
  test::TestCerts certs_;
};

class ClientSessionVersions : public ClientSession, public testing::WithParamInterface<int> {
 protected:
  int version() const { return GetParam(); }
  Context server(const std::string& name, ServerOptions options = {}) {
    options.certificates = {files(name)};
    Context made = make_server(options);
    limit(made);
    return made;
  }
  void limit(const Context& context) const {
    SSL_CTX_set_min_proto_version(context.handle(), version());
    SSL_CTX_set_max_proto_version(context.handle(), version());
  }
  void expect_accepted(const Context& server, const ClientOptions& options, std::string_view host) {
    SCOPED_TRACE(host);
    Pair pair(server, make_client(options), host);
    pair.run();
    pair.expect_talks();
  }
  // alert: what the server is told.
  void expect_refused(const Context& server, const ClientOptions& options, std::string_view host,
                      const std::string& verdict, const std::string& alert) {
    SCOPED_TRACE(host);
    Pair pair(server, make_client(options), host);
    pair.run();
    EXPECT_EQ(pair.client.status, Status::kFailed);
    EXPECT_FALSE(pair.client.session.established());
    EXPECT_FALSE(pair.client.session.seal(bytes_of("secret")));
    EXPECT_EQ(pair.client.session.failure(), "certificate verify failed: " + verdict);
    EXPECT_EQ(pair.client.session.peer_subject(), "");
    EXPECT_EQ(pair.server.status, Status::kFailed);
    EXPECT_EQ(pair.server.session.failure(), alert);
  }
};

INSTANTIATE_TEST_SUITE_P(Tls, ClientSessionVersions, testing::Values(kTls12, kTls13),
                         [](const auto& test) { return test.param == kTls12 ? "12" : "13"; });

TEST_P(ClientSessionVersions, TalksToAServerItCanVerify) {
  Pair pair(server("good"), make_client(trusting()), "good.test");
  EXPECT_FALSE(pair.client.session.established());
  pair.run();
  pair.expect_talks();
  EXPECT_EQ(pair.client.session.version(), version() == kTls12 ? "TLSv1.2" : "TLSv1.3");
  EXPECT_EQ(pair.client.session.cipher(), pair.server.session.cipher());
  EXPECT_EQ(pair.client.session.peer_subject(), "CN=good");
  EXPECT_EQ(pair.client.session.failure(), "");
}

TEST_P(ClientSessionVersions, TakesAnySplitOfTheStream) {
  const Context ours = server("good"), theirs = make_client(trusting());
  std::mt19937 random(3);
  for (const std::size_t longest : {1u, 7u, 300u}) {
    Pair pair(ours, theirs, "good.test");
    pair.run([&] { return 1 + random() % longest; });
    ASSERT_TRUE(pair.established()) << pair.client.session.failure();
    const std::string sent(100'000, 'x');
    ASSERT_TRUE(pair.client.session.seal(bytes_of(sent)));
    ASSERT_TRUE(pair.server.session.seal(bytes_of(sent)));
    pair.run([&] { return 1 + random() % longest; });
    EXPECT_TRUE(pair.client.received == sent);
    EXPECT_TRUE(pair.server.received == sent);
  }
}

TEST_P(ClientSessionVersions, ChecksTheNameTheCertificateIsFor) {
  const Context ours = server("good");
  for (const char* host : {"good.test", "GOOD.test", "good.test.", "a.wild.test", "127.0.0.1",
                           "2001:db8::1", "2001:DB8:0::1"}) {
    expect_accepted(ours, trusting(), host);
  }
  // RFC 6125 section 6.4.3: a wildcard stands for one whole label. RFC 9110 section 4.3.4: the
  // common name (here "good") does not count.
  for (const char* host : {"bad.test", "sub.good.test", "wild.test", "a.b.wild.test",
                           "foo.part.test", "good", "localhost"}) {
    expect_refused(ours, trusting(), host, "hostname mismatch", "sslv3 alert bad certificate");
  }
  for (const char* host : {"127.0.0.2", "2001:db8::2"}) {
    expect_refused(ours, trusting(), host, "IP address mismatch", "sslv3 alert bad certificate");
  }
}

TEST_P(ClientSessionVersions, ANameIsNotAnAddressAndNoNameIsNoMatch) {
  certs_.make("texts", {.dns_names = {"127.0.0.1"}, .issuer = "ca"});
  expect_refused(server("texts"), trusting(), "127.0.0.1", "IP address mismatch",
                 "sslv3 alert bad certificate");
  certs_.make("bare.test", {.issuer = "ca"});
  expect_refused(server("bare.test"), trusting(), "bare.test", "hostname mismatch",
                 "sslv3 alert bad certificate");
}

TEST_P(ClientSessionVersions, RefusesOneThatIsNotValidNow) {
  // An expired one would not load, so the client's clock is what is wrong.
  const Context ours = server("good");
  const Context client = make_client(trusting());
  const auto refuses_at = [&](int offset_s, const std::string& verdict, const char* alert) {
    X509_VERIFY_PARAM_set_time(SSL_CTX_get0_param(client.handle()), ::time(nullptr) + offset_s);
    Pair pair(ours, client, "good.test");
    pair.run();
    EXPECT_EQ(pair.client.session.failure(), "certificate verify failed: " + verdict);
    EXPECT_EQ(pair.server.session.failure(), alert);
  };
  refuses_at(7200, "certificate has expired", "sslv3 alert certificate expired");
  refuses_at(-7200, "certificate is not yet valid", "sslv3 alert bad certificate");
}

TEST_P(ClientSessionVersions, RefusesAStrangersCertificate) {
  certs_.make_ca("rogue");
  certs_.make("fake", {.dns_names = {"good.test"}, .issuer = "rogue"});
  expect_refused(server("fake"), trusting(), "good.test", "unable to get local issuer certificate",
                 "tlsv1 alert unknown ca");
  // Our own self-signed one, as `wsd` makes it.
  Context self_signed = make_server({});
  limit(self_signed);
  for (const ClientOptions& options : {ClientOptions{}, trusting()}) {
    expect_refused(self_signed, options, "localhost", "self-signed certificate",
                   "tlsv1 alert unknown ca");
  }
}

TEST_P(ClientSessionVersions, TrustsASelfSignedOneNamedAsAnAuthority) {
  certs_.make("self", {.dns_names = {"self.test"}});
  expect_accepted(server("self"), trusting("self"), "self.test");
  expect_refused(server("self"), trusting("self"), "other.test", "hostname mismatch",
                 "sslv3 alert bad certificate");
}

TEST_P(ClientSessionVersions, FollowsTheChainTheServerSends) {
  certs_.make("middle", {.issuer = "ca", .is_ca = true});
  certs_.make("leaf", {.dns_names = {"leaf.test"}, .issuer = "middle"});
  expect_refused(server("leaf"), trusting(), "leaf.test", "unable to get local issuer certificate",
                 "tlsv1 alert unknown ca");
  certs_.write("chain.pem", certs_.read(certs_.cert("leaf")) + certs_.read(certs_.cert("middle")));
  const Context whole =
      make_server({.certificates = {{certs_.path("chain.pem"), certs_.key("leaf")}}});
  limit(whole);
  expect_accepted(whole, trusting(), "leaf.test");
}

TEST_P(ClientSessionVersions, TrustsTheSystemsAuthorities) {
  // Where OpenSSL looks for them.
  ASSERT_EQ(::setenv("SSL_CERT_FILE", certs_.cert("ca").c_str(), 1), 0);
  expect_accepted(server("good"), {}, "good.test");
  ASSERT_EQ(::unsetenv("SSL_CERT_FILE"), 0);
  expect_refused(server("good"), {}, "good.test", "unable to get local issuer certificate",
                 "tlsv1 alert unknown ca");
}

TEST_P(ClientSessionVersions, APinnedFingerprintIsTrustedWhateverElseIsWrong) {
  const Context ours = server("good"), other = make_server({});
  const std::string pin = ours.fingerprint();
  std::string plain;
  for (const char c : pin) {
    if (c != ':') plain += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  // The authority is unknown and the host another.
  expect_accepted(ours, {.pinned_sha256 = {pin}}, "other.test");
  expect_accepted(ours, {.pinned_sha256 = {plain}}, "192.0.2.1");
  expect_accepted(ours, {.pinned_sha256 = {other.fingerprint(), pin}}, "other.test");
  const Context late = make_client({.pinned_sha256 = {pin}});
  X509_VERIFY_PARAM_set_time(SSL_CTX_get0_param(late.handle()), ::time(nullptr) + 7200);
  Pair pair(ours, late, "good.test");
  pair.run();
  EXPECT_TRUE(pair.established()) << pair.client.session.failure();
  EXPECT_EQ(pair.client.session.peer_subject(), "CN=good");
}

TEST_P(ClientSessionVersions, APinRefusesEveryOtherCertificate) {
  const Context ours = server("good");
  const std::string other = make_server({}).fingerprint();
  ASSERT_EQ(::setenv("SSL_CERT_FILE", certs_.cert("ca").c_str(), 1), 0);  // it would be trusted
  for (const bool verify : {true, false}) {
    expect_refused(ours, {.verify = verify, .pinned_sha256 = {other}}, "good.test",
                   "its fingerprint " + ours.fingerprint() + " is none of those pinned",
                   "sslv3 alert bad certificate");
  }
  ASSERT_EQ(::unsetenv("SSL_CERT_FILE"), 0);
}

// What is pinned is the server's own certificate, not one of its issuers.
TEST_P(ClientSessionVersions, APinnedIssuerDoesNotCount) {
  const std::string issuer = make_server({.certificates = {files("ca")}}).fingerprint();
  certs_.write("chain.pem", certs_.read(certs_.cert("good")) + certs_.read(certs_.cert("ca")));
  const Context chain =
      make_server({.certificates = {{certs_.path("chain.pem"), certs_.key("good")}}});
  limit(chain);
  expect_refused(chain, {.pinned_sha256 = {issuer}}, "good.test",
                 "its fingerprint " + chain.fingerprint() + " is none of those pinned",
                 "sslv3 alert bad certificate");
}

TEST_P(ClientSessionVersions, WithoutVerificationAnyCertificateWillDo) {
  expect_accepted(server("good"), {.verify = false}, "other.test");
  Pair pair(server("good"), make_client({.verify = false}), "127.0.0.9");
  pair.run();
  pair.expect_talks();
  EXPECT_EQ(pair.client.session.peer_subject(), "");  // it was not verified
  // A failure of another kind does not speak of certificates.
  pair.client.feed(std::string(100, '!'));
  EXPECT_EQ(pair.client.session.failure().find("certificate"), std::string::npos)
      << pair.client.session.failure();
}

TEST_P(ClientSessionVersions, SniLetsTheServerChooseItsCertificate) {
  certs_.make("second", {.dns_names = {"second.test"}, .issuer = "ca"});
  const Context both = make_server({.certificates = {files("good"), files("second")}});
  limit(both);
  for (const std::string name : {"good", "second"}) {
    Pair pair(both, make_client(trusting()), name + ".test");
    pair.run();
    ASSERT_TRUE(pair.established()) << pair.client.session.failure();
    EXPECT_EQ(pair.client.session.peer_subject(), "CN=" + name);
  }
}

TEST_P(ClientSessionVersions, ShowsItsCertificateToAServerThatAsks) {
  certs_.make("me", {.issuer = "ca"});
  const ServerOptions asks{.client_certificates = ClientCertificates::kRequired,
                           .client_ca_file = certs_.cert("ca")};
  ClientOptions options = trusting();
  options.certificate = files("me");
  Pair pair(server("good", asks), make_client(options), "good.test");
  pair.run();
  pair.expect_talks();
  EXPECT_EQ(pair.server.session.peer_subject(), "CN=me");
  Pair without(server("good", asks), make_client(trusting()), "good.test");
  without.run();
  EXPECT_EQ(without.client.status, Status::kFailed);
  EXPECT_EQ(without.client.session.failure(), version() == kTls12
                                                  ? "sslv3 alert handshake failure"
                                                  : "tlsv13 alert certificate required");
}

TEST_P(ClientSessionVersions, ANoAlpnAnswerIsFine) {
  const Context silent = server("good");
  SSL_CTX_set_alpn_select_cb(silent.handle(), nullptr, nullptr);
  expect_accepted(silent, trusting(), "good.test");
  const Context ours = server("good");
  watch(ours);
  Pair pair(ours, make_client(trusting()), "good.test");
  pair.run();
  const unsigned char* name = nullptr;
  unsigned length = 0;
  SSL_get0_alpn_selected(newest_server, &name, &length);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(name), length), "http/1.1");
}

TEST_P(ClientSessionVersions, EndsWithCloseNotify) {
  for (const bool client_first : {true, false}) {
    Pair pair(server("good"), make_client(trusting()), "good.test");
    pair.run();
    End& first = client_first ? pair.client : pair.server;
    End& second = client_first ? pair.server : pair.client;
    first.session.close_notify();
    pair.run();
    EXPECT_EQ(second.status, Status::kClosed);
    second.session.close_notify();
    pair.run();
    EXPECT_EQ(first.status, Status::kClosed);
  }
}

TEST_P(ClientSessionVersions, AChangedRecordFailsIt) {
  Pair pair(server("good"), make_client(trusting()), "good.test");
  pair.run();
  ASSERT_TRUE(pair.server.session.seal(bytes_of("data")));
  std::string record = pair.server.take();
  record.back() = static_cast<char>(record.back() ^ 1);
  pair.client.feed(record);
  EXPECT_EQ(pair.client.status, Status::kFailed);
  EXPECT_EQ(pair.client.received, "");
  EXPECT_FALSE(pair.client.take().empty());  // the alert
}

// RFC 8446 section 4.1.2, RFC 6066 section 3, RFC 7301 section 3.1.
TEST_F(ClientSession, ItsHelloWaitsFromTheStartAndNamesHostAndProtocol) {
  End client(make_client(trusting()), "good.test");
  const std::string hello = client.take();
  ASSERT_GT(hello.size(), 10u);
  EXPECT_EQ(hello[0], 22);  // a handshake record
  EXPECT_EQ(hello[5], 1);   // client_hello
  const std::string sni = "\x00\x00\x00\x0e\x00\x0c\x00\x00\x09good.test"s;
  const std::string alpn = "\x00\x10\x00\x0b\x00\x09\x08http/1.1"s;
  EXPECT_NE(hello.find(sni), std::string::npos);
  EXPECT_NE(hello.find(alpn), std::string::npos);
  client.feed("");
  EXPECT_EQ(client.status, Status::kOk);
  EXPECT_EQ(client.take(), "");
}

// RFC 6066 section 3: "Literal IPv4 and IPv6 addresses are not permitted in "HostName"."
TEST_F(ClientSession, ItsHelloNamesNoAddress) {
  for (const char* host : {"127.0.0.1", "2001:db8::1"}) {
    End client(make_client(trusting()), host);
    const std::string hello = client.take();
    ASSERT_FALSE(hello.empty());
    EXPECT_EQ(hello.find(host), std::string::npos);
  }
}

TEST_F(ClientSession, RefusesWhatIsNoHost) {
  const Context context = make_client({.verify = false});
  for (const std::string& host :
       {""s, "."s, ".good.test"s, "good.test\0.evil.test"s, std::string(256, 'a')}) {
    End client(context, host);
    EXPECT_EQ(client.session.failure(), '"' + host + "\" is neither a host name nor an IP address");
    EXPECT_TRUE(client.session.pending().empty());
    client.feed("hello");
    EXPECT_EQ(client.status, Status::kFailed);
    EXPECT_FALSE(client.session.established());
    EXPECT_EQ(ERR_peek_error(), 0u);
  }
}

TEST_F(ClientSession, PrefersTls13AndRefusesTls11) {
  Pair pair(make_server({.certificates = {files("good")}}), make_client(trusting()), "good.test");
  pair.run();
  EXPECT_EQ(pair.client.session.version(), "TLSv1.3");
  // RFC 5246 section 7.4.1.3: the server's choice stands in the first field of its hello, after
  // the heads of the record (5 bytes) and of the message (4).
  const Context old = make_server({.certificates = {files("good")}});
  SSL_CTX_set_max_proto_version(old.handle(), kTls12);
  Pair refused(old, make_client(trusting()), "good.test");
  refused.server.feed(refused.client.take());
  std::string hello = refused.server.take();
  ASSERT_EQ(hello.substr(9, 2), "\x03\x03");
  hello[10] = kTls11 & 0xff;
  refused.client.feed(hello);
  EXPECT_EQ(refused.client.status, Status::kFailed);
  EXPECT_EQ(refused.client.session.failure(), "unsupported protocol");
  refused.run();
  EXPECT_EQ(refused.server.session.failure(), "tlsv1 alert protocol version");
}

TEST_F(ClientSession, OffersTheServersCiphersAndNoTicket) {
  const Context client = make_client(trusting());
  const Context server = make_server({.certificates = {files("good")}});
  const auto ciphers = [](const Context& context) {
    std::string names;
    const auto* list = SSL_CTX_get_ciphers(context.handle());
    for (int i = 0; i < sk_SSL_CIPHER_num(list); ++i) {
      names += SSL_CIPHER_get_name(sk_SSL_CIPHER_value(list, i)) + ":"s;
    }
    return names;
  };
  EXPECT_EQ(ciphers(client), ciphers(server));
  EXPECT_EQ(SSL_CTX_get_session_cache_mode(client.handle()), SSL_SESS_CACHE_OFF);
  const std::uint64_t options = SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_TICKET;
  EXPECT_EQ(SSL_CTX_get_options(client.handle()) & options, options);
  EXPECT_EQ(SSL_CTX_get_mode(client.handle()), SSL_CTX_get_mode(server.handle()));
}

TEST_F(ClientSession, GarbageFailsIt) {
  const Context context = make_client(trusting());
  for (const std::string& garbage :
       {"HTTP/1.1 400 Bad Request\r\n\r\n"s, std::string(100, '\0'), std::string(100, '\xff'),
        "\x16\x03\x03\x00\x04\x02\x00\x00\x00"s}) {
    for (const bool whole : {true, false}) {
      End client(context, "good.test");
      client.take();
      if (whole) client.feed(garbage);
      for (const char& byte : whole ? std::string_view() : std::string_view(garbage)) {
        client.feed({&byte, 1});
      }
      EXPECT_EQ(client.status, Status::kFailed);
      EXPECT_NE(client.session.failure(), "");
      EXPECT_FALSE(client.session.established());
    }
  }
}

TEST_F(ClientSession, RandomDamageNeverEstablishesAnUnverifiedConnection) {
  const Context server = make_server({.certificates = {files("good")}});
  const Context context = make_client(trusting());
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    Pair pair(server, context, "good.test");
    pair.server.feed(pair.client.take());
    std::string flight = pair.server.take();
    // Not the version in a record's head, which says nothing (RFC 8446 section 5.1).
    const std::size_t at = 5 + random() % (flight.size() / 3);
    flight[at] = static_cast<char>(flight[at] ^ (1 << random() % 8));
    pair.client.feed(flight);
    pair.run();
    EXPECT_FALSE(pair.established()) << at;
  }
}

// RFC 5246 section 7.4.1.1: a client may answer a HelloRequest with a no_renegotiation alert.
TEST_F(ClientSession, AServerThatWantsToRenegotiateFailsIt) {
  const Context server = make_server({.certificates = {files("good")}});
  SSL_CTX_set_max_proto_version(server.handle(), kTls12);
  SSL_CTX_clear_options(server.handle(), SSL_OP_NO_RENEGOTIATION);
  watch(server);
  Pair pair(server, make_client(trusting()), "good.test");
  pair.run();
  pair.expect_talks();
  ASSERT_EQ(SSL_renegotiate(newest_server), 1);
  SSL_do_handshake(newest_server);
  pair.client.feed(pair.server.take());
  EXPECT_EQ(pair.client.status, Status::kFailed);
  EXPECT_EQ(pair.client.session.failure(), "the server asked to renegotiate");
}

TEST_F(ClientSession, AFloodOfKeyUpdatesFailsIt) {
  const Context server = make_server({.certificates = {files("good")}});
  watch(server);
  Pair pair(server, make_client(trusting()), "good.test");
  pair.run();
  pair.expect_talks();
  std::string flood;
  for (int i = 0; i < 400; ++i) {
    ASSERT_EQ(SSL_key_update(newest_server, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    ASSERT_EQ(SSL_do_handshake(newest_server), 1);
    flood += pair.server.take();
    if (i != 49) continue;
    pair.client.feed(flood);
    EXPECT_EQ(pair.client.status, Status::kOk);
    flood.clear();
  }
  pair.client.feed(flood);
  EXPECT_EQ(pair.client.status, Status::kFailed);
  EXPECT_EQ(pair.client.session.failure(), "too many KeyUpdate messages");
}

TEST_F(ClientSession, OptionsThatMakeNoSenseAreRefused) {
  const auto error = [](const ClientOptions& options) {
    const auto made = Context::make_client(options);
    EXPECT_EQ(ERR_peek_error(), 0u);
    return made ? "it was made" : made.error().message();
  };
  const std::string ca = certs_.cert("ca"), cert = certs_.cert("good"), key = certs_.key("good");
  const std::string pin(64, 'a');
  for (const std::string& bad :
       {""s, "AA"s, pin + "a", std::string(64, 'g'), pin.substr(1) + ":", std::string(40, 'a'),
        std::string(95, ':'), std::string(95, 'a')}) {
    EXPECT_EQ(error({.pinned_sha256 = {pin, bad}}),
              "tls: \"" + bad +
                  "\" is no SHA-256 fingerprint; write its 32 bytes in hexadecimal, as AA:BB:... "
                  "or without the colons");
  }
  EXPECT_EQ(error({.ca_file = ca, .pinned_sha256 = {pin}}),
            "tls: " + ca +
                ": authorities are not asked where fingerprints are pinned; give a CA file or "
                "fingerprints");
  EXPECT_EQ(error({.verify = false, .ca_file = ca}),
            "tls: " + ca +
                ": authorities are not asked where verification is off; leave one of them out");
  EXPECT_EQ(error({.certificate = {.cert_file = cert}}),
            "tls: " + cert +
                ": the client certificate comes without a key; pass the PEM file of its private "
                "key too");
  EXPECT_EQ(error({.certificate = {.key_file = key}}),
            "tls: " + key +
                ": the private key comes without a client certificate; pass the PEM file of its "
                "certificate too");
  const std::string missing = certs_.path("missing.pem"),
                    garbage = certs_.write("g.pem", "garbage");
  EXPECT_TRUE(error({.ca_file = missing}).starts_with("tls: " + missing + ": cannot be read"));
  EXPECT_TRUE(
      error({.ca_file = garbage}).starts_with("tls: " + garbage + ": holds no certificate"));
  EXPECT_TRUE(
      error({.certificate = {cert, certs_.key("ca")}})
          .starts_with("tls: " + certs_.key("ca") + ": the private key does not belong to"));
}

}  // namespace
}  // namespace ws::tls
