// Internal. The ways of validating UTF-8 this machine offers, for Utf8Validator and for the tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ws/proto/mask.h"

namespace ws::proto {

inline constexpr std::size_t kUnmaskBytesMin = 16;

struct Utf8Kernel {
  const char* name;
  std::size_t block_bytes;
  // How many of the `count` blocks from `first` on are good: up to the first block with a byte that
  // is impossible after the bytes before it. Reads the 3 bytes before `first` too: no character is
  // longer than 4 bytes, so nothing earlier matters.
  std::size_t (*good_blocks)(const std::uint8_t* first, std::size_t count);
  // Unmasks a whole text and judges it, in one pass; null: not on this machine.
  // in: kUnmaskBytesMin at least.
  bool (*unmask)(std::uint8_t* text, std::size_t size, MaskKey key) = nullptr;
};

// Fastest first. The last is the scalar one, which runs everywhere: its blocks are longer than any
// text, so that all of it is left to the byte-by-byte automaton.
std::vector<Utf8Kernel> utf8_kernels();

// What Utf8Validator::feed and the functions of utf8.h do, with a kernel of the caller's choice.
// `state` starts as 0 and is 0 between two characters.
[[nodiscard]] bool feed_utf8(const Utf8Kernel& kernel, std::span<const std::uint8_t> piece,
                             std::uint32_t& state);
[[nodiscard]] bool valid_utf8(const Utf8Kernel& kernel, std::span<const std::uint8_t> text);
[[nodiscard]] bool unmask_text(const Utf8Kernel& kernel, std::span<std::uint8_t> text, MaskKey key);

}  // namespace ws::proto
