// Internal. Real sockets on this machine for tests of listeners and connections.
#pragma once

#include <string>

#include "core/fd.h"
#include "net/address.h"
#include "net/listener.h"

namespace ws::test {

net::Address ip(const char* host, std::uint16_t port = 0);
bool has_ipv6();  // whether this machine listens on ::1

net::Listener open_or_die(const net::Address& address);
// Why it cannot be opened; "it opened" when it can.
std::string open_error(const net::Address& address);

// A connection to `address`, blocking unless `flags` say otherwise; empty when refused.
core::Fd client_of(const net::Address& address, int flags = 0);
// Accepts one connection that has been made.
net::Listener::Accepted accept_one(net::Listener& listener);

// Where a socket is bound.
net::Address own_address(int fd);
int socket_option(int fd, int level, int name);  // getsockopt(2)
// Sleeps until `fd` can be read (or is dead); on loopback that is at once. false: after 5 s.
bool await_readable(int fd);

// The end of a child process of EXPECT_EXIT(): writes "<text>" to stderr, where it is compared,
// and exits with 0.
[[noreturn]] void say(const std::string& text);

}  // namespace ws::test
