// Public. One open WebSocket connection, as a handler sees it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "ws/message.h"
#include "ws/proto/close_code.h"
#include "ws/request.h"
#include "ws/user_data.h"

namespace ws {

enum class SendStatus : std::uint8_t {
  kSent,     // given to the kernel, or will be at the end of this callback; nothing waits before it
  kQueued,   // it waits, in order, until the peer takes what was sent before. Go on sending while
             // queued_bytes() is at most Limits::queue_high_bytes, then wait for on_drain
  kDropped,  // the queue is at its maximum, or this is above 1 GiB (kMessageBytesMost): not sent,
             // the connection is being closed with 1013
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
  kShutdown,      // Server::stop(), Client::stop()
  kHandlerThrew,  // closed with 1011
};
inline constexpr std::size_t kCloseCauses = 8;
// A constant phrase for logs and counters.
std::string_view to_string(CloseCause cause);

struct Close {
  // Both are what the peer sent, else what we did; 1006: no Close frame at all.
  CloseCode code = CloseCode::kAbnormal;
  std::string_view reason;
  CloseCause cause = CloseCause::kPeer;
};

// valid: during the callback that got it; id() names the connection later and elsewhere.
// thread: the connection's own, for everything here. Used on another thread, or when the connection
// is gone, debug builds name the mistake and stop; release builds answer kClosed or nothing.
class Conn {
 public:
  Conn(const Conn&) = delete;
  Conn& operator=(const Conn&) = delete;

  // Never blocks; any number of sends, in order. cost: small messages are copied; large ones go to
  // the kernel from the caller's bytes, and only what it refuses is copied.
  SendStatus send(const Message& message, SendOptions options = {});

  // A message of unknown length: begin(), any number of append(), end(). Each append() is a frame.
  // What send() and topics have for this peer meanwhile waits for end(), since messages do not
  // interleave (RFC 6455 5.4); pings, pongs and Close do not wait. Not compressed. kClosed also
  // when a call is out of place.
  SendStatus begin(MessageType type);
  SendStatus append(std::span<const std::uint8_t> bytes);
  SendStatus append(std::string_view text);
  SendStatus end();

  // payload: at most 125 bytes, more are cut off. The peer's pong comes to on_pong.
  SendStatus ping(std::string_view payload = {});
  // Starts the closing handshake (RFC 6455 7.1.2); on_close follows. code: one that may be sent
  // (1000-1003, 1007-1014, 3000-4999), or kNoStatus for a Close frame without one; any other
  // becomes 1011. reason: UTF-8, at most 123 bytes are sent.
  void close(CloseCode code = CloseCode::kNormal, std::string_view reason = {});

  // Every message that is published to `topic` from here on. false: closed, or at
  // Limits::subscriptions. Subscribing twice is once. Subscriptions end with the connection.
  bool subscribe(std::string_view topic);
  bool unsubscribe(std::string_view topic);  // false: was not subscribed
  // To every subscriber, on all threads, but this connection. See Server::publish().
  bool publish(std::string_view topic, const Message& message, SendOptions options = {});

  // Output that waits: for the peer, or for the end() of a stream. Once that was above
  // Limits::queue_high_bytes and is down to a quarter of it, on_drain is called. As soon as what
  // waits for the peer alone is above, a server reads nothing from it until that is down likewise,
  // unless it was on_drain that said so much.
  std::size_t queued_bytes() const;
  // Nothing is read from the peer, and so no callback for its messages, pings or end, until
  // resume_reading(); what was received already is kept, and TCP makes the peer wait. Its pings are
  // not answered meanwhile, and no keep-alive tells that it has gone.
  void pause_reading();
  void resume_reading();

  // The program's own object, of one type per connection: what Accept::data brought, else made on
  // the first use. It is destroyed with the connection, after on_close. Another type, another
  // thread, or after on_close: there is nothing to return, so release builds stop there, too.
  template <class T>
  T& data() {
    return user_data().get<T>();
  }

  ConnId id() const;
  // "192.0.2.1:50123", "[::1]:50123" or "unix:"; "" when the peer is gone already.
  std::string peer() const;
  // What the client asked for; empty on a client's side, and with Handlers::keep_request off.
  const Request& request() const;
  // Agreed on in the handshake; "" for none.
  std::string_view subprotocol() const;

 protected:
  Conn() = default;
  ~Conn() = default;

 private:
  UserData& user_data();
};

}  // namespace ws
