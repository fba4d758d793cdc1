// Public. Frames on their way out (RFC 6455 sections 5.1-5.5).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "core/buffer.h"
#include "core/check.h"
#include "core/copy.h"
#include "core/limits.h"
#include "ws/proto/close_code.h"
#include "ws/proto/frame.h"

namespace ws::proto {

// "The masking key needs to be unpredictable" (5.3): random bytes from OpenSSL, drawn 256 at a
// time. thread: one. cost: one call into the generator per 64 frames.
class MaskKeys {
 public:
  MaskKey next();

 private:
  std::array<std::uint8_t, 256> random_;
  std::size_t used_ = sizeof random_;
};

// Who sends. A client needs `keys`; a server has none.
struct Sender {
  Role role = Role::kServer;
  MaskKeys* keys = nullptr;
};

// What a data frame says besides its payload.
struct FrameMarks {
  Opcode opcode = Opcode::kBinary;
  bool fin = true;
  std::uint8_t rsv = 0;  // of the extensions that transformed the message
};

// Whether a message in frames of so many payload bytes, 0 for one, is more than may be sent.
inline bool is_too_large(std::size_t payload_bytes, std::size_t frame_bytes) {
  const std::uint64_t more_frames = frame_bytes == 0 ? 0 : payload_bytes / frame_bytes;
  return payload_bytes + more_frames * kFrameHeaderBytesMax > kMessageBytesMost;
}

// Appends one frame. payload: may not lie in `out`.
[[gnu::always_inline]] inline void encode_frame(core::Buffer& out, Sender sender, FrameMarks marks,
                                                core::ConstBytes payload) {
  WS_DCHECK(sender.role == Role::kServer || sender.keys != nullptr);
  FrameHeader header{.payload_bytes = payload.size(),
                     .mask_key = {},
                     .opcode = marks.opcode,
                     .fin = marks.fin,
                     .rsv = marks.rsv};
  if (sender.role == Role::kClient) header.mask_key = sender.keys->next();
  const core::Bytes room = out.prepare(kFrameHeaderBytesMax + payload.size());
  const std::size_t header_bytes = encode_header(room.data(), header, sender.role);
  WS_DCHECK(header_bytes == encoded_header_bytes(payload.size(), sender.role));
  const core::Bytes copy = room.subspan(header_bytes, payload.size());
  if (!payload.empty()) core::copy_short(copy.data(), payload.data(), payload.size());
  if (sender.role == Role::kClient) apply_mask(copy, header.mask_key);
  out.commit(header_bytes + payload.size());
}

[[gnu::always_inline]] inline void encode_frame(core::Buffer& out, Sender sender, Opcode opcode,
                                                core::ConstBytes payload) {
  encode_frame(out, sender, FrameMarks{.opcode = opcode}, payload);
}

// The header of a message that a server sends as one frame.
class ServerHeader {
 public:
  ServerHeader(Opcode opcode, std::uint8_t rsv, std::size_t payload_bytes)
      : size_(encode_header(bytes_.data(),
                            {.payload_bytes = payload_bytes,
                             .mask_key = {},
                             .opcode = opcode,
                             .fin = true,
                             .rsv = rsv},
                            Role::kServer)) {}
  core::ConstBytes bytes() const { return core::ConstBytes(bytes_).first(size_); }

 private:
  std::array<std::uint8_t, kFrameHeaderBytesMax> bytes_;
  std::size_t size_;
};

// Appends a data message: one frame, or fragments of at most frame_bytes each (0: no limit). 5.4.
// rsv: on the first frame only.
void encode_message(core::Buffer& out, Sender sender, Opcode opcode, std::uint8_t rsv,
                    core::ConstBytes payload, std::size_t frame_bytes);

// Appends a Close frame; kNoStatus makes an empty one. reason: UTF-8, cut to the 123 bytes that
// fit, at a character's edge.
void encode_close(core::Buffer& out, Sender sender, CloseCode code, std::string_view reason);

}  // namespace ws::proto
