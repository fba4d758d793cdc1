#include "net/socket.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "core/check.h"

namespace ws::net {
namespace {

// Out of memory (ENOMEM, ENOBUFS) counts as failed: no edge would tell when to try again, and one
// connection less is what a machine without memory needs.
Transfer not_moved(int why) {
  const bool blocked = why == EAGAIN || why == EWOULDBLOCK;
  return {.bytes = 0, .state = blocked ? Transfer::State::kBlocked : Transfer::State::kFailed};
}

Transfer received(ssize_t count) {
  if (count < 0) return not_moved(errno);
  return {.bytes = static_cast<std::size_t>(count),
          .state = count == 0 ? Transfer::State::kEnd : Transfer::State::kOk};
}

std::string cure(const Address& address, int why) {
  switch (why) {
    case EMFILE:
    case ENFILE:
      return "raise the limit of open files (ulimit -n)";
    case EADDRNOTAVAIL:
      return "no local port is free: make fewer connections, or keep them for longer";
    case ECONNREFUSED:
    case EAGAIN:  // a Unix socket's queue is full
      return address.is_unix() ? "check that the server runs and keeps up"
                               : "check that the server runs, and its port";
    default:
      return address.is_unix() ? "check the path, and that this user may write to it"
                               : "check the address, the network and firewalls";
  }
}

}  // namespace

core::Error connect_failure(const Address& address, int why) {
  return core::Error(address.to_string() + ": cannot connect (" +
                         std::generic_category().message(why) + "); " + cure(address, why),
                     why);
}

core::Result<Socket> Socket::start_connect(const Address& address) {
  core::Fd fd(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return connect_failure(address, errno);
  const int on = 1;
  if (!address.is_unix()) {
    WS_CHECK(::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
  }
  if (::connect(fd.get(), address.get(), address.size()) == 0) return Socket(std::move(fd));
  // A signal does not end the attempt: it goes on "asynchronously" (connect(2)).
  if (errno == EINPROGRESS || errno == EINTR) return Socket(std::move(fd));
  return connect_failure(address, errno);
}

int Socket::connect_error() const {
  if (memory_ != 0) return 0;
  int why = 0;
  socklen_t size = sizeof why;
  WS_CHECK(::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &why, &size) == 0);
  return why;
}

Transfer Socket::read(core::Bytes into) {
  WS_CHECK(!into.empty());  // recv(2) answers 0 to no room as it does to a FIN
  if (memory_ != 0) return MemorySockets::read(memory_, into, {});
  ssize_t count;
  do {
    count = ::recv(fd_.get(), into.data(), into.size(), 0);
  } while (count < 0 && errno == EINTR);
  return received(count);
}

Transfer Socket::read(core::Bytes first, core::Bytes second) {
  WS_CHECK(!first.empty() || !second.empty());
  if (memory_ != 0) return MemorySockets::read(memory_, first, second);
  iovec parts[2] = {{first.data(), first.size()}, {second.data(), second.size()}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  ssize_t count;
  do {
    count = ::recvmsg(fd_.get(), &message, 0);
  } while (count < 0 && errno == EINTR);
  return received(count);
}

Transfer Socket::write(std::span<const iovec> parts, Push push) {
  WS_CHECK(!parts.empty());
  WS_CHECK(parts.size() <= kPartsMax);
  if (memory_ != 0) return MemorySockets::write(memory_, parts);
  std::size_t wanted = 0;
  for (const iovec& part : parts) wanted += part.iov_len;
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());  // sendmsg(2) only reads them
  message.msg_iovlen = parts.size();
  // MSG_NOSIGNAL: a peer that left must not end the process with SIGPIPE.
  const int flags = MSG_NOSIGNAL | (push == Push::kWithFin ? MSG_MORE : 0);
  ssize_t count;
  do {
    count = parts.size() == 1 ? ::send(fd_.get(), parts[0].iov_base, parts[0].iov_len, flags)
                              : ::sendmsg(fd_.get(), &message, flags);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return not_moved(errno);
  // A short count means the send buffer is full, so the next attempt would only say EAGAIN; the
  // kernel has already noted that somebody waits for room and will raise the edge.
  const auto sent = static_cast<std::size_t>(count);
  WS_CHECK(sent <= wanted);
  return {.bytes = sent,
          .state = sent == wanted ? Transfer::State::kOk : Transfer::State::kBlocked};
}

Socket& Socket::operator=(Socket&& other) noexcept {
  close();
  fd_ = std::move(other.fd_);
  memory_ = std::exchange(other.memory_, 0);
  return *this;
}

void Socket::close() {
  fd_.reset();
  if (memory_ != 0) MemorySockets::close(std::exchange(memory_, 0));
}

void Socket::shut_down_write() {
  if (memory_ != 0) return MemorySockets::shut_down_write(memory_);
  ::shutdown(fd_.get(), SHUT_WR);  // fails only when the peer is gone, which the next read tells
}

std::size_t Socket::in_flight() const {
  if (memory_ != 0) return 0;  // the pipe is the peer's
  int bytes = 0;
  WS_CHECK(::ioctl(fd_.get(), SIOCOUTQ, &bytes) == 0);
  return static_cast<std::size_t>(bytes);
}

void Socket::limit_last_bytes() {
  if (memory_ != 0) return;
  const int most_ms = 60'000;
  // Fails for a Unix socket, which has none.
  ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &most_ms, sizeof most_ms);
}

void Socket::abort_on_close() {
  if (memory_ != 0) return MemorySockets::abort_on_close(memory_);
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  // Fails only for a descriptor that is no socket.
  WS_CHECK(::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
}

Address Socket::peer() const {
  if (memory_ != 0) return Address();
  sockaddr_storage address;
  socklen_t size = sizeof address;
  auto* out = reinterpret_cast<sockaddr*>(&address);
  if (::getpeername(fd_.get(), out, &size) != 0) return Address();
  return Address::from_sockaddr(out, size);
}

}  // namespace ws::net
