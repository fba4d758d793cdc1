#include "tests/support/tls_pair.h"

#include <gtest/gtest.h>
#include <openssl/err.h>

#include <algorithm>
#include <array>

namespace ws::test {

tls::Context make_context(const tls::ServerOptions& options) {
  auto made = tls::Context::make_server(options);
  EXPECT_TRUE(made) << made.error().message();
  EXPECT_EQ(ERR_peek_error(), 0u);
  return std::move(made).value();
}

const tls::Context& default_context() {
  static const tls::Context made = make_context();
  return made;
}

void TlsPair::feed(std::string_view ciphertext) {
  std::array<std::uint8_t, 5000> room;  // of no record's size, so that some records need two calls
  server.feed(bytes_of(ciphertext));
  for (;;) {
    const auto unsealed = server.unseal(room);
    EXPECT_EQ(ERR_peek_error(), 0u);
    received.append(reinterpret_cast<const char*>(room.data()), unsealed.bytes);
    status = unsealed.status;
    if (unsealed.bytes < room.size() || status != tls::Status::kOk) return;
  }
}

void TlsPair::seal(std::string_view plain) {
  EXPECT_TRUE(server.seal(bytes_of(plain)));
  EXPECT_EQ(ERR_peek_error(), 0u);
}

std::string TlsPair::take() {
  core::Buffer& pending = server.pending();
  std::string out(reinterpret_cast<const char*>(pending.data()), pending.size());
  pending.consume(pending.size());
  return out;
}

void TlsPair::run(const Split& split) {
  for (;;) {
    const std::string to_server = client.take();
    const std::string to_client = take();
    if (to_server.empty() && to_client.empty()) return;
    for (std::string_view rest = to_client; !rest.empty();) {
      const std::size_t count = std::min(rest.size(), std::max<std::size_t>(split(), 1));
      client.receive(rest.substr(0, count));
      rest.remove_prefix(count);
    }
    for (std::string_view rest = to_server; !rest.empty();) {
      const std::size_t count = std::min(rest.size(), std::max<std::size_t>(split(), 1));
      feed(rest.substr(0, count));
      rest.remove_prefix(count);
    }
  }
}

}  // namespace ws::test
