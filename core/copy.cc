#include "core/copy.h"

#include <cstring>

#include "core/cpu.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace ws::core {

#if defined(__SSE2__)
namespace {

// Up to here memcpy() is as fast.
constexpr std::size_t kSmallBytes = 1024;

constexpr std::size_t kBlockBytes = 128;

__attribute__((target("avx2"))) inline void copy_block(std::uint8_t* to, const std::uint8_t* from) {
  const auto* const source = reinterpret_cast<const __m256i*>(from);
  auto* const target = reinterpret_cast<__m256i*>(to);
  const __m256i first = _mm256_loadu_si256(source);
  const __m256i second = _mm256_loadu_si256(source + 1);
  const __m256i third = _mm256_loadu_si256(source + 2);
  const __m256i fourth = _mm256_loadu_si256(source + 3);
  _mm256_storeu_si256(target, first);
  _mm256_storeu_si256(target + 1, second);
  _mm256_storeu_si256(target + 2, third);
  _mm256_storeu_si256(target + 3, fourth);
}

// count: at least a block. Stores that straddle two cache lines take twice as long, so only the
// first and the last block, which overlap the blocks between them, are not aligned.
__attribute__((target("avx2"))) void copy_avx2(std::uint8_t* to, const std::uint8_t* from,
                                               std::size_t count) {
  copy_block(to, from);
  const std::size_t last = count - kBlockBytes;
  for (std::size_t at = -reinterpret_cast<std::uintptr_t>(to) % 32; at < last; at += kBlockBytes) {
    copy_block(to + at, from + at);
  }
  copy_block(to + last, from + last);
}

}  // namespace
#endif

void copy_large(std::uint8_t* to, const std::uint8_t* from, std::size_t count) {
#if defined(__SSE2__)
  if (count > kSmallBytes) {
    static const bool avx2 = cpu_features().avx2;
    if (avx2) return copy_avx2(to, from, count);
  }
#endif
  std::memcpy(to, from, count);
}

}  // namespace ws::core
