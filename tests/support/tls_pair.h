// Internal. A tls::Session and a TLS client joined in memory.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "tests/support/bytes.h"
#include "tests/support/tls_client.h"
#include "tls/session.h"

namespace ws::test {

struct TlsPair {
  explicit TlsPair(const tls::Context& context, const TlsClientOptions& options = {})
      : server(context), client(options) {}

  // Moves ciphertext both ways until neither side has any. split: how many bytes to feed next.
  using Split = std::function<std::size_t()>;
  void run(const Split& split = [] { return std::size_t{1} << 30; });

  // Feeds ciphertext to the server; its plaintext is added to `received`. Fails the test when the
  // session leaves an error in OpenSSL's queue or does not use up what it was fed.
  void feed(std::string_view ciphertext);
  // Seals and fails the test when that is refused.
  void seal(std::string_view plain);
  // What the server wants to be sent.
  std::string take();

  tls::Session server;
  TlsClient client;
  std::string received;
  tls::Status status = tls::Status::kOk;
};

// Fails the test when it cannot be made, or leaves an error in OpenSSL's queue.
tls::Context make_context(const tls::ServerOptions& options = {});
// One for all tests: no files, a certificate of its own.
const tls::Context& default_context();

inline constexpr int kDataRecord = 23;  // RFC 8446 section 5.1: application_data

}  // namespace ws::test
