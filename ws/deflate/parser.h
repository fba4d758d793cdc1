// Internal. Finds the matches of a message: LZ77, one block of a message at a time. Pure.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ws/deflate/block_writer.h"
#include "ws/deflate/window.h"

namespace ws::deflate {

// A message and what came before it.
struct Stream {
  const std::uint8_t* begin;
  const std::uint8_t* end;
  const Window* window;    // of earlier messages, empty without context takeover
  std::uint16_t position;  // of `begin` in the stream of all messages, modulo 2^16
};

// Where earlier bytes may lie: positions in the stream, modulo 2^16. They may be stale, or 0 where
// there never was one. That is harmless: at a distance that is too large they are ignored, else
// the bytes found there are compared before they are used.
struct Index {
  std::uint16_t* heads;  // the newest position, by the hash of the 4 bytes there
  unsigned head_bits;
  // For parse_better() alone:
  std::uint16_t* chain;   // the next older position of equal hash, by position modulo the window
  std::uint16_t* shorts;  // the newest position in this message, by the hash of the 3 bytes there
  unsigned short_bits;
};

// Fill `block`, which is clear, with the symbols for the bytes from `at` on, as many as make a
// block, and return where they end.
// fast: takes the newest match, if any.  cost: one look-up per byte.
const std::uint8_t* parse_fast(const Stream& stream, const Index& index, const std::uint8_t* at,
                               Block& block);
// better: weighs up to 24 matches, and whether a match is better begun one or two bytes later.
const std::uint8_t* parse_better(const Stream& stream, const Index& index, const std::uint8_t* at,
                                 Block& block);

}  // namespace ws::deflate
