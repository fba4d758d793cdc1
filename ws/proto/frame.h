// Public. Frame headers (RFC 6455 section 5.2): decoding and encoding. Pure: no I/O, no
// allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "core/check.h"
#include "core/endian.h"
#include "ws/proto/error.h"
#include "ws/proto/mask.h"
#include "ws/proto/opcode.h"
#include "ws/proto/utf8.h"

namespace ws::proto {

inline constexpr std::size_t kFrameHeaderBytesMax = 14;  // 2 + 8 of length + 4 of masking key
inline constexpr std::size_t kControlPayloadBytesMax = 125;

// The two fixed bytes: FIN, RSV1-3 and the opcode; the mask bit and a length up to 125, or which
// longer form follows.
inline constexpr std::uint8_t kFinBit = 0x80;
inline constexpr std::uint8_t kRsvBits = 0x70;  // RSV1 (0x40) to RSV3 (0x10)
inline constexpr std::uint8_t kMaskBit = 0x80;
inline constexpr std::uint8_t kLength16 = 126;
inline constexpr std::uint8_t kLength64 = 127;

struct FrameHeader {
  std::uint64_t payload_bytes = 0;
  MaskKey mask_key;
  Opcode opcode = Opcode::kContinuation;
  bool fin = false;
  std::uint8_t rsv = 0;  // kRsvBits
};

struct HeaderStep {
  std::size_t bytes = 0;  // of the header when it is whole, else how many it needs at least
  bool whole = false;
  Error error = Error::kNone;
  FrameHeader header;
};

// Decodes one header from the front of `in`, judging each byte as soon as it is there.
// in: any split of the stream. receiver: who reads; a server demands the mask bit, a client forbids
// it (5.1). rsv_claimed: the bits that agreed extensions use on the first frame of a message; all
// others must be 0. errors: kReservedBits, kUnknownOpcode, kFragmentedControl, kControlTooLong,
// kUnmaskedFrame, kMaskedFrame, kNonMinimalLength, kLengthTopBit. thread: any. cost: no allocation.
HeaderStep decode_header(std::span<const std::uint8_t> in, Role receiver, std::uint8_t rsv_claimed);

// A message of one frame, unmasked.
struct WholeMessage {
  Opcode opcode;  // kText (valid UTF-8) or kBinary
  std::span<std::uint8_t> payload;
};

// Most frames are whole messages of less than 64 KiB, alone or in a row, and a server tells them by
// their first bytes. Takes one off the front of `in` if nothing about it is unusual, in less than
// half the time of the general way, which finds the same; else leaves `in` as it is.
// Inlined, so that a loop keeps it all in registers. thread: any. cost: no allocation.
[[gnu::always_inline]] inline std::optional<WholeMessage> take_whole_message(
    std::span<std::uint8_t>& in, std::uint64_t payload_bytes_max) {
  std::size_t header_bytes = 6;
  if (in.size() < header_bytes) return {};
  const auto opcode = static_cast<Opcode>(in[0] ^ kFinBit);
  std::size_t payload_bytes = std::size_t{in[1]} - kMaskBit;  // wraps when unmasked
  if (opcode != Opcode::kText && opcode != Opcode::kBinary) return {};
  if (payload_bytes >= kLength16) [[unlikely]] {
    header_bytes += 2;
    if (payload_bytes != kLength16 || in.size() < header_bytes) return {};
    payload_bytes = core::load_be<std::uint16_t>(&in[2]);
    if (payload_bytes < kLength16) return {};  // not minimal
  }
  if (payload_bytes > payload_bytes_max) return {};
  if (in.size() < header_bytes + payload_bytes) return {};

  const std::span<std::uint8_t> payload = in.subspan(header_bytes, payload_bytes);
  MaskKey key;
  std::memcpy(key.bytes, &in[header_bytes - sizeof key.bytes], sizeof key.bytes);
  if (opcode == Opcode::kBinary) {
    apply_mask(payload, key);
  } else if (!unmask_text(payload, key)) {
    mask_fastest(payload.data(), payload.size(), key);  // back, for the general way to refuse
    return {};
  }
  in = in.subspan(header_bytes + payload_bytes);
  return WholeMessage{opcode, payload};
}

// Bytes encode_header() writes for a payload of that length.
constexpr std::size_t encoded_header_bytes(std::uint64_t payload_bytes, Role sender) {
  const std::size_t length = payload_bytes < 126 ? 2 : payload_bytes < 65536 ? 4 : 10;
  return length + (sender == Role::kClient ? 4 : 0);
}

// Writes a header in its minimal form; a client's carries header.mask_key. Returns its size.
// out: at least kFrameHeaderBytesMax bytes.
inline std::size_t encode_header(std::uint8_t* out, const FrameHeader& header, Role sender) {
  WS_DCHECK(!is_control(header.opcode) || header.payload_bytes <= kControlPayloadBytesMax);
  out[0] = static_cast<std::uint8_t>((header.fin ? kFinBit : 0) | header.rsv |
                                     static_cast<unsigned>(header.opcode));
  const std::uint8_t mask_bit = sender == Role::kClient ? kMaskBit : 0;
  std::size_t size = 2;
  if (header.payload_bytes < 126) {
    out[1] = static_cast<std::uint8_t>(mask_bit | header.payload_bytes);
  } else if (header.payload_bytes < 65536) {
    out[1] = mask_bit | kLength16;
    core::store_be(out + 2, static_cast<std::uint16_t>(header.payload_bytes));
    size = 4;
  } else {
    out[1] = mask_bit | kLength64;
    core::store_be(out + 2, header.payload_bytes);
    size = 10;
  }
  if (sender == Role::kClient) {
    std::memcpy(out + size, header.mask_key.bytes, 4);
    size += 4;
  }
  return size;
}

}  // namespace ws::proto
