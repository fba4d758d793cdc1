#include "net/address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>
#include <string>

namespace ws::net {
namespace {

using namespace std::string_literals;

std::string text_of(std::string_view host, std::uint16_t port) {
  const auto address = Address::from_ip(host, port);
  return address ? address.value().to_string() : "error: " + address.error().message();
}

std::string key_of(std::string_view host) {
  return Address::from_ip(host, 1).value().ip_key();
}

TEST(Address, ReadsAndWritesIpv4) {
  EXPECT_EQ(text_of("127.0.0.1", 8888), "127.0.0.1:8888");
  EXPECT_EQ(text_of("0.0.0.0", 0), "0.0.0.0:0");
  EXPECT_EQ(text_of("255.255.255.255", 65535), "255.255.255.255:65535");
  const Address address = Address::from_ip("192.0.2.7", 443).value();
  sockaddr_in wire;
  ASSERT_EQ(address.size(), sizeof wire);
  std::memcpy(&wire, address.get(), sizeof wire);
  EXPECT_EQ(wire.sin_family, AF_INET);
  EXPECT_EQ(ntohs(wire.sin_port), 443);
  EXPECT_EQ(ntohl(wire.sin_addr.s_addr), 0xC0000207u);
}

TEST(Address, ReadsAndWritesIpv6InItsShortestForm) {
  EXPECT_EQ(text_of("::1", 8888), "[::1]:8888");
  EXPECT_EQ(text_of("2001:DB8:0:0:0:0:0:1", 80), "[2001:db8::1]:80");
  EXPECT_EQ(text_of("::", 1), "[::]:1");
}

TEST(Address, LocalhostIsTheIpv4Loopback) {
  EXPECT_EQ(text_of("localhost", 5), "127.0.0.1:5");
}

TEST(Address, StarIsEveryAddress) {
  const Address any = Address::from_ip("*", 8888).value();
  EXPECT_TRUE(any.is_any());
  EXPECT_EQ(any.family(), AF_INET6);
  EXPECT_EQ(any.to_string(), "*:8888");
  EXPECT_FALSE(Address::from_ip("::", 8888).value().is_any());
  EXPECT_FALSE(Address::from_ip("0.0.0.0", 8888).value().is_any());
}

TEST(Address, RefusesWhatIsNotAnIpLiteralAndSaysWhatIs) {
  const std::string bad[] = {"",       "example.com", "127.0.0.1:80", "[::1]",
                             "1.2.3",  "256.0.0.1",   "01.2.3.4",     " 127.0.0.1",
                             "::1%lo", ":::",         "**",           "1:2:3:4:5:6:7:8:9"};
  for (const std::string& host : bad) {
    const auto address = Address::from_ip(host, 80);
    ASSERT_FALSE(address) << host;
    EXPECT_EQ(address.error().message(),
              "\"" + host + "\": not an IP address; write an IPv4 or IPv6 address, localhost or *");
  }
}

TEST(Address, RefusesBytesBehindAZeroByte) {
  EXPECT_FALSE(Address::from_ip("127.0.0.1\0.example.com"s, 80));
  EXPECT_FALSE(Address::from_ip("::1\0"s, 80));
  EXPECT_FALSE(Address::from_ip("*\0"s, 80));
}

TEST(Address, PortCanBeReadAndSet) {
  for (const char* host : {"127.0.0.1", "::1", "*"}) {
    Address address = Address::from_ip(host, 0).value();
    EXPECT_EQ(address.port(), 0);
    address.set_port(0xABCD);
    EXPECT_EQ(address.port(), 0xABCD);
  }
}

TEST(Address, KeepsAPathUpTo107Bytes) {
  const std::string longest(107, 'p');
  const auto address = Address::from_path(longest);
  ASSERT_TRUE(address);
  EXPECT_TRUE(address.value().is_unix());
  EXPECT_EQ(address.value().path(), longest);
  EXPECT_EQ(address.value().port(), 0);
  EXPECT_EQ(address.value().size(), sizeof(sockaddr_un));  // all 108 bytes: 107 and the zero
}

TEST(Address, WritesAUnixPath) {
  EXPECT_EQ(Address::from_path("/run/wsd.sock").value().to_string(), "unix:/run/wsd.sock");
}

TEST(Address, RefusesAPathThatIsTooLongEmptyOrCutByAZeroByte) {
  const std::string too_long(108, 'p');
  const auto address = Address::from_path(too_long);
  ASSERT_FALSE(address);
  EXPECT_EQ(address.error().message(),
            "unix:" + too_long + ": the path has 108 bytes; a Unix socket's may have 107");
  EXPECT_FALSE(Address::from_path(""));
  EXPECT_FALSE(Address::from_path("\0abstract"s));
  EXPECT_FALSE(Address::from_path("/run/a\0b"s));
}

TEST(Address, DefaultIsEmpty) {
  const Address address;
  EXPECT_EQ(address.size(), 0u);
  EXPECT_EQ(address.family(), AF_UNSPEC);
  EXPECT_FALSE(address.is_unix());
  EXPECT_FALSE(address.is_any());
  EXPECT_EQ(address.port(), 0);
  EXPECT_EQ(address.to_string(), "");
  EXPECT_EQ(address.path(), "");
  EXPECT_EQ(address.ip_key(), "");
}

TEST(Address, Ipv4InIpv6ClothesIsIpv4) {
  EXPECT_EQ(text_of("::ffff:192.0.2.1", 80), "192.0.2.1:80");
  sockaddr_in6 peer{};
  peer.sin6_family = AF_INET6;
  peer.sin6_port = htons(4242);
  ASSERT_EQ(::inet_pton(AF_INET6, "::ffff:10.1.2.3", &peer.sin6_addr), 1);
  const Address address =
      Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&peer), sizeof peer);
  EXPECT_EQ(address.family(), AF_INET);
  EXPECT_EQ(address.to_string(), "10.1.2.3:4242");
  EXPECT_EQ(address.ip_key(), "10.1.2.3");
}

TEST(Address, UnnamedAndAbstractUnixPeersHaveNoPath) {
  sockaddr_un peer{};
  peer.sun_family = AF_UNIX;
  const auto* raw = reinterpret_cast<const sockaddr*>(&peer);
  const Address unnamed = Address::from_sockaddr(raw, sizeof(sa_family_t));
  EXPECT_TRUE(unnamed.is_unix());
  EXPECT_EQ(unnamed.to_string(), "unix:");
  std::memcpy(peer.sun_path, "\0name", 5);
  const Address abstract = Address::from_sockaddr(raw, offsetof(sockaddr_un, sun_path) + 5);
  EXPECT_EQ(abstract.path(), "");
  EXPECT_EQ(abstract.to_string(), "unix:");
}

TEST(Address, TakesAUnixPathWithoutTerminatingZero) {
  sockaddr_un peer{};
  peer.sun_family = AF_UNIX;
  std::memset(peer.sun_path, 'x', sizeof peer.sun_path);
  const auto* raw = reinterpret_cast<const sockaddr*>(&peer);
  EXPECT_EQ(Address::from_sockaddr(raw, sizeof peer).path(), std::string(108, 'x'));
  EXPECT_EQ(Address::from_sockaddr(raw, offsetof(sockaddr_un, sun_path) + 3).path(), "xxx");
}

TEST(Address, IsEmptyForOtherFamiliesAndCutOffAddresses) {
  sockaddr_storage storage{};
  const auto* raw = reinterpret_cast<const sockaddr*>(&storage);
  EXPECT_EQ(Address::from_sockaddr(raw, 0).to_string(), "");
  EXPECT_EQ(Address::from_sockaddr(raw, 1).size(), 0u);
  storage.ss_family = AF_NETLINK;
  EXPECT_EQ(Address::from_sockaddr(raw, sizeof storage).size(), 0u);
  storage.ss_family = AF_INET;
  EXPECT_EQ(Address::from_sockaddr(raw, sizeof(sockaddr_in) - 1).size(), 0u);
  storage.ss_family = AF_INET6;
  EXPECT_EQ(Address::from_sockaddr(raw, sizeof(sockaddr_in6) - 1).size(), 0u);
}

TEST(Address, IpKeyCountsAnIpv4AddressAndAnIpv6Network) {
  EXPECT_EQ(key_of("192.0.2.1"), "192.0.2.1");
  EXPECT_NE(key_of("192.0.2.1"), key_of("192.0.2.2"));
  EXPECT_EQ(key_of("::ffff:192.0.2.1"), key_of("192.0.2.1"));
  EXPECT_EQ(key_of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
  EXPECT_EQ(key_of("2001:db8:1:2::1"), key_of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
  EXPECT_NE(key_of("2001:db8:1:2::1"), key_of("2001:db8:1:3::1"));
}

TEST(Address, IpKeyDoesNotDependOnThePort) {
  EXPECT_EQ(Address::from_ip("192.0.2.1", 1).value().ip_key(),
            Address::from_ip("192.0.2.1", 2).value().ip_key());
}

TEST(Address, IpKeyOfAUnixSocketIsEmpty) {
  EXPECT_EQ(Address::from_path("/run/wsd.sock").value().ip_key(), "");
}

}  // namespace
}  // namespace ws::net
