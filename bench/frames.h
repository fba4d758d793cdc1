// Internal. Frames as a client writes and reads them (RFC 6455 s5.2). Apart from the engine's own
// codec, so that an error there cannot hide behind itself.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace ws::bench {

inline constexpr std::uint8_t kFin = 0x80, kRsv1 = 0x40, kRsvBits = 0x70, kOpcodeBits = 0x0F;
inline constexpr std::uint8_t kMaskBit = 0x80, kLengthBits = 0x7F, kControlBit = 0x08;
inline constexpr std::uint8_t kContinuation = 0x0, kText = 0x1, kBinary = 0x2;
inline constexpr std::uint8_t kClose = 0x8, kPing = 0x9, kPong = 0xA;
inline constexpr std::size_t kFrameHeaderBytesMax = 14;        // 2 + 8 length + 4 mask key
inline constexpr std::size_t kServerFrameHeaderBytesMax = 10;  // no mask key
inline constexpr std::uint64_t kControlPayloadBytesMax = 125;

// A fixed key is fine for measuring: the server has to unmask all the same.
inline constexpr std::array<std::uint8_t, 4> kMaskKey = {0x37, 0xFA, 0x21, 0x3D};

// first: the opcode, and RSV bits if any; FIN is added.
inline void append_header(std::vector<std::uint8_t>& out, std::uint8_t first, std::uint64_t bytes,
                          std::uint8_t mask_bit) {
  out.push_back(kFin | first);
  // s5.2: 0-125 stand for themselves, 126 announces 16 bits, 127 announces 64 bits.
  int length_bytes = 0;
  if (bytes <= 125) {
    out.push_back(static_cast<std::uint8_t>(mask_bit | bytes));
  } else if (bytes <= 0xFFFF) {
    out.push_back(mask_bit | 126);
    length_bytes = 2;
  } else {
    out.push_back(mask_bit | 127);
    length_bytes = 8;
  }
  for (int i = length_bytes - 1; i >= 0; --i) {
    out.push_back(static_cast<std::uint8_t>(bytes >> (8 * i)));
  }
}

inline std::vector<std::uint8_t> client_frame(std::uint8_t first,
                                              std::span<const std::uint8_t> payload) {
  std::vector<std::uint8_t> out;
  append_header(out, first, payload.size(), kMaskBit);
  out.insert(out.end(), kMaskKey.begin(), kMaskKey.end());
  for (std::size_t i = 0; i < payload.size(); ++i) {
    out.push_back(payload[i] ^ kMaskKey[i % kMaskKey.size()]);
  }
  return out;
}

}  // namespace ws::bench
