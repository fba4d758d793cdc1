#include "ws/proto/frame.h"

#include <cstring>

#include "core/endian.h"

namespace ws::proto {

using core::load_be;

namespace {

Error judge_first_byte(std::uint8_t byte, std::uint8_t rsv_claimed) {
  const auto opcode = static_cast<Opcode>(byte & 0x0f);
  // "MUST be 0 unless an extension is negotiated that defines meanings for non-zero values." Those
  // bits mark a message (RFC 7692 6), so they belong to its first frame: never to a control frame
  // or a continuation.
  const bool may_be_marked = !is_control(opcode) && opcode != Opcode::kContinuation;
  const std::uint8_t allowed = may_be_marked ? rsv_claimed : 0;
  if ((byte & kRsvBits & ~rsv_claimed) != 0) return Error::kReservedBits;
  if (!is_known(opcode)) return Error::kUnknownOpcode;
  if ((byte & kRsvBits & ~allowed) != 0) return Error::kReservedBits;
  // 5.5: "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be
  // fragmented."
  if (is_control(opcode) && (byte & kFinBit) == 0) return Error::kFragmentedControl;
  return Error::kNone;
}

Error judge_second_byte(std::uint8_t byte, Opcode opcode, Role receiver) {
  const bool masked = (byte & kMaskBit) != 0;
  // 5.1: "The server MUST close the connection upon receiving a frame that is not masked."
  if (receiver == Role::kServer && !masked) return Error::kUnmaskedFrame;
  // 5.1: "A client MUST close a connection if it detects a masked frame."
  if (receiver == Role::kClient && masked) return Error::kMaskedFrame;
  if (is_control(opcode) && (byte & 0x7f) > kControlPayloadBytesMax) return Error::kControlTooLong;
  return Error::kNone;
}

// "the minimal number of bytes MUST be used to encode the length".
Error judge_length(std::uint8_t short_length, std::uint64_t length) {
  if (short_length == kLength16 && length < 126) return Error::kNonMinimalLength;
  if (short_length == kLength64 && length < 65536) return Error::kNonMinimalLength;
  // "the most significant bit MUST be 0".
  if ((length >> 63) != 0) return Error::kLengthTopBit;
  return Error::kNone;
}

}  // namespace

HeaderStep decode_header(std::span<const std::uint8_t> in, Role receiver,
                         std::uint8_t rsv_claimed) {
  HeaderStep step;
  step.bytes = 2;
  if (in.empty()) return step;
  step.error = judge_first_byte(in[0], rsv_claimed);
  if (step.error != Error::kNone || in.size() < 2) return step;

  FrameHeader& header = step.header;
  header.opcode = static_cast<Opcode>(in[0] & 0x0f);
  header.fin = (in[0] & kFinBit) != 0;
  header.rsv = in[0] & kRsvBits;
  step.error = judge_second_byte(in[1], header.opcode, receiver);
  if (step.error != Error::kNone) return step;

  const std::uint8_t short_length = in[1] & 0x7f;
  const std::size_t length_bytes = short_length == kLength64   ? 8
                                   : short_length == kLength16 ? 2
                                                               : 0;
  const std::size_t key_bytes = receiver == Role::kServer ? 4 : 0;
  step.bytes = 2 + length_bytes + key_bytes;
  if (in.size() < 2 + length_bytes) return step;
  header.payload_bytes = length_bytes == 8   ? load_be<std::uint64_t>(&in[2])
                         : length_bytes == 2 ? load_be<std::uint16_t>(&in[2])
                                             : short_length;
  step.error = judge_length(short_length, header.payload_bytes);
  if (step.error != Error::kNone || in.size() < step.bytes) return step;

  if (key_bytes != 0) std::memcpy(header.mask_key.bytes, &in[2 + length_bytes], key_bytes);
  step.whole = true;
  return step;
}

}  // namespace ws::proto
