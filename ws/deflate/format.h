// Internal. The numbers of RFC 1951 that the decoder and the encoder share.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace ws::deflate {

// RFC 7692 s7.1.2: a window of 2^8 to 2^15 bytes.
inline constexpr unsigned kWindowBitsMin = 8;
inline constexpr unsigned kWindowBitsMax = 15;

// RFC 1951 s3.2.3: the two bits of BTYPE. 3 is an error.
enum BlockType : unsigned { kStored = 0, kFixed = 1, kDynamic = 2 };

inline constexpr unsigned kMatchBytesMin = 3;
inline constexpr unsigned kMatchBytesMax = 258;
inline constexpr std::size_t kStoredBytesMax = 65535;  // LEN is 16 bits

inline constexpr unsigned kEndOfBlock = 256;
inline constexpr unsigned kLengthSymbol0 = 257;

// Symbols that may be sent, and those that merely take part in the fixed code (s3.2.6:
// "Literal/length values 286-287 will never actually occur", "distance codes 30-31 will never
// actually occur").
inline constexpr unsigned kLitlenSymbols = 286;
inline constexpr unsigned kLitlenSymbolsFixed = 288;
inline constexpr unsigned kDistanceSymbols = 30;
inline constexpr unsigned kDistanceSymbolsFixed = 32;
inline constexpr unsigned kPrecodeSymbols = 19;

// Arrays with an element for each symbol are this long: whole words for for_each_nonzero().
inline constexpr unsigned kLitlenSlots = 288;
inline constexpr unsigned kDistanceSlots = 32;
inline constexpr unsigned kPrecodeSlots = 24;

inline constexpr unsigned kCodeBitsMax = 15;
inline constexpr unsigned kPrecodeBitsMax = 7;

// s3.2.5, from length symbol 257 and distance symbol 0 on.
struct Range {
  std::uint16_t base;
  std::uint8_t extra_bits;
};
inline constexpr std::array<Range, 29> kLengths = {{
    {3, 0},  {4, 0},  {5, 0},  {6, 0},   {7, 0},   {8, 0},   {9, 0},   {10, 0},  {11, 1},  {13, 1},
    {15, 1}, {17, 1}, {19, 2}, {23, 2},  {27, 2},  {31, 2},  {35, 3},  {43, 3},  {51, 3},  {59, 3},
    {67, 4}, {83, 4}, {99, 4}, {115, 4}, {131, 5}, {163, 5}, {195, 5}, {227, 5}, {258, 0},
}};
inline constexpr std::array<Range, kDistanceSymbols> kDistances = {{
    {1, 0},     {2, 0},     {3, 0},     {4, 0},      {5, 1},      {7, 1},
    {9, 2},     {13, 2},    {17, 3},    {25, 3},     {33, 4},     {49, 4},
    {65, 5},    {97, 5},    {129, 6},   {193, 6},    {257, 7},    {385, 7},
    {513, 8},   {769, 8},   {1025, 9},  {1537, 9},   {2049, 10},  {3073, 10},
    {4097, 11}, {6145, 11}, {8193, 12}, {12289, 12}, {16385, 13}, {24577, 13},
}};

// s3.2.7: the order in which the lengths of the precode are sent.
inline constexpr std::array<std::uint8_t, kPrecodeSymbols> kPrecodeOrder = {
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};

// s3.2.6: the lengths of the fixed literal/length code; every fixed distance code has 5 bits.
constexpr std::uint8_t fixed_litlen_bits(unsigned symbol) {
  if (symbol <= 143) return 8;
  if (symbol <= 255) return 9;
  return symbol <= 279 ? 7 : 8;
}
inline constexpr std::uint8_t kFixedDistanceBits = 5;

// s3.1.1: "Data elements are packed into bytes in order of increasing bit number within the byte,
// i.e., starting with the least-significant bit of the byte": what comes first is lowest.
inline std::uint32_t load_le32(const std::uint8_t* from) {
  std::uint32_t value;
  std::memcpy(&value, from, sizeof value);
  if constexpr (std::endian::native == std::endian::big) value = __builtin_bswap32(value);
  return value;
}
inline std::uint64_t load_le64(const std::uint8_t* from) {
  std::uint64_t value;
  std::memcpy(&value, from, sizeof value);
  if constexpr (std::endian::native == std::endian::big) value = __builtin_bswap64(value);
  return value;
}
inline void store_le64(std::uint8_t* to, std::uint64_t value) {
  if constexpr (std::endian::native == std::endian::big) value = __builtin_bswap64(value);
  std::memcpy(to, &value, sizeof value);
}

// Calls visit(i) for each element that is not 0, in order. Most symbols of a small message do not
// occur, so elements are tested in words of 8 bytes, and each visit costs no branch that cannot be
// foreseen. `slots`, the size of `array`, must be whole words.
template <std::size_t slots, class T, class Visit>
inline void for_each_nonzero(const T* array, Visit visit) {
  static_assert(sizeof(T) <= 2);
  constexpr std::size_t kLanes = 8 / sizeof(T);
  static_assert(slots % kLanes == 0);
  constexpr std::uint64_t kTop = sizeof(T) == 1 ? 0x8080808080808080u : 0x8000800080008000u;
  // Moves the top bits of all lanes, shifted down to the lowest bit of their lane, to the top of
  // the word, next to each other: lane i by 64 - lanes + i - 8 * sizeof(T) * i bits.
  constexpr std::uint64_t kGather = sizeof(T) == 1 ? 0x0102040810204080u : 0x1000200040008000u;
  for (std::size_t begin = 0; begin < slots; begin += 64) {
    std::uint64_t used = 0;
    const std::size_t end = begin + 64 < slots ? begin + 64 : slots;
    for (std::size_t at = begin; at < end; at += kLanes) {
      std::uint64_t word = 0;
      if constexpr (std::endian::native == std::endian::little) {
        std::memcpy(&word, array + at, sizeof word);
      } else {
        for (std::size_t i = 0; i < kLanes; ++i)
          word |= std::uint64_t{array[at + i]} << (8 * sizeof(T) * i);
      }
      word = (((word & ~kTop) + ~kTop) | word) & kTop;
      used |= (word >> (8 * sizeof(T) - 1)) * kGather >> (64 - kLanes) << (at - begin);
    }
    for (; used != 0; used &= used - 1)
      visit(begin + static_cast<std::size_t>(std::countr_zero(used)));
  }
}

}  // namespace ws::deflate
