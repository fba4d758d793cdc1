// Public. How TLS is set up.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ws::tls {

// Whether a client must show a certificate. kOptional verifies one that is shown; kRequired refuses
// a handshake without one.
enum class ClientCertificates : std::uint8_t { kOff, kOptional, kRequired };

// One certificate chain (PEM, leaf first) and its private key.
struct KeyPair {
  std::string cert_file{};
  std::string key_file{};
};

struct ServerOptions {
  // The first is the default; the others are chosen by SNI from the DNS names in their certificates
  // (subject alternative names, one leading wildcard label allowed). Empty: a P-256 self-signed
  // certificate for localhost, 127.0.0.1 and ::1, made in memory.
  std::vector<KeyPair> certificates{};
  ClientCertificates client_certificates = ClientCertificates::kOff;
  std::string client_ca_file{};  // PEM; needed unless kOff
};

}  // namespace ws::tls
