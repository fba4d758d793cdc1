#include "net/listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include <cctype>
#include <cerrno>
#include <string>
#include <system_error>

#include "core/check.h"

namespace ws::net {
namespace {

constexpr int kBacklog = 4096;  // the default of net.core.somaxconn since Linux 5.4, which caps it

// Passing over dead connections must end, even if the kernel reported the same error for ever.
constexpr int kPassedOverMax = 64;

// What happened and what to do about it.
std::string reason(const Address& address, int why) {
  const bool is_file = address.is_unix();
  switch (why) {
    case EACCES:
      if (is_file) return "permission denied; choose a path this user may write to";
      if (address.port() >= 1024) break;
      return "permission denied; ports below 1024 need CAP_NET_BIND_SERVICE, choose a port above "
             "1023";
    case EADDRINUSE:
      if (is_file) {
        return "address already in use; stop the program that listens there (ss -lxp shows it) or "
               "choose another path";
      }
      return "address already in use; stop the program that listens there (ss -ltnp shows it) or "
             "choose another port";
    case EADDRNOTAVAIL:
      return "cannot assign requested address; choose one this machine has (ip addr shows them) "
             "or *";
    case EAFNOSUPPORT:
      return "address family not supported; this kernel has no IPv6, choose an IPv4 address or *";
    case EINVAL:
      return "invalid argument; a link-local address does not say which interface, choose another "
             "address or *";
    case ENOENT:
      return "no such directory; create it or choose another path";
    case EMFILE:
      return "too many open files; raise the limit (ulimit -n)";
    default:
      break;
  }
  std::string text = std::generic_category().message(why);
  text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

core::Error refusal(const Address& address, int why) {
  return core::Error(address.to_string() + ": " + reason(address, why), why);
}

bool set_option(const core::Fd& fd, int level, int name, int value) {
  return ::setsockopt(fd.get(), level, name, &value, sizeof value) == 0;
}

bool bind_to(const core::Fd& fd, const Address& address) {
  return ::bind(fd.get(), address.get(), address.size()) == 0;
}

core::Fd make_socket(const Address& address) {
  return core::Fd(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

// `joins`: a further socket of an address we listen on already.
core::Result<core::Fd> listen_tcp(const Address& address, bool joins) {
  core::Fd fd = make_socket(address);
  if (!fd) return refusal(address, errno);
  // SO_REUSEADDR lets a restart bind while connections of the last run are in TIME_WAIT; Linux
  // still refuses an address somebody listens on.
  bool good = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  good = good && (!joins || set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1));
  if (address.family() == AF_INET6) {
    // A literal, even [::], is IPv6 only, so that 0.0.0.0 may stand beside it.
    good = good && set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, address.is_any() ? 0 : 1);
  }
  // Linux hands it down to accepted sockets: a system call less per connection.
  good = good && set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  good = good && bind_to(fd, address) && ::listen(fd.get(), kBacklog) == 0;
  if (!good) return refusal(address, errno);
  return fd;
}

// Clears the way for bind() where a file is, unless somebody needs the file.
core::Result<core::Ok> remove_stale(const Address& address) {
  const std::string path = address.path();
  struct stat file;
  if (::lstat(path.c_str(), &file) != 0) {
    if (errno == ENOENT) return core::Ok{};  // gone by itself
    return refusal(address, errno);
  }
  // Asked first: connect() to an ordinary file is "refused" too, and that is somebody's data.
  if (!S_ISSOCK(file.st_mode)) {
    return core::Error(address.to_string() +
                           ": a file that is not a socket is there; remove it or choose another "
                           "path",
                       EADDRINUSE);
  }
  const core::Fd probe = make_socket(address);
  if (!probe) return refusal(address, errno);
  const bool connected = ::connect(probe.get(), address.get(), address.size()) == 0;
  const int why = connected ? 0 : errno;
  if (why == ECONNREFUSED) {
    if (::unlink(path.c_str()) == 0 || errno == ENOENT) return core::Ok{};
    return refusal(address, errno);
  }
  if (why == ENOENT) return core::Ok{};
  // Not ours to judge when it is another user's. All other answers (EAGAIN: its backlog is full;
  // EPROTOTYPE: it takes datagrams) come from a socket that lives.
  return refusal(address, why == EACCES ? EACCES : EADDRINUSE);
}

core::Result<core::Fd> listen_unix(const Address& address) {
  core::Fd fd = make_socket(address);
  if (!fd) return refusal(address, errno);
  // bind() gives the file the mode of the socket (less the umask), so there is no moment in which
  // another user could connect, as there would be with chmod() after it.
  if (::fchmod(fd.get(), S_IRUSR | S_IWUSR) != 0) return refusal(address, errno);
  if (!bind_to(fd, address)) {
    if (errno != EADDRINUSE) return refusal(address, errno);
    const auto cleared = remove_stale(address);
    if (!cleared) return cleared.error();
    if (!bind_to(fd, address)) return refusal(address, errno);
  }
  if (::listen(fd.get(), kBacklog) != 0) return refusal(address, errno);
  return fd;
}

core::Fd make_spare() {
  return core::Fd(::eventfd(0, EFD_CLOEXEC));
}

// accept(2) reports what befell the waiting connection as errors of its own: that connection is
// out of the queue and the next one may be fine.
bool is_about_dead_connection(int why) {
  switch (why) {
    case ECONNABORTED:
    case EPERM:  // a firewall rule
    case EPROTO:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case ENETDOWN:
    case ENETUNREACH:
    case ENONET:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ETIMEDOUT:
      return true;
    default:
      return false;
  }
}

}  // namespace

Listener::Listener(core::Fd fd, const Address& address)
    : fd_(std::move(fd)), spare_(make_spare()), address_(address) {}

core::Result<Listener> Listener::open(const Address& address) {
  if (address.is_unix()) {
    auto fd = listen_unix(address);
    if (!fd) return fd.error();
    Listener made(std::move(*fd), address);
    struct stat file;
    // fstat() of the socket would tell about another inode than the file's.
    if (::lstat(address.path().c_str(), &file) == 0) {
      made.file_device_ = file.st_dev;
      made.file_inode_ = file.st_ino;
    }
    return made;
  }

  Address bound = address;
  auto fd = listen_tcp(bound, false);
  if (!fd && address.is_any() && fd.error().os_errno() == EAFNOSUPPORT) {
    bound = Address::from_ip("0.0.0.0", address.port()).value();
    fd = listen_tcp(bound, false);
  }
  if (!fd) return fd.error();
  sockaddr_storage real;
  socklen_t size = sizeof real;
  auto* out = reinterpret_cast<sockaddr*>(&real);
  if (::getsockname(fd->get(), out, &size) != 0) return refusal(address, errno);
  bound.set_port(Address::from_sockaddr(out, size).port());
  return Listener(std::move(*fd), bound);
}

core::Result<Listener> Listener::share() const {
  WS_CHECK(fd_);
  if (address_.is_unix()) {
    core::Fd again(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0));
    if (!again) return refusal(address_, errno);
    Listener made(std::move(again), address_);
    made.file_device_ = file_device_;
    made.file_inode_ = file_inode_;
    return made;
  }
  // Only now, as we listen already: had the first socket been bound with SO_REUSEPORT, or got it
  // before listen(), two instances started together could both have succeeded, each taking half of
  // the other's connections. Siblings of ours find it set and may join.
  if (!set_option(fd_, SOL_SOCKET, SO_REUSEPORT, 1)) return refusal(address_, errno);
  auto fd = listen_tcp(address_, true);
  if (!fd) return fd.error();
  return Listener(std::move(*fd), address_);
}

Listener::Accepted Listener::accept() {
  WS_CHECK(fd_);
  if (!spare_) spare_ = make_spare();  // lost in a shortage; before a connection, which can wait
  for (int passed_over = 0; passed_over < kPassedOverMax; ++passed_over) {
    sockaddr_storage peer;
    socklen_t size = sizeof peer;
    auto* out = reinterpret_cast<sockaddr*>(&peer);
    core::Fd fd(::accept4(fd_.get(), out, &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd) {
      return {.state = Accepted::State::kOk,
              .socket = Socket(std::move(fd)),
              .peer = Address::from_sockaddr(out, size)};
    }
    const int why = errno;
    if (why == EAGAIN || why == EWOULDBLOCK) return {.state = Accepted::State::kNone};
    if (why == EMFILE || why == ENFILE) return refuse_one();
    if (why != EINTR && !is_about_dead_connection(why)) break;  // ENOBUFS, ENOMEM
  }
  return {.state = Accepted::State::kBackOff};
}

// A connection left in the queue would wait for its time-out, and no edge would speak of it again;
// closed, its client knows at once. One per call: Linux says EMFILE before it looks whether anybody
// waits at all, so only this accept can tell when to stop.
Listener::Accepted Listener::refuse_one() {
  if (!spare_) return {.state = Accepted::State::kBackOff};
  spare_.reset();
  core::Fd fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const int why = fd ? 0 : errno;
  fd.reset();
  spare_ = make_spare();
  if (why == 0) return {.state = Accepted::State::kRefused};
  if (why == EAGAIN || why == EWOULDBLOCK) return {.state = Accepted::State::kNone};
  return {.state = Accepted::State::kBackOff};  // another thread was faster
}

void Listener::remove_path() {
  if (!address_.is_unix()) return;
  const std::string path = address_.path();
  struct stat file;
  if (::lstat(path.c_str(), &file) != 0) return;
  if (file.st_dev != file_device_ || file.st_ino != file_inode_) return;
  ::unlink(path.c_str());
}

}  // namespace ws::net
