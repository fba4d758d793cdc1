// Public. Frame opcodes (RFC 6455 section 5.2) and the two roles of a connection.
#pragma once

#include <cstdint>

namespace ws::proto {

enum class Opcode : std::uint8_t {
  kContinuation = 0x0,
  kText = 0x1,
  kBinary = 0x2,
  kClose = 0x8,
  kPing = 0x9,
  kPong = 0xA,
};

// 3-7 and 0xB-0xF are "reserved for further non-control frames" and "further control frames".
constexpr bool is_known(Opcode opcode) {
  constexpr std::uint16_t kKnown = 0b0000'0111'0000'0111;
  return (kKnown >> static_cast<unsigned>(opcode) & 1) != 0;
}

// "Control frames are identified by opcodes where the most significant bit of the opcode is 1."
constexpr bool is_control(Opcode opcode) {
  return static_cast<unsigned>(opcode) >= 8;
}

// Which end of the connection this is: a client masks what it sends, a server must not
// (section 5.1).
enum class Role : std::uint8_t { kServer, kClient };

}  // namespace ws::proto
