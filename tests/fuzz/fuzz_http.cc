// libFuzzer target: one HTTP head, as a request and as a response, whole and in pieces.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/check.h"
#include "ws/proto/http.h"
#include "ws/proto/http_parser.h"

namespace {

using namespace ws::proto;
using Bytes = std::span<const std::uint8_t>;

// All that one parse says, as text.
struct Outcome {
  HeadState state = HeadState::kMore;
  std::size_t consumed = 0;
  std::string text;
};

std::string fault_of(const RequestParser::Step& step) {
  return std::to_string(step.status);
}
std::string fault_of(const ResponseParser::Step& step) {
  return std::string(step.reason);
}
std::string first_line(const RequestHead& head) {
  return std::string(head.method) + " " + std::string(head.target);
}
std::string first_line(const ResponseHead& head) {
  return std::to_string(head.status) + (head.http_1_1 ? " 1.1" : " 1.0");
}

// In pieces of piece_bytes, from a copy of each: a byte too far is seen by the address sanitizer.
template <class Parser>
Outcome parse(Bytes in, const typename Parser::Config& config, std::size_t piece_bytes) {
  Parser parser(config);
  Outcome outcome;
  while (!in.empty() && outcome.state == HeadState::kMore) {
    const Bytes next = in.first(std::min(piece_bytes, in.size()));
    const std::vector<std::uint8_t> piece(next.begin(), next.end());
    const typename Parser::Step step = parser.feed(piece);
    WS_CHECK(step.consumed <= piece.size());
    WS_CHECK(step.state != HeadState::kMore || step.consumed == piece.size());
    outcome.state = step.state;
    outcome.consumed += step.consumed;
    outcome.text = fault_of(step);
    in = in.subspan(next.size());
  }
  if (outcome.state == HeadState::kRefused) outcome.consumed = 0;
  if (outcome.state != HeadState::kComplete) return outcome;
  WS_CHECK(outcome.consumed <= config.head_bytes_max);
  WS_CHECK(parser.head().headers.size() <= config.headers_max);
  outcome.text += first_line(parser.head());
  for (const ws::Header& header : parser.head().headers) {
    WS_CHECK(is_token(header.name));
    WS_CHECK(trim_blanks(header.value) == header.value);
    WS_CHECK(header.value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos);
    outcome.text.append("\n").append(header.name).append(":").append(header.value);
    for (const std::string_view element : list_elements(parser.head(), header.name)) {
      if (const auto extension = parse_extension(element)) WS_CHECK(is_token(extension->name));
    }
  }
  return outcome;
}

template <class Parser>
void check_splits(Bytes in, const typename Parser::Config& config, std::size_t piece_bytes) {
  const Outcome whole = parse<Parser>(in, config, in.size());
  for (const std::size_t bytes : {std::size_t{1}, piece_bytes}) {
    const Outcome split = parse<Parser>(in, config, bytes);
    WS_CHECK(split.state == whole.state);
    WS_CHECK(split.consumed == whole.consumed);
    WS_CHECK(split.text == whole.text);
  }
}

}  // namespace

// The first two bytes: the limits, and the length of the pieces.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t head_bytes_max = 16 * (1 + data[0] % 32);
  const std::size_t headers_max = 1 + data[0] / 32;
  const std::size_t piece_bytes = 1 + data[1] % 64;
  const Bytes in(data + 2, size - 2);
  check_splits<RequestParser>(in,
                              {.head_bytes_max = head_bytes_max,
                               .target_bytes_max = std::size_t{1} + data[1] / 2,
                               .headers_max = headers_max},
                              piece_bytes);
  check_splits<ResponseParser>(in, {.head_bytes_max = head_bytes_max, .headers_max = headers_max},
                               piece_bytes);
  return 0;
}
