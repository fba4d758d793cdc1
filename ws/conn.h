// Public. One open WebSocket connection, as a handler sees it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "core/id.h"
#include "ws/message.h"
#include "ws/proto/close_code.h"

namespace ws {

class Link;

enum class SendStatus : std::uint8_t {
  kSent,     // given to the kernel, or will be at the end of this callback
  kQueued,   // the peer is slow: it waits, in order, and reading from this peer pauses above the
             // high mark
  kDropped,  // the queue is at its maximum: not sent, the connection is being closed with 1013
  kClosed,   // a Close frame was sent or received: not sent
};

// Why a connection ended; one word for the callback, the log and the counters.
enum class CloseCause : std::uint8_t {
  kPeer,          // the peer closed, with or without a Close frame
  kLocal,         // close() was called
  kProtocol,      // the peer broke the protocol or a limit of it
  kTimeout,       // silence, or a message or a closing handshake that took too long
  kSlowConsumer,  // the peer did not take its output
  kTls,           // its TLS broke: a bad record, a forbidden message
  kShutdown,      // Server::stop()
  kHandlerThrew,  // closed with 1011
};
// A constant phrase for logs and counters.
std::string_view to_string(CloseCause cause);

struct SendOptions {
  // Whether the message may be compressed, if that was negotiated (ServerOptions::deflate).
  bool compress = true;
};

struct Close {
  // What the peer sent, else what we did; 1006: no Close frame at all.
  CloseCode code = CloseCode::kAbnormal;
  std::string_view reason;
  CloseCause cause = CloseCause::kPeer;
};

// valid: during the callback that got it. Keep id() to name the connection later.
// thread: the connection's own. cost: send() copies small messages; large ones go to the kernel
// from the caller's bytes, and only what it refuses is copied.
class Conn {
 public:
  explicit Conn(Link& link) : link_(&link) {}

  // Never blocks, keeps order.
  SendStatus send(const Message& message, SendOptions options = {});
  // Starts the closing handshake (RFC 6455 7.1.2). reason: UTF-8, at most 123 bytes are sent.
  void close(CloseCode code = CloseCode::kNormal, std::string_view reason = {});
  // Names it beyond this callback; stale once the connection is gone.
  core::Id id() const;

 private:
  Link* link_;
};

// What a route does with its connections. All run on the connection's thread; none is re-entered;
// an exception that escapes one is logged and closes that connection with 1011.
struct Handlers {
  std::function<void(Conn&)> on_open = {};
  std::function<void(Conn&, const Message&)> on_message = {};
  // Exactly once for each on_open; nothing can be sent any more.
  std::function<void(Conn&, const Close&)> on_close = {};
  // Whether any Origin may connect: only for routes that have nothing to give away.
  bool any_origin = false;
};

}  // namespace ws
