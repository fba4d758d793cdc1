#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "tests/support/test_certs.h"
#include "tests/support/tls_pair.h"
#include "tls/context.h"

namespace ws::tls {
namespace {

using test::kTls12;
using test::kTls13;
using test::make_context;
using test::TlsClientOptions;
using test::TlsPair;

class ClientCertificateTest : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    certs_.make_ca("ca");
    certs_.make_ca("rogue");
    certs_.make("me", {.issuer = "ca"});
    certs_.make("stranger", {.issuer = "rogue"});
    certs_.make("old", {.issuer = "ca", .from_s = -7200, .until_s = -60});
  }

  int version() const { return GetParam(); }
  Context server(ClientCertificates wanted) {
    return make_context({.client_certificates = wanted, .client_ca_file = certs_.cert("ca")});
  }
  TlsClientOptions client(const std::string& name) const {
    TlsClientOptions options{.version = version()};
    if (!name.empty()) options.cert_file = certs_.cert(name), options.key_file = certs_.key(name);
    return options;
  }
  void expect_refused(const Context& context, const std::string& name, const std::string& reason) {
    TlsPair pair(context, client(name));
    pair.run();
    EXPECT_EQ(pair.status, Status::kFailed) << name;
    EXPECT_FALSE(pair.server.established()) << name;
    EXPECT_TRUE(pair.client.failed()) << name;  // an alert told it
    EXPECT_EQ(pair.server.failure(), reason);
    EXPECT_EQ(pair.server.peer_subject(), "");
  }

  test::TestCerts certs_;
};

INSTANTIATE_TEST_SUITE_P(Tls, ClientCertificateTest, testing::Values(kTls12, kTls13),
                         [](const auto& test) { return test.param == kTls12 ? "12" : "13"; });

TEST_P(ClientCertificateTest, OffAsksForNone) {
  TlsPair pair(
      make_context({}),
      {.version = version(), .cert_file = certs_.cert("me"), .key_file = certs_.key("me")});
  pair.run();
  EXPECT_TRUE(pair.server.established());
  EXPECT_EQ(pair.server.peer_subject(), "");
}

TEST_P(ClientCertificateTest, RequiredAdmitsAVerifiedOne) {
  TlsPair pair(server(ClientCertificates::kRequired), client("me"));
  pair.run();
  EXPECT_TRUE(pair.server.established()) << pair.server.failure();
  EXPECT_EQ(pair.server.peer_subject(), "CN=me");
  pair.client.write("hello");
  pair.run();
  EXPECT_EQ(pair.received, "hello");
}

TEST_P(ClientCertificateTest, RequiredRefusesAClientWithout) {
  expect_refused(server(ClientCertificates::kRequired), "", "peer did not return a certificate");
}

TEST_P(ClientCertificateTest, BothModesRefuseOneOfAnotherCa) {
  for (const auto mode : {ClientCertificates::kRequired, ClientCertificates::kOptional}) {
    expect_refused(server(mode), "stranger",
                   "certificate verify failed: unable to get local issuer certificate");
  }
}

TEST_P(ClientCertificateTest, BothModesRefuseAnExpiredOne) {
  for (const auto mode : {ClientCertificates::kRequired, ClientCertificates::kOptional}) {
    expect_refused(server(mode), "old", "certificate verify failed: certificate has expired");
  }
}

TEST_P(ClientCertificateTest, OptionalAdmitsAClientWithout) {
  TlsPair pair(server(ClientCertificates::kOptional), client(""));
  pair.run();
  EXPECT_TRUE(pair.server.established());
  EXPECT_EQ(pair.server.peer_subject(), "");
}

TEST_P(ClientCertificateTest, OptionalVerifiesOneThatIsShown) {
  TlsPair pair(server(ClientCertificates::kOptional), client("me"));
  pair.run();
  EXPECT_TRUE(pair.server.established());
  EXPECT_EQ(pair.server.peer_subject(), "CN=me");
}

TEST_P(ClientCertificateTest, TheTrustedCasAreNamedToTheClient) {
  const std::string both =
      certs_.write("both.pem", certs_.read(certs_.cert("ca")) + certs_.read(certs_.cert("rogue")));
  const Context context =
      make_context({.client_certificates = ClientCertificates::kRequired, .client_ca_file = both});
  TlsPair pair(context, client("stranger"));
  pair.run();
  EXPECT_TRUE(pair.server.established());
  EXPECT_EQ(pair.client.requested_cas(), (std::vector<std::string>{"ca", "rogue"}));
}

TEST_P(ClientCertificateTest, ATicketDoesNotStandInForACertificate) {
  const Context open = make_context({});
  TlsPair before(open, client(""));
  before.run();
  const std::string kept = before.client.ticket();
  ASSERT_FALSE(kept.empty());
  auto required = Context::reload_server(
      {.client_certificates = ClientCertificates::kRequired, .client_ca_file = certs_.cert("ca")},
      open);
  ASSERT_TRUE(required);
  TlsClientOptions options = client("");
  options.ticket = kept;
  TlsPair pair(*required, options);
  pair.run();
  EXPECT_EQ(pair.status, Status::kFailed);
}

TEST_P(ClientCertificateTest, NoTicketsAreGivenToClientsThatMustBeVerified) {
  TlsPair pair(server(ClientCertificates::kRequired), client("me"));
  pair.run();
  ASSERT_TRUE(pair.server.established());
  EXPECT_FALSE(SSL_SESSION_has_ticket(SSL_get0_session(pair.client.ssl())));
}

TEST(ClientCertificates, NeedACaFile) {
  for (const auto mode : {ClientCertificates::kRequired, ClientCertificates::kOptional}) {
    const test::TestCerts certs;
    const auto made = Context::make_server({.client_certificates = mode});
    ASSERT_FALSE(made);
    EXPECT_EQ(
        made.error().message(),
        "tls: client certificates are asked for but no CA file is given; pass the PEM file of "
        "the CA that issues them");
    const std::string missing = certs.path("missing.pem");
    const auto unreadable =
        Context::make_server({.client_certificates = mode, .client_ca_file = missing});
    ASSERT_FALSE(unreadable);
    EXPECT_TRUE(unreadable.error().message().starts_with("tls: " + missing + ": cannot be read"));
    const std::string garbage = certs.write("garbage.pem", "garbage");
    const auto unusable =
        Context::make_server({.client_certificates = mode, .client_ca_file = garbage});
    ASSERT_FALSE(unusable);
    EXPECT_TRUE(
        unusable.error().message().starts_with("tls: " + garbage + ": holds no certificate"));
  }
  EXPECT_EQ(ERR_peek_error(), 0u);
}

}  // namespace
}  // namespace ws::tls
