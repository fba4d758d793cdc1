// Internal. What each byte of an HTTP head may be part of (RFC 9110 sections 5.5 and 5.6.2).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace ws::proto {

// Classes of bytes, to be combined with |.
inline constexpr std::uint8_t kTokenByte = 1;    // tchar
inline constexpr std::uint8_t kVisibleByte = 2;  // VCHAR, 0x21-0x7E: the bytes of a target
inline constexpr std::uint8_t kTextByte = 4;     // VCHAR and obs-text 0x80-0xFF: those of a value
inline constexpr std::uint8_t kBlankByte = 8;    // SP and HTAB

inline constexpr std::array<std::uint8_t, 256> kByteClasses = [] {
  std::array<std::uint8_t, 256> classes{};
  for (unsigned byte = 0x21; byte <= 0x7E; ++byte) classes[byte] = kVisibleByte | kTextByte;
  for (unsigned byte = 0x80; byte <= 0xFF; ++byte) classes[byte] = kTextByte;
  for (unsigned byte = '0'; byte <= '9'; ++byte) classes[byte] |= kTokenByte;
  for (unsigned byte = 'A'; byte <= 'Z'; ++byte) classes[byte] |= kTokenByte;
  for (unsigned byte = 'a'; byte <= 'z'; ++byte) classes[byte] |= kTokenByte;
  for (char byte : std::string_view("!#$%&'*+-.^_`|~")) {
    classes[static_cast<std::uint8_t>(byte)] |= kTokenByte;
  }
  classes[' '] = kBlankByte;
  classes['\t'] = kBlankByte;
  return classes;
}();

inline bool is_byte_of(std::uint8_t classes, std::uint8_t byte) {
  return (kByteClasses[byte] & classes) != 0;
}
inline bool all_bytes_of(std::uint8_t classes, std::string_view text) {
  for (const char c : text) {
    if (!is_byte_of(classes, static_cast<std::uint8_t>(c))) return false;
  }
  return true;
}

}  // namespace ws::proto
