// Public. Incremental UTF-8 validation (RFC 3629; RFC 6455 section 8.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ws/proto/mask.h"

namespace ws::proto {

// Validates text that arrives in pieces, split anywhere. Four bytes of state.
class Utf8Validator {
 public:
  // false at the first byte that no valid text can have at its place (overlong, surrogate, above
  // U+10FFFF, stray continuation): also when the sequence is still unfinished. After false only
  // reset() may follow. cost: no allocation; ASCII runs and long spans by SIMD.
  [[nodiscard]] bool feed(std::span<const std::uint8_t> piece);
  // Whether the text may end here: not inside a sequence.
  [[nodiscard]] bool complete() const { return state_ == 0; }
  void reset() { state_ = 0; }

 private:
  std::uint32_t state_ = 0;
};

// Whole text at once.
[[nodiscard]] bool valid_utf8(std::span<const std::uint8_t> text);

// apply_mask() and that, in one pass where there is a kernel for it.
[[nodiscard]] bool unmask_text(std::span<std::uint8_t> text, MaskKey key);

}  // namespace ws::proto
