// Public. The opening handshake of RFC 6455 section 4, server side: judging a request, writing
// answers.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "core/result.h"
#include "ws/proto/header.h"
#include "ws/proto/http.h"

namespace ws::proto {

inline constexpr std::size_t kSubprotocolsMax = 32;
inline constexpr std::size_t kExtensionOffersMax = 16;

// base64(SHA-1(key + GUID)), section 4.2.2.
std::string accept_key(std::string_view key);

// Whether a program may add it to a request or an answer.
// errors: one line naming the header whose name is no token, whose value has control characters, or
// that the handshake writes itself: Host, Upgrade, Connection, Sec-WebSocket-*, and what announces
// a body.
core::Result<core::Ok> check_header(const HeaderField& header);

// The verdict on a complete head. status 101: a good upgrade. Otherwise the first of these that
// applies, with the extra headers it needs:
//   405  the method is not GET
//   400  the target is not a path or an absolute URL; Host missing, repeated or invalid; a body
//        announced
//   426  no "websocket" in Upgrade or no "upgrade" in Connection
//   426  Sec-WebSocket-Version missing, repeated or not 13
//   400  Sec-WebSocket-Key missing, repeated or malformed; a malformed or overlong list of
//        subprotocols or extensions
// Routes and origins are the caller's: it refuses 405 and 400 at once, then looks for a route (404,
// or a page for a plain GET), then refuses 426, then asks origin_allowed() (403).
struct Verdict {
  int status = 0;
  std::string_view extra_headers;  // whole lines, "Allow: GET\r\n"; empty when none
  std::string_view reason;         // why, for the body and the log: one short constant phrase
};
Verdict judge_upgrade(const RequestHead& head);

// The path of the target: absolute-form stripped to its path, query cut off; never empty for a
// target that is origin-form or absolute-form (http, https, ws, wss). "" for any other.
std::string_view target_path(std::string_view target);

// Whether `text` can stand in a list of allowed origins: http://HOST or https://HOST with or
// without :PORT, "null", or "*" (any).
bool valid_origin(std::string_view text);

// Whether a page of this origin may connect: there is no Origin header (no browser), it is our own
// (scheme by tls, host and port as requested), or it is listed. Scheme and host compare without
// case, a default port equals none. "null" has to be listed; a repeated Origin is never allowed.
// RFC 6454, RFC 6455 section 10.2. in: a head judge_upgrade() answers 101.
bool origin_allowed(const RequestHead& head, bool tls, std::span<const std::string> allowed);

// "HTTP/1.1 101 Switching Protocols" with Sec-WebSocket-Accept. in: a head judge_upgrade() answers
// 101; extra_headers: whole lines or empty.
std::string upgrade_response(const RequestHead& head, std::string_view extra_headers);

// Any other answer: Content-Length, Connection: close, text/plain in UTF-8 unless extra_headers
// have a Content-Type. extra_headers: whole lines or empty; a Connection line among them (426's
// "Connection: Upgrade, close") replaces the default one. A body for 204 or 304, which have none,
// is left out.
std::string http_response(int status, std::string_view body, std::string_view extra_headers);
// With `reason` as a one-line body.
std::string refusal_response(int status, std::string_view reason, std::string_view extra_headers);

}  // namespace ws::proto
