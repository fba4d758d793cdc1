// Internal. One connection that sends the same message over and over and checks what comes back.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bench/ws_client.h"

namespace ws::bench {

struct MessagePlan {
  std::uint64_t bytes = 64;
  std::uint64_t pipelined = 1;  // how many frames one write should be able to carry
  bool text = false;
  bool raw =
      false;  // no WebSocket: the peer is a TCP echo and returns the very bytes of the frames
  bool verify_all = false;
};

// What every connection of a run sends and must get back: encoded once, shared, never changed.
struct Traffic {
  std::vector<std::uint8_t> frames;  // masked client frames, back to back
  std::size_t frame_bytes = 0;
  std::vector<std::uint8_t> reply;         // payload of one reply
  std::vector<std::uint8_t> reply_header;  // of a reply in one frame; empty when raw
  std::uint8_t opcode = 0;
  bool raw = false;
  std::uint64_t verified_messages =
      0;  // per connection, from its first on; the rest: lengths and opcodes
};

[[nodiscard]] Traffic make_traffic(const MessagePlan& plan);

// Follows the server's bytes, in any split, through headers and payloads (RFC 6455 s5.2).
class EchoReader {
 public:
  explicit EchoReader(const Traffic& traffic) : traffic_(&traffic) {}

  // returns: replies completed by `in`.  After anything but an echo or a ping, error() says what it
  // was.
  std::uint64_t feed(std::span<const std::uint8_t> in);

  [[nodiscard]] const std::string& error() const { return error_; }

  // The payload of the newest ping: s5.5.3 lets a pong answer "only the most recently processed
  // Ping frame".
  bool ping_due = false;
  std::vector<std::uint8_t> ping_payload;

 private:
  static constexpr std::size_t kServerHeaderBytesMax = 10;  // 2 + 8 length, no mask key

  bool read_header(std::span<const std::uint8_t>& in);
  bool accept_header(std::uint64_t payload_bytes);
  void take_payload(std::span<const std::uint8_t> part);
  bool end_frame();  // true: a reply is complete
  void fail_on_close();

  const Traffic* traffic_;
  std::array<std::uint8_t, kServerHeaderBytesMax> header_{};
  std::size_t header_bytes_ = 0;
  std::uint64_t payload_left_ = 0;
  std::uint64_t reply_offset_ = 0;
  std::uint64_t replies_ = 0;
  bool in_payload_ = false;
  bool fin_ = false;
  bool fragmented_ = false;  // inside a reply that came in several frames
  bool control_ = false;
  std::vector<std::uint8_t> control_payload_;
  std::string error_;
};

class EchoClient {
 public:
  // Connects, upgrades unless raw, and leaves the stream non-blocking.  Throws std::runtime_error.
  EchoClient(const Url& url, const Traffic& traffic, const std::string& local_ip);

  // Makes `messages` more due; flush() writes what is due until the kernel refuses.
  void owe(std::uint64_t messages);
  // Both return false when the connection is over; error() says why.
  bool flush();
  // Reads until nothing is left, adding completed replies.  hangup: the event said so, read to the
  // end.
  bool receive(std::span<std::uint8_t> scratch, bool hangup, std::uint64_t& replies);

  void say_goodbye();  // Close 1000, best effort

  [[nodiscard]] std::uint64_t in_flight() const { return in_flight_; }
  [[nodiscard]] int fd() const { return stream_.fd(); }
  [[nodiscard]] const std::string& error() const { return error_; }

 private:
  [[nodiscard]] std::span<const std::uint8_t> next_output();
  void written(std::size_t bytes);
  void fail(const std::string& why);

  Stream stream_;
  EchoReader reader_;
  const Traffic* traffic_;
  std::uint64_t in_flight_ = 0;
  std::uint64_t owed_bytes_ = 0;
  std::size_t frames_offset_ = 0;  // where in traffic.frames the next byte is
  std::vector<std::uint8_t> pong_;
  std::string error_;
};

}  // namespace ws::bench
