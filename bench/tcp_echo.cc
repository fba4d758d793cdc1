// Plain TCP echo, edge-triggered epoll, one thread: what any echo server on this kernel has to pay
// at least, and so the baseline the WebSocket servers are compared with.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/args.h"
#include "bench/process.h"

namespace ws::bench {
namespace {

constexpr std::string_view kUsage =
    R"(tcp_echo --listen 127.0.0.1:PORT [--buffer SIZE]: sends back what comes in

  --listen IP:PORT   IPv4 address; port 0 picks one
  --buffer SIZE      the one receive buffer, suffixes k and m (256k)
)";

struct Peer {
  int fd;
  std::vector<std::uint8_t> unsent;  // what the kernel refused; no reading until it is gone
  std::size_t unsent_from = 0;
};

class Server {
 public:
  Server(int listen_fd, std::size_t buffer_bytes)
      : listen_fd_(listen_fd), epoll_fd_(epoll_create1(EPOLL_CLOEXEC)), buffer_(buffer_bytes) {
    watch(listen_fd_, EPOLLIN, nullptr);
  }

  [[noreturn]] void run() {
    std::vector<epoll_event> events(1024);
    while (true) {
      const int n = epoll_wait(epoll_fd_, events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < n; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        auto* const peer = static_cast<Peer*>(event.data.ptr);
        if (peer == nullptr) {
          accept_all();
        } else if (!serve(*peer, (event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)) {
          ::close(peer->fd);  // an fd is in a batch of events only once: nothing else refers to it
          delete peer;
        }
      }
    }
  }

 private:
  void watch(int fd, std::uint32_t events, Peer* peer) {
    epoll_event event{.events = events, .data = {}};
    event.data.ptr = peer;
    if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) throw std::runtime_error("epoll_ctl");
  }

  void accept_all() {
    while (true) {
      const int fd = accept4(listen_fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      watch(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, new Peer{.fd = fd, .unsent = {}});
    }
  }

  // returns: false = the connection is over.
  bool serve(Peer& peer, bool hangup) {
    if (!flush(peer)) return false;
    while (peer.unsent.empty()) {
      const ssize_t got = recv(peer.fd, buffer_.data(), buffer_.size(), 0);
      if (got <= 0) return got < 0 && errno == EAGAIN;
      const auto bytes = static_cast<std::size_t>(got);
      const ssize_t sent = send(peer.fd, buffer_.data(), bytes, MSG_NOSIGNAL);
      if (sent < 0 && errno != EAGAIN) return false;
      peer.unsent_from = 0;
      peer.unsent.assign(buffer_.begin() + std::max<ssize_t>(sent, 0), buffer_.begin() + got);
      // A short read has emptied the socket, and an edge will tell of more.
      if (bytes < buffer_.size() && !hangup) break;
    }
    return true;
  }

  static bool flush(Peer& peer) {
    if (peer.unsent.empty()) return true;
    const std::size_t left = peer.unsent.size() - peer.unsent_from;
    const ssize_t sent = send(peer.fd, peer.unsent.data() + peer.unsent_from, left, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN;
    peer.unsent_from += static_cast<std::size_t>(sent);
    if (peer.unsent_from == peer.unsent.size()) peer.unsent.clear();
    return true;
  }

  int listen_fd_;
  int epoll_fd_;
  std::vector<std::uint8_t> buffer_;
};

int open_listener(const std::string& where) {
  const std::size_t colon = where.rfind(':');
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (colon == std::string::npos ||
      inet_pton(AF_INET, where.substr(0, colon).c_str(), &address.sin_addr) != 1) {
    throw std::runtime_error("--listen " + where + ": must be IP:PORT");
  }
  address.sin_port = htons(static_cast<std::uint16_t>(std::stoul(where.substr(colon + 1))));
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  socklen_t bytes = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(fd, generic, bytes) != 0 || listen(fd, SOMAXCONN) != 0) {
    throw std::runtime_error("--listen " + where + ": " + std::strerror(errno));
  }
  getsockname(fd, generic, &bytes);
  std::printf("listening on %s:%d\n", where.substr(0, colon).c_str(), ntohs(address.sin_port));
  std::fflush(stdout);
  return fd;
}

}  // namespace
}  // namespace ws::bench

int main(int argc, char** argv) {
  try {
    ws::bench::Args args(argc, argv, ws::bench::kUsage);
    const std::string listen = args.text("--listen", "127.0.0.1:0");
    const std::uint64_t buffer_bytes = args.size("--buffer", 256 * 1024);
    args.finish();
    ws::bench::raise_descriptor_limit(0);
    ws::bench::Server(ws::bench::open_listener(listen), buffer_bytes).run();
  } catch (const std::exception& error) {
    ws::bench::die(error.what());
  }
}
