// Internal. The parts of a URL (RFC 3986 section 3) and the ws:// and wss:// forms a server listens
// on and a client connects to (RFC 6455 section 3).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"

namespace ws::proto {

// scheme "://" authority, then whatever is left from the first '/', '?' or '#' on.
struct UrlParts {
  std::string_view scheme;
  std::string_view authority;
  std::string_view rest;
};
// nullopt: there is no "://". Nothing else is checked.
std::optional<UrlParts> split_url(std::string_view text);

// host [ ":" port ], as Host, Origin and URLs carry it.
struct Authority {
  std::string_view host;              // as it came, IPv6 with its brackets; never empty
  std::optional<std::uint16_t> port;  // nullopt when absent or empty
};
// nullopt: a user part, an empty host, a byte or a percent sign that cannot be in one, an IPv6
// address that is none, or a port above 65535. The IPvFuture form is refused: nobody has such an
// address.
std::optional<Authority> parse_authority(std::string_view text);

// ws://HOST:PORT, wss://HOST:PORT, [IPv6] in brackets; ws+unix:PATH and wss+unix:PATH.
struct ListenUrl {
  bool tls = false;
  std::string host;        // *, localhost, an IPv4 or IPv6 address (no brackets); "" for Unix
  std::uint16_t port = 0;  // ws defaults to 80, wss to 443; 0 as given means "any free port"
  std::string unix_path;   // empty for TCP

  // The same form again, with brackets where IPv6 needs them and the port always.
  std::string to_string() const;
};

// errors: one line naming the URL, what is wrong and the forms that work. A path ("/" as well),
// query, fragment or user part is refused, and so is a host name: a server binds addresses.
core::Result<ListenUrl> parse_listen_url(std::string_view text);

// ws://HOST[:PORT][/PATH][?QUERY], wss://..., [IPv6] in brackets; ws+unix:PATH and wss+unix:PATH,
// with the target after ":/" as in ws+unix:/run/x.sock:/chat?room=1. The first ":/" is that one, so
// a socket whose path has a ":/" cannot be named.
struct ConnectUrl {
  bool tls = false;
  std::string host;        // a name or an address as it came, no brackets; "" for Unix
  std::uint16_t port = 0;  // ws defaults to 80, wss to 443; 0 for Unix
  std::string unix_path;   // empty for TCP
  std::string target;      // for the request line: path and query, at least "/"

  // The value of the Host header: IPv6 in brackets, the port unless it is the scheme's default;
  // "localhost" for Unix.
  std::string host_header() const;
};

// errors: one line naming the URL, what is wrong and the forms that work. A fragment or user part
// is refused, another scheme, port 0, and each byte that has to be percent-encoded.
core::Result<ConnectUrl> parse_connect_url(std::string_view text);

}  // namespace ws::proto
