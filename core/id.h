// Public. A handle that can go stale without harm.
#pragma once

#include <cstdint>

namespace ws::core {

// Names a slot and the tenancy of it: the slot's generation changes when it is freed, so an old Id
// finds nothing. The same 64 bits travel in epoll_event.data and in user code.
struct Id {
  std::uint32_t index = 0;
  std::uint32_t generation = 0;  // 0 is never given out: a default Id is always stale

  bool operator==(const Id&) const = default;
  std::uint64_t packed() const { return (std::uint64_t{generation} << 32) | index; }
  static Id unpack(std::uint64_t bits) {
    return {static_cast<std::uint32_t>(bits), static_cast<std::uint32_t>(bits >> 32)};
  }
};

}  // namespace ws::core
