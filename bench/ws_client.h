// Internal. A client's byte stream over TCP or TLS, and the WebSocket opening handshake.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

// OpenSSL's own declarations; keep its headers out of this one.
using SSL = struct ssl_st;
using SSL_SESSION = struct ssl_session_st;

namespace ws::bench {

struct Url {
  bool tls = false;
  bool raw = false;  // no WebSocket: the peer sends back whatever bytes it gets
  std::string host;
  std::string port;
  std::string path;
};

// Accepts ws:// and wss://, and tcp:// and tls:// for raw ones; IPv6 hosts in brackets.
// Exits as a wrong option does, naming the URL and what is wrong.
[[nodiscard]] Url parse_url(std::string_view text);

enum class Io { kOk, kBlocked, kEnded };

struct IoResult {
  Io state = Io::kBlocked;
  std::size_t bytes = 0;
};

// The newest TLS session of a server, for the next connection to it. thread: one.
class TlsTicket {
 public:
  TlsTicket() = default;
  TlsTicket(const TlsTicket&) = delete;
  TlsTicket& operator=(const TlsTicket&) = delete;
  ~TlsTicket();

  void keep(SSL_SESSION* session);  // takes over the reference
  [[nodiscard]] SSL_SESSION* session() const { return session_; }

 private:
  SSL_SESSION* session_ = nullptr;
};

class Stream {
 public:
  // Connects, and over wss does the TLS handshake without checking the certificate: the servers
  // measured here sign their own.  The stream blocks, for 10 s at most, until set_nonblocking().
  // local_ip: the source address to use, empty = the kernel's choice.
  // ticket: resumed if it has a session; keeps the ones this connection gets, and outlives it.
  // Throws std::runtime_error naming the server and the reason.
  Stream(const Url& url, const std::string& local_ip, TlsTicket* ticket = nullptr);
  Stream(Stream&& other) noexcept;
  Stream& operator=(Stream&&) = delete;
  ~Stream();

  // Sends the opening handshake and reads the answer (RFC 6455 s4.1).  Throws when it is not a good
  // 101.  extensions: what to offer; returns: what was agreed on, "" for nothing.
  std::string upgrade(const Url& url, std::string_view extensions = {});
  void set_nonblocking();

  [[nodiscard]] IoResult read(std::span<std::uint8_t> into);
  [[nodiscard]] IoResult write(std::span<const std::uint8_t> from);

  // TLS: sends what was written and is still here.  false: the kernel does not take it all yet.
  bool flush();
  // close_notify, then FIN: reading goes on.
  void shut_down_write();

  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] bool resumed() const;
  [[nodiscard]] bool tls() const { return ssl_ != nullptr; }
  [[nodiscard]] const std::string& end_reason() const { return end_reason_; }  // after Io::kEnded

 private:
  IoResult plain_result(ssize_t n);
  IoResult tls_result(int n);
  void start_tls(const std::string& host, TlsTicket* ticket);

  int fd_ = -1;
  SSL* ssl_ = nullptr;
  std::string end_reason_;
};

}  // namespace ws::bench
