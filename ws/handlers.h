// Public. What a program does with its connections.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "ws/conn.h"

namespace ws {

// All run on the connection's thread, one at a time; no call of this library runs another one from
// within. An exception that escapes one is logged, and closes that connection with 1011 (an
// on_upgrade or on_http is answered 500). Every one may be left out. on_upgrade, on_http and what
// follows `server:` are for routes; the rest is the same for clients.
struct Handlers {
  // Whether a good request for an upgrade is granted. Left out: yes. A lambda with several kinds of
  // answer says what it returns: [](const ws::Request&) -> ws::Upgrade { ... }.
  std::function<Upgrade(const Request&)> on_upgrade = {};
  // Answers GET and HEAD without an upgrade; left out: 426.
  std::function<Response(const Request&)> on_http = {};

  std::function<void(Conn&)> on_open = {};
  std::function<void(Conn&, const Message&)> on_message = {};
  // Instead of on_message, which is not called then: pieces as they come, for messages of any size
  // in bounded memory. Limits of messages do not hold; that its bytes keep flowing does. No
  // compression is negotiated.
  std::function<void(Conn&, const Chunk&)> on_chunk = {};
  // Pings are answered before this is called.
  std::function<void(Conn&, std::span<const std::uint8_t>)> on_ping = {};
  // Also for the pongs to our keep-alive pings, which carry nothing.
  std::function<void(Conn&, std::span<const std::uint8_t>)> on_pong = {};
  // The queue had passed its high mark and is now down to its low mark: once for each such passing.
  std::function<void(Conn&)> on_drain = {};
  // Exactly once for each on_open; nothing can be sent any more.
  std::function<void(Conn&, const Close&)> on_close = {};

  // server: pages of these origins may connect, besides the server's own: "https://example.com",
  // "null", or "*" for any. Empty: ServerOptions::origins.
  std::vector<std::string> origins = {};
  // server: the first of these that the client offers is chosen, unless on_upgrade names one or "".
  std::vector<std::string> subprotocols = {};
  // server: Conn::request() stays for the connection's life, at the price of the request's size.
  bool keep_request = true;
};

}  // namespace ws
