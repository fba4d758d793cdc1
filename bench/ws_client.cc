#include "bench/ws_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <utility>

namespace ws::bench {
namespace {

constexpr int kTimeoutSeconds = 10;
constexpr std::size_t kHeadBytesMax = 8192;

// RFC 6455 s1.3 gives this key with its answer, so nothing has to be hashed here.
constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr std::string_view kAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

std::string tls_error() {
  const unsigned long code = ERR_get_error();
  if (code == 0) return "the connection ended";
  char text[256];
  ERR_error_string_n(code, text, sizeof text);
  return text;
}

// One context for the process, never freed: every stream needs it until the end.
SSL_CTX* tls_context() {
  static SSL_CTX* const context = [] {
    SSL_CTX* const made = SSL_CTX_new(TLS_client_method());
    if (made == nullptr) throw std::runtime_error("OpenSSL gave no TLS context: " + tls_error());
    std::signal(SIGPIPE, SIG_IGN);    // OpenSSL writes to sockets without MSG_NOSIGNAL
    SSL_CTX_set_read_ahead(made, 1);  // one recv for a record's header and body
    SSL_CTX_set_verify(made, SSL_VERIFY_NONE, nullptr);
    SSL_CTX_set_mode(made, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                               SSL_MODE_RELEASE_BUFFERS);
    return made;
  }();
  return context;
}

void bind_source(int fd, const std::string& local_ip) {
  sockaddr_in source{};
  source.sin_family = AF_INET;
  if (inet_pton(AF_INET, local_ip.c_str(), &source.sin_addr) != 1) {
    throw std::runtime_error(local_ip + ": not an IPv4 address");
  }
  // Lets connect() choose the port, so that the port range counts for each pair of addresses.
  const int on = 1;
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&source), sizeof source) != 0) {
    throw std::runtime_error("bind to " + local_ip + ": " + std::strerror(errno));
  }
}

// Throws on any failure; `fd` stays the caller's.
void connect_socket(int fd, const addrinfo& address, const std::string& local_ip) {
  const timeval timeout{kTimeoutSeconds, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (!local_ip.empty()) bind_source(fd, local_ip);
  if (connect(fd, address.ai_addr, address.ai_addrlen) != 0) {
    throw std::runtime_error(std::strerror(errno));
  }
}

}  // namespace

Url parse_url(std::string_view text) {
  const auto refuse = [&](const char* why) {
    throw std::runtime_error("--url " + std::string(text) + ": " + why);
  };
  const std::size_t scheme_end = text.find("://");
  const std::string_view scheme = text.substr(0, scheme_end);
  if (scheme_end == std::string_view::npos ||
      (scheme != "ws" && scheme != "wss" && scheme != "tcp")) {
    refuse("must start with ws://, wss:// or tcp://");
  }
  const std::string_view rest = text.substr(scheme_end + 3);
  const std::size_t path_at = std::min(rest.find('/'), rest.size());
  const std::string_view authority = rest.substr(0, path_at);
  const std::size_t colon = authority.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == authority.size() || colon == 0) {
    refuse("must name HOST:PORT");
  }
  std::string_view host = authority.substr(0, colon);
  if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return {.tls = scheme == "wss",
          .host = std::string(host),
          .port = std::string(authority.substr(colon + 1)),
          .path = path_at == rest.size() ? "/" : std::string(rest.substr(path_at))};
}

Stream::Stream(const Url& url, const std::string& local_ip) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string name = url.host + ':' + url.port;
  const int failed = getaddrinfo(url.host.c_str(), url.port.c_str(), &hints, &found);
  if (failed != 0) throw std::runtime_error(name + ": " + gai_strerror(failed));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> address(found, freeaddrinfo);

  fd_ = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd_ < 0) throw std::runtime_error(std::string("socket: ") + std::strerror(errno));
  try {
    connect_socket(fd_, *address, local_ip);
    if (url.tls) start_tls();
  } catch (const std::runtime_error& error) {
    SSL_free(ssl_);
    ::close(fd_);
    throw std::runtime_error("cannot connect to " + name + ": " + error.what());
  }
}

Stream::Stream(Stream&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      ssl_(std::exchange(other.ssl_, nullptr)),
      end_reason_(std::move(other.end_reason_)) {}

Stream::~Stream() {
  SSL_free(ssl_);
  if (fd_ >= 0) ::close(fd_);
}

void Stream::start_tls() {
  ssl_ = SSL_new(tls_context());
  if (ssl_ == nullptr) throw std::runtime_error("OpenSSL gave no session: " + tls_error());
  SSL_set_fd(ssl_, fd_);
  ERR_clear_error();
  if (SSL_connect(ssl_) != 1) throw std::runtime_error("TLS handshake failed: " + tls_error());
}

void Stream::upgrade(const Url& url) {
  const std::string name = url.host + ':' + url.port + url.path;
  const std::string request =
      "GET " + url.path + " HTTP/1.1\r\nHost: " + url.host + ':' + url.port +
      "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " + std::string(kKey) +
      "\r\nSec-WebSocket-Version: 13\r\n\r\n";
  const IoResult sent =
      write({reinterpret_cast<const std::uint8_t*>(request.data()), request.size()});
  if (sent.bytes != request.size()) throw std::runtime_error(name + ": could not send the request");

  std::string head;
  while (head.find("\r\n\r\n") == std::string::npos) {
    std::uint8_t piece[1024];
    const IoResult got = read(piece);
    if (got.state == Io::kBlocked) throw std::runtime_error(name + ": no answer to the upgrade");
    if (got.state == Io::kEnded) {
      throw std::runtime_error(name + ": ended during the upgrade: " + end_reason_);
    }
    head.append(reinterpret_cast<const char*>(piece), got.bytes);
    if (head.size() > kHeadBytesMax) throw std::runtime_error(name + ": endless answer");
  }
  if (head.rfind("HTTP/1.1 101", 0) != 0) {
    throw std::runtime_error(name + ": refused: " + head.substr(0, head.find("\r\n")));
  }
  if (head.find(kAccept) == std::string::npos) {
    throw std::runtime_error(name + ": wrong Sec-WebSocket-Accept");
  }
  if (!head.ends_with("\r\n\r\n")) {
    throw std::runtime_error(name + ": speaks before it is spoken to, so it is no echo");
  }
}

void Stream::set_nonblocking() {
  fcntl(fd_, F_SETFL, fcntl(fd_, F_GETFL) | O_NONBLOCK);
}

IoResult Stream::read(std::span<std::uint8_t> into) {
  if (ssl_ == nullptr) return plain_result(recv(fd_, into.data(), into.size(), 0));
  ERR_clear_error();
  return tls_result(SSL_read(ssl_, into.data(), static_cast<int>(into.size())));
}

IoResult Stream::write(std::span<const std::uint8_t> from) {
  if (ssl_ == nullptr) return plain_result(send(fd_, from.data(), from.size(), MSG_NOSIGNAL));
  ERR_clear_error();
  return tls_result(SSL_write(ssl_, from.data(), static_cast<int>(from.size())));
}

IoResult Stream::plain_result(ssize_t n) {
  if (n > 0) return {Io::kOk, static_cast<std::size_t>(n)};
  if (n < 0 && errno == EAGAIN) return {Io::kBlocked, 0};
  end_reason_ = n == 0 ? "the server closed the connection" : std::strerror(errno);
  return {Io::kEnded, 0};
}

IoResult Stream::tls_result(int n) {
  if (n > 0) return {Io::kOk, static_cast<std::size_t>(n)};
  const int os_error = errno;
  switch (SSL_get_error(ssl_, n)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return {Io::kBlocked, 0};
    case SSL_ERROR_ZERO_RETURN:
      end_reason_ = "the server closed the connection";
      break;
    case SSL_ERROR_SYSCALL:
      end_reason_ =
          os_error == 0 ? "the server closed without close_notify" : std::strerror(os_error);
      break;
    default:
      end_reason_ = tls_error();
  }
  return {Io::kEnded, 0};
}

}  // namespace ws::bench
