#include "ws/proto/mask.h"

#include "core/cpu.h"
#include "ws/proto/mask_kernels.h"

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace ws::proto {
namespace {

// Every kernel masks whole blocks from the front and one last block that ends with the payload and
// overlaps the blocks before it. The last block is therefore read before the first write and
// written after all others: the bytes it shares with its neighbour get the same value twice.
// Nothing outside the payload is touched, and no loop over single bytes is needed.
//
// A block that starts at offset i needs the key rotated by i % 4. Whole blocks are multiples of 4
// long and need none; the last starts at size - block, which is size modulo 4.

#if defined(__SSE2__)

__m128i load_16(const std::uint8_t* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

void store_16(std::uint8_t* to, __m128i block) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), block);
}

__m128i key_16(MaskKey key) {
  return _mm_set1_epi32(static_cast<int>(key.word()));
}

void mask_sse2(std::uint8_t* bytes, std::size_t size, MaskKey key) {
  if (size < 16) return mask_scalar(bytes, size, key);
  const __m128i block_key = key_16(key);
  std::uint8_t* last = bytes + size - 16;
  const __m128i last_block = _mm_xor_si128(load_16(last), key_16(key.advanced(size)));
  for (; bytes < last; bytes += 16) store_16(bytes, _mm_xor_si128(load_16(bytes), block_key));
  store_16(last, last_block);
}

__attribute__((target("avx2"))) inline __m256i load_32(const std::uint8_t* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

__attribute__((target("avx2"))) inline void store_32(std::uint8_t* to, __m256i block) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), block);
}

__attribute__((target("avx2"))) inline __m256i key_32(MaskKey key) {
  return _mm256_set1_epi32(static_cast<int>(key.word()));
}

__attribute__((target("avx2"))) inline void mask_32(std::uint8_t* at, __m256i block_key) {
  store_32(at, _mm256_xor_si256(load_32(at), block_key));
}

// 128 to 256 bytes, all of them loaded before the first is stored: the halves overlap.
__attribute__((target("avx2"))) inline void mask_256(std::uint8_t* bytes, std::size_t size,
                                                     MaskKey key) {
  const __m256i front_key = key_32(key);
  const __m256i back_key = key_32(key.advanced(size));
  std::uint8_t* back = bytes + size - 128;
  const __m256i a = _mm256_xor_si256(load_32(bytes), front_key);
  const __m256i b = _mm256_xor_si256(load_32(bytes + 32), front_key);
  const __m256i c = _mm256_xor_si256(load_32(bytes + 64), front_key);
  const __m256i d = _mm256_xor_si256(load_32(bytes + 96), front_key);
  const __m256i e = _mm256_xor_si256(load_32(back), back_key);
  const __m256i f = _mm256_xor_si256(load_32(back + 32), back_key);
  const __m256i g = _mm256_xor_si256(load_32(back + 64), back_key);
  const __m256i h = _mm256_xor_si256(load_32(back + 96), back_key);
  store_32(bytes, a);
  store_32(bytes + 32, b);
  store_32(bytes + 64, c);
  store_32(bytes + 96, d);
  store_32(back, e);
  store_32(back + 32, f);
  store_32(back + 64, g);
  store_32(back + 96, h);
}

// Received payloads begin anywhere, and blocks that straddle two cache lines take a third longer:
// here a first block, treated like the last one, makes room to go on at an aligned address.
__attribute__((target("avx2"))) void mask_avx2(std::uint8_t* bytes, std::size_t size, MaskKey key) {
  if (size < 32) return mask_sse2(bytes, size, key);
  if (size >= 128 && size <= 256) return mask_256(bytes, size, key);
  std::uint8_t* last = bytes + size - 32;
  const std::size_t skew = -reinterpret_cast<std::uintptr_t>(bytes) % 32;
  const __m256i first_block = _mm256_xor_si256(load_32(bytes), key_32(key));
  const __m256i last_block = _mm256_xor_si256(load_32(last), key_32(key.advanced(size)));
  const __m256i block_key = key_32(key.advanced(skew));
  std::uint8_t* at = bytes + skew;
  // Four in a turn: one store in each cycle, where counting would take half of them.
  for (; last - at > 96; at += 128) {
    mask_32(at, block_key);
    mask_32(at + 32, block_key);
    mask_32(at + 64, block_key);
    mask_32(at + 96, block_key);
  }
  for (; at < last; at += 32) mask_32(at, block_key);
  store_32(bytes, first_block);
  store_32(last, last_block);
}

#elif defined(__aarch64__)

uint8x16_t key_16(MaskKey key) {
  return vreinterpretq_u8_u32(vdupq_n_u32(key.word()));
}

void mask_neon(std::uint8_t* bytes, std::size_t size, MaskKey key) {
  if (size < 16) return mask_scalar(bytes, size, key);
  const uint8x16_t block_key = key_16(key);
  std::uint8_t* last = bytes + size - 16;
  const uint8x16_t last_block = veorq_u8(vld1q_u8(last), key_16(key.advanced(size)));
  for (; bytes < last; bytes += 16) vst1q_u8(bytes, veorq_u8(vld1q_u8(bytes), block_key));
  vst1q_u8(last, last_block);
}

#endif

}  // namespace

std::vector<MaskKernel> mask_kernels() {
  std::vector<MaskKernel> kernels;
  [[maybe_unused]] const core::CpuFeatures& cpu = core::cpu_features();
#if defined(__SSE2__)
  if (cpu.avx2) kernels.push_back({"avx2", mask_avx2});
  if (cpu.sse2) kernels.push_back({"sse2", mask_sse2});
#elif defined(__aarch64__)
  if (cpu.neon) kernels.push_back({"neon", mask_neon});
#endif
  kernels.push_back({"scalar", mask_scalar});
  return kernels;
}

void mask_fastest(std::uint8_t* bytes, std::size_t size, MaskKey key) {
  static const auto kernel = mask_kernels().front().apply;
  kernel(bytes, size, key);
}

}  // namespace ws::proto
