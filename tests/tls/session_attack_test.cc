#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/ssl.h>

#include <string>

#include "tests/support/tls_pair.h"
#include "tls/session.h"

// What an established client can do to a session besides sending data.
namespace ws::tls {
namespace {

using test::bytes_of;
using test::default_context;
using test::kDataRecord;
using test::kTls12;
using test::kTls13;
using test::TlsPair;

// ContentType, RFC 8446 section 5.1.
constexpr int kAlertRecord = 21;
constexpr int kHandshakeRecord = 22;

// RFC 5246 section 7.4.1.1 and 7.2.2: a server may refuse with the no_renegotiation alert.
TEST(SessionAttack, RefusesRenegotiation) {
  TlsPair pair(default_context(), {.version = kTls12});
  pair.run();
  ASSERT_TRUE(pair.server.established());
  ASSERT_EQ(SSL_renegotiate(pair.client.ssl()), 1);
  pair.client.receive("");
  SSL_do_handshake(pair.client.ssl());
  pair.feed(pair.client.take());
  EXPECT_EQ(pair.status, Status::kFailed);
  EXPECT_EQ(pair.server.failure(), "the client asked to renegotiate");
  const std::string refusal = pair.take();
  ASSERT_FALSE(refusal.empty());
  EXPECT_EQ(refusal[0], kAlertRecord);
}

void update_keys(TlsPair& pair, int type) {
  ASSERT_EQ(SSL_key_update(pair.client.ssl(), type), 1);
  ASSERT_EQ(SSL_do_handshake(pair.client.ssl()), 1);
}

// RFC 8446 section 4.6.3.
TEST(SessionAttack, AnswersAKeyUpdateThatAsksForOne) {
  TlsPair pair(default_context(), {.version = kTls13});
  pair.run();
  update_keys(pair, SSL_KEY_UPDATE_REQUESTED);
  pair.client.write("new key");
  pair.feed(pair.client.take());
  EXPECT_EQ(pair.received, "new key");
  pair.seal("mine too");
  pair.client.receive(pair.take());
  EXPECT_EQ(pair.client.read(), "mine too");
}

TEST(SessionAttack, Takes50KeyUpdatesInASecond) {
  TlsPair pair(default_context(), {.version = kTls13});
  pair.run();
  for (int i = 0; i < 50; ++i) {
    update_keys(pair, i % 2 == 0 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
    pair.client.write("x");
    pair.run();
  }
  EXPECT_EQ(pair.received, std::string(50, 'x'));
  EXPECT_TRUE(pair.server.established());
  pair.seal("fine");
  pair.run();
  EXPECT_EQ(pair.client.read(), "fine");
}

TEST(SessionAttack, FailsOnMoreThan100KeyUpdatesInASecond) {
  TlsPair pair(default_context(), {.version = kTls13});
  pair.run();
  for (int i = 0; i < 100; ++i) update_keys(pair, SSL_KEY_UPDATE_NOT_REQUESTED);
  pair.feed(pair.client.take());
  EXPECT_EQ(pair.status, Status::kOk);
  update_keys(pair, SSL_KEY_UPDATE_NOT_REQUESTED);
  pair.feed(pair.client.take());
  EXPECT_EQ(pair.status, Status::kFailed);
  EXPECT_EQ(pair.server.failure(), "too many KeyUpdate messages");
}

TEST(SessionAttack, StopsWorkingThroughAKeyUpdateFloodAtOnce) {
  TlsPair pair(default_context(), {.version = kTls13});
  pair.run();
  for (int i = 0; i < 1000; ++i) update_keys(pair, SSL_KEY_UPDATE_REQUESTED);
  pair.client.write("never seen");
  pair.feed(pair.client.take());
  EXPECT_EQ(pair.status, Status::kFailed);
  EXPECT_EQ(pair.received, "");
  // A record of 27 bytes answers each of the first 100; those after them were never looked at.
  EXPECT_LE(pair.server.pending().size(), 100u * 27);
}

// Writes TLS 1.3 records that no well-behaved client would, under the client's own keys: RFC 8446
// sections 5.2, 5.3 and 7.3. Nothing may be sent through `client` besides.
class RecordForger {
 public:
  explicit RecordForger(test::TlsClient& client) : client_(client) {
    SSL_set_app_data(client.ssl(), this);
    SSL_CTX_set_keylog_callback(
        SSL_get_SSL_CTX(client.ssl()), [](const SSL* ssl, const char* line) {
          // NSS key log format: label, client random, secret in hexadecimal.
          const std::string_view text = line;
          if (!text.starts_with("CLIENT_TRAFFIC_SECRET_0 ")) return;
          const std::string_view digits = text.substr(text.rfind(' ') + 1);
          std::string& secret = static_cast<RecordForger*>(SSL_get_app_data(ssl))->secret_;
          for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
            secret += static_cast<char>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16));
          }
        });
  }

  std::string record(int type, const std::string& content) {
    const bool aes = client_.cipher() == "TLS_AES_128_GCM_SHA256";
    const std::string key = expand("key", aes ? 16 : 32);
    std::string nonce = expand("iv", 12);
    for (std::size_t i = 0; i < 8; ++i) {
      nonce[11 - i] = static_cast<char>(nonce[11 - i] ^ static_cast<char>(sequence_ >> (8 * i)));
    }
    ++sequence_;
    const std::string plain = content + static_cast<char>(type);
    const std::size_t sealed = plain.size() + 16;
    std::string out = {kDataRecord, 3, 3, static_cast<char>(sealed >> 8),
                       static_cast<char>(sealed)};
    out.resize(5 + sealed);
    auto* bytes = reinterpret_cast<unsigned char*>(out.data());
    int length = 0;
    EVP_CIPHER_CTX* ctx = EVP_CIPHER_CTX_new();
    EVP_EncryptInit_ex(ctx, aes ? EVP_aes_128_gcm() : EVP_chacha20_poly1305(), nullptr,
                       bytes_of(key).data(), bytes_of(nonce).data());
    EVP_EncryptUpdate(ctx, nullptr, &length, bytes, 5);
    EVP_EncryptUpdate(ctx, bytes + 5, &length, bytes_of(plain).data(),
                      static_cast<int>(plain.size()));
    EVP_EncryptFinal_ex(ctx, bytes + 5 + length, &length);
    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, bytes + 5 + plain.size());
    EVP_CIPHER_CTX_free(ctx);
    return out;
  }

 private:
  // HKDF-Expand-Label(secret, label, "", length), RFC 8446 section 7.1.
  std::string expand(const std::string& label, std::size_t length) {
    const std::string full = "tls13 " + label;
    std::string info = {0, static_cast<char>(length), static_cast<char>(full.size())};
    info += full;
    info += '\0';  // no context
    EVP_PKEY_CTX* ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, nullptr);
    EVP_PKEY_derive_init(ctx);
    EVP_PKEY_CTX_set_hkdf_mode(ctx, EVP_PKEY_HKDEF_MODE_EXPAND_ONLY);
    EVP_PKEY_CTX_set_hkdf_md(ctx, EVP_sha256());
    EVP_PKEY_CTX_set1_hkdf_key(ctx, bytes_of(secret_).data(), static_cast<int>(secret_.size()));
    EVP_PKEY_CTX_add1_hkdf_info(ctx, bytes_of(info).data(), static_cast<int>(info.size()));
    std::string out(length, '\0');
    EXPECT_EQ(EVP_PKEY_derive(ctx, reinterpret_cast<unsigned char*>(out.data()), &length), 1);
    EVP_PKEY_CTX_free(ctx);
    return out;
  }

  test::TlsClient& client_;
  std::string secret_;
  std::uint64_t sequence_ = 0;
};

class ForgedRecords : public testing::Test {
 protected:
  ForgedRecords() : pair_(default_context(), {.version = kTls13}), forger_(pair_.client) {
    pair_.run();
  }

  TlsPair pair_;
  RecordForger forger_;
};

TEST_F(ForgedRecords, AreTakenLikeTheClientsOwn) {
  pair_.feed(forger_.record(kDataRecord, "hello"));
  EXPECT_EQ(pair_.received, "hello");
  EXPECT_EQ(pair_.status, Status::kOk);
}

TEST_F(ForgedRecords, MayBeEmptyNowAndThenButNotForEver) {
  for (int i = 0; i < 10; ++i) pair_.feed(forger_.record(kDataRecord, ""));
  EXPECT_EQ(pair_.status, Status::kOk);
  pair_.feed(forger_.record(kDataRecord, "hello"));
  EXPECT_EQ(pair_.received, "hello");
  for (int i = 0; i < 1000 && pair_.status == Status::kOk; ++i) {
    pair_.feed(forger_.record(kDataRecord, ""));
  }
  EXPECT_EQ(pair_.status, Status::kFailed);
}

constexpr std::string_view kKeyUpdate("\x18\0\0\x01\0", 5);  // RFC 8446 sections 4 and 4.6.3

// Post-handshake messages may be split over records (RFC 8446 section 5.1), but a KeyUpdate of five
// bytes never is in good faith, and until the rest has come OpenSSL can write nothing.
TEST_F(ForgedRecords, WithHalfAKeyUpdateFailTheNextSealInsteadOfStallingIt) {
  pair_.feed(forger_.record(kHandshakeRecord, std::string(kKeyUpdate.substr(0, 4))));
  EXPECT_EQ(pair_.status, Status::kOk);
  EXPECT_TRUE(pair_.server.established());
  pair_.server.close_notify();  // impossible now, and no failure
  EXPECT_TRUE(pair_.server.pending().empty());
  EXPECT_EQ(pair_.server.failure(), "");
  EXPECT_FALSE(pair_.server.seal(bytes_of("hello")));
  EXPECT_NE(pair_.server.failure(), "");
  EXPECT_EQ(ERR_peek_error(), 0u);
  pair_.feed(forger_.record(kHandshakeRecord, std::string(kKeyUpdate.substr(4))));
  EXPECT_EQ(pair_.status, Status::kFailed);
}

TEST_F(ForgedRecords, WithAKeyUpdateInTwoHalvesAreTaken) {
  for (std::size_t cut = 1; cut < kKeyUpdate.size(); ++cut) {
    TlsPair pair(default_context(), {.version = kTls13});
    RecordForger forger(pair.client);
    pair.run();
    pair.feed(forger.record(kHandshakeRecord, std::string(kKeyUpdate.substr(0, cut))));
    pair.feed(forger.record(kHandshakeRecord, std::string(kKeyUpdate.substr(cut))));
    EXPECT_EQ(pair.status, Status::kOk);
    pair.seal("hello");
    pair.run();
    EXPECT_EQ(pair.client.read(), "hello");
  }
}

TEST_F(ForgedRecords, WithAClientHelloOrAnUnknownTypeFail) {
  pair_.feed(forger_.record(kHandshakeRecord, std::string("\x01\0\0\x02\3\3", 6)));
  EXPECT_EQ(pair_.status, Status::kFailed);
  EXPECT_FALSE(pair_.server.pending().empty());  // the alert
  TlsPair other(default_context(), {.version = kTls13});
  RecordForger forger(other.client);
  other.run();
  other.feed(forger.record(99, "what is this"));
  EXPECT_EQ(other.status, Status::kFailed);
  EXPECT_FALSE(other.server.pending().empty());
}

// RFC 8446 section 6.2: an error alert ends the connection at once.
TEST_F(ForgedRecords, WithAFatalAlertFail) {
  pair_.feed(forger_.record(kAlertRecord, "\x02\x50"));  // internal_error
  EXPECT_EQ(pair_.status, Status::kFailed);
  EXPECT_EQ(pair_.server.failure(), "tlsv1 alert internal error");
}

TEST(SessionAttack, CopesWithAKeyUpdateAfterItsOwnCloseNotify) {
  TlsPair pair(default_context(), {.version = kTls13});
  pair.run();
  pair.server.close_notify();
  update_keys(pair, SSL_KEY_UPDATE_REQUESTED);
  pair.client.write("late");
  pair.feed(pair.client.take());
  EXPECT_EQ(pair.received, "late");
  EXPECT_EQ(pair.status, Status::kOk);
}

}  // namespace
}  // namespace ws::tls
