// Public. Numbers in network byte order.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>

namespace ws::core {

// Between the order of this machine and network order, either way.
template <std::unsigned_integral T>
T swap_if_little_endian(T value) {
  static_assert(sizeof(T) <= 8);
  if constexpr (std::endian::native == std::endian::big || sizeof(T) == 1) return value;
  if constexpr (sizeof(T) == 2) return __builtin_bswap16(value);
  if constexpr (sizeof(T) == 4) return __builtin_bswap32(value);
  if constexpr (sizeof(T) == 8) return __builtin_bswap64(value);
}

// `from` and `to` need no alignment; memcpy of a fixed size becomes one load or store.
template <std::unsigned_integral T>
T load_be(const std::uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return swap_if_little_endian(value);
}

template <std::unsigned_integral T>
void store_be(std::uint8_t* to, T value) {
  value = swap_if_little_endian(value);
  std::memcpy(to, &value, sizeof(T));
}

}  // namespace ws::core
