// Internal. What holds for every message that a program gives us.
#pragma once

#include "core/check.h"
#include "ws/message.h"
#include "ws/proto/opcode.h"
#include "ws/proto/utf8.h"

namespace ws {

inline proto::Opcode opcode_of(MessageType type) {
  return type == MessageType::kText ? proto::Opcode::kText : proto::Opcode::kBinary;
}

// 5.6: "Note that a particular text frame might include a partial UTF-8 sequence; however, the
// whole message MUST contain valid UTF-8."
inline void check_text([[maybe_unused]] const Message& message) {
#ifndef NDEBUG
  if (message.type == MessageType::kText && !proto::valid_utf8(message.bytes)) {
    WS_MISUSE("a text message is not UTF-8; send bytes as a binary one");
  }
#endif
}

}  // namespace ws
