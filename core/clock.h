// Internal. Monotonic time in milliseconds.
#pragma once

#include <time.h>

#include <cstdint>

namespace ws::core {

inline std::uint64_t monotonic_ms() {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

}  // namespace ws::core
