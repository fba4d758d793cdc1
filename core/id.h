// Public. A handle that can go stale without harm.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace ws::core {

// Names a slot and the tenancy of it: the slot's generation changes when it is freed, so an old Id
// finds nothing. The same 64 bits travel in epoll_event.data and in user code.
struct Id {
  std::uint32_t index = 0;
  std::uint32_t generation = 0;  // 0 is never given out: a default Id is always stale

  // An order for sorted containers; it says nothing about age.
  auto operator<=>(const Id&) const = default;
  std::uint64_t packed() const { return (std::uint64_t{generation} << 32) | index; }
  static Id unpack(std::uint64_t bits) {
    return {static_cast<std::uint32_t>(bits), static_cast<std::uint32_t>(bits >> 32)};
  }
};

}  // namespace ws::core

template <>
struct std::hash<ws::core::Id> {
  std::size_t operator()(const ws::core::Id& id) const noexcept {
    return std::hash<std::uint64_t>{}(id.packed());
  }
};
