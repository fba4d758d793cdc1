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

// What a client asks of the server it connects to.
struct ClientOptions {
  // The server's chain must end at a trusted authority and its certificate be for the host that was
  // asked for. false accepts any certificate: whoever sits between can read and change everything.
  bool verify = true;
  std::string ca_file{};  // PEM of the authorities to trust instead of the system's
  // SHA-256 fingerprints of the server's own certificate: hexadecimal in either case, AA:BB:... or
  // without the colons. When given, the certificate must be one of these, and that alone counts,
  // whatever `verify` says: neither authority nor host name nor expiry is asked (so a self-signed
  // one will do). Not together with ca_file.
  std::vector<std::string> pinned_sha256{};
  KeyPair certificate{};  // what the client shows to a server that asks; empty: nothing
};

}  // namespace ws::tls
