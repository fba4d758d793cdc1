// Internal. Compressed messages as a client sends them (RFC 7692 section 7.2).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "tests/conformance/conformance.h"
#include "tests/support/deflate_bits.h"

namespace ws::test {

inline constexpr char kOffer[] = "permessage-deflate";

// A good upgrade with this offer, "" for none, and the answer that must come: "" for none.
Script offers(std::string_view offer, std::string answer);

std::string bytes_of(const DeflateBits& bits);
// A message compressed for itself, without the 00 00 FF FF at its end.
std::string deflated(std::string_view message);
// Behind another DEFLATE stream and before the next one (section 7.2.1 cuts these off at the end).
inline constexpr std::string_view kTail{"\x00\x00\xff\xff", 4};

// The frames of a compressed message; RSV1 is on the first one.
std::string packed(Op opcode, std::string_view stream);
std::string packed_text(std::string_view stream);
std::string packed_first(Op opcode, std::string_view stream);
std::string packed_fragments(Op opcode, std::string_view stream, std::size_t fragment_bytes);

// Matches of 3 bytes at any distance in a block with the fixed code (RFC 1951 section 3.2.5).
DeflateBits& add_match(DeflateBits& bits, std::size_t distance);
// A message of one match of 3 bytes, to refer to what an earlier message left.
std::string match_at(std::size_t distance);
// A message that is stored text and then 3 bytes of it again.
std::string text_and_match(std::string_view content, std::size_t distance);

// RFC 7692 section 7.2.3: "Hello" once more, where the one before is still in the window.
inline constexpr std::string_view kHelloStream{"\xf2\x48\xcd\xc9\xc9\x07\x00", 7};
inline constexpr std::string_view kHelloAgainStream{"\xf2\x00\x11\x00\x00", 5};

}  // namespace ws::test
