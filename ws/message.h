// Public. A received message.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace ws {

enum class MessageType : std::uint8_t { kText, kBinary };

// valid: during the callback that got it. Text is valid UTF-8.
struct Message {
  MessageType type = MessageType::kBinary;
  std::span<const std::uint8_t> bytes;

  std::string_view text() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
};

}  // namespace ws
