#include "tests/support/loopback.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

namespace ws::test {

net::Address ip(const char* host, std::uint16_t port) {
  return net::Address::from_ip(host, port).value();
}

bool has_ipv6() {
  return static_cast<bool>(net::Listener::open(ip("::1")));
}

net::Listener open_or_die(const net::Address& address) {
  auto listener = net::Listener::open(address);
  if (!listener) ADD_FAILURE() << listener.error().message();
  return std::move(listener).value();
}

std::string open_error(const net::Address& address) {
  const auto listener = net::Listener::open(address);
  return listener ? "it opened" : listener.error().message();
}

core::Fd client_of(const net::Address& address, int flags) {
  core::Fd fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
  if (::connect(fd.get(), address.get(), address.size()) != 0) fd.reset();
  return fd;
}

net::Listener::Accepted accept_one(net::Listener& listener) {
  EXPECT_TRUE(await_readable(listener.fd()));
  return listener.accept();
}

net::Address own_address(int fd) {
  sockaddr_storage own;
  socklen_t size = sizeof own;
  auto* raw = reinterpret_cast<sockaddr*>(&own);
  EXPECT_EQ(::getsockname(fd, raw, &size), 0);
  return net::Address::from_sockaddr(raw, size);
}

int socket_option(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  EXPECT_EQ(::getsockopt(fd, level, name, &value, &size), 0);
  return value;
}

bool await_readable(int fd) {
  pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&wait, 1, 5000) == 1;
}

void say(const std::string& text) {
  std::fprintf(stderr, "<%s>", text.c_str());
  ::_exit(0);
}

}  // namespace ws::test
