// Public. The HTTP before a WebSocket: what a client asked for, and what may be answered.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/id.h"
#include "ws/proto/header.h"
#include "ws/user_data.h"

namespace ws {

// Names a connection beyond a callback, also from other threads. Once the connection is gone it is
// stale: whatever it is used for then has no effect. No other connection of the same server or
// client has it, until the one slot has seen 2^32 of them. A key for std::map and
// std::unordered_map.
using ConnId = core::Id;

// A request for an upgrade, or for a page. Everything is as it was sent: nothing is
// percent-decoded. valid: during the callback that got it; Conn::request() as long as the
// connection. Views, so it is not copied.
struct Request {
  Request() = default;
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  // The value of the first header of that name, whatever its case; "" when there is none.
  std::string_view header(std::string_view name) const;
  // What ":name" in the route's pattern stands for here; "" when it has no such part.
  std::string_view param(std::string_view name) const;

  // Facts of a connection over TLS.
  struct Tls {
    std::string version;         // "TLSv1.3"
    std::string cipher;          // "TLS_AES_128_GCM_SHA256"
    std::string client_subject;  // of its verified certificate, RFC 2253 form; "" without one
  };

  std::string_view method;
  std::string_view target;
  std::string_view path;   // of the target, never empty
  std::string_view query;  // behind its '?', "" when there is none
  std::vector<Header> headers;
  std::vector<Header> params;                  // name and value, in the pattern's order
  std::vector<std::string_view> subprotocols;  // offered, in the client's order of preference
  std::string peer;                            // "192.0.2.1:50123", "[::1]:50123" or "unix:"
  std::optional<Tls> tls;
  ConnId id;  // of the connection this may become: for Server::answer()
};

// Of the headers a program adds to an answer: a name that is no token, a value with CR, LF or
// another control character, and the ones that are the handshake's own (Sec-WebSocket-*, Upgrade,
// Connection, Content-Length, Transfer-Encoding) make the answer 500, and a line in the log.

// Yes: 101. subprotocol: one of the offered ones, or "" for none; left out, it is chosen from
// Handlers::subprotocols. headers: added to the answer. data: the first value of Conn::data().
struct Accept {
  std::optional<std::string> subprotocol = {};
  std::vector<HeaderField> headers = {};
  UserData data = {};
};

// No. The connection is closed behind the answer.
struct Reject {
  int status = 403;       // 200 to 599
  std::string body = {};  // text/plain; charset=utf-8 unless a Content-Type header says otherwise
  std::vector<HeaderField> headers = {};
};

// Not yet: Server::answer() says more, from any thread. If it has not when Limits::handshake_ms are
// over since the connection was accepted, the answer is 503.
struct Defer {};

using Upgrade = std::variant<Accept, Reject, Defer>;

// The answer to a request without an upgrade.
struct Response {
  int status = 200;       // 200 to 599
  std::string body = {};  // text/plain; charset=utf-8 unless a Content-Type header says otherwise
  std::vector<HeaderField> headers = {};
};

}  // namespace ws
