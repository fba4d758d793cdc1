// Internal. One connection that sends the messages of a ring and checks what comes back.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bench/frames.h"
#include "bench/traffic.h"
#include "bench/ws_client.h"
#include "ws/proto/permessage_deflate.h"

namespace ws::bench {

enum class Deflate : std::uint8_t { kOff, kOn, kTakeover };

// What the connections of one thread share.
struct ClientPlan {
  const Url* url;
  const Traffic* traffic;
  Deflate deflate = Deflate::kOff;
  proto::DeflateEngine* engine = nullptr;  // unless kOff
};

// Follows the server's bytes, in any split, through headers and payloads (RFC 6455 s5.2), and
// compares every reply with what was sent.
class EchoReader {
 public:
  explicit EchoReader(const Traffic& traffic) : traffic_(&traffic) {}

  // From here on replies may be compressed.
  void set_deflate(std::unique_ptr<proto::PermessageDeflate> deflate);

  // returns: replies completed by `in`.  After anything but an echo or a ping, error() says what it
  // was.
  std::uint64_t feed(std::span<const std::uint8_t> in);

  [[nodiscard]] const std::string& error() const { return error_; }

  // The payload of the newest ping: s5.5.3 lets a pong answer "only the most recently processed
  // Ping frame".
  bool ping_due = false;
  std::vector<std::uint8_t> ping_payload;

 private:
  [[nodiscard]] const Traffic::Item& item() const { return traffic_->items[item_]; }
  bool read_header(std::span<const std::uint8_t>& in);
  bool accept_header(std::uint64_t payload_bytes);
  void take_payload(std::span<const std::uint8_t> part);
  void compare(std::span<const std::uint8_t> part);
  bool inflate();
  bool end_frame();  // true: a reply is complete
  void fail_on_close();

  const Traffic* traffic_;
  std::unique_ptr<proto::PermessageDeflate> deflate_;
  std::array<std::uint8_t, kServerFrameHeaderBytesMax> header_{};
  std::size_t header_bytes_ = 0;
  std::uint64_t payload_left_ = 0;
  std::size_t reply_offset_ = 0;
  std::size_t item_ = 0;  // of the ring: the reply that is due
  std::uint64_t replies_ = 0;
  bool in_payload_ = false;
  bool fin_ = false;
  bool fragmented_ = false;  // inside a reply that came in several frames
  bool control_ = false;
  bool compressed_ = false;
  std::vector<std::uint8_t> control_payload_;
  std::vector<std::uint8_t> compressed_payload_;
  std::string error_;
};

class EchoClient {
 public:
  // Connects, upgrades unless raw, and leaves the stream non-blocking.  Throws std::runtime_error.
  EchoClient(const ClientPlan& plan, const std::string& local_ip);

  // Makes `messages` more due; flush() writes what is due until the kernel refuses.
  void owe(std::uint64_t messages);
  // Both return false when the connection is over; error() says why.
  bool flush();
  // Reads until nothing is left, or at least bytes_max, adding completed replies.  hangup: the
  // event said so, read to the end.
  bool receive(std::span<std::uint8_t> scratch, bool hangup, std::uint64_t& replies,
               std::size_t bytes_max = SIZE_MAX);

  void say_goodbye();  // Close 1000, best effort

  [[nodiscard]] int fd() const { return stream_.fd(); }
  [[nodiscard]] const std::string& error() const { return error_; }

 private:
  void agree_on_deflate(const ClientPlan& plan);
  [[nodiscard]] std::span<const std::uint8_t> next_output();
  void written(std::size_t bytes);

  Stream stream_;
  EchoReader reader_;
  const Traffic* traffic_;
  std::uint64_t in_flight_ = 0;
  std::size_t next_item_ = 0;  // of the ring, to become due
  std::uint64_t owed_bytes_ = 0;
  std::size_t frames_offset_ = 0;  // where in the ring the next byte to write is
  std::vector<std::uint8_t> pong_;
  std::string error_;
};

}  // namespace ws::bench
