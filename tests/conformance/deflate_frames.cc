#include "tests/conformance/deflate_frames.h"

#include "ws/deflate/deflate.h"
#include "ws/deflate/format.h"

namespace ws::test {

Script offers(std::string_view offer, std::string answer) {
  Request request;
  if (!offer.empty()) request.with("Sec-WebSocket-Extensions: " + std::string(offer));
  return Script().sends(request.str()).upgraded(std::move(answer));
}

std::string bytes_of(const DeflateBits& bits) {
  return {bits.bytes().begin(), bits.bytes().end()};
}

std::string deflated(std::string_view message) {
  static deflate::Deflater deflater;
  deflate::DeflateContext context(deflate::Level::kFast, 15, false);
  core::Buffer out;
  deflater.compress({reinterpret_cast<const std::uint8_t*>(message.data()), message.size()},
                    context, out);
  return {reinterpret_cast<const char*>(out.data()), out.size()};
}

std::string packed(Op opcode, std::string_view stream) {
  return frame({.opcode = opcode, .rsv = 4}, stream);
}
std::string packed_text(std::string_view stream) {
  return packed(kText, stream);
}
std::string packed_first(Op opcode, std::string_view stream) {
  return frame({.opcode = opcode, .fin = false, .rsv = 4}, stream);
}

std::string packed_fragments(Op opcode, std::string_view stream, std::size_t fragment_bytes) {
  std::string out = fragmented(opcode, stream, fragment_bytes);
  out[0] = static_cast<char>(out[0] | 0x40);
  return out;
}

DeflateBits& add_match(DeflateBits& bits, std::size_t distance) {
  unsigned symbol = deflate::kDistanceSymbols - 1;
  while (deflate::kDistances[symbol].base > distance) --symbol;
  const auto [base, extra_bits] = deflate::kDistances[symbol];
  return bits.fixed_litlen(deflate::kLengthSymbol0)
      .word(symbol, deflate::kFixedDistanceBits)
      .number(distance - base, extra_bits);
}

std::string match_at(std::size_t distance) {
  DeflateBits bits;
  bits.header(false, deflate::kFixed);
  return bytes_of(add_match(bits, distance).fixed_end().end_message());
}

std::string text_and_match(std::string_view content, std::size_t distance) {
  DeflateBits bits;
  bits.stored(false, content).header(false, deflate::kFixed);
  return bytes_of(add_match(bits, distance).fixed_end().end_message());
}

}  // namespace ws::test
