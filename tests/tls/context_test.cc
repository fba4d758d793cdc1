#include "tls/context.h"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cstdlib>

#include "core/cpu.h"
#include "tests/support/test_certs.h"
#include "tests/support/tls_pair.h"

namespace ws::tls {
namespace {

using test::kTls12;
using test::kTls13;
using test::make_context;
using test::TlsClientOptions;
using test::TlsPair;

Context reload(const ServerOptions& options, const Context& previous) {
  auto made = Context::reload_server(options, previous);
  EXPECT_TRUE(made) << made.error().message();
  EXPECT_EQ(ERR_peek_error(), 0u);
  return std::move(made).value();
}

class ContextTest : public testing::Test {
 protected:
  KeyPair files(const std::string& name) const { return {certs_.cert(name), certs_.key(name)}; }
  test::TestCerts certs_;
};

// What both versions must do alike.
class ContextVersions : public ContextTest, public testing::WithParamInterface<int> {
 protected:
  int version() const { return GetParam(); }

  // The CN of the certificate that a client asking for `name` is shown.
  std::string shown(const Context& context, const std::string& name) {
    TlsPair pair(context, {.version = version(), .server_name = name});
    pair.run();
    EXPECT_TRUE(pair.client.established()) << pair.client.error();
    return pair.client.server_common_name();
  }

  // A ticket of a complete connection made with `options`.
  std::string ticket(const Context& context, TlsClientOptions options = {}) {
    options.version = version();
    TlsPair pair(context, options);
    pair.run();
    EXPECT_TRUE(pair.server.established()) << pair.server.failure();
    return pair.client.ticket();
  }

  bool resumes(const Context& context, const std::string& ticket, TlsClientOptions options = {}) {
    options.version = version();
    options.ticket = ticket;
    TlsPair pair(context, options);
    pair.run();
    EXPECT_TRUE(pair.server.established()) << pair.server.failure();
    return pair.client.resumed();
  }
};

INSTANTIATE_TEST_SUITE_P(Tls, ContextVersions, testing::Values(kTls12, kTls13),
                         [](const auto& test) { return test.param == kTls12 ? "12" : "13"; });

TEST_P(ContextVersions, NegotiatesTheVersionTheClientOffers) {
  TlsPair pair(make_context({}), {.version = version()});
  pair.run();
  ASSERT_TRUE(pair.server.established());
  const std::string expected = version() == kTls12 ? "TLSv1.2" : "TLSv1.3";
  EXPECT_EQ(pair.client.version(), expected);
  EXPECT_EQ(pair.server.version(), expected);
  EXPECT_EQ(pair.server.cipher(), pair.client.cipher());
}

TEST_F(ContextTest, SetsTheSamePolicyForEveryCertificate) {
  certs_.make("a", {.dns_names = {"a.test"}});
  certs_.make("b", {.dns_names = {"b.test"}});
  const Context context = make_context({.certificates = {files("a"), files("b")}});
  for (const char* name : {"a.test", "b.test"}) {
    test::TlsClient client({.server_name = name});
    const std::unique_ptr<SSL, decltype(&SSL_free)> server(SSL_new(context.handle()), SSL_free);
    BIO* in = BIO_new(BIO_s_mem());
    const std::string hello = client.take();
    BIO_write(in, hello.data(), static_cast<int>(hello.size()));
    SSL_set_bio(server.get(), in, BIO_new(BIO_s_mem()));
    SSL_accept(server.get());
    ERR_clear_error();
    const SSL_CTX* chosen = SSL_get_SSL_CTX(server.get());
    EXPECT_EQ(chosen == context.handle(), name == std::string("a.test"));
    const std::uint64_t options = SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                  SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF;
    EXPECT_EQ(SSL_CTX_get_options(chosen) & options, options);
    EXPECT_EQ(SSL_CTX_get_options(chosen) & SSL_OP_NO_TICKET, 0u);
    const long modes = SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                       SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY;
    EXPECT_EQ(SSL_get_mode(server.get()) & modes, modes);
  }
}

TEST_F(ContextTest, PrefersTls13) {
  TlsPair pair(make_context({}));
  pair.run();
  EXPECT_EQ(pair.client.version(), "TLSv1.3");
}

TEST_F(ContextTest, RefusesTls11) {
  TlsPair pair(make_context({}), {.version = test::kTls11});
  pair.run();
  EXPECT_EQ(pair.status, Status::kFailed);
  EXPECT_EQ(pair.server.failure(), "unsupported protocol");
  EXPECT_EQ(pair.client.error(), "tlsv1 alert protocol version");
}

TEST_F(ContextTest, RefusesCiphersWithoutForwardSecrecyOrAead) {
  for (const char* weak :
       {"AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES128-SHA"}) {
    TlsPair pair(make_context({}), {.version = kTls12, .ciphers = weak});
    pair.run();
    EXPECT_EQ(pair.status, Status::kFailed) << weak;
    EXPECT_EQ(pair.client.error(), "sslv3 alert handshake failure") << weak;
  }
}

TEST_F(ContextTest, ChoosesTheCipherByItsOwnPreference) {
  const bool aes = core::cpu_features().aes;
  // The client's order is the other one.
  TlsPair pair(make_context({}),
               {.version = kTls12,
                .ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:"
                           "ECDHE-ECDSA-AES128-GCM-SHA256"});
  pair.run();
  EXPECT_EQ(pair.client.cipher(),
            aes ? "ECDHE-ECDSA-AES128-GCM-SHA256" : "ECDHE-ECDSA-CHACHA20-POLY1305");
  TlsPair newer(make_context({}));
  newer.run();
  EXPECT_EQ(newer.client.cipher(), aes ? "TLS_AES_128_GCM_SHA256" : "TLS_CHACHA20_POLY1305_SHA256");
}

TEST(ContextDeathTest, PrefersChaCha20WithoutAesInstructions) {
  // A process of its own, with the environment of the moment, as the processor is asked once.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  ::setenv("WS_DISABLE_CPU", "aes", 1);
  EXPECT_EXIT(
      {
        TlsPair newer(make_context({}));
        newer.run();
        TlsPair older(make_context({}), {.version = kTls12});
        older.run();
        const bool chacha = newer.client.cipher() == "TLS_CHACHA20_POLY1305_SHA256" &&
                            older.client.cipher() == "ECDHE-ECDSA-CHACHA20-POLY1305";
        std::exit(chacha ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
  ::unsetenv("WS_DISABLE_CPU");
}

TEST_P(ContextVersions, UsesX25519) {
  TlsPair pair(make_context({}), {.version = version()});
  pair.run();
  EVP_PKEY* key = nullptr;
  ASSERT_EQ(SSL_get_peer_tmp_key(pair.client.ssl(), &key), 1);
  EXPECT_EQ(EVP_PKEY_get_id(key), EVP_PKEY_X25519);
  EVP_PKEY_free(key);
}

TEST_P(ContextVersions, ChoosesHttp11FromTheProtocolsOffered) {
  for (const std::vector<std::string>& offer :
       {std::vector<std::string>{"http/1.1"}, {"h2", "http/1.1"}, {"http/1.1", "h2"}}) {
    TlsPair pair(make_context({}), {.version = version(), .alpn = offer});
    pair.run();
    EXPECT_TRUE(pair.server.established());
    EXPECT_EQ(pair.client.alpn(), "http/1.1");
  }
}

TEST_P(ContextVersions, RefusesProtocolsWithoutHttp11) {
  for (const std::vector<std::string>& offer : {std::vector<std::string>{"h2"},
                                                {"ftp", "h2"},
                                                {"http/1.0"},
                                                {"http/1.10"},
                                                {"http/1."},
                                                {"HTTP/1.1"},
                                                {"xhttp/1.1"}}) {
    TlsPair pair(make_context({}), {.version = version(), .alpn = offer});
    pair.run();
    EXPECT_EQ(pair.status, Status::kFailed);
    EXPECT_FALSE(pair.client.established());
    EXPECT_EQ(pair.client.error(), "tlsv1 alert no application protocol") << offer[0];
  }
}

TEST_P(ContextVersions, AcceptsAClientWithoutAlpn) {
  TlsPair pair(make_context({}), {.version = version()});
  pair.run();
  EXPECT_TRUE(pair.server.established());
  EXPECT_EQ(pair.client.alpn(), "");
}

TEST_P(ContextVersions, ChoosesTheCertificateByServerName) {
  certs_.make("default", {.dns_names = {"default.test"}});
  certs_.make("two", {.dns_names = {"two.test", "second.test"}});
  certs_.make("wild", {.dns_names = {"*.wild.test"}});
  const Context context =
      make_context({.certificates = {files("default"), files("two"), files("wild")}});
  EXPECT_EQ(shown(context, "default.test"), "default");
  EXPECT_EQ(shown(context, "two.test"), "two");
  EXPECT_EQ(shown(context, "second.test"), "two");
  EXPECT_EQ(shown(context, "a.wild.test"), "wild");
}

TEST_P(ContextVersions, ComparesServerNamesWithoutCase) {
  certs_.make("default", {.dns_names = {"default.test"}});
  certs_.make("mixed", {.dns_names = {"MiXed.test", "*.Wild.Test"}});
  const Context context = make_context({.certificates = {files("default"), files("mixed")}});
  EXPECT_EQ(shown(context, "mixed.test"), "mixed");
  EXPECT_EQ(shown(context, "MIXED.TEST"), "mixed");
  EXPECT_EQ(shown(context, "A.wILD.tEST"), "mixed");
}

TEST_P(ContextVersions, TakesAWildcardForExactlyOneLabel) {
  certs_.make("default", {.dns_names = {"default.test"}});
  certs_.make("wild", {.dns_names = {"*.wild.test"}});
  const Context context = make_context({.certificates = {files("default"), files("wild")}});
  EXPECT_EQ(shown(context, "wild.test"), "default");
  EXPECT_EQ(shown(context, "a.b.wild.test"), "default");
  EXPECT_EQ(shown(context, ".wild.test"), "default");
  EXPECT_EQ(shown(context, "awild.test"), "default");
}

TEST_P(ContextVersions, PrefersTheExactNameOverAWildcard) {
  certs_.make("wild", {.dns_names = {"*.test"}});
  certs_.make("exact", {.dns_names = {"exact.test"}});
  const Context context = make_context({.certificates = {files("wild"), files("exact")}});
  EXPECT_EQ(shown(context, "exact.test"), "exact");
  EXPECT_EQ(shown(context, "other.test"), "wild");
}

TEST_P(ContextVersions, ShowsTheFirstOfTwoCertificatesForOneName) {
  certs_.make("default");
  certs_.make("first", {.dns_names = {"same.test"}});
  certs_.make("second", {.dns_names = {"same.test"}});
  const Context context =
      make_context({.certificates = {files("default"), files("first"), files("second")}});
  EXPECT_EQ(shown(context, "same.test"), "first");
}

TEST_P(ContextVersions, ShowsTheDefaultForUnknownNamesAddressesAndNoName) {
  certs_.make("default", {.dns_names = {"default.test"}});
  certs_.make("other", {.dns_names = {"other.test"}, .ip_addresses = {"127.0.0.1"}});
  const Context context = make_context({.certificates = {files("default"), files("other")}});
  // The common name counts for nothing: "other" is one. Nor do addresses, which RFC 6066 section 3
  // does not permit here.
  for (const std::string name : {"", "unknown.test", "other", "127.0.0.1", "::1"}) {
    EXPECT_EQ(shown(context, name), "default") << name;
  }
  EXPECT_EQ(shown(context, std::string(255, 'a')), "default");
}

TEST_P(ContextVersions, ServesACertificateWithoutNames) {
  certs_.make("nameless");
  EXPECT_EQ(shown(make_context({.certificates = {files("nameless")}}), "any.test"), "nameless");
}

TEST_P(ContextVersions, KeepsItsPolicyWithACertificateChosenByName) {
  certs_.make_ca("ca");
  certs_.make("default", {.dns_names = {"default.test"}});
  certs_.make("other", {.dns_names = {"other.test"}});
  const Context context = make_context({.certificates = {files("default"), files("other")},
                                        .client_certificates = ClientCertificates::kRequired,
                                        .client_ca_file = certs_.cert("ca")});
  TlsPair without(context, {.version = version(), .server_name = "other.test"});
  without.run();
  EXPECT_EQ(without.status, Status::kFailed);

  TlsPair wrong_alpn(make_context({.certificates = {files("default"), files("other")}}),
                     {.version = version(), .server_name = "other.test", .alpn = {"h2"}});
  wrong_alpn.run();
  EXPECT_EQ(wrong_alpn.status, Status::kFailed);
}

TEST_P(ContextVersions, ServesAnRsaCertificate) {
  certs_.make("rsa", {.dns_names = {"rsa.test"}, .rsa_bits = 2048});
  EXPECT_EQ(shown(make_context({.certificates = {files("rsa")}}), "rsa.test"), "rsa");
}

// RFC 6066 section 3: "A server that receives a client hello containing the "server_name" extension
// MAY use the information [...]. In this event, the server SHALL include an extension of type
// "server_name" in the (extended) server hello."
TEST_P(ContextVersions, AcknowledgesTheServerNamesItKnows) {
  certs_.make("a", {.dns_names = {"a.test"}});
  const Context context = make_context({.certificates = {files("a")}});
  TlsPair known(context, {.version = version(), .server_name = "A.test"});
  known.run();
  // OpenSSL's client keeps the name in its session when it was acknowledged.
  EXPECT_STREQ(SSL_SESSION_get0_hostname(SSL_get0_session(known.client.ssl())), "A.test");
  TlsPair unknown(context, {.version = version(), .server_name = "b.test"});
  unknown.run();
  EXPECT_TRUE(unknown.client.established());
  EXPECT_EQ(SSL_SESSION_get0_hostname(SSL_get0_session(unknown.client.ssl())), nullptr);
}

// RFC 6066 section 3: a list with its length in two bytes, holding a type, a length in two bytes
// and the name.
TEST_P(ContextVersions, RefusesAServerNameWhoseLengthsDisagree) {
  const std::string name = "localhost";
  for (const std::size_t back : {std::size_t{2}, std::size_t{5}}) {  // name length, list length
    for (const int length : {0, 1, 8, 10, 255, 65535}) {
      TlsPair pair(make_context({}), {.version = version(), .server_name = name});
      std::string hello = pair.client.take();
      const std::size_t at = hello.find(name) - back;
      hello[at] = static_cast<char>(length >> 8);
      hello[at + 1] = static_cast<char>(length);
      pair.feed(hello);
      EXPECT_EQ(pair.status, Status::kFailed) << back << " " << length;
      EXPECT_EQ(ERR_peek_error(), 0u);
    }
  }
}

TEST_P(ContextVersions, SendsTheWholeChain) {
  certs_.make_ca("root");
  certs_.make("middle", {.issuer = "root", .is_ca = true});
  certs_.make("leaf", {.dns_names = {"leaf.test"}, .issuer = "middle"});
  const std::string chain = certs_.write(
      "chain.pem", certs_.read(certs_.cert("leaf")) + certs_.read(certs_.cert("middle")));
  // The client knows the root only.
  TlsPair pair(make_context({.certificates = {{chain, certs_.key("leaf")}}}),
               {.version = version(), .ca_file = certs_.cert("root"), .verify_name = "leaf.test"});
  pair.run();
  EXPECT_TRUE(pair.client.established()) << pair.client.error();
}

// RFC 8446 section 4.2.11, RFC 5077.
TEST_P(ContextVersions, ResumesWithATicket) {
  const Context context = make_context({});
  const std::string first = ticket(context);
  ASSERT_FALSE(first.empty());
  EXPECT_TRUE(resumes(context, first));
}

TEST_P(ContextVersions, ResumesFromAResumedSession) {
  const Context context = make_context({});
  const std::string second = ticket(context, {.ticket = ticket(context)});
  EXPECT_TRUE(resumes(context, second));
}

TEST_P(ContextVersions, ResumesAcrossAReload) {
  certs_.make("a", {.dns_names = {"a.test"}});
  const ServerOptions options{.certificates = {files("a")}};
  const Context before = make_context(options);
  const std::string kept = ticket(before, {.server_name = "a.test"});
  certs_.make("a", {.dns_names = {"a.test"}});  // renewed
  const Context after = reload(options, before);
  EXPECT_NE(before.fingerprint(), after.fingerprint());
  EXPECT_TRUE(resumes(after, kept, {.server_name = "a.test"}));
  EXPECT_TRUE(resumes(reload(options, after), kept, {.server_name = "a.test"}));
}

TEST_P(ContextVersions, DoesNotResumeATicketOfAnotherServer) {
  EXPECT_FALSE(resumes(make_context({}), ticket(make_context({}))));
}

// RFC 6066 section 3.
TEST_P(ContextVersions, ResumesUnderTheSameNameOnly) {
  certs_.make("a", {.dns_names = {"a.test"}});
  certs_.make("b", {.dns_names = {"b.test", "also-b.test"}});
  const Context context = make_context({.certificates = {files("a"), files("b")}});
  const std::string kept = ticket(context, {.server_name = "b.test"});
  EXPECT_TRUE(resumes(context, kept, {.server_name = "b.test"}));
  EXPECT_TRUE(resumes(context, kept, {.server_name = "B.Test"}));
  for (const char* other : {"a.test", "also-b.test", "unknown.test", ""}) {
    EXPECT_FALSE(resumes(context, kept, {.server_name = other})) << other;
  }
}

// RFC 8446 C.4: a ticket should be used once, so that each handshake must bring another.
TEST_F(ContextTest, GivesOneTicketPerTls13HandshakeResumedOrNot) {
  const Context context = make_context({});
  std::string kept;
  for (const bool resumed : {false, true, true}) {
    TlsPair pair(context, {.version = kTls13, .ticket = kept});
    int tickets = 0;
    SSL_set_msg_callback_arg(pair.client.ssl(), &tickets);
    SSL_set_msg_callback(pair.client.ssl(), [](int written, int, int type, const void* content,
                                               std::size_t, SSL*, void* count) {
      if (written != 0 || type != SSL3_RT_HANDSHAKE) return;
      const bool ticket = *static_cast<const char*>(content) == SSL3_MT_NEWSESSION_TICKET;
      *static_cast<int*>(count) += ticket ? 1 : 0;
    });
    pair.run();
    EXPECT_EQ(pair.client.resumed(), resumed);
    EXPECT_EQ(tickets, 1);
    kept = pair.client.ticket();
  }
}

TEST_P(ContextVersions, GivesTicketsThatLastADayAtMost) {
  TlsPair pair(make_context({}), {.version = version()});
  pair.run();
  const SSL_SESSION* session = SSL_get0_session(pair.client.ssl());
  EXPECT_GT(SSL_SESSION_get_ticket_lifetime_hint(session), 0u);
  EXPECT_LE(SSL_SESSION_get_ticket_lifetime_hint(session), 24u * 60 * 60);
}

TEST_P(ContextVersions, KeepsNoSessionsItself) {
  const Context context = make_context({});
  for (int i = 0; i < 3; ++i) ticket(context);
  EXPECT_EQ(SSL_CTX_sess_number(context.handle()), 0);
  EXPECT_EQ(SSL_CTX_get_session_cache_mode(context.handle()), SSL_SESS_CACHE_OFF);
}

TEST_F(ContextTest, AllowsNoEarlyData) {
  const Context context = make_context({});
  TlsPair pair(context, {.version = kTls13});
  pair.run();
  EXPECT_EQ(SSL_SESSION_get_max_early_data(SSL_get0_session(pair.client.ssl())), 0u);
}

TEST_F(ContextTest, ReportsTheFirstBadPairOfFiles) {
  certs_.make("good");
  certs_.make("other");
  const auto made = Context::make_server(
      {.certificates = {files("good"), {certs_.cert("other"), certs_.key("good")}}});
  ASSERT_FALSE(made);
  EXPECT_TRUE(made.error().message().starts_with("tls: " + certs_.key("good") +
                                                 ": the private key does not belong to " +
                                                 certs_.cert("other")))
      << made.error().message();
  EXPECT_EQ(ERR_peek_error(), 0u);
}

TEST_F(ContextTest, ReportsACertificateTooWeakForOpenSsl) {
  certs_.make("weak", {.rsa_bits = 512});  // below every security level but 0
  const auto made = Context::make_server({.certificates = {files("weak")}});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message(),
            "tls: " + certs_.cert("weak") +
                ": OpenSSL refuses this certificate (ee key too small); use P-256, or RSA of at "
                "least 2048 bits");
  EXPECT_EQ(ERR_peek_error(), 0u);
}

TEST_F(ContextTest, MakesASelfSignedCertificateWithoutFiles) {
  const Context context = make_context({});
  EXPECT_TRUE(context.self_signed());
  TlsPair pair(context);
  pair.run();
  const std::string shown = certs_.write("shown.pem", pair.client.server_certificate());
  // A client that was told to trust it can verify it, under each of its names.
  for (const std::string name : {"localhost", "127.0.0.1", "::1"}) {
    TlsPair verifying(context, {.ca_file = shown, .verify_name = name});
    verifying.run();
    EXPECT_TRUE(verifying.client.established()) << name << ": " << verifying.client.error();
  }
}

TEST_F(ContextTest, HasTheFingerprintOfTheDefaultCertificate) {
  certs_.make("a");
  certs_.make("b");
  const Context a = make_context({.certificates = {files("a")}});
  const Context ab = make_context({.certificates = {files("a"), files("b")}});
  EXPECT_FALSE(a.self_signed());
  EXPECT_EQ(a.fingerprint(), ab.fingerprint());
  EXPECT_EQ(a.fingerprint().size(), 32u * 3 - 1);
  EXPECT_NE(make_context({}).fingerprint(), make_context({}).fingerprint());
}

TEST_F(ContextTest, ReloadKeepsTheSelfSignedCertificate) {
  const Context before = make_context({});
  const Context after = reload({}, before);
  EXPECT_TRUE(after.self_signed());
  EXPECT_EQ(after.fingerprint(), before.fingerprint());
  certs_.make("a");
  const Context with_files = reload({.certificates = {files("a")}}, after);
  EXPECT_FALSE(with_files.self_signed());
  EXPECT_TRUE(reload({}, with_files).self_signed());
}

TEST_F(ContextTest, ReloadThatFailsLeavesThePreviousOneInUse) {
  const Context before = make_context({});
  EXPECT_FALSE(Context::reload_server({.certificates = {{"/nowhere", "/nowhere"}}}, before));
  TlsPair pair(before);
  pair.run();
  EXPECT_TRUE(pair.server.established());
}

TEST_F(ContextTest, SessionsOutliveTheContextTheyWereMadeFrom) {
  auto context = std::make_unique<Context>(make_context({}));
  TlsPair pair(*context, {.server_name = "localhost"});
  context.reset();
  pair.run();
  ASSERT_TRUE(pair.server.established());
  pair.client.write("still here");
  pair.run();
  EXPECT_EQ(pair.received, "still here");
}

}  // namespace
}  // namespace ws::tls
