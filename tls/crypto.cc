#include "tls/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <climits>
#include <memory>

#include "core/check.h"

namespace ws::tls {

std::array<std::uint8_t, 20> sha1(std::string_view data) {
  // Fetched once and kept: OpenSSL 3 takes a lock and searches its providers at every fetch. The
  // context is kept too, as making one takes longer than to hash a handshake's key.
  static EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA1", nullptr);
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  thread_local const std::unique_ptr<EVP_MD_CTX, Free> context(EVP_MD_CTX_new());
  std::array<std::uint8_t, 20> digest{};
  WS_CHECK(algorithm != nullptr);
  WS_CHECK(context != nullptr);
  WS_CHECK(EVP_DigestInit_ex2(context.get(), algorithm, nullptr) == 1);
  WS_CHECK(EVP_DigestUpdate(context.get(), data.data(), data.size()) == 1);
  WS_CHECK(EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) == 1);
  return digest;
}

std::string base64_encode(std::span<const std::uint8_t> bytes) {
  WS_CHECK(bytes.size() <= INT_MAX / 2);  // the encoding is 4/3 as long and counted in an int
  const std::size_t encoded_bytes = (bytes.size() + 2) / 3 * 4;
  std::string text(encoded_bytes + 1, '\0');  // EVP_EncodeBlock adds a terminating NUL
  const int written = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes.data(),
                                      static_cast<int>(bytes.size()));
  WS_CHECK(written >= 0 && static_cast<std::size_t>(written) == encoded_bytes);
  text.pop_back();
  return text;
}

std::optional<std::string> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0 || text.size() > INT_MAX / 2) return std::nullopt;
  std::string decoded(text.size() / 4 * 3, '\0');
  const int written = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(decoded.data()),
                                      reinterpret_cast<const unsigned char*>(text.data()),
                                      static_cast<int>(text.size()));
  if (written < 0) return std::nullopt;
  // EVP_DecodeBlock decodes '=' as six zero bits and leaves them in its output.
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  if (static_cast<std::size_t>(written) < padding) return std::nullopt;
  decoded.resize(static_cast<std::size_t>(written) - padding);
  // It also passes over white space, takes '=' anywhere and ignores unused bits. Bytes have one
  // encoding only, so whatever was lax shows as a difference.
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(decoded.data()), decoded.size());
  if (base64_encode(bytes) != text) return std::nullopt;
  return decoded;
}

void random_bytes(std::span<std::uint8_t> out) {
  WS_CHECK(RAND_bytes_ex(nullptr, out.data(), out.size(), 0) == 1);
}

// Starting the library is not enough: its generator has parts that end with it.
void begin() {
  std::array<std::uint8_t, 1> unused;
  random_bytes(unused);
}

std::string library_version() {
  return OpenSSL_version(OPENSSL_VERSION);
}

bool allocates_by_announcement() {
  constexpr unsigned long kMended = 0x30000150;  // 3.0.21, as 0xMNN00PP0
  return OpenSSL_version_num() < kMended;
}

}  // namespace ws::tls
