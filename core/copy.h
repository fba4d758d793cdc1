// Public. Copies of some bytes, and of some KiB, faster than memcpy().
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace ws::core {

// memcpy(), for counts that are often large. The C library turns to `rep movsb` from some KiB on,
// which has been seen (glibc 2.36, Zen 3) to copy 16 KiB in 440 ns where this takes 360; and in
// 5.5 us, 15 times as long, where `to` lies 1 to 63 bytes beyond `from` modulo 4 KiB, except at 32.
// in: no overlap. thread: any. cost: no allocation.
void copy_large(std::uint8_t* to, const std::uint8_t* from, std::size_t count);

using ShortBlock = std::uint32_t __attribute__((vector_size(16)));
// Up to so many bytes the calls to a faster copy, or kernel, take longer than they save.
inline constexpr std::size_t kShortBytes = 128;

// Copies `count` bytes in blocks of 16, changed on their way: front() gets those that lie a
// multiple of 16 bytes behind the start, back() those that end a multiple of 16 before the end and
// overlap them. Up to four blocks without a loop, whose turns cost more than the work in them. in:
// count >= 16; to == from, or no overlap.
template <class Front, class Back>
[[gnu::always_inline]] inline void copy_short_blocks(std::uint8_t* to, const std::uint8_t* from,
                                                     std::size_t count, Front front, Back back) {
  constexpr std::size_t kBlock = sizeof(ShortBlock);
  const auto load = [from](std::size_t at) {
    ShortBlock block;
    std::memcpy(&block, from + at, kBlock);
    return block;
  };
  const auto store = [to](std::size_t at, ShortBlock block) {
    std::memcpy(to + at, &block, kBlock);
  };
  const ShortBlock last = back(load(count - kBlock));
  if (count <= 4 * kBlock) {
    const ShortBlock first = front(load(0));
    if (count > 2 * kBlock) {
      const ShortBlock second = front(load(kBlock));
      store(count - 2 * kBlock, back(load(count - 2 * kBlock)));
      store(kBlock, second);
    }
    store(0, first);
  } else {
    for (std::size_t at = 0; at < count - kBlock; at += kBlock) store(at, front(load(at)));
  }
  store(count - kBlock, last);
}

// memcpy(), for what was often written just before in the same blocks, as by mask_short(): a
// processor hands a block from a store to a later load only if one store wrote all that is loaded,
// and else waits until it has reached the cache. memcpy() loads 32 bytes at a time, and waits for
// each.
inline void copy_short(std::uint8_t* to, const std::uint8_t* from, std::size_t count) {
  if (count < sizeof(ShortBlock) || count > kShortBytes) return copy_large(to, from, count);
  const auto same = [](ShortBlock block) { return block; };
  copy_short_blocks(to, from, count, same, same);
}

}  // namespace ws::core
