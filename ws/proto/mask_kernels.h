// Internal. The ways of masking this machine offers, for apply_mask and for the tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ws/proto/mask.h"

namespace ws::proto {

struct MaskKernel {
  const char* name;
  // XORs bytes[0..size) with the key. Every kernel takes every size, 0 included.
  void (*apply)(std::uint8_t* bytes, std::size_t size, MaskKey key);
};

// Fastest first; the scalar kernel, which runs everywhere, is always the last.
std::vector<MaskKernel> mask_kernels();

}  // namespace ws::proto
