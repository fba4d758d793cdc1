#include "ws/proto/handshake.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/check.h"
#include "tls/crypto.h"
#include "ws/proto/http_bytes.h"
#include "ws/proto/url.h"

namespace ws::proto {
namespace {

// RFC 9110 section 15.5.6: "The origin server MUST generate an Allow header field in a 405
// response".
constexpr std::string_view kAllowGet = "Allow: GET\r\n";
// RFC 9110 section 15.5.22: "The server MUST send an Upgrade header field in a 426 response";
// section 7.8: "A sender of Upgrade MUST also send an "Upgrade" connection option".
constexpr std::string_view kUpgradeRequired =
    "Upgrade: websocket\r\n"
    "Connection: Upgrade, close\r\n";
// RFC 6455 section 4.4: the server answers with "all versions it is willing to use".
constexpr std::string_view kVersionRequired =
    "Upgrade: websocket\r\n"
    "Connection: Upgrade, close\r\n"
    "Sec-WebSocket-Version: 13\r\n";

bool valid_host(const RequestHead& head) {
  // RFC 9112 section 3.2: "A server MUST respond with a 400 (Bad Request) status code to any
  // HTTP/1.1 request message that lacks a Host header field and to any request message that
  // contains more than one Host header field line or a Host header field with an invalid field
  // value."
  const std::optional<std::string_view> host = head.header("Host");
  return host && parse_authority(*host);
}

// A body would have to be read before the frames, and is where a second request hides. Any
// Content-Length that is not a plain zero is refused, which covers malformed and differing ones.
bool announces_body(const RequestHead& head) {
  return std::any_of(head.headers.begin(), head.headers.end(), [](const Header& header) {
    if (equals_ignore_case(header.name, "Transfer-Encoding")) return true;
    return equals_ignore_case(header.name, "Content-Length") &&
           (header.value.empty() || header.value.find_first_not_of('0') != std::string_view::npos);
  });
}

bool valid_key(const RequestHead& head) {
  // RFC 6455 section 4.2.1: "a base64-encoded [...] value that, when decoded, is 16 bytes in
  // length".
  static constexpr std::size_t kKeyBytes = 16;
  const std::optional<std::string_view> key = head.header("Sec-WebSocket-Key");
  if (!key) return false;
  const std::optional<std::string> bytes = tls::base64_decode(*key);
  return bytes && bytes->size() == kKeyBytes;
}

bool is_extension(std::string_view text) {
  return parse_extension(text).has_value();
}

// Whether the headers of that name, if there are any, make one list of 1 to elements_max good
// elements.
bool valid_list(const RequestHead& head, std::string_view name, std::size_t elements_max,
                bool (*valid_element)(std::string_view)) {
  const std::vector<std::string_view> elements = list_elements(head, name);
  if (elements.empty()) return head.count(name) == 0;
  return elements.size() <= elements_max &&
         std::all_of(elements.begin(), elements.end(), valid_element);
}

// "http" and "https" with a host and an effective port: what makes two origins the same.
struct Origin {
  bool tls = false;
  std::string_view host;
  std::uint16_t port = 0;
};

// RFC 9110 sections 4.2.1 and 4.2.2 name the ports of http and https.
std::uint16_t effective_port(bool tls, std::optional<std::uint16_t> port) {
  return port.value_or(tls ? 443 : 80);
}

std::optional<Origin> parse_origin(std::string_view text) {
  const std::optional<UrlParts> url = split_url(text);
  if (!url || !url->rest.empty()) return std::nullopt;
  const bool tls = equals_ignore_case(url->scheme, "https");
  if (!tls && !equals_ignore_case(url->scheme, "http")) return std::nullopt;
  const std::optional<Authority> authority = parse_authority(url->authority);
  if (!authority) return std::nullopt;
  return Origin{tls, authority->host, effective_port(tls, authority->port)};
}

bool same_origin(const Origin& a, const Origin& b) {
  return a.tls == b.tls && a.port == b.port && equals_ignore_case(a.host, b.host);
}

// The URL of an absolute-form target; nullopt for every other target. RFC 3986 section 3.3 has no
// '#' in a path or query, and RFC 6455 section 3 no fragment at all.
std::optional<UrlParts> absolute_form(std::string_view target) {
  const std::optional<UrlParts> url = split_url(target);
  if (!url || url->rest.find('#') != std::string_view::npos) return std::nullopt;
  const bool known =
      equals_ignore_case(url->scheme, "http") || equals_ignore_case(url->scheme, "https") ||
      equals_ignore_case(url->scheme, "ws") || equals_ignore_case(url->scheme, "wss");
  if (!known || !parse_authority(url->authority)) return std::nullopt;
  return url;
}

// The origin this request was sent to.
std::optional<Origin> own_origin(const RequestHead& head, bool tls) {
  // RFC 9112 section 3.2.2: "When an origin server receives a request with an absolute-form of
  // request-target, the origin server MUST ignore the received Host header field (if any) and
  // instead use the host information of the request-target."
  const std::optional<UrlParts> url = absolute_form(head.target);
  const std::string_view text = url ? url->authority : head.header("Host").value_or("");
  const std::optional<Authority> authority = parse_authority(text);
  if (!authority) return std::nullopt;
  return Origin{tls, authority->host, effective_port(tls, authority->port)};
}

// Whether one of the lines begins so, case ignored. in: a name with its colon.
bool has_line(std::string_view header_lines, std::string_view name) {
  while (!header_lines.empty()) {
    if (equals_ignore_case(header_lines.substr(0, name.size()), name)) return true;
    header_lines.remove_prefix(std::min(header_lines.find('\n'), header_lines.size() - 1) + 1);
  }
  return false;
}

core::Error header_error(std::string_view name, std::string_view fault) {
  return core::Error("cannot send the header \"" + printable(name) + "\": " + std::string(fault));
}

// Why it may not be an extra header; "" when it may.
std::string_view owned_header_fault(std::string_view name) {
  static constexpr std::string_view kPrefix = "Sec-WebSocket-";
  if (equals_ignore_case(name, "Host")) return "it is made from the URL; leave it out";
  if (equals_ignore_case(name, "Sec-WebSocket-Protocol")) {
    return "it is made from the list of subprotocols; put them there";
  }
  if (equals_ignore_case(name, "Upgrade") || equals_ignore_case(name, "Connection") ||
      equals_ignore_case(name.substr(0, kPrefix.size()), kPrefix)) {
    return "the handshake writes it itself; leave it out";
  }
  if (equals_ignore_case(name, "Content-Length") || equals_ignore_case(name, "Transfer-Encoding")) {
    return "a handshake has no body; leave it out";
  }
  return "";
}

bool whole_lines(std::string_view headers) {
  return headers.empty() || headers.ends_with("\r\n");
}

}  // namespace

core::Result<core::Ok> check_header(const HeaderField& header) {
  const auto& [name, value] = header;
  if (!is_token(name)) {
    return header_error(name, "its name is not a token; use letters, digits and !#$%&'*+-.^_`|~");
  }
  const std::string_view fault = owned_header_fault(name);
  if (!fault.empty()) return header_error(name, fault);
  if (!all_bytes_of(kTextByte | kBlankByte, value)) {
    return header_error(name,
                        "its value has a line break or another control character; encode "
                        "or remove it");
  }
  return core::Ok{};
}

std::string accept_key(std::string_view key) {
  static constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  return tls::base64_encode(tls::sha1(std::string(key).append(kGuid)));
}

Verdict judge_upgrade(const RequestHead& head) {
  if (head.method != "GET") return {405, kAllowGet, "only GET opens a WebSocket"};
  if (target_path(head.target).empty()) return {400, "", "the request target is not a path"};
  if (!valid_host(head)) return {400, "", "the Host header is missing, repeated or invalid"};
  if (announces_body(head)) return {400, "", "a handshake has no body"};

  if (!list_has_token(head, "Upgrade", "websocket") ||
      !list_has_token(head, "Connection", "upgrade")) {
    return {426, kUpgradeRequired, "this is a WebSocket endpoint"};
  }
  if (head.header("Sec-WebSocket-Version") != "13") {
    return {426, kVersionRequired, "Sec-WebSocket-Version has to be 13"};
  }
  if (!valid_key(head)) {
    return {400, "", "Sec-WebSocket-Key has to be 16 bytes in base64, once"};
  }
  if (!valid_list(head, "Sec-WebSocket-Protocol", kSubprotocolsMax, is_token)) {
    return {400, "", "Sec-WebSocket-Protocol is malformed or too long"};
  }
  if (!valid_list(head, "Sec-WebSocket-Extensions", kExtensionOffersMax, is_extension)) {
    return {400, "", "Sec-WebSocket-Extensions is malformed or too long"};
  }
  return {101, "", ""};
}

std::string_view target_path(std::string_view target) {
  std::string_view path = target;
  if (!target.starts_with('/')) {
    const std::optional<UrlParts> url = absolute_form(target);
    if (!url) return "";
    path = url->rest.starts_with('/') ? url->rest : "/";
  } else if (target.find('#') != std::string_view::npos) {
    return "";
  }
  return path.substr(0, path.find('?'));
}

bool valid_origin(std::string_view text) {
  if (text == "*" || text == "null") return true;
  // No page has such an origin, but a program that wrote "https://*.example" expects some to.
  return text.find('*') == std::string_view::npos && parse_origin(text).has_value();
}

bool origin_allowed(const RequestHead& head, bool tls, std::span<const std::string> allowed) {
  const std::size_t count = head.count("Origin");
  if (count == 0) return true;
  if (count > 1) return false;
  const std::string_view text = *head.header("Origin");
  const std::optional<Origin> origin = parse_origin(text);
  if (origin) {
    const std::optional<Origin> own = own_origin(head, tls);
    if (own && same_origin(*origin, *own)) return true;
  }
  return std::any_of(allowed.begin(), allowed.end(), [&](const std::string& entry) {
    if (entry == "*") return true;
    if (entry == "null") return text == "null";
    const std::optional<Origin> listed = parse_origin(entry);
    return origin && listed && same_origin(*origin, *listed);
  });
}

std::string upgrade_response(const RequestHead& head, std::string_view extra_headers) {
  const std::optional<std::string_view> key = head.header("Sec-WebSocket-Key");
  WS_CHECK(key.has_value());
  WS_CHECK(whole_lines(extra_headers));
  std::string response =
      "HTTP/1.1 101 Switching Protocols\r\n"
      "Upgrade: websocket\r\n"
      "Connection: Upgrade\r\n"
      "Sec-WebSocket-Accept: ";
  return response.append(accept_key(*key)).append("\r\n").append(extra_headers).append("\r\n");
}

std::string http_response(int status, std::string_view body, std::string_view extra_headers) {
  WS_CHECK(status >= 200);
  WS_CHECK(status <= 599);
  WS_CHECK(whole_lines(extra_headers));
  std::string response = "HTTP/1.1 " + std::to_string(status) + " ";
  response.append(reason_phrase(status)).append("\r\n");
  // RFC 9110 section 8.6: "A server MUST NOT send a Content-Length header field in any response
  // with a status code of 1xx (Informational) or 204 (No Content)."
  const bool has_body = status != 204 && status != 304;
  if (has_body) {
    if (!has_line(extra_headers, "Content-Type:")) {
      response.append("Content-Type: text/plain; charset=utf-8\r\n");
    }
    response.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
  }
  if (!has_line(extra_headers, "Connection:")) response.append("Connection: close\r\n");
  return response.append(extra_headers).append("\r\n").append(has_body ? body : "");
}

std::string refusal_response(int status, std::string_view reason, std::string_view extra_headers) {
  return http_response(status, std::string(reason).append("\n"), extra_headers);
}

}  // namespace ws::proto
