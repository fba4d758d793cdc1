#include "ws/proto/url.h"

#include <algorithm>
#include <charconv>

#include "ws/proto/http.h"

namespace ws::proto {
namespace {

constexpr std::size_t kNone = std::string_view::npos;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Four decimal numbers to 255; a leading zero is refused, as some readers take it for octal.
bool is_ipv4(std::string_view text) {
  for (int part = 0; part < 4; ++part) {
    const std::size_t dot = text.find('.');
    if ((dot == kNone) != (part == 3)) return false;
    const std::string_view digits = text.substr(0, dot);
    std::uint8_t value = 0;
    const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (fault != std::errc() || end != digits.data() + digits.size()) return false;
    if (digits.size() > 1 && digits.front() == '0') return false;
    text = dot == kNone ? std::string_view() : text.substr(dot + 1);
  }
  return true;
}

// RFC 4291 section 2.2: eight groups of one to four hex digits; one "::" for a run of zero groups;
// the last two groups also as an IPv4 address.
bool is_ipv6(std::string_view text) {
  bool gap = text.starts_with("::");
  std::size_t groups = 0;
  std::size_t at = gap ? 2 : 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find(':', at), text.size());
    const std::string_view group = text.substr(at, end - at);
    if (end == text.size() && group.find('.') != kNone) {
      if (!is_ipv4(group)) return false;
      groups += 2;
      break;
    }
    if (group.empty() || group.size() > 4) return false;
    if (!std::all_of(group.begin(), group.end(), is_hex)) return false;
    ++groups;
    if (end == text.size()) break;
    at = end + 1;
    if (at == text.size()) return false;  // one colon at the end
    if (text[at] == ':') {
      if (gap) return false;
      gap = true;
      ++at;
    }
  }
  return gap ? groups < 8 : groups == 8;
}

// RFC 3986 section 3.2.2: reg-name = *( unreserved / pct-encoded / sub-delims ). Dotted IPv4 and *
// are among them. RFC 9110 section 4.2.1: an empty host MUST be rejected.
bool is_reg_name(std::string_view text) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '%') {
      if (text.size() - at < 3 || !is_hex(text[at + 1]) || !is_hex(text[at + 2])) return false;
      at += 2;
    } else if (!is_letter(c) && !is_digit(c) &&
               std::string_view("-._~!$&'()*+,;=").find(c) == kNone) {
      return false;
    }
  }
  return !text.empty();
}

core::Error listen_error(std::string_view url, std::string_view fault) {
  std::string line = "cannot listen on \"";
  line.append(url).append("\": ").append(fault);
  line.append(
      "; write ws://HOST:PORT or wss://HOST:PORT, where HOST is *, localhost, an IPv4 address or "
      "an IPv6 address in brackets, or ws+unix:PATH or wss+unix:PATH");
  return core::Error(std::move(line));
}

// Why parse_authority() refused it, for a person.
std::string_view authority_fault(std::string_view authority) {
  if (authority.empty()) return "the host is missing";
  if (authority.find('@') != kNone) return "it has a user part";
  const std::size_t colon = authority.rfind(':');
  if (colon == 0) return "the host is missing";
  if (!authority.starts_with('[') && authority.find(':') != colon) {
    return "an IPv6 address needs brackets";
  }
  if (colon != kNone && parse_authority(authority.substr(0, colon))) {
    return "the port is not a number from 0 to 65535";
  }
  return "the host is not an address";
}

core::Result<ListenUrl> parse_unix(std::string_view url, bool tls, std::string_view path) {
  if (path.empty()) return listen_error(url, "the socket's path is missing");
  // ws+unix://run/x.sock would silently mean /run/x.sock, or was meant to have a host.
  if (path.starts_with("//")) return listen_error(url, "the path follows the colon, without //");
  if (path.find('\0') != kNone) return listen_error(url, "the socket's path has a zero byte");
  return ListenUrl{.tls = tls, .host = "", .port = 0, .unix_path = std::string(path)};
}

}  // namespace

std::optional<UrlParts> split_url(std::string_view text) {
  const std::size_t colon = text.find("://");
  if (colon == kNone) return std::nullopt;
  const std::string_view after = text.substr(colon + 3);
  const std::size_t end = std::min(after.find_first_of("/?#"), after.size());
  return UrlParts{text.substr(0, colon), after.substr(0, end), after.substr(end)};
}

std::optional<Authority> parse_authority(std::string_view text) {
  std::size_t host_end = 0;
  if (text.starts_with('[')) {
    const std::size_t bracket = text.find(']');
    if (bracket == kNone || !is_ipv6(text.substr(1, bracket - 1))) return std::nullopt;
    host_end = bracket + 1;
  } else {
    host_end = std::min(text.find(':'), text.size());
    if (!is_reg_name(text.substr(0, host_end))) return std::nullopt;
  }
  Authority authority{text.substr(0, host_end), std::nullopt};
  if (host_end == text.size()) return authority;
  if (text[host_end] != ':') return std::nullopt;

  // port = *DIGIT: empty is allowed and means the scheme's default.
  const std::string_view digits = text.substr(host_end + 1);
  if (digits.empty()) return authority;
  std::uint16_t port = 0;
  const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (fault != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  authority.port = port;
  return authority;
}

std::string ListenUrl::to_string() const {
  std::string text = tls ? "wss" : "ws";
  if (!unix_path.empty()) return text + "+unix:" + unix_path;
  const bool brackets = host.find(':') != std::string::npos;
  text += brackets ? "://[" : "://";
  text += host;
  text += brackets ? "]:" : ":";
  return text + std::to_string(port);
}

core::Result<ListenUrl> parse_listen_url(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == kNone) return listen_error(text, "it has no scheme");
  const std::string_view scheme = text.substr(0, colon);
  const bool tls = equals_ignore_case(scheme, "wss") || equals_ignore_case(scheme, "wss+unix");
  if (equals_ignore_case(scheme, "ws+unix") || equals_ignore_case(scheme, "wss+unix")) {
    return parse_unix(text, tls, text.substr(colon + 1));
  }
  if (!tls && !equals_ignore_case(scheme, "ws")) {
    return listen_error(text, "the scheme is not ws, wss, ws+unix or wss+unix");
  }
  const std::optional<UrlParts> url = split_url(text);
  if (!url || url->scheme != scheme) return listen_error(text, "the scheme is not followed by ://");
  if (url->rest.starts_with('/')) return listen_error(text, "it has a path");
  if (url->rest.starts_with('?')) return listen_error(text, "it has a query");
  if (url->rest.starts_with('#')) return listen_error(text, "it has a fragment");

  const std::optional<Authority> authority = parse_authority(url->authority);
  if (!authority) return listen_error(text, authority_fault(url->authority));
  if (url->authority.ends_with(':')) return listen_error(text, "the port is missing");
  std::string_view host = authority->host;
  if (host.starts_with('[')) {
    host = host.substr(1, host.size() - 2);
  } else if (equals_ignore_case(host, "localhost")) {
    host = "localhost";
  } else if (host != "*" && !is_ipv4(host)) {
    return listen_error(text, "the host is not an address");
  }
  const std::uint16_t default_port = tls ? 443 : 80;  // RFC 6455 section 3
  return ListenUrl{.tls = tls,
                   .host = std::string(host),
                   .port = authority->port.value_or(default_port),
                   .unix_path = ""};
}

}  // namespace ws::proto
