// Public. Masking (RFC 6455 section 5.3), scalar and SIMD.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "core/copy.h"

namespace ws::proto {

// The four bytes of the masking key as they travel: bytes[0] applies to the first byte of the
// payload.
struct MaskKey {
  std::uint8_t bytes[4] = {0, 0, 0, 0};

  // In memory order, on machines of either byte order: once, and twice in a row.
  std::uint32_t word() const {
    std::uint32_t word;
    std::memcpy(&word, bytes, sizeof word);
    return word;
  }
  std::uint64_t word_twice() const { return word() * 0x0000'0001'0000'0001u; }

  // The key as seen by a byte `count` bytes further on: rotated left by count % 4.
  MaskKey advanced(std::size_t count) const {
    const int bits = static_cast<int>(count % 4) * 8;
    // bytes[0] is the lowest byte of the word on a little-endian machine, the highest on the other.
    const std::uint32_t turned = std::endian::native == std::endian::little
                                     ? std::rotr(word(), bits)
                                     : std::rotl(word(), bits);
    MaskKey key;
    std::memcpy(key.bytes, &turned, sizeof turned);
    return key;
  }
};

// The scalar kernel (mask.cc says how kernels work), which runs everywhere and takes any size.
inline void mask_scalar(std::uint8_t* bytes, std::size_t size, MaskKey key) {
  const auto load = [](const std::uint8_t* from) {
    std::uint64_t word;
    std::memcpy(&word, from, sizeof word);
    return word;
  };
  const auto store = [](std::uint8_t* to, std::uint64_t word) {
    std::memcpy(to, &word, sizeof word);
  };
  if (size < 8) {
    for (std::size_t i = 0; i < size; ++i) bytes[i] ^= key.bytes[i % 4];
    return;
  }
  const std::uint64_t word_key = key.word_twice();
  std::uint8_t* last = bytes + size - 8;
  const std::uint64_t last_word = load(last) ^ key.advanced(size).word_twice();
  for (; bytes < last; bytes += 8) store(bytes, load(bytes) ^ word_key);
  store(last, last_word);
}

// The same for short payloads, in blocks of 16 bytes: registers of that size are on every machine
// that has SSE2 or NEON, and elsewhere the compiler makes do with two of 8.
[[gnu::always_inline]] inline void mask_short(std::uint8_t* bytes, std::size_t size, MaskKey key) {
  if (size < sizeof(core::ShortBlock)) return mask_scalar(bytes, size, key);
  const auto with = [](MaskKey block_key) {
    return [word = block_key.word()](core::ShortBlock block) { return block ^ word; };
  };
  core::copy_short_blocks(bytes, bytes, size, with(key), with(key.advanced(size)));
}

// The fastest kernel of this machine, chosen once through core/cpu: AVX2, SSE2, NEON or scalar.
void mask_fastest(std::uint8_t* bytes, std::size_t size, MaskKey key);

// XORs `payload` with the key, in place. The same call masks and unmasks.
// "octet i of the transformed data is the XOR of octet i of the original data with octet at index i
// modulo 4 of the masking key". Touches no byte outside the span. thread: any. cost: no allocation.
[[gnu::always_inline]] inline void apply_mask(std::span<std::uint8_t> payload, MaskKey key) {
  if (payload.size() <= core::kShortBytes) return mask_short(payload.data(), payload.size(), key);
  mask_fastest(payload.data(), payload.size(), key);
}

}  // namespace ws::proto
