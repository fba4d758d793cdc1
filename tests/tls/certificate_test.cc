#include "tls/certificate.h"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>

#include "tests/support/test_certs.h"

namespace ws::tls {
namespace {

class Certificates : public testing::Test {
 protected:
  void SetUp() override {
    certs_.make_ca("ca");
    certs_.make("leaf", {.dns_names = {"leaf.test"}, .issuer = "ca"});
    certs_.make("other", {.issuer = "ca"});
  }
  void TearDown() override { EXPECT_EQ(ERR_peek_error(), 0u); }

  // The message, after checking the shape that every one has.
  std::string error_of(const std::string& cert_file, const std::string& key_file) {
    const auto loaded = load_certificate(cert_file, key_file);
    if (loaded) return "no error";
    const std::string& message = loaded.error().message();
    EXPECT_TRUE(message.starts_with("tls: "));
    EXPECT_EQ(message.find('\n'), std::string::npos);
    EXPECT_NE(message.find("; "), std::string::npos) << "no cure: " << message;
    return message;
  }

  test::TestCerts certs_;
};

TEST_F(Certificates, LoadWithTheirKey) {
  const auto loaded = load_certificate(certs_.cert("leaf"), certs_.key("leaf"));
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_EQ(loaded.value().chain.size(), 1u);
  EXPECT_NE(loaded.value().key, nullptr);
}

TEST_F(Certificates, LoadAsAChainWithTheLeafFirst) {
  const std::string chain =
      certs_.write("chain.pem", certs_.read(certs_.cert("leaf")) + certs_.read(certs_.cert("ca")));
  const auto loaded = load_certificate(chain, certs_.key("leaf"));
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_EQ(loaded.value().chain.size(), 2u);
}

TEST_F(Certificates, MayHaveTextAroundThem) {
  const std::string noted = certs_.write(
      "noted.pem", "issued for me\n" + certs_.read(certs_.cert("leaf")) + "\nthe end\n");
  EXPECT_TRUE(load_certificate(noted, certs_.key("leaf")));
}

TEST_F(Certificates, MayShareAFileWithTheirKey) {
  const std::string both =
      certs_.write("both.pem", certs_.read(certs_.key("leaf")) + certs_.read(certs_.cert("leaf")));
  EXPECT_TRUE(load_certificate(both, both));
}

TEST_F(Certificates, ThatCannotBeReadNameTheFileAndTheReason) {
  const std::string missing = certs_.path("missing.pem");
  EXPECT_EQ(error_of(missing, certs_.key("leaf")),
            "tls: " + missing +
                ": cannot be read (No such file or directory); check the path and its permissions");
  EXPECT_EQ(error_of(certs_.cert("leaf"), missing),
            "tls: " + missing +
                ": cannot be read (No such file or directory); check the path and its permissions");
  EXPECT_NE(error_of("", ""), "no error");
  EXPECT_NE(error_of(certs_.path(""), certs_.key("leaf")), "no error");  // a directory
}

TEST_F(Certificates, ThatAreNotPemAreRefused) {
  for (const std::string& content : {std::string(), std::string("hello\n"), std::string(5000, '\0'),
                                     certs_.read(certs_.key("leaf"))}) {
    const std::string file = certs_.write("not.pem", content);
    EXPECT_EQ(
        error_of(file, certs_.key("leaf")),
        "tls: " + file + ": holds no certificate; pass a PEM file with a BEGIN CERTIFICATE block");
  }
}

TEST_F(Certificates, ThatAreDamagedAreRefused) {
  const std::string good = certs_.read(certs_.cert("leaf"));
  std::string bad_base64 = good;
  bad_base64[100] = '!';
  std::string cut = good.substr(0, good.size() / 2);
  std::string bad_der = good;
  std::swap(bad_der[60], bad_der[90]);
  bad_der[28] = bad_der[28] == 'A' ? 'B' : 'A';  // the first character of the body: the outer tag
  for (const std::string& content : {bad_base64, cut, bad_der, good + bad_base64}) {
    const std::string file = certs_.write("damaged.pem", content);
    const std::string message = error_of(file, certs_.key("leaf"));
    EXPECT_TRUE(message.starts_with("tls: " + file + ": certificate ")) << message;
    EXPECT_NE(message.find("is damaged"), std::string::npos) << message;
  }
}

TEST_F(Certificates, NeedTheKeyTheyWereMadeFor) {
  EXPECT_EQ(error_of(certs_.cert("leaf"), certs_.key("other")),
            "tls: " + certs_.key("other") + ": the private key does not belong to " +
                certs_.cert("leaf") + "; pass the key that was used to request that certificate");
}

TEST_F(Certificates, InTheWrongOrderAreRefused) {
  const std::string reversed = certs_.write(
      "reversed.pem", certs_.read(certs_.cert("ca")) + certs_.read(certs_.cert("leaf")));
  const std::string message = error_of(reversed, certs_.key("leaf"));
  EXPECT_NE(message.find(reversed + ": is in the wrong order"), std::string::npos) << message;
}

TEST_F(Certificates, ThatHaveExpiredAreRefused) {
  certs_.make("old", {.issuer = "ca", .from_s = -7200, .until_s = -60});
  const std::string message = error_of(certs_.cert("old"), certs_.key("old"));
  EXPECT_TRUE(message.starts_with("tls: " + certs_.cert("old") + ": the certificate expired on 2"))
      << message;
}

TEST_F(Certificates, ThatAreNotKeysAreRefused) {
  for (const std::string& content :
       {std::string(), std::string("hello\n"), certs_.read(certs_.cert("leaf")),
        std::string("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")}) {
    const std::string file = certs_.write("not.key", content);
    const std::string message = error_of(certs_.cert("leaf"), file);
    EXPECT_TRUE(message.starts_with("tls: " + file + ": holds no readable private key ("))
        << message;
  }
}

TEST_F(Certificates, WithAnEncryptedKeyAreRefusedWithoutAsking) {
  const std::string file = certs_.path("encrypted.key");
  EVP_PKEY* key = EVP_EC_gen("P-256");
  std::FILE* out = std::fopen(file.c_str(), "w");
  char passphrase[] = "secret";
  ASSERT_EQ(PEM_write_PKCS8PrivateKey(out, key, EVP_aes_128_cbc(), passphrase, 6, nullptr, nullptr),
            1);
  std::fclose(out);
  EVP_PKEY_free(key);
  const std::string message = error_of(certs_.cert("leaf"), file);
  EXPECT_NE(message.find("encrypted"), std::string::npos) << message;
  EXPECT_NE(message.find("openssl pkey -in " + file), std::string::npos) << message;
}

TEST_F(Certificates, ListTheirDnsNamesOnly) {
  certs_.make("names", {.dns_names = {"a.test", "*.B.test"}, .ip_addresses = {"127.0.0.1"}});
  const auto loaded = load_certificates(certs_.cert("names"));
  ASSERT_TRUE(loaded);
  EXPECT_EQ(dns_names(loaded.value()[0].get()), (std::vector<std::string>{"a.test", "*.B.test"}));
  const auto nameless = load_certificates(certs_.cert("other"));
  ASSERT_TRUE(nameless);
  EXPECT_TRUE(dns_names(nameless.value()[0].get()).empty());
}

TEST_F(Certificates, HaveAFingerprintThatIsTheSha256OfTheirDer) {
  const auto loaded = load_certificates(certs_.cert("leaf"));
  ASSERT_TRUE(loaded);
  X509* leaf = loaded.value()[0].get();
  unsigned char* der = nullptr;
  const int length = i2d_X509(leaf, &der);
  unsigned char digest[32];
  ASSERT_EQ(
      EVP_Digest(der, static_cast<std::size_t>(length), digest, nullptr, EVP_sha256(), nullptr), 1);
  OPENSSL_free(der);
  std::string expected;
  for (const unsigned char byte : digest) {
    char text[4];
    std::snprintf(text, sizeof text, "%s%02X", expected.empty() ? "" : ":", byte);
    expected += text;
  }
  EXPECT_EQ(fingerprint(leaf), expected);
}

class SelfSigned : public testing::Test {
 protected:
  void SetUp() override {
    auto made = make_self_signed();
    ASSERT_TRUE(made) << made.error().message();
    certificate_ = std::move(*made);
    leaf_ = certificate_.chain[0].get();
  }
  void TearDown() override { EXPECT_EQ(ERR_peek_error(), 0u); }

  Certificate certificate_;
  X509* leaf_ = nullptr;
};

TEST_F(SelfSigned, IsSignedByItsOwnP256Key) {
  EXPECT_EQ(X509_verify(leaf_, certificate_.key.get()), 1);
  EXPECT_EQ(X509_check_private_key(leaf_, certificate_.key.get()), 1);
  EXPECT_EQ(X509_get_signature_nid(leaf_), NID_ecdsa_with_SHA256);
  EXPECT_EQ(EVP_PKEY_get_bits(certificate_.key.get()), 256);
  EXPECT_EQ(X509_get_version(leaf_), X509_VERSION_3);
}

TEST_F(SelfSigned, IsForThisMachineOnly) {
  EXPECT_EQ(X509_check_host(leaf_, "localhost", 0, 0, nullptr), 1);
  EXPECT_EQ(X509_check_ip_asc(leaf_, "127.0.0.1", 0), 1);
  EXPECT_EQ(X509_check_ip_asc(leaf_, "::1", 0), 1);
  EXPECT_EQ(X509_check_host(leaf_, "example.com", 0, 0, nullptr), 0);
  EXPECT_EQ(X509_check_ip_asc(leaf_, "127.0.0.2", 0), 0);
}

TEST_F(SelfSigned, IsValidFor365DaysFromADayAgo) {
  const std::time_t now = std::time(nullptr);
  int days = 0;
  int seconds = 0;
  ASSERT_EQ(ASN1_TIME_diff(&days, &seconds, X509_get0_notBefore(leaf_), X509_get0_notAfter(leaf_)),
            1);
  EXPECT_EQ(days, 365);
  EXPECT_EQ(seconds, 0);
  std::time_t yesterday = now - 24 * 60 * 60 + 60;
  EXPECT_EQ(X509_cmp_time(X509_get0_notBefore(leaf_), &yesterday), -1);
}

TEST_F(SelfSigned, HasARandomPositiveSerialOfAtMost20Octets) {
  auto second = make_self_signed();
  ASSERT_TRUE(second);
  const ASN1_INTEGER* serial = X509_get0_serialNumber(leaf_);
  EXPECT_NE(ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(second->chain[0].get())), 0);
  BIGNUM* number = ASN1_INTEGER_to_BN(serial, nullptr);
  EXPECT_FALSE(BN_is_negative(number));
  EXPECT_GE(BN_num_bits(number), 64);
  EXPECT_LE(BN_num_bits(number), 159);
  BN_free(number);
}

TEST_F(SelfSigned, CannotIssueOthers) {
  EXPECT_EQ(X509_check_ca(leaf_), 0);
  EXPECT_EQ(X509_check_purpose(leaf_, X509_PURPOSE_SSL_SERVER, 0), 1);
}

}  // namespace
}  // namespace ws::tls
