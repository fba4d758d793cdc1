// Internal. HTTP heads, and parsers fed with them in every kind of split.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <string_view>

#include "tests/support/guard_page.h"
#include "ws/proto/http_parser.h"

namespace ws::test {

// Feeds `text` in pieces of the lengths that next_length() gives, each flush against a guard page,
// until the parser wants no more. The last step, its `consumed` counted over all pieces.
template <class Parser, class NextLength>
typename Parser::Step feed_in_pieces(Parser& parser, std::string_view text,
                                     NextLength next_length) {
  using State = proto::HeadState;
  const GuardedCopy guarded(text);
  typename Parser::Step step;
  std::size_t at = 0;
  while (at < text.size() && step.state == State::kMore) {
    const std::size_t length = std::min<std::size_t>(next_length(), text.size() - at);
    const std::span<std::uint8_t> piece = guarded.span().last(length);
    std::copy_n(text.begin() + static_cast<std::ptrdiff_t>(at), length, piece.begin());
    step = parser.feed(piece);
    if (step.state == State::kMore) {
      EXPECT_EQ(step.consumed, length);
    }
    if (step.state != State::kRefused) step.consumed += at;
    at += length;
  }
  return step;
}

// parse_once(next_length): whole, byte by byte and at random splits; the outcome has to be the
// same.
template <class ParseOnce>
auto parse_every_way(std::string_view text, ParseOnce parse_once) {
  const auto whole = parse_once([&] { return std::max<std::size_t>(text.size(), 1); });
  EXPECT_EQ(parse_once([] { return std::size_t{1}; }), whole) << text;
  std::mt19937 random(20260814);
  std::uniform_int_distribution<std::size_t> length(1, 1 + text.size() / 3);
  for (int round = 0; round < 8; ++round) {
    EXPECT_EQ(parse_once([&] { return length(random); }), whole) << text;
  }
  return whole;
}

// A request with one header line in the middle.
inline std::string request_with(std::string_view line) {
  return "GET / HTTP/1.1\r\nHost: a\r\n" + std::string(line) + "\r\nLast: z\r\n\r\n";
}

}  // namespace ws::test
