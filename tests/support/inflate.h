// Internal. A whole message through our decoder.
#pragma once

#include <cstddef>
#include <string>

#include "ws/deflate/inflate.h"

namespace ws::test {

inline std::string inflate(core::ConstBytes message, deflate::InflateContext& context) {
  constexpr std::size_t kLimit = 1 << 24;
  static deflate::Inflater inflater;
  core::Buffer out;
  inflater.start(message, context);
  if (inflater.step(out, kLimit, kLimit + 1) != deflate::InflateStatus::kOk) return "(refused)";
  return {out.bytes().begin(), out.bytes().end()};
}

inline std::string inflate(core::ConstBytes message, unsigned window_bits = 15) {
  deflate::InflateContext context(window_bits, false);
  return inflate(message, context);
}

}  // namespace ws::test
