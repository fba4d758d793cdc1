#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "core/check.h"

namespace ws::net {
namespace {

// sun_path holds 108 bytes and the last one is the terminating zero.
constexpr std::size_t kPathBytesMax = sizeof(sockaddr_un::sun_path) - 1;
constexpr socklen_t kPathOffset = offsetof(sockaddr_un, sun_path);

// The storage seen as its own kind. A copy, since C++ lets no pointer change its type.
template <class Kind>
Kind as(const sockaddr_storage& storage) {
  Kind kind;
  std::memcpy(&kind, &storage, sizeof kind);
  return kind;
}

std::string ip_text(int family, const void* ip) {
  char text[INET6_ADDRSTRLEN];
  WS_CHECK(::inet_ntop(family, ip, text, sizeof text) != nullptr);
  return text;
}

Address make_ipv4(in_addr ip, std::uint16_t port) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  v4.sin_addr = ip;
  return Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&v4), sizeof v4);
}

Address make_ipv6(const in6_addr& ip, std::uint16_t port) {
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  v6.sin6_addr = ip;
  return Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&v6), sizeof v6);
}

}  // namespace

core::Result<Address> Address::from_ip(std::string_view host, std::uint16_t port) {
  if (host == "*") {
    Address any = make_ipv6(in6addr_any, port);
    any.any_ = true;
    return any;
  }
  const std::string text(host == "localhost" ? "127.0.0.1" : host);
  // inet_pton() stops at a zero byte; what follows it may not be ignored.
  if (text.find('\0') == std::string::npos) {
    in_addr v4;
    if (::inet_pton(AF_INET, text.c_str(), &v4) == 1) return make_ipv4(v4, port);
    in6_addr v6;
    if (::inet_pton(AF_INET6, text.c_str(), &v6) == 1) return make_ipv6(v6, port);
  }
  return core::Error("\"" + text +
                     "\": not an IP address; write an IPv4 or IPv6 address, localhost or *");
}

core::Result<Address> Address::from_path(std::string_view path) {
  const std::string name = "unix:" + std::string(path);
  if (path.empty()) return core::Error(name + ": the path is empty; name a file");
  if (path.size() > kPathBytesMax) {
    return core::Error(name + ": the path has " + std::to_string(path.size()) +
                       " bytes; a Unix socket's may have " + std::to_string(kPathBytesMax));
  }
  // In front a zero would mean the abstract namespace, elsewhere it would cut the path.
  if (path.find('\0') != std::string_view::npos) {
    return core::Error(name + ": the path holds a zero byte; name a file");
  }
  sockaddr_un file{};
  file.sun_family = AF_UNIX;
  std::memcpy(file.sun_path, path.data(), path.size());
  return from_sockaddr(reinterpret_cast<const sockaddr*>(&file),
                       static_cast<socklen_t>(kPathOffset + path.size() + 1));
}

Address Address::from_sockaddr(const sockaddr* address, socklen_t size) {
  Address made;
  // The kernel reports the size it would have liked, which may pass the room it was given.
  size = std::min<socklen_t>(size, sizeof made.storage_);
  std::memcpy(&made.storage_, address, size);
  made.size_ = size;
  const int family = size < sizeof(sa_family_t) ? AF_UNSPEC : made.storage_.ss_family;
  if (family == AF_INET6 && size >= sizeof(sockaddr_in6)) {
    const auto v6 = as<sockaddr_in6>(made.storage_);
    if (!IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) return made;
    in_addr v4;
    std::memcpy(&v4, v6.sin6_addr.s6_addr + 12, sizeof v4);
    return make_ipv4(v4, ntohs(v6.sin6_port));
  }
  if (family == AF_INET && size >= sizeof(sockaddr_in)) return made;
  if (family == AF_UNIX) return made;
  return Address();
}

std::uint16_t Address::port() const {
  if (family() == AF_INET) return ntohs(as<sockaddr_in>(storage_).sin_port);
  if (family() == AF_INET6) return ntohs(as<sockaddr_in6>(storage_).sin6_port);
  return 0;
}

void Address::set_port(std::uint16_t port) {
  WS_CHECK(family() == AF_INET || family() == AF_INET6);
  static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
  const in_port_t wire = htons(port);
  std::memcpy(reinterpret_cast<char*>(&storage_) + offsetof(sockaddr_in, sin_port), &wire,
              sizeof wire);
}

std::string Address::path() const {
  if (!is_unix() || size_ <= kPathOffset) return {};
  const char* path = reinterpret_cast<const char*>(&storage_) + kPathOffset;
  return std::string(path, ::strnlen(path, size_ - kPathOffset));
}

std::string Address::to_string() const {
  switch (family()) {
    case AF_INET:
      return ip_key() + ":" + std::to_string(port());
    case AF_INET6: {
      const auto v6 = as<sockaddr_in6>(storage_);
      const std::string host = any_ ? "*" : "[" + ip_text(AF_INET6, &v6.sin6_addr) + "]";
      return host + ":" + std::to_string(port());
    }
    case AF_UNIX:
      return "unix:" + path();
    default:
      return {};
  }
}

std::string Address::ip_key() const {
  if (family() == AF_INET) {
    const auto v4 = as<sockaddr_in>(storage_);
    return ip_text(AF_INET, &v4.sin_addr);
  }
  if (family() != AF_INET6) return {};
  // One customer of one network usually owns a whole /64 and may use each address of it once.
  constexpr std::size_t kNetworkBytes = 8;
  in6_addr network = as<sockaddr_in6>(storage_).sin6_addr;
  std::memset(network.s6_addr + kNetworkBytes, 0, sizeof network - kNetworkBytes);
  return ip_text(AF_INET6, &network) + "/64";
}

}  // namespace ws::net
