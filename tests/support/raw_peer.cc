#include "tests/support/raw_peer.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <utility>

namespace ws::test {
namespace {

constexpr int kHandshakeMs = 20'000;

std::uint64_t big_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<unsigned char>(byte);
  return value;
}

}  // namespace

core::Fd connect_tcp(std::uint16_t port, const TcpOptions& options) {
  core::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (options.receive_buffer_bytes != 0) {
    // Before connect(), as the window's scale is settled there.
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &options.receive_buffer_bytes, sizeof(int));
  }
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  ::inet_pton(AF_INET, options.source_ip, &address.sin_addr);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return {};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  const auto* to = reinterpret_cast<const sockaddr*>(&address);
  if (::connect(fd.get(), to, sizeof address) != 0) return {};
  return fd;
}

core::Fd connect_unix(const std::string& path) {
  core::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const auto* to = reinterpret_cast<const sockaddr*>(&address);
  if (::connect(fd.get(), to, sizeof address) != 0) return {};
  return fd;
}

RawPeer::RawPeer(core::Fd fd, bool tls)
    : fd_(std::move(fd)), tls_(tls ? std::make_unique<TlsClient>() : nullptr) {
  if (!fd_) throw std::runtime_error("no connection");
  ::fcntl(fd_.get(), F_SETFL, O_NONBLOCK);
  while (tls_ != nullptr && !tls_->established()) {
    out_ += tls_->take();
    push(kHandshakeMs);
    if (!wait(POLLIN, kHandshakeMs) || !receive()) throw std::runtime_error("no TLS handshake");
  }
  if (tls_ != nullptr) out_ += tls_->take();
}

void RawPeer::upgrade() {
  queue(Request().str());
  push(kHandshakeMs);
  std::string head;
  while (!head.ends_with("\r\n\r\n")) {
    const std::string more = read(kHandshakeMs);
    if (more.empty()) throw std::runtime_error("no answer, but: " + head);
    head += more;
  }
  if (!head.starts_with("HTTP/1.1 101 ")) throw std::runtime_error("no 101, but: " + head);
}

void RawPeer::queue(std::string_view plain) {
  if (tls_ == nullptr) {
    out_ += plain;
    return;
  }
  tls_->write(plain);
  out_ += tls_->take();
}

std::string RawPeer::take_queued() {
  return std::exchange(out_, {});
}

std::size_t RawPeer::send_some() {
  std::size_t sent = 0;
  while (sent < out_.size()) {
    const ssize_t count = ::send(fd_.get(), out_.data() + sent, out_.size() - sent, MSG_NOSIGNAL);
    if (count > 0) {
      sent += static_cast<std::size_t>(count);
    } else if (errno != EINTR) {
      if (errno != EAGAIN) ended_ = true;
      break;
    }
  }
  out_.erase(0, sent);
  return sent;
}

std::size_t RawPeer::push(int stuck_ms) {
  std::size_t total = 0;
  for (;;) {
    total += send_some();
    if (out_.empty() || ended_ || !wait(POLLOUT, stuck_ms)) return total;
  }
}

bool RawPeer::send_raw(std::string_view bytes) {
  out_ += bytes;
  push(kHandshakeMs);
  return out_.empty() && !ended_;
}

bool RawPeer::wait(short events, int ms) {
  pollfd waiting = {.fd = fd_.get(), .events = events, .revents = 0};
  return ::poll(&waiting, 1, ms) > 0;
}

bool RawPeer::receive() {
  char room[64 * 1024];
  const ssize_t count = ::recv(fd_.get(), room, sizeof room, 0);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (count <= 0) {
    ended_ = true;
    return false;
  }
  const std::string_view bytes(room, static_cast<std::size_t>(count));
  if (tls_ == nullptr) {
    in_ += bytes;
  } else {
    tls_->receive(bytes);
    in_ += tls_->read();
  }
  return true;
}

std::string RawPeer::exchange(std::size_t bytes, int ms) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
  while (in_.size() < bytes && !ended_ && std::chrono::steady_clock::now() < deadline) {
    if (receive()) continue;
    if (send_some() > 0 || ended_) continue;
    wait(out_.empty() ? POLLIN : POLLIN | POLLOUT, 100);
  }
  return std::exchange(in_, {});
}

std::string RawPeer::read(int ms) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
  while (in_.empty() && !ended_) {
    if (receive()) continue;
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) break;
    wait(POLLIN, static_cast<int>(left.count()));
  }
  return std::exchange(in_, {});
}

void RawPeer::half_close() {
  ::shutdown(fd_.get(), SHUT_WR);
}

void RawPeer::reset() {
  const linger at_once = {.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  fd_.reset();
}

std::optional<ServerFrame> take_frame(std::string& bytes) {
  if (bytes.size() < 2) return std::nullopt;
  const auto byte0 = static_cast<unsigned char>(bytes[0]);
  std::uint64_t length = static_cast<unsigned char>(bytes[1]) & 0x7f;
  const std::size_t header = length < 126 ? 2 : length == 126 ? 4 : 10;
  if (bytes.size() < header) return std::nullopt;
  if (header > 2) length = big_endian(std::string_view(bytes).substr(2, header - 2));
  if (bytes.size() - header < length) return std::nullopt;
  ServerFrame frame{.opcode = static_cast<std::uint8_t>(byte0 & 15),
                    .payload = bytes.substr(header, length)};
  bytes.erase(0, header + length);
  return frame;
}

std::string server_frame(Op opcode, std::string_view payload) {
  return frame({.opcode = opcode, .masked = false}, payload);
}

std::string server_close(int code) {
  const char body[] = {static_cast<char>(code >> 8), static_cast<char>(code & 0xff)};
  return server_frame(kClose, {body, sizeof body});
}

}  // namespace ws::test
