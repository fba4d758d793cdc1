// Internal. A server that does only what a test says: for what clients must make of strange ones.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/fd.h"
#include "tests/support/raw_peer.h"

namespace ws::test {

// thread: one. Every wait has an end.
class RawServer {
 public:
  // Listens on 127.0.0.1, or on that host, on a free port or on this one.
  explicit RawServer(const char* host = "127.0.0.1", std::uint16_t port = 0);

  std::uint16_t port() const { return port_; }
  std::string url(std::string_view scheme = "ws") const;

  // The next connection; throws when none comes within 20 s.
  RawPeer accept();
  // Whether one comes within `ms`; it is closed.
  bool is_called(int ms);
  // No attempt to connect is answered from here on: the queue is full.
  void stop_answering();

 private:
  core::Fd fd_;
  std::uint16_t port_ = 0;
  core::Fd queued_;
};

// The head of what a client asks; throws when none comes.
std::string read_head(RawPeer& peer);
// Of that name in a head; "" for none.
std::string header_of(std::string_view head, std::string_view name);
// A good 101 to that request, with more lines ("Name: value\r\n").
std::string switching(std::string_view request, std::string_view more = {});
// Accepts, reads the request, and answers with it; `behind` follows in the same segment.
RawPeer accept_upgrade(RawServer& server, std::string_view more = {}, std::string_view behind = {});

// A frame as a client must write it: masked. Cut off the front of `bytes`; nullopt: none is whole.
struct ClientFrame {
  std::uint8_t first = 0;  // FIN, RSV and opcode
  bool masked = false;
  std::string key;
  std::string payload;  // unmasked

  std::uint8_t opcode() const { return first & 15; }
  std::uint8_t rsv() const { return first & 0x70; }
};
std::optional<ClientFrame> take_client_frame(std::string& bytes);
// The next one from this peer, within 20 s; throws when none comes. rest: bytes read before, and
// those behind the frame.
ClientFrame read_client_frame(RawPeer& peer, std::string& rest);

}  // namespace ws::test
