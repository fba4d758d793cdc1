#include "bench/bare_fanout.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace ws::bench {
namespace {

// RFC 6455 s1.3 gives the answer to the key that Stream sends.
constexpr std::string_view kAnswer =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

class Loop {
 public:
  Loop(int listen_fd, std::size_t received_bytes, const std::string& frame)
      : listen_fd_(listen_fd),
        epoll_fd_(epoll_create1(EPOLL_CLOEXEC)),
        received_bytes_(received_bytes),
        frame_(frame) {
    watch(listen_fd);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 256> events;
    while (true) {
      const int count = epoll_wait(epoll_fd_, events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < count; ++i) {
        const int fd = events[static_cast<std::size_t>(i)].data.fd;
        fd == listen_fd_ ? accept_one() : serve(fd);
      }
    }
  }

 private:
  void watch(int fd) const {
    epoll_event event{.events = EPOLLIN, .data = {}};
    event.data.fd = fd;
    epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event);
  }

  void accept_one() const {
    const int fd = accept4(listen_fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    watch(fd);
  }

  void serve(int fd) {
    std::array<char, 64 * 1024> buffer;
    const ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
    if (got <= 0) {
      std::erase(subscribers_, fd);
      ::close(fd);
      return;
    }
    const std::string_view bytes(buffer.data(), static_cast<std::size_t>(got));
    if (bytes.starts_with("GET ")) {
      if (bytes.starts_with("GET /subscribe")) subscribers_.push_back(fd);
      send(fd, kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL);
      return;
    }
    for (received_ += bytes.size(); received_ >= received_bytes_; received_ -= received_bytes_) {
      for (const int subscriber : subscribers_) {
        const ssize_t sent = send(subscriber, frame_.data(), frame_.size(), MSG_NOSIGNAL);
        if (sent != static_cast<ssize_t>(frame_.size())) shutdown(subscriber, SHUT_RDWR);
      }
    }
  }

  int listen_fd_;
  int epoll_fd_;
  std::size_t received_bytes_;
  std::string frame_;
  std::size_t received_ = 0;
  std::vector<int> subscribers_;
};

}  // namespace

BareServer start_bare_server(std::size_t received_bytes, const std::string& frame) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(fd, generic, bytes) != 0 || listen(fd, SOMAXCONN) != 0) {
    throw std::runtime_error("the bare server finds no port");
  }
  getsockname(fd, generic, &bytes);
  const pid_t pid = fork();
  if (pid < 0) throw std::runtime_error("the bare server gets no process");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    Loop(fd, received_bytes, frame).run();
  }
  ::close(fd);
  return {.pid = pid, .port = ntohs(address.sin_port)};
}

}  // namespace ws::bench
