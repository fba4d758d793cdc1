// Public. Whether and how messages are compressed (permessage-deflate, RFC 7692).
#pragma once

#include <cstddef>
#include <cstdint>

namespace ws {

enum class DeflateMode : std::uint8_t {
  kOff,       // not negotiated
  kOn,        // each message for itself: no memory per connection
  kTakeover,  // messages refer to earlier ones: small ones shrink most, connections keep windows
};

enum class DeflateLevel : std::uint8_t {
  kFast,    // hash table, greedy
  kBetter,  // hash chains, lazy: some percent smaller, at half the speed
};

struct DeflateOptions {
  DeflateMode mode = DeflateMode::kOff;
  DeflateLevel level = DeflateLevel::kFast;
  // 8 to 15: no window is larger than 2^window_bits bytes; the peer may ask for less. With takeover
  // the price of a connection (ws/deflate/README.md has the table).
  unsigned window_bits = 15;
  // Shorter messages are sent as they are. 0: 1,024, with takeover 64.
  std::size_t threshold_bytes = 0;
};

}  // namespace ws
