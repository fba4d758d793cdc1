#include "ws/proto/client_handshake.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "core/check.h"
#include "tls/crypto.h"
#include "ws/proto/handshake.h"
#include "ws/proto/http_bytes.h"

namespace ws::proto {
namespace {

void add_line(std::string& text, std::string_view name, std::string_view value) {
  text.append(name).append(": ").append(value).append("\r\n");
}

// RFC 6455 section 9.1: several headers or one list mean the same. No line for an empty list, which
// the ABNF (1#) does not have.
void add_list(std::string& text, std::string_view name, std::span<const std::string> elements) {
  std::string list;
  for (const std::string& element : elements) list.append(list.empty() ? "" : ", ").append(element);
  if (!list.empty()) add_line(text, name, list);
}

bool is_redirect(int status) {
  static constexpr std::array kRedirects = {301, 302, 303, 307, 308};
  return std::find(kRedirects.begin(), kRedirects.end(), status) != kRedirects.end();
}

// Any status but 101. Section 4.1: "the client handles the response per HTTP [RFC2616] procedures
// [...]; the server might redirect the client using a 3xx status code (but clients are not required
// to follow them)".
core::Error status_error(const ResponseHead& head) {
  std::string line = "the server answered " + std::to_string(head.status);
  const std::string_view phrase = reason_phrase(head.status);
  if (!phrase.empty()) line.append(" ").append(phrase);
  if (!is_redirect(head.status)) return core::Error(line + ", not 101 Switching Protocols");
  const std::optional<std::string_view> location = head.header("Location");
  if (!location) return core::Error(line + " without a Location; redirects are not followed");
  return core::Error(line + " to \"" + printable(*location) +
                     "\"; redirects are not followed, connect there if that is meant");
}

// Why this 101 is none, by the numbers of section 4.1's second list; "" when it is one.
std::string_view upgrade_fault(const ResponseHead& head, std::string_view key) {
  if (!head.http_1_1) return "the server answered 101 in HTTP/1.0, which has no Upgrade";
  // 2: "lacks an |Upgrade| header field or [...] contains a value that is not an ASCII
  // case-insensitive match for the value "websocket""
  if (!equals_ignore_case(head.header("Upgrade").value_or(""), "websocket")) {
    return "the server's Upgrade header is missing, repeated or not \"websocket\"";
  }
  // 3: "lacks a |Connection| header field or [...] doesn't contain a token that is an ASCII
  // case-insensitive match for the value "Upgrade""
  if (!list_has_token(head, "Connection", "Upgrade")) {
    return "the server's Connection header does not have \"Upgrade\"";
  }
  // 4: "contains a value other than the base64-encoded SHA-1 of the concatenation of the
  // |Sec-WebSocket-Key| (as a string, not base64-decoded) with the string" of the GUID. It may come
  // once (section 11.3.3). Nothing here is secret.
  const std::optional<std::string_view> accept = head.header("Sec-WebSocket-Accept");
  if (!accept) return "the server's Sec-WebSocket-Accept is missing or repeated";
  if (*accept != accept_key(key)) {
    return "the server's Sec-WebSocket-Accept does not fit the key sent: what answered is no "
           "WebSocket server, or a cache";
  }
  return "";
}

}  // namespace

std::string make_key() {
  std::array<std::uint8_t, 16> nonce;
  tls::random_bytes(nonce);
  return tls::base64_encode(nonce);
}

std::string client_request(const ClientRequest& request) {
  WS_CHECK(request.target.starts_with('/'));
  WS_CHECK(all_bytes_of(kVisibleByte, request.target));
  WS_CHECK(all_bytes_of(kVisibleByte, request.host));
  std::string text = "GET ";
  text.append(request.target).append(" HTTP/1.1\r\n");
  add_line(text, "Host", request.host);
  add_line(text, "Upgrade", "websocket");
  add_line(text, "Connection", "Upgrade");
  add_line(text, "Sec-WebSocket-Key", request.key);
  add_line(text, "Sec-WebSocket-Version", "13");
  add_list(text, "Sec-WebSocket-Protocol", request.subprotocols);
  add_list(text, "Sec-WebSocket-Extensions", request.extensions);
  for (const auto& [name, value] : request.headers) add_line(text, name, value);
  return text.append("\r\n");
}

core::Result<core::Ok> check_client_request(std::span<const std::string> subprotocols,
                                            std::span<const HeaderField> headers) {
  for (auto at = subprotocols.begin(); at != subprotocols.end(); ++at) {
    // Section 4.1: "The elements that comprise this value MUST be non-empty strings with characters
    // in the range U+0021 to U+007E not including separator characters as defined in [RFC2616] and
    // MUST all be unique strings."
    std::string_view fault;
    if (!is_token(*at)) {
      fault = "it is not a token; use letters, digits and !#$%&'*+-.^_`|~";
    } else if (std::find(subprotocols.begin(), at, *at) != at) {
      fault = "it is listed twice; name each one once";
    }
    if (fault.empty()) continue;
    return core::Error("cannot offer the subprotocol \"" + printable(*at) +
                       "\": " + std::string(fault));
  }
  for (const HeaderField& header : headers) {
    if (auto good = check_header(header); !good) return good;
  }
  return core::Ok{};
}

core::Result<ServerAnswer> judge_response(const ResponseHead& head, std::string_view key,
                                          std::span<const std::string> subprotocols) {
  if (head.status != 101) return status_error(head);
  const std::string_view fault = upgrade_fault(head, key);
  if (!fault.empty()) return core::Error(std::string(fault));

  ServerAnswer answer;
  static constexpr std::string_view kProtocol = "Sec-WebSocket-Protocol";
  const std::size_t protocols = head.count(kProtocol);
  if (protocols > 1) {
    // Section 11.3.4: it "MUST NOT appear more than once in an HTTP response".
    return core::Error("the server chose a subprotocol more than once");
  }
  if (protocols == 1) {
    answer.subprotocol = *head.header(kProtocol);
    if (std::find(subprotocols.begin(), subprotocols.end(), answer.subprotocol) ==
        subprotocols.end()) {
      return core::Error("the server chose the subprotocol \"" + printable(answer.subprotocol) +
                         "\", which was not offered");
    }
  }

  static constexpr std::string_view kExtensions = "Sec-WebSocket-Extensions";
  for (const std::string_view element : list_elements(head, kExtensions)) {
    std::optional<ExtensionElement> extension = parse_extension(element);
    if (!extension) {
      return core::Error("the server's list of extensions is malformed at \"" + printable(element) +
                         "\"");
    }
    answer.extensions.push_back(std::move(*extension));
  }
  if (answer.extensions.empty() && head.count(kExtensions) > 0) {
    return core::Error("the server's list of extensions is empty");
  }
  return answer;
}

}  // namespace ws::proto
