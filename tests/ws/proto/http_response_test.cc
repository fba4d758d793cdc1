// ResponseParser: the status line, and that its header lines are those of requests.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/bytes.h"
#include "tests/support/http_pieces.h"
#include "ws/proto/http_parser.h"

namespace {

using ws::proto::ResponseParser;
using ws::test::bytes_of;
using State = ResponseParser::State;
using Pairs = std::vector<std::pair<std::string, std::string>>;

struct ResponseOutcome {
  State state = State::kMore;
  std::string reason;
  std::size_t consumed = 0;  // of the whole input
  int status = 0;
  bool http_1_1 = false;
  Pairs headers;
  bool operator==(const ResponseOutcome&) const = default;
};

template <class NextLength>
ResponseOutcome parse_in_pieces(std::string_view text, const ResponseParser::Config& config,
                                NextLength next_length) {
  ResponseParser parser(config);
  const ResponseParser::Step step = ws::test::feed_in_pieces(parser, text, next_length);
  ResponseOutcome outcome{step.state, std::string(step.reason), step.consumed, 0, false, {}};
  if (step.state == State::kComplete) {
    outcome.status = parser.head().status;
    outcome.http_1_1 = parser.head().http_1_1;
    for (const auto& header : parser.head().headers) {
      outcome.headers.emplace_back(header.name, header.value);
    }
  }
  return outcome;
}

ResponseOutcome parse_response(std::string_view text, const ResponseParser::Config& config = {}) {
  return ws::test::parse_every_way(
      text, [&](auto next_length) { return parse_in_pieces(text, config, next_length); });
}

ResponseOutcome parse_whole_response(std::string_view text,
                                     const ResponseParser::Config& config = {}) {
  return parse_in_pieces(text, config, [&] { return text.size(); });
}

void expect_refused(std::string_view text, std::string_view reason,
                    const ResponseParser::Config& config = {}) {
  const ResponseOutcome outcome = parse_response(text, config);
  EXPECT_EQ(outcome.state, State::kRefused) << text;
  EXPECT_NE(outcome.reason.find(reason), std::string::npos) << text << ": " << outcome.reason;
}

constexpr std::string_view kNoStatusLine = "does not begin with an HTTP/1.1 status line";
constexpr std::string_view kBadHeader = "malformed header line";
constexpr std::string_view kTooLong = "too long";

// RFC 6455 section 1.2.
constexpr std::string_view kRfc6455Response =
    "HTTP/1.1 101 Switching Protocols\r\n"
    "Upgrade: websocket\r\n"
    "Connection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
    "Sec-WebSocket-Protocol: chat\r\n"
    "\r\n";

std::string response_with(std::string_view line) {
  return "HTTP/1.1 101 x\r\nFirst: a\r\n" + std::string(line) + "\r\nLast: z\r\n\r\n";
}

TEST(ResponseParser, ParsesTheSampleHandshakeOfRfc6455) {
  const ResponseOutcome outcome = parse_response(kRfc6455Response);
  EXPECT_EQ(outcome.state, State::kComplete);
  EXPECT_EQ(outcome.consumed, kRfc6455Response.size());
  EXPECT_EQ(outcome.status, 101);
  EXPECT_TRUE(outcome.http_1_1);
  EXPECT_EQ(outcome.headers, (Pairs{{"Upgrade", "websocket"},
                                    {"Connection", "Upgrade"},
                                    {"Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
                                    {"Sec-WebSocket-Protocol", "chat"}}));
}

TEST(ResponseParser, IsIncompleteAtEveryShorterLength) {
  for (std::size_t length = 1; length < kRfc6455Response.size(); ++length) {
    EXPECT_EQ(parse_whole_response(kRfc6455Response.substr(0, length)).state, State::kMore)
        << length;
  }
}

TEST(ResponseParser, LeavesTheBytesAfterTheHeadToTheFrames) {
  const ResponseOutcome outcome = parse_response(std::string(kRfc6455Response) + "\x81\x02\r\n");
  EXPECT_EQ(outcome.state, State::kComplete);
  EXPECT_EQ(outcome.consumed, kRfc6455Response.size());
}

TEST(ResponseParser, LooksAtNothingAfterTheHeadOrARefusal) {
  ResponseParser complete{ResponseParser::Config{}};
  EXPECT_EQ(complete.feed(bytes_of(kRfc6455Response)).state, State::kComplete);
  const ResponseParser::Step after = complete.feed(bytes_of("\n\n\n"));
  EXPECT_EQ(after.state, State::kComplete);
  EXPECT_EQ(after.consumed, 0u);
  EXPECT_EQ(complete.head().header("Sec-WebSocket-Protocol"), "chat");

  ResponseParser refused{ResponseParser::Config{}};
  const ResponseParser::Step first = refused.feed(bytes_of("SSH-2.0"));
  EXPECT_EQ(first.state, State::kRefused);
  const ResponseParser::Step again = refused.feed(bytes_of(kRfc6455Response));
  EXPECT_EQ(again.state, State::kRefused);
  EXPECT_EQ(again.reason, first.reason);
}

// RFC 9112 section 4: status-code is 3DIGIT. RFC 9110 section 15: the first digit is from 1 on.
TEST(ResponseParser, ReadsAStatusOfThreeDigits) {
  for (const int status : {101, 200, 301, 404, 503, 599, 600, 999}) {
    EXPECT_EQ(parse_response("HTTP/1.1 " + std::to_string(status) + " x\r\n\r\n").status, status);
  }
  for (const char* status : {"", " ", "1", "10", "1010", "x01", "1x1", "10x", "+10", "-10", " 101",
                             "\t101", "099", "000", "101\t", "101:", "1 1",
                             "\x80"
                             "01"}) {
    expect_refused("HTTP/1.1 " + std::string(status) + " x\r\n\r\n", kNoStatusLine);
  }
}

// RFC 9112 section 4: reason-phrase = 1*( HTAB / SP / VCHAR / obs-text ), and may be absent.
TEST(ResponseParser, ReadsAnyReasonPhraseAndNone) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text = std::string("HTTP/1.1 404 a") + static_cast<char>(byte) + "b\r\n\r\n";
    if (byte == '\t' || (byte >= 0x20 && byte != 0x7F)) {
      EXPECT_EQ(parse_response(text).status, 404) << byte;
    } else {
      expect_refused(text, kNoStatusLine);
    }
  }
  EXPECT_EQ(parse_response("HTTP/1.1 404 \r\n\r\n").status, 404);
  EXPECT_EQ(parse_response("HTTP/1.1 404\r\n\r\n").status, 404);
  EXPECT_EQ(parse_response("HTTP/1.1 404   two  words \r\n\r\n").status, 404);
}

TEST(ResponseParser, TellsHttp10AndTakesALaterMinorVersionFor11) {
  EXPECT_FALSE(parse_response("HTTP/1.0 404 Not Found\r\nServer: x\r\n\r\n").http_1_1);
  EXPECT_EQ(parse_response("HTTP/1.0 404 Not Found\r\nServer: x\r\n\r\n").status, 404);
  // RFC 9110 section 2.5.
  EXPECT_TRUE(parse_response("HTTP/1.2 101 x\r\n\r\n").http_1_1);
}

TEST(ResponseParser, RefusesOtherMajorVersions) {
  for (const char* version : {"HTTP/0.9", "HTTP/2.0", "HTTP/2.1", "HTTP/3.0", "HTTP/9.9"}) {
    expect_refused(std::string(version) + " 101 x\r\n\r\n", "not of HTTP/1.1");
  }
}

TEST(ResponseParser, RefusesWhatIsNoStatusLine) {
  for (const char* line :
       {"http/1.1 101 x", "HTTP/1.10 101 x", "HTTP/1 101 x", "HTTP/2 101 x", "HTTP/1.1\t101 x",
        "HTTP/1.1", "HTTP/.1 101 x", "HTTP/1. 101 x", "HTTP/1.x 101 x", "HTTPS/1.1 101 x",
        " HTTP/1.1 101 x", "\r\nHTTP/1.1 101 x", "GET / HTTP/1.1", "\x15\x03\x01", "SSH-2.0-x",
        "<html>", "220 mail ready"}) {
    expect_refused(std::string(line) + "\r\nA: b\r\n\r\n", kNoStatusLine);
  }
}

TEST(ResponseParser, RefusesBareLineFeedsAndCarriageReturns) {
  for (const char* text : {"HTTP/1.1 101\n", "HTTP/1.1 101 x\n", "HTTP/1.1 101 x\rA",
                           "HTTP/1.1 101\rA", "HTTP/1.1 101 x\r\r\n"}) {
    expect_refused(text, kNoStatusLine);
  }
  for (const char* text :
       {"HTTP/1.1 101 x\r\n\n", "HTTP/1.1 101 x\r\n\rA", "HTTP/1.1 101 x\r\nA: b\n",
        "HTTP/1.1 101 x\r\nA: b\rc", "HTTP/1.1 101 x\r\nA:\nb", "HTTP/1.1 101 x\r\nA: b\r\n\n"}) {
    expect_refused(text, kBadHeader);
  }
}

TEST(ResponseParser, RefusesMalformedHeaderLines) {
  for (const char* line : {"N : v", "N\t: v", "N m: v", ": v", "name", "N: v\r\n w", "N: v\r\n\tw",
                           "N:\r\n v", " N: v", "N: \x01", "N: v\x7f", "N\x80: v", "N(: v"}) {
    expect_refused(response_with(line), kBadHeader);
  }
  expect_refused(response_with(std::string_view("N: a\0b", 6)), kBadHeader);
  EXPECT_EQ(parse_response(response_with("N:\t v \x80 w ")).headers.at(1).second, "v \x80 w");
}

TEST(ResponseParser, RefusesAsSoonAsTheFaultIsCertain) {
  for (const char* text : {"h", "HTTP/1.1 x", "HTTP/2.0 ", "HTTP/1.1 101x", "HTTP/1.1 101 \n",
                           "HTTP/1.1 101\r\r", "HTTP/1.1 101\r\n ", "HTTP/1.1 101\r\nA "}) {
    const std::string_view all = text;
    EXPECT_EQ(parse_response(all).state, State::kRefused) << text;
    if (all.size() > 1) {
      EXPECT_EQ(parse_whole_response(all.substr(0, all.size() - 1)).state, State::kMore) << text;
    }
  }
}

// RFC 9110 section 15.2.
TEST(ResponseParser, PassesOverInterimResponses) {
  const std::string interim =
      "HTTP/1.1 100 Continue\r\n\r\n"
      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\n"
      "HTTP/1.0 199\r\n\r\n";
  const ResponseOutcome outcome =
      parse_response(interim + std::string(kRfc6455Response) + "frames");
  EXPECT_EQ(outcome.state, State::kComplete);
  EXPECT_EQ(outcome.consumed, interim.size() + kRfc6455Response.size());
  EXPECT_EQ(outcome.status, 101);
  EXPECT_TRUE(outcome.http_1_1);
  EXPECT_EQ(outcome.headers, parse_response(kRfc6455Response).headers);

  EXPECT_EQ(parse_response(interim).state, State::kMore);
  EXPECT_EQ(parse_response(interim + "HTTP/1.1 403\r\n\r\n").status, 403);
  expect_refused(interim + "\r\n", kNoStatusLine);
  expect_refused(interim + "HTTP/1.1 101 x\r\nA : b", kBadHeader);
  // Not for ever.
  std::string endless;
  while (endless.size() <= 16 * 1024) endless += interim;
  expect_refused(endless, kTooLong);
}

std::string response_of_size(std::size_t head_bytes) {
  const std::string begin = "HTTP/1.1 200 OK\r\nPad: ";
  return begin + std::string(head_bytes - begin.size() - 4, 'p') + "\r\n\r\n";
}

TEST(ResponseParser, AcceptsAHeadOfExactlyTheLimitAndNoLonger) {
  const ResponseParser::Config config{.head_bytes_max = 512};
  EXPECT_EQ(parse_response(response_of_size(512), config).state, State::kComplete);
  EXPECT_EQ(parse_response(response_of_size(512) + "a body", config).consumed, 512u);
  expect_refused(response_of_size(513), kTooLong, config);
  EXPECT_EQ(parse_whole_response(response_of_size(600).substr(0, 512), config).state, State::kMore);
  EXPECT_EQ(parse_whole_response(response_of_size(600).substr(0, 513), config).state,
            State::kRefused);
  EXPECT_EQ(parse_response(response_of_size(16 * 1024)).state, State::kComplete);
  expect_refused(response_of_size(16 * 1024 + 1), kTooLong);
  expect_refused("HTTP/1.1 200 " + std::string(500, 'r'), kTooLong, config);
}

TEST(ResponseParser, AcceptsExactlyTheLimitOfHeadersAndNoMore) {
  const auto response = [](int headers) {
    std::string text = "HTTP/1.1 200 OK\r\n";
    for (int i = 0; i < headers; ++i) text += "A: b\r\n";
    return text + "\r\n";
  };
  EXPECT_EQ(parse_response(response(100)).headers.size(), 100u);
  expect_refused(response(101), "too many headers");
  EXPECT_EQ(parse_response(response(2), {.headers_max = 2}).headers.size(), 2u);
  expect_refused(response(3), "too many headers", {.headers_max = 2});
}

// Quadratic work on a megabyte in single bytes would take many minutes.
TEST(ResponseParser, LooksAtEachByteOnceHoweverTheHeadIsSplit) {
  std::string text;
  while (text.size() < 512 * 1024) text += "HTTP/1.1 102 Processing\r\nA: b\r\n\r\n";
  text += "HTTP/1.1 200 " + std::string(512 * 1024, 'r') + "\r\n\r\n";
  ResponseParser parser({.head_bytes_max = text.size()});
  const auto begin = std::chrono::steady_clock::now();
  State state = State::kMore;
  for (const std::uint8_t& byte : bytes_of(text)) {
    ASSERT_EQ(state, State::kMore);
    state = parser.feed({&byte, 1}).state;
  }
  EXPECT_EQ(state, State::kComplete);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST(ResponseParser, GivesTheSameOutcomeForMutatedResponsesInEverySplit) {
  constexpr std::string_view kSpice("\r\n\t :/,\0\x16\x7f\x80HTP1.0", 17);
  std::mt19937 random(9112);
  for (int round = 0; round < 2000; ++round) {
    std::string text = round % 2 == 0 ? "HTTP/1.1 100 Continue\r\nA: b\r\n\r\n" : "";
    text += kRfc6455Response;
    for (int i = 0; i < 2; ++i) {
      const std::size_t at = random() % text.size();
      if (random() % 3 == 0) {
        text.erase(at, 1 + random() % 4);
      } else {
        text[at] = kSpice[random() % kSpice.size()];
      }
    }
    const ResponseOutcome outcome =
        parse_response(text, {.head_bytes_max = 120 + random() % 100, .headers_max = 4});
    EXPECT_EQ(outcome.reason.empty(), outcome.state != State::kRefused);
  }
}

}  // namespace
