// Internal. Text as bytes.
#pragma once

#include <string_view>

#include "core/buffer.h"

namespace ws::test {

inline core::ConstBytes bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace ws::test
