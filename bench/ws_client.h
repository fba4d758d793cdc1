// Internal. A client's byte stream over TCP or TLS, and the WebSocket opening handshake.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

using SSL = struct ssl_st;  // OpenSSL's own declaration; keeps its headers out of this one

namespace ws::bench {

struct Url {
  bool tls = false;
  std::string host;
  std::string port;
  std::string path;
};

// Accepts ws://, wss:// and tcp:// (the same as ws:// here), IPv6 hosts in brackets.
// Throws std::runtime_error naming the URL and what is wrong.
[[nodiscard]] Url parse_url(std::string_view text);

enum class Io { kOk, kBlocked, kEnded };

struct IoResult {
  Io state = Io::kBlocked;
  std::size_t bytes = 0;
};

class Stream {
 public:
  // Connects, and over wss does the TLS handshake without checking the certificate: the servers
  // measured here sign their own.  The stream blocks, for 10 s at most, until set_nonblocking().
  // local_ip: the source address to use, empty = the kernel's choice.
  // Throws std::runtime_error naming the server and the reason.
  Stream(const Url& url, const std::string& local_ip);
  Stream(Stream&& other) noexcept;
  Stream& operator=(Stream&&) = delete;
  ~Stream();

  // Sends the opening handshake and reads the answer (RFC 6455 s4.1).  Throws when it is not a good
  // 101.
  void upgrade(const Url& url);
  void set_nonblocking();

  [[nodiscard]] IoResult read(std::span<std::uint8_t> into);
  [[nodiscard]] IoResult write(std::span<const std::uint8_t> from);

  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] bool tls() const { return ssl_ != nullptr; }
  [[nodiscard]] const std::string& end_reason() const { return end_reason_; }  // after Io::kEnded

 private:
  IoResult plain_result(ssize_t n);
  IoResult tls_result(int n);
  void start_tls();

  int fd_ = -1;
  SSL* ssl_ = nullptr;
  std::string end_reason_;
};

}  // namespace ws::bench
