#include "ws/proto/encoder.h"

#include <algorithm>
#include <cstring>

#include "core/check.h"
#include "core/endian.h"
#include "tls/crypto.h"

namespace ws::proto {

MaskKey MaskKeys::next() {
  if (used_ == random_.size()) {
    tls::random_bytes(random_);
    used_ = 0;
  }
  MaskKey key;
  std::memcpy(key.bytes, &random_[used_], sizeof key.bytes);
  used_ += sizeof key.bytes;
  return key;
}

void encode_message(core::Buffer& out, Sender sender, Opcode opcode, std::uint8_t rsv,
                    core::ConstBytes payload, std::size_t frame_bytes) {
  WS_DCHECK(!is_control(opcode));
  if (frame_bytes == 0) frame_bytes = payload.size();
  FrameMarks marks{.opcode = opcode, .fin = false, .rsv = rsv};
  while (payload.size() > frame_bytes) {
    encode_frame(out, sender, marks, payload.first(frame_bytes));
    payload = payload.subspan(frame_bytes);
    marks = {.opcode = Opcode::kContinuation, .fin = false, .rsv = 0};
  }
  marks.fin = true;
  encode_frame(out, sender, marks, payload);
}

void encode_close(core::Buffer& out, Sender sender, CloseCode code, std::string_view reason) {
  if (code == CloseCode::kNoStatus) return encode_frame(out, sender, Opcode::kClose, {});
  std::array<std::uint8_t, kControlPayloadBytesMax> body;
  std::size_t reason_bytes = std::min(reason.size(), body.size() - 2);
  // A continuation byte at the cut means that a character would be torn apart.
  while (reason_bytes < reason.size() && reason_bytes > 0 &&
         (reason[reason_bytes] & 0xc0) == 0x80) {
    --reason_bytes;
  }
  WS_CHECK(2 + reason_bytes <= body.size());
  core::store_be(body.data(), static_cast<std::uint16_t>(code));
  std::copy_n(reason.begin(), reason_bytes, body.begin() + 2);
  encode_frame(out, sender, Opcode::kClose, {body.data(), 2 + reason_bytes});
}

}  // namespace ws::proto
