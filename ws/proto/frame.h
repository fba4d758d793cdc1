// Internal. Frame headers (RFC 6455 section 5.2): decoding and encoding. Pure: no I/O, no
// allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ws/proto/error.h"
#include "ws/proto/mask.h"
#include "ws/proto/opcode.h"

namespace ws::proto {

inline constexpr std::size_t kFrameHeaderBytesMax = 14;  // 2 + 8 of length + 4 of masking key
inline constexpr std::size_t kControlPayloadBytesMax = 125;

struct FrameHeader {
  std::uint64_t payload_bytes = 0;
  MaskKey mask_key;
  Opcode opcode = Opcode::kContinuation;
  bool fin = false;
  bool rsv1 = false;
};

struct HeaderStep {
  std::size_t bytes = 0;  // of the header when it is whole, else how many it needs at least
  bool whole = false;
  Error error = Error::kNone;
  FrameHeader header;
};

// Decodes one header from the front of `in`, judging each byte as soon as it is there.
// in: any split of the stream. receiver: who reads; a server demands the mask bit, a client forbids
// it (5.1). rsv1_claimed: an extension uses RSV1 on the first frame of a message; otherwise it must
// be 0. errors: kReservedBits, kUnknownOpcode, kFragmentedControl, kControlTooLong, kUnmaskedFrame,
// kMaskedFrame, kNonMinimalLength, kLengthTopBit. thread: any. cost: no allocation.
HeaderStep decode_header(std::span<const std::uint8_t> in, Role receiver, bool rsv1_claimed);

// Bytes encode_header() writes for a payload of that length.
constexpr std::size_t encoded_header_bytes(std::uint64_t payload_bytes, Role sender) {
  const std::size_t length = payload_bytes < 126 ? 2 : payload_bytes < 65536 ? 4 : 10;
  return length + (sender == Role::kClient ? 4 : 0);
}

// Writes a header in its minimal form; a client's carries header.mask_key. Returns its size.
// out: at least kFrameHeaderBytesMax bytes.
std::size_t encode_header(std::uint8_t* out, const FrameHeader& header, Role sender);

}  // namespace ws::proto
