#include "ws/proto/url.h"

#include <algorithm>
#include <charconv>

#include "core/check.h"
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

core::Error connect_error(std::string_view url, std::string_view fault) {
  // What is before an @ may be a password, and error lines end up in logs.
  std::string shown(url);
  const std::optional<UrlParts> parts = split_url(url);
  const std::size_t user_end = parts ? parts->authority.rfind('@') : kNone;
  if (user_end != kNone) shown.replace(parts->scheme.size() + 3, user_end, "***");
  std::string line = "cannot connect to \"";
  line.append(printable(shown)).append("\": ").append(fault);
  line.append(
      "; write ws://HOST[:PORT]/PATH?QUERY or wss://HOST[:PORT]/PATH?QUERY, where HOST is a name, "
      "an IPv4 address or an IPv6 address in brackets, or ws+unix:PATH[:/TARGET] or "
      "wss+unix:PATH[:/TARGET]");
  return core::Error(std::move(line));
}

struct Scheme {
  bool tls;
  bool unix_socket;
  std::string_view rest;  // after the colon
};

// Why `text` has no scheme of ours; "" when it has one.
std::string_view read_scheme(std::string_view text, Scheme& scheme) {
  const std::size_t colon = text.find(':');
  if (colon == kNone) return "it has no scheme";
  const std::string_view name = text.substr(0, colon);
  scheme.tls = equals_ignore_case(name, "wss") || equals_ignore_case(name, "wss+unix");
  scheme.unix_socket = equals_ignore_case(name, "ws+unix") || equals_ignore_case(name, "wss+unix");
  scheme.rest = text.substr(colon + 1);
  if (!scheme.tls && !scheme.unix_socket && !equals_ignore_case(name, "ws")) {
    return "the scheme is not ws, wss, ws+unix or wss+unix";
  }
  if (!scheme.unix_socket && !scheme.rest.starts_with("//")) {
    return "the scheme is not followed by ://";
  }
  return "";
}

// RFC 6455 section 3.
std::uint16_t default_port(bool tls) {
  return tls ? 443 : 80;
}

// Why parse_authority() refused it, for a person. bad_host: when it is the host.
std::string_view authority_fault(std::string_view authority, std::string_view bad_host) {
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
  return bad_host;
}

// Why it names no Unix socket; "" when it may.
std::string_view unix_path_fault(std::string_view path) {
  if (path.empty()) return "the socket's path is missing";
  // ws+unix://run/x.sock would silently mean /run/x.sock, or was meant to have a host.
  if (path.starts_with("//")) return "the path follows the colon, without //";
  if (path.find('\0') != kNone) return "the socket's path has a zero byte";
  return "";
}

std::string_view without_brackets(std::string_view host) {
  return host.starts_with('[') ? host.substr(1, host.size() - 2) : host;
}

// Why a request line cannot carry it; "" when it can. RFC 9112 section 3.2.1: absolute-path
// [ "?" query ], whose bytes are those of RFC 3986 sections 3.3 and 3.4.
std::string target_fault(std::string_view target) {
  for (std::size_t at = 0; at < target.size(); ++at) {
    const char c = target[at];
    // RFC 6455 section 3: "Fragment identifiers are meaningless in the context of WebSocket URIs
    // and MUST NOT be used on these URIs. [...] the character "#", when not indicating the start of
    // a fragment, MUST be escaped as %23."
    if (c == '#') return "it has a fragment; a # of the path or query is written %23";
    const bool escape =
        c == '%' && target.size() - at >= 3 && is_hex(target[at + 1]) && is_hex(target[at + 2]);
    if (escape || is_letter(c) || is_digit(c)) continue;
    if (std::string_view("-._~!$&'()*+,;=:@/?").find(c) != kNone) continue;
    static constexpr std::string_view kHex = "0123456789ABCDEF";
    const auto byte = static_cast<std::uint8_t>(c);
    return std::string("a byte of the path or query has to be percent-encoded, as %") +
           kHex[byte >> 4] + kHex[byte & 15];
  }
  return "";
}

// RFC 6455 section 3: resource-name is "/" if the path is empty, the path, then "?" and the query
// if that is not empty.
std::string resource_name(std::string_view rest) {
  if (!rest.empty() && rest.find('?') == rest.size() - 1) rest.remove_suffix(1);
  return rest.starts_with('/') ? std::string(rest) : "/" + std::string(rest);
}

core::Result<ConnectUrl> connect_unix(std::string_view url, const Scheme& scheme) {
  const std::size_t colon = scheme.rest.find(":/");
  const std::string_view path = scheme.rest.substr(0, colon);
  const std::string_view rest = colon == kNone ? "/" : scheme.rest.substr(colon + 1);
  const std::string_view path_fault = unix_path_fault(path);
  if (!path_fault.empty()) return connect_error(url, path_fault);
  const std::string fault = target_fault(rest);
  if (!fault.empty()) return connect_error(url, fault);
  return ConnectUrl{.tls = scheme.tls,
                    .host = "",
                    .port = 0,
                    .unix_path = std::string(path),
                    .target = resource_name(rest)};
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
  Scheme scheme{};
  const std::string_view fault = read_scheme(text, scheme);
  if (!fault.empty()) return listen_error(text, fault);
  if (scheme.unix_socket) {
    const std::string_view path_fault = unix_path_fault(scheme.rest);
    if (!path_fault.empty()) return listen_error(text, path_fault);
    return ListenUrl{
        .tls = scheme.tls, .host = "", .port = 0, .unix_path = std::string(scheme.rest)};
  }
  const std::optional<UrlParts> url = split_url(text);
  WS_CHECK(url.has_value());
  if (url->rest.starts_with('/')) return listen_error(text, "it has a path");
  if (url->rest.starts_with('?')) return listen_error(text, "it has a query");
  if (url->rest.starts_with('#')) return listen_error(text, "it has a fragment");

  static constexpr std::string_view kBadHost = "the host is not an address";
  const std::optional<Authority> authority = parse_authority(url->authority);
  if (!authority) return listen_error(text, authority_fault(url->authority, kBadHost));
  if (url->authority.ends_with(':')) return listen_error(text, "the port is missing");
  std::string_view host = authority->host;
  if (equals_ignore_case(host, "localhost")) {
    host = "localhost";
  } else if (!host.starts_with('[') && host != "*" && !is_ipv4(host)) {
    return listen_error(text, kBadHost);
  }
  return ListenUrl{.tls = scheme.tls,
                   .host = std::string(without_brackets(host)),
                   .port = authority->port.value_or(default_port(scheme.tls)),
                   .unix_path = ""};
}

std::string ConnectUrl::host_header() const {
  if (!unix_path.empty()) return "localhost";
  std::string text = host.find(':') != kNone ? "[" + host + "]" : host;
  // RFC 6455 section 4.1: ":" and the port follow "when not using the default port".
  if (port != default_port(tls)) text += ":" + std::to_string(port);
  return text;
}

core::Result<ConnectUrl> parse_connect_url(std::string_view text) {
  if (equals_ignore_case(text.substr(0, 7), "http://")) {
    return connect_error(text, "the scheme of a WebSocket is ws, not http");
  }
  if (equals_ignore_case(text.substr(0, 8), "https://")) {
    return connect_error(text, "the scheme of a WebSocket is wss, not https");
  }
  Scheme scheme{};
  const std::string_view scheme_fault = read_scheme(text, scheme);
  if (!scheme_fault.empty()) return connect_error(text, scheme_fault);
  if (scheme.unix_socket) return connect_unix(text, scheme);
  const std::optional<UrlParts> url = split_url(text);
  WS_CHECK(url.has_value());

  if (url->authority.find('@') != kNone) {
    return connect_error(text, "it has a user part; send that in an Authorization header");
  }
  static constexpr std::string_view kBadHost =
      "the host is neither an address nor a name (international ones are written as xn--...)";
  const std::optional<Authority> authority = parse_authority(url->authority);
  if (!authority) return connect_error(text, authority_fault(url->authority, kBadHost));
  // RFC 3986 allows it for names that are not ASCII, which DNS does not know in this form.
  if (authority->host.find('%') != kNone) return connect_error(text, kBadHost);
  if (authority->port == 0) return connect_error(text, "nothing can listen on port 0");
  const std::string fault = target_fault(url->rest);
  if (!fault.empty()) return connect_error(text, fault);
  return ConnectUrl{.tls = scheme.tls,
                    .host = std::string(without_brackets(authority->host)),
                    .port = authority->port.value_or(default_port(scheme.tls)),
                    .unix_path = "",
                    .target = resource_name(url->rest)};
}

}  // namespace ws::proto
