// Public. Messages (RFC 6455 section 5.6): what is received and what is sent.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace ws {

enum class MessageType : std::uint8_t { kText, kBinary };

// A view: it owns nothing. One that a handler gets is valid during that callback, and its text is
// valid UTF-8. One that is sent has to outlive the call only; text must be valid UTF-8 (5.6),
// which debug builds check.
struct Message {
  Message() = default;
  Message(MessageType message_type, std::span<const std::uint8_t> message_bytes)
      : type(message_type), bytes(message_bytes) {}
  // What is text to C++ is a text message: send("hello"), send(std::string).
  template <std::convertible_to<std::string_view> Text>
  Message(const Text& text) : Message(MessageType::kText, bytes_of(std::string_view(text))) {}
  // Bytes are a binary one: a span, array or vector of std::uint8_t or std::byte.
  template <class Binary>
  requires(!std::convertible_to<const Binary&, std::string_view> &&
           (std::convertible_to<const Binary&, std::span<const std::uint8_t>> ||
            std::convertible_to<const Binary&, std::span<const std::byte>>))
      Message(const Binary& binary)
      : Message(MessageType::kBinary, bytes_of(std::span(binary))) {}

  std::string_view text() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  MessageType type = MessageType::kBinary;
  std::span<const std::uint8_t> bytes;

 private:
  template <class Bytes>
  static std::span<const std::uint8_t> bytes_of(const Bytes& bytes) {
    return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
  }
};

// A piece of a message that is received as it comes (Handlers::on_chunk). Its text is part of valid
// UTF-8, yet a piece may end inside a character. valid: during the callback that got it.
struct Chunk {
  MessageType type = MessageType::kBinary;
  std::span<const std::uint8_t> bytes;  // may be empty
  bool first = false;                   // begins a message
  bool last = false;                    // ends it
};

struct SendOptions {
  // Whether the message may be compressed, if that was negotiated (ServerOptions::deflate).
  bool compress = true;
  // The most payload bytes of one frame; a longer message goes out in fragments (RFC 6455 5.4).
  // 0: one frame, whatever its length.
  std::size_t frame_bytes = 0;
};

}  // namespace ws
