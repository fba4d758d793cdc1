// Internal. Masking (RFC 6455 section 5.3), scalar and SIMD.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace ws::proto {

// The four bytes of the masking key as they travel: bytes[0] applies to the first byte of the
// payload.
struct MaskKey {
  std::uint8_t bytes[4] = {0, 0, 0, 0};
  // The key as seen by a byte `count` bytes further on: rotated left by count % 4.
  MaskKey advanced(std::size_t count) const;
};

// XORs `payload` with the key, in place. The same call masks and unmasks.
// "octet i of the transformed data is the XOR of octet i of the original data with octet at index i
// modulo 4 of the masking key". Touches no byte outside the span. thread: any. cost: no allocation;
// the kernel (AVX2, SSE2, NEON, scalar) is chosen once through core/cpu.
void apply_mask(std::span<std::uint8_t> payload, MaskKey key);

}  // namespace ws::proto
