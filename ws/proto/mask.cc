#include "ws/proto/mask.h"

#include <bit>
#include <cstring>

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

template <class Word>
Word load(const std::uint8_t* from) {
  Word word;
  std::memcpy(&word, from, sizeof(word));
  return word;
}

template <class Word>
void store(std::uint8_t* to, Word word) {
  std::memcpy(to, &word, sizeof(word));
}

std::uint32_t key_word(MaskKey key) {
  return load<std::uint32_t>(key.bytes);
}

// The key twice, in memory order on machines of either byte order.
std::uint64_t key_word_twice(MaskKey key) {
  return key_word(key) * 0x0000'0001'0000'0001u;
}

// For sizes in [0, 8).
void mask_under_8(std::uint8_t* bytes, std::size_t size, MaskKey key) {
  if (size >= 4) {
    std::uint8_t* last = bytes + size - 4;
    const std::uint32_t last_word = load<std::uint32_t>(last) ^ key_word(key.advanced(size));
    store(bytes, load<std::uint32_t>(bytes) ^ key_word(key));
    store(last, last_word);
    return;
  }
  for (std::size_t i = 0; i < size; ++i) bytes[i] ^= key.bytes[i];
}

void mask_scalar(std::uint8_t* bytes, std::size_t size, MaskKey key) {
  if (size < 8) return mask_under_8(bytes, size, key);
  const std::uint64_t word_key = key_word_twice(key);
  std::uint8_t* last = bytes + size - 8;
  const std::uint64_t last_word = load<std::uint64_t>(last) ^ key_word_twice(key.advanced(size));
  for (; bytes < last; bytes += 8) store(bytes, load<std::uint64_t>(bytes) ^ word_key);
  store(last, last_word);
}

#if defined(__SSE2__)

__m128i load_16(const std::uint8_t* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

void store_16(std::uint8_t* to, __m128i block) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), block);
}

__m128i key_16(MaskKey key) {
  return _mm_set1_epi32(static_cast<int>(key_word(key)));
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
  return _mm256_set1_epi32(static_cast<int>(key_word(key)));
}

__attribute__((target("avx2"))) void mask_avx2(std::uint8_t* bytes, std::size_t size, MaskKey key) {
  if (size < 32) return mask_sse2(bytes, size, key);
  const __m256i block_key = key_32(key);
  std::uint8_t* last = bytes + size - 32;
  const __m256i last_block = _mm256_xor_si256(load_32(last), key_32(key.advanced(size)));
  for (; bytes < last; bytes += 32) store_32(bytes, _mm256_xor_si256(load_32(bytes), block_key));
  store_32(last, last_block);
}

#elif defined(__aarch64__)

uint8x16_t key_16(MaskKey key) {
  return vreinterpretq_u8_u32(vdupq_n_u32(key_word(key)));
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

MaskKey MaskKey::advanced(std::size_t count) const {
  const int bits = static_cast<int>(count % 4) * 8;
  // bytes[0] is the lowest byte of the word on a little-endian machine, the highest on the other.
  const std::uint32_t word = std::endian::native == std::endian::little
                                 ? std::rotr(key_word(*this), bits)
                                 : std::rotl(key_word(*this), bits);
  MaskKey rotated;
  std::memcpy(rotated.bytes, &word, sizeof(word));
  return rotated;
}

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

void apply_mask(std::span<std::uint8_t> payload, MaskKey key) {
  static const auto fastest = mask_kernels().front().apply;
  fastest(payload.data(), payload.size(), key);
}

}  // namespace ws::proto
