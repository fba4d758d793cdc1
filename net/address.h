// Internal. Where a listener binds and who a peer is.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"

namespace ws::net {

// An IPv4, IPv6 or Unix socket address; empty (size 0, to_string() "") when default-made.
// An IPv4 address that comes in IPv6 clothes (::ffff:a.b.c.d) is kept as the IPv4 address it is.
class Address {
 public:
  Address() = default;
  // `host` is an IPv4 or IPv6 literal (IPv6 without brackets), "localhost" (127.0.0.1) or "*"
  // (every IPv4 and IPv6 address). Names are not looked up: a server binds addresses.
  static core::Result<Address> from_ip(std::string_view host, std::uint16_t port);
  static core::Result<Address> from_path(std::string_view path);  // 1 to 107 bytes
  // What accept(2) and its kin filled in; empty when it is of none of the three kinds.
  static Address from_sockaddr(const sockaddr* address, socklen_t size);

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t size() const { return size_; }
  sa_family_t family() const { return storage_.ss_family; }  // AF_UNSPEC when empty
  bool is_unix() const { return family() == AF_UNIX; }
  bool is_any() const { return any_; }  // made from "*": get() is [::], to be bound for IPv4 too
  std::uint16_t port() const;           // 0 for a Unix socket
  void set_port(std::uint16_t port);    // not for a Unix socket
  std::string path() const;             // of a Unix socket; empty when it has none
  // 127.0.0.1:8888, [::1]:8888, *:8888, unix:/run/wsd.sock; an unnamed Unix peer is "unix:".
  std::string to_string() const;
  // What a per-address limit counts by: the IPv4 address (192.0.2.1) or the /64 of an IPv6 address
  // (2001:db8:1:2::/64); empty for Unix sockets.
  std::string ip_key() const;

 private:
  sockaddr_storage storage_{};
  socklen_t size_ = 0;
  bool any_ = false;
};

}  // namespace ws::net
