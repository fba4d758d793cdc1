#include "tls/tickets.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "core/clock.h"
#include "tls/crypto.h"

namespace ws::tls {

namespace {

// RFC 5077 section 4: "The actual state information in encrypted_state is encrypted using 128-bit
// AES in CBC mode with the given IV. The Message Authentication Code (MAC) is calculated using
// HMAC-SHA-256". We use 256-bit AES: a ticket must not be the weakest part of a TLS 1.3 connection.
const EVP_CIPHER* ticket_cipher() {
  static EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-CBC", nullptr);
  return cipher;
}

bool set_mac_key(EVP_MAC_CTX* mac, const TicketKey& key) {
  char digest[] = "SHA256";
  // OSSL_PARAM wants a pointer to mutable bytes for either direction; a setter only reads them.
  auto* bytes = const_cast<std::uint8_t*>(key.mac_key.data());
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, bytes, key.mac_key.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end(),
  };
  return EVP_MAC_CTX_set_params(mac, params) == 1;
}

// The contract of SSL_CTX_set_tlsext_ticket_key_evp_cb(3).
constexpr int kTicketError = -1;
constexpr int kNoKey = 0;
constexpr int kUse = 1;
constexpr int kUseAndRenew = 2;

int ticket_callback(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                    EVP_MAC_CTX* mac, int sealing) {
  // A client that shows a certificate is verified every time: a ticket would go on to vouch for it
  // after it has expired or its CA was removed.
  if (SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE) return kNoKey;
  auto& keys = *static_cast<TicketKeys*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  const std::uint64_t now_ms = core::monotonic_ms();
  if (sealing != 0) {
    const auto key = keys.current(now_ms);
    std::copy(key->name.begin(), key->name.end(), name);
    const auto iv_bytes = static_cast<std::size_t>(EVP_CIPHER_get_iv_length(ticket_cipher()));
    random_bytes({iv, iv_bytes});
    const bool ready =
        EVP_EncryptInit_ex2(cipher, ticket_cipher(), key->cipher_key.data(), iv, nullptr) == 1 &&
        set_mac_key(mac, *key);
    return ready ? kUse : kTicketError;
  }
  const auto key = keys.find(std::span<const std::uint8_t, 16>(name, 16), now_ms);
  if (!key) return kNoKey;
  const bool ready =
      EVP_DecryptInit_ex2(cipher, ticket_cipher(), key->cipher_key.data(), iv, nullptr) == 1 &&
      set_mac_key(mac, *key);
  if (!ready) return kTicketError;
  // RFC 8446 C.4: "Clients SHOULD NOT reuse a ticket for multiple connections", so a TLS 1.3 client
  // needs a new one to resume again. A TLS 1.2 client keeps its ticket while the key is in use.
  const bool renew = SSL_version(ssl) == TLS1_3_VERSION || key != keys.current(now_ms);
  return renew ? kUseAndRenew : kUse;
}

}  // namespace

TicketKey::TicketKey(std::uint64_t now_ms) : made_ms(now_ms) {
  random_bytes(name);
  // The private generator: its state is never used for bytes that go out in the clear.
  WS_CHECK(RAND_priv_bytes_ex(nullptr, cipher_key.data(), cipher_key.size(), 0) == 1);
  WS_CHECK(RAND_priv_bytes_ex(nullptr, mac_key.data(), mac_key.size(), 0) == 1);
}

TicketKey::~TicketKey() {
  OPENSSL_cleanse(cipher_key.data(), cipher_key.size());
  OPENSSL_cleanse(mac_key.data(), mac_key.size());
}

void TicketKeys::rotate_if_due(std::uint64_t now_ms) {
  // Sums, not differences: another thread may have made a key a moment after our `now_ms`.
  if (now_ms >= current_->made_ms + kRotateMs) {
    previous_ = std::exchange(current_, std::make_shared<TicketKey>(now_ms));
  }
  if (previous_ && now_ms >= previous_->made_ms + kKeyLifeMs) previous_.reset();
}

std::shared_ptr<const TicketKey> TicketKeys::current(std::uint64_t now_ms) {
  const std::lock_guard lock(mutex_);
  rotate_if_due(now_ms);
  return current_;
}

std::shared_ptr<const TicketKey> TicketKeys::find(std::span<const std::uint8_t, 16> name,
                                                  std::uint64_t now_ms) {
  const std::lock_guard lock(mutex_);
  rotate_if_due(now_ms);
  for (const auto& key : {current_, previous_}) {
    // In constant time: how far a guess agrees with a name must not show.
    if (key && CRYPTO_memcmp(key->name.data(), name.data(), name.size()) == 0) return key;
  }
  return nullptr;
}

void TicketKeys::install(ssl_ctx_st* ctx) {
  WS_CHECK(ticket_cipher() != nullptr);
  SSL_CTX_set_app_data(ctx, this);
  WS_CHECK(SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_callback) == 1);
  const bool verifies_clients = SSL_CTX_get_verify_mode(ctx) != SSL_VERIFY_NONE;
  SSL_CTX_set_num_tickets(ctx, verifies_clients ? 0 : 1);
  SSL_CTX_set_timeout(ctx, static_cast<long>(kTicketLifeMs / 1000));
}

}  // namespace ws::tls
