#include "tests/support/stream.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace ws::test {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kConnectTime = std::chrono::seconds(5);
constexpr auto kWriteTime = std::chrono::seconds(20);

// An RST behind a FIN does not show in recv(), yet it may have overtaken, and destroyed, data.
bool was_reset(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  return error != 0;
}

}  // namespace

Stream::Stream(int fd, bool tls) : fd_(fd), tls_(tls ? std::make_unique<TlsClient>() : nullptr) {}

Stream::~Stream() {
  if (fd_ >= 0) ::close(fd_);
}

std::unique_ptr<Stream> Stream::connect(std::uint16_t port, bool tls) {
  std::unique_ptr<Stream> stream = open(port, tls);
  return stream != nullptr && stream->shake_hands() ? std::move(stream) : nullptr;
}

std::unique_ptr<Stream> Stream::open(std::uint16_t port, bool tls) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return nullptr;
  std::unique_ptr<Stream> stream(new Stream(fd, tls));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // Blocking, since on the loopback interface it takes no time; from here on nothing blocks.
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return nullptr;
  if (::fcntl(fd, F_SETFL, O_NONBLOCK) != 0) return nullptr;
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return stream;
}

bool Stream::shake_hands() {
  if (tls_ == nullptr) return true;
  const auto deadline = Clock::now() + kConnectTime;
  for (;;) {
    if (!send_all(tls_->take())) return false;
    if (tls_->established()) return true;
    if (end_ || tls_->failed() || !wait(POLLIN, deadline)) return false;
    pump();
  }
}

bool Stream::wait(short events, Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  pollfd waiting = {.fd = fd_, .events = events, .revents = 0};
  return ::poll(&waiting, 1, static_cast<int>(std::max(left.count(), std::int64_t{0}))) > 0;
}

Stream::Got Stream::read(std::string& out, int ms) {
  const auto deadline = Clock::now() + std::chrono::milliseconds(ms);
  for (;;) {
    pump();
    if (!inbox_.empty()) {
      out += inbox_;
      inbox_.clear();
      return Got::kData;
    }
    if (end_) return *end_;
    if (!wait(POLLIN, deadline)) return Got::kTimeout;
  }
}

void Stream::pump() {
  char room[64 * 1024];
  while (!end_) {
    const ssize_t count = ::recv(fd_, room, sizeof room, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count < 0) {
      end_ = Got::kReset;
    } else if (count == 0) {
      const bool torn = tls_ != nullptr && !tls_->closed();
      end_ = was_reset(fd_) ? Got::kReset : torn ? Got::kTruncated : Got::kEof;
    } else if (tls_ == nullptr) {
      inbox_.append(room, static_cast<std::size_t>(count));
    } else {
      tls_->receive({room, static_cast<std::size_t>(count)});
      inbox_ += tls_->read();
      if (tls_->failed()) end_ = Got::kTruncated;
    }
  }
}

bool Stream::write(std::string_view bytes) {
  if (bytes.empty()) return true;
  if (tls_ == nullptr) return send_all(bytes);
  tls_->write(bytes);
  return !tls_->failed() && send_all(tls_->take());
}

bool Stream::send_all(std::string_view bytes) {
  auto deadline = Clock::now() + kWriteTime;
  while (!bytes.empty()) {
    const ssize_t count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(count));
      deadline = Clock::now() + kWriteTime;
    } else if (errno == EAGAIN) {
      // An end of input that was seen already would make every poll return at once.
      if (!wait(end_ ? POLLOUT : POLLIN | POLLOUT, deadline)) return false;
      pump();
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

void Stream::half_close() {
  if (tls_ != nullptr) {
    tls_->close_notify();
    send_all(tls_->take());
  }
  fin();
}

void Stream::fin() {
  ::shutdown(fd_, SHUT_WR);
}

void Stream::reset() {
  const linger at_once = {.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  ::close(fd_);
  fd_ = -1;
}

}  // namespace ws::test
