// Internal. SHA-1, base64 and random bytes: thin calls into OpenSSL.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace ws::tls {

std::array<std::uint8_t, 20> sha1(std::string_view data);
std::string base64_encode(std::span<const std::uint8_t> bytes);

// Strict RFC 4648 section 4: whole groups of four, canonical padding (unused bits zero), no white
// space.
std::optional<std::string> base64_decode(std::string_view text);

// From OpenSSL's generator; aborts when it cannot deliver, as unmasked or guessable bytes would be
// worse.
void random_bytes(std::span<std::uint8_t> out);

// OpenSSL ends with an atexit(3) function, which its first use registers. Whose destructor has
// threads that may still use it, in an object with static storage, calls this in its constructor:
// then the object ends first.
void begin();

// The OpenSSL in use, for --version: "OpenSSL 3.0.19 27 Jan 2026".
std::string library_version();

// Whether that OpenSSL allocates what a handshake message announces before it arrives, as upstream
// did before 3.0.21 (distributions may have mended it under an older number).
bool allocates_by_announcement();

}  // namespace ws::tls
