// Internal. A TLS client for tests, made with plain OpenSSL: in memory, or over a socket.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct ssl_st;
struct ssl_ctx_st;

namespace ws::test {

inline constexpr int kTls11 = 0x0302;
inline constexpr int kTls12 = 0x0303;
inline constexpr int kTls13 = 0x0304;

struct TlsClientOptions {
  int version = 0;                  // this one only; 0: 1.2 or 1.3
  std::string server_name{};        // SNI; empty: none
  std::vector<std::string> alpn{};  // empty: no ALPN
  std::string ca_file{};            // not empty: trust only this, and check the name below
  std::string verify_name{};        // a DNS name or an IP address
  std::string cert_file{};          // the client's own
  std::string key_file{};
  std::string ciphers{};  // OpenSSL's list, for TLS 1.2
  std::string ticket{};   // from ticket() of an earlier client: offer to resume that session
};

// thread: one.
class TlsClient {
 public:
  explicit TlsClient(const TlsClientOptions& options = {});
  ~TlsClient();
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  // In memory. What the server sent; moves the handshake on and decrypts.
  void receive(std::string_view ciphertext);
  // What is to be sent to the server; the ClientHello at first.
  std::string take();

  // Over a connected, blocking socket. false: the handshake failed or the server left.
  bool handshake(int fd);
  bool send(int fd, std::string_view plain);
  // Waits until there is some plaintext; "" at the end (closed() or failed() may tell why).
  std::string receive_from(int fd);

  bool established() const;
  // Encrypts into take().
  void write(std::string_view plain);
  // The plaintext that has come since the last call.
  std::string read();
  void close_notify();
  bool closed() const { return closed_; }  // the server's close_notify came
  bool failed() const { return !error_.empty(); }
  const std::string& error() const { return error_; }  // "tlsv13 alert certificate required"

  std::string version() const;
  std::string cipher() const;
  std::string alpn() const;
  bool resumed() const;
  std::string server_common_name() const;          // CN of the certificate the server showed
  std::string server_certificate() const;          // as PEM
  std::vector<std::string> requested_cas() const;  // CNs the server named in its request
  // To resume this session; "" when the server gave none (yet: TLS 1.3 sends it after the
  // handshake).
  std::string ticket() const;
  ssl_st* ssl() { return ssl_; }

 private:
  void advance();
  void note_error(int result);
  bool flush(int fd);
  bool fill(int fd);

  ssl_ctx_st* ctx_;
  ssl_st* ssl_;
  std::string plain_;
  std::string error_;
  bool closed_ = false;
};

}  // namespace ws::test
