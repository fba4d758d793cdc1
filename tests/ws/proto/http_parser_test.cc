#include "ws/proto/http_parser.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/bytes.h"
#include "tests/support/http_pieces.h"

namespace {

using ws::proto::RequestParser;
using ws::test::bytes_of;
using ws::test::request_with;
using State = RequestParser::State;

using Pairs = std::vector<std::pair<std::string, std::string>>;

// What a client sees of one parse, comparable over different splits of the same bytes.
struct Outcome {
  State state = State::kMore;
  int status = 0;
  std::size_t consumed = 0;  // of the whole input
  std::string method;
  std::string target;
  Pairs headers;
  bool operator==(const Outcome&) const = default;
};

template <class NextLength>
Outcome parse_in_pieces(std::string_view text, const RequestParser::Config& config,
                        NextLength next_length) {
  RequestParser parser(config);
  const RequestParser::Step step = ws::test::feed_in_pieces(parser, text, next_length);
  Outcome outcome{step.state, step.status, step.consumed, "", "", {}};
  if (step.state == State::kComplete) {
    outcome.method = parser.head().method;
    outcome.target = parser.head().target;
    for (const auto& header : parser.head().headers) {
      outcome.headers.emplace_back(header.name, header.value);
    }
  }
  return outcome;
}

Outcome parse_whole(std::string_view text, const RequestParser::Config& config = {}) {
  return parse_in_pieces(text, config, [&] { return std::max<std::size_t>(text.size(), 1); });
}

Outcome parse(std::string_view text, const RequestParser::Config& config = {}) {
  return ws::test::parse_every_way(
      text, [&](auto next_length) { return parse_in_pieces(text, config, next_length); });
}

void expect_refused(std::string_view text, int status, const RequestParser::Config& config = {}) {
  const Outcome outcome = parse(text, config);
  EXPECT_EQ(outcome.state, State::kRefused) << text;
  EXPECT_EQ(outcome.status, status) << text;
}

// The request with one header line in the middle.
constexpr std::string_view kRfc6455Request =
    "GET /chat HTTP/1.1\r\n"
    "Host: server.example.com\r\n"
    "Upgrade: websocket\r\n"
    "Connection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Origin: http://example.com\r\n"
    "Sec-WebSocket-Protocol: chat, superchat\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "\r\n";

TEST(RequestParser, ParsesTheSampleHandshakeOfRfc6455) {
  const Outcome outcome = parse(kRfc6455Request);
  EXPECT_EQ(outcome.state, State::kComplete);
  EXPECT_EQ(outcome.consumed, kRfc6455Request.size());
  EXPECT_EQ(outcome.method, "GET");
  EXPECT_EQ(outcome.target, "/chat");
  EXPECT_EQ(outcome.headers, (Pairs{{"Host", "server.example.com"},
                                    {"Upgrade", "websocket"},
                                    {"Connection", "Upgrade"},
                                    {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="},
                                    {"Origin", "http://example.com"},
                                    {"Sec-WebSocket-Protocol", "chat, superchat"},
                                    {"Sec-WebSocket-Version", "13"}}));
}

TEST(RequestParser, IsIncompleteAtEveryShorterLength) {
  for (std::size_t length = 0; length < kRfc6455Request.size(); ++length) {
    EXPECT_EQ(parse_whole(kRfc6455Request.substr(0, length)).state, State::kMore) << length;
  }
}

TEST(RequestParser, LeavesTheBytesAfterTheHeadToTheFrames) {
  const std::string frames("\x81\x85\0\r\n\r\nGET", 10);
  const Outcome outcome = parse(std::string(kRfc6455Request) + frames);
  EXPECT_EQ(outcome.state, State::kComplete);
  EXPECT_EQ(outcome.consumed, kRfc6455Request.size());
}

TEST(RequestParser, LooksAtNothingAfterTheHeadOrARefusal) {
  RequestParser complete{RequestParser::Config{}};
  EXPECT_EQ(complete.feed(bytes_of(kRfc6455Request)).state, State::kComplete);
  const RequestParser::Step after = complete.feed(bytes_of("\n\n\n"));
  EXPECT_EQ(after.state, State::kComplete);
  EXPECT_EQ(after.consumed, 0u);
  EXPECT_EQ(complete.head().target, "/chat");

  RequestParser refused{RequestParser::Config{}};
  EXPECT_EQ(refused.feed(bytes_of("GET  ")).status, 400);
  const RequestParser::Step again = refused.feed(bytes_of(kRfc6455Request));
  EXPECT_EQ(again.state, State::kRefused);
  EXPECT_EQ(again.status, 400);
}

TEST(RequestParser, AcceptsAnEmptyFeed) {
  RequestParser parser{RequestParser::Config{}};
  EXPECT_EQ(parser.feed({}).state, State::kMore);
  EXPECT_EQ(parser.feed(bytes_of(kRfc6455Request)).state, State::kComplete);
}

TEST(RequestParser, AcceptsARequestWithoutHeaders) {
  const Outcome outcome = parse("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(outcome.state, State::kComplete);
  EXPECT_TRUE(outcome.headers.empty());
}

// RFC 9112 section 2.2.
TEST(RequestParser, IgnoresOneEmptyLineBeforeTheRequest) {
  const Outcome outcome = parse("\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(outcome.state, State::kComplete);
  EXPECT_EQ(outcome.method, "GET");
  EXPECT_EQ(outcome.target, "/x");
  EXPECT_EQ(outcome.headers, (Pairs{{"Host", "a"}}));
  EXPECT_EQ(outcome.consumed, 30u);
}

TEST(RequestParser, RefusesASecondEmptyLineBeforeTheRequest) {
  expect_refused("\r\n\r\n", 400);
  expect_refused("\n", 400);
  expect_refused("\rG", 400);
  expect_refused("\r\n\n", 400);
}

TEST(RequestParser, RefusesATlsClientHelloAtItsFirstByte) {
  expect_refused("\x16", 400);
  expect_refused(std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11), 400);
}

TEST(RequestParser, AnswersTheHttp2PrefaceWith505) {
  expect_refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
}

TEST(RequestParser, Answers505ToOtherVersionsOfTheRightForm) {
  for (const char* version : {"HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/3.0", "HTTP/1.2",
                              "HTTP/2.1", "HTTP/0.1", "HTTP/9.9"}) {
    expect_refused("GET / " + std::string(version) + "\r\nHost: a\r\n\r\n", 505);
  }
}

// RFC 9112 section 2.3: HTTP-version is case-sensitive and has one digit on each side.
TEST(RequestParser, Answers400ToAMalformedVersion) {
  for (const char* version :
       {"HTTP/1.10", "HTTP/11.1", "HTTP/2",    "HTTP/2.00",  "HTTP/1.",   "HTTP/.1",
        "HTTP/1,1",  "HTTP/a.1",  "HTTP/1.x",  "http/1.1",   "Http/1.1",  "HTTP1.1",
        "HTTPS/1.1", "HTTP /1.1", "HTTP/1.1 ", "HTTP/1.1\t", " HTTP/1.1", "\tHTTP/1.1",
        "X",         "",          "HTTP/+1.1", "HTTP/-1.1",  "HTTP/1.1x"}) {
    expect_refused("GET / " + std::string(version) + "\r\nHost: a\r\n\r\n", 400);
  }
}

TEST(RequestParser, AcceptsOnlyATokenAsMethod) {
  for (const char* method : {"GET", "get", "POST", "M-SEARCH", "!#$%&'*+-.^_`|~09azAZ"}) {
    EXPECT_EQ(parse(std::string(method) + " / HTTP/1.1\r\n\r\n").method, method);
  }
  for (const char* method : {"", "G(T", "G\"T", "GE\tT", "G,T", "G/T", "G:T", "G;T", "G=T", "G@T",
                             "G[T", "G\\T", "G{T", "G\x7fT", "G\xc3T", "\x01"}) {
    expect_refused(std::string(method) + " / HTTP/1.1\r\n\r\n", 400);
  }
  expect_refused(std::string("G\0T / HTTP/1.1\r\n\r\n", 18), 400);
}

TEST(RequestParser, WantsExactlyOneSpaceBetweenTheParts) {
  expect_refused("GET  / HTTP/1.1\r\n\r\n", 400);
  expect_refused("GET /  HTTP/1.1\r\n\r\n", 400);
  expect_refused("GET\t/ HTTP/1.1\r\n\r\n", 400);
  expect_refused("GET /\tHTTP/1.1\r\n\r\n", 400);
  expect_refused(" GET / HTTP/1.1\r\n\r\n", 400);
  expect_refused("GET\r\n\r\n", 400);
  expect_refused("GET /\r\n\r\n", 400);   // HTTP/0.9
  expect_refused("GET / \r\n\r\n", 400);  // no version
  expect_refused("GET HTTP/1.1\r\n\r\n", 400);
}

TEST(RequestParser, AcceptsEveryVisibleByteAndNoOtherInATarget) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string target = std::string("/a") + static_cast<char>(byte) + "b";
    const std::string text = "GET " + target + " HTTP/1.1\r\n\r\n";
    if (byte > 0x20 && byte < 0x7F) {
      EXPECT_EQ(parse(text).target, target) << byte;
    } else {
      expect_refused(text, 400);
    }
  }
}

TEST(RequestParser, AcceptsEveryTokenByteAndNoOtherInAHeaderName) {
  constexpr std::string_view kTokenBytes =
      "!#$%&'*+-.^_`|~0123456789"
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  for (int byte = 0; byte < 256; ++byte) {
    if (byte == ':') continue;
    for (const std::string& name : {std::string(1, static_cast<char>(byte)),
                                    std::string("a") + static_cast<char>(byte) + "b"}) {
      const std::string text = request_with(name + ": v");
      if (kTokenBytes.find(static_cast<char>(byte)) != std::string_view::npos) {
        EXPECT_EQ(parse(text).headers.at(1), std::make_pair(name, std::string("v"))) << byte;
      } else {
        expect_refused(text, 400);
      }
    }
  }
}

// RFC 9110 section 5.5: HTAB, SP, VCHAR and obs-text.
TEST(RequestParser, AcceptsEveryFieldByteAndNoOtherInAValue) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string value = std::string("x") + static_cast<char>(byte) + "y";
    const bool allowed = byte == '\t' || (byte >= 0x20 && byte != 0x7F);
    if (allowed) {
      EXPECT_EQ(parse(request_with("N: " + value)).headers.at(1).second, value) << byte;
    } else {
      expect_refused(request_with("N: " + value), 400);
      expect_refused(request_with("N:" + std::string(1, static_cast<char>(byte)) + "y"), 400);
    }
  }
}

TEST(RequestParser, TrimsWhiteSpaceAroundAValueAndKeepsItInside) {
  EXPECT_EQ(parse(request_with("N:v")).headers.at(1).second, "v");
  EXPECT_EQ(parse(request_with("N: \t  v")).headers.at(1).second, "v");
  EXPECT_EQ(parse(request_with("N: v \t ")).headers.at(1).second, "v");
  EXPECT_EQ(parse(request_with("N:\tv  w \t x\t")).headers.at(1).second, "v  w \t x");
  EXPECT_EQ(parse(request_with("N: :v:")).headers.at(1).second, ":v:");
}

TEST(RequestParser, AcceptsAnEmptyValue) {
  EXPECT_EQ(parse(request_with("N:")).headers.at(1).second, "");
  EXPECT_EQ(parse(request_with("N: \t ")).headers.at(1).second, "");
  EXPECT_EQ(parse(request_with("N: \t ")).headers.at(2).second, "z");
}

// RFC 9112 section 5.1.
TEST(RequestParser, RefusesWhiteSpaceBeforeTheColon) {
  expect_refused(request_with("Name : v"), 400);
  expect_refused(request_with("Name\t: v"), 400);
  expect_refused(request_with("Na me: v"), 400);
}

TEST(RequestParser, RefusesAHeaderLineWithoutAName) {
  expect_refused(request_with(": v"), 400);
  expect_refused(request_with("name"), 400);
  expect_refused(request_with("name v"), 400);
}

// RFC 9112 section 5.2, and 2.2 for white space before the first header.
TEST(RequestParser, RefusesFoldedLines) {
  expect_refused(request_with("N: v\r\n w"), 400);
  expect_refused(request_with("N: v\r\n\tw"), 400);
  expect_refused(request_with("N:\r\n v"), 400);
  expect_refused("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400);
  expect_refused("GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", 400);
  expect_refused("GET / HTTP/1.1\r\n \r\n\r\n", 400);
}

TEST(RequestParser, RefusesBareLineFeedsAndCarriageReturns) {
  expect_refused("GET / HTTP/1.1\nHost: a\r\n\r\n", 400);
  expect_refused("GET / HTTP/1.1\r\nHost: a\n\r\n", 400);
  expect_refused("GET / HTTP/1.1\r\nHost: a\r\n\n", 400);
  expect_refused("GET / HTTP/1.1\r\nHost:\na\r\n\r\n", 400);
  expect_refused("GET / HTTP/1.1\rHost: a\r\n\r\n", 400);
  expect_refused("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", 400);
  expect_refused("GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", 400);
  expect_refused("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400);
  expect_refused("GET / HTTP/1.1\r\nHost: a\r\n\rx", 400);
  expect_refused("GET / HTTP/1.1\r\nHo\rst: a\r\n\r\n", 400);
}

TEST(RequestParser, RefusesAsSoonAsTheFaultIsCertain) {
  const std::vector<std::pair<std::string, int>> faults = {
      {"\x16", 400},
      {"GET  ", 400},
      {"GET /\r", 400},
      {"GET / h", 400},
      {"GET / HTTP/1.0\r", 505},
      {"GET / HTTP/1.1\n", 400},
      {"GET / HTTP/1.1\r\n ", 400},
      {"GET / HTTP/1.1\r\nHost ", 400},
      {"GET / HTTP/1.1\r\nHost: a\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\n ", 400},
      {"GET / HTTP/1.1\r\nHost: \x01", 400},
  };
  for (const auto& [text, status] : faults) {
    expect_refused(text, status);
    EXPECT_EQ(parse_whole(text.substr(0, text.size() - 1)).state, State::kMore) << text;
  }
}

// A request whose head has this size.
std::string request_of_size(std::size_t head_bytes) {
  const std::string begin = "GET / HTTP/1.1\r\nHost: a\r\nPad: ";
  const std::string end = "\r\n\r\n";
  return begin + std::string(head_bytes - begin.size() - end.size(), 'p') + end;
}

TEST(RequestParser, AcceptsAHeadOfExactlyTheLimitAndAnswers431AboveIt) {
  const RequestParser::Config config{.head_bytes_max = 512};
  EXPECT_EQ(parse(request_of_size(512), config).state, State::kComplete);
  expect_refused(request_of_size(513), 431, config);
  expect_refused(request_of_size(514), 431, config);

  const std::string long_one = request_of_size(600);
  EXPECT_EQ(parse_whole(long_one.substr(0, 512), config).state, State::kMore);
  EXPECT_EQ(parse_whole(long_one.substr(0, 513), config).status, 431);
}

TEST(RequestParser, HasTheLimitsOfTheDesignByDefault) {
  EXPECT_EQ(parse(request_of_size(8192)).state, State::kComplete);
  expect_refused(request_of_size(8193), 431);
}

TEST(RequestParser, CountsTheEmptyLineBeforeTheRequestInTheHead) {
  const RequestParser::Config config{.head_bytes_max = 100};
  EXPECT_EQ(parse("\r\n" + request_of_size(98), config).state, State::kComplete);
  expect_refused("\r\n" + request_of_size(99), 431, config);
}

TEST(RequestParser, DoesNotCountFramesThatFollowInTheSameSegment) {
  const RequestParser::Config config{.head_bytes_max = 100};
  const Outcome outcome = parse(request_of_size(100) + std::string(1000, 'f'), config);
  EXPECT_EQ(outcome.state, State::kComplete);
  EXPECT_EQ(outcome.consumed, 100u);
}

TEST(RequestParser, AcceptsExactlyTheLimitOfHeadersAndAnswers431AboveIt) {
  const auto request = [](int headers) {
    std::string text = "GET / HTTP/1.1\r\n";
    for (int i = 0; i < headers; ++i) text += "A: b\r\n";
    return text + "\r\n";
  };
  EXPECT_EQ(parse(request(100)).headers.size(), 100u);
  expect_refused(request(101), 431);
  expect_refused(request(1500), 431);
  expect_refused(request(3), 431, {.headers_max = 2});

  // At the first byte of the header that is too many.
  const std::string full = request(100).substr(0, request(100).size() - 2);
  EXPECT_EQ(parse_whole(full).state, State::kMore);
  EXPECT_EQ(parse_whole(full + "A").status, 431);
}

TEST(RequestParser, AcceptsATargetOfExactlyTheLimitAndAnswers414AboveIt) {
  const RequestParser::Config config{.target_bytes_max = 64};
  const std::string target = "/" + std::string(63, 't');
  EXPECT_EQ(parse("GET " + target + " HTTP/1.1\r\n\r\n", config).target, target);
  expect_refused("GET " + target + "t HTTP/1.1\r\n\r\n", 414, config);
  EXPECT_EQ(parse_whole("GET " + target, config).state, State::kMore);
  EXPECT_EQ(parse_whole("GET " + target + "t", config).status, 414);
}

TEST(RequestParser, Answers414WhenATargetOutgrowsTheHead) {
  expect_refused("GET /" + std::string(8192, 't') + " HTTP/1.1\r\nHost: a\r\n\r\n", 414);
  expect_refused("GET /" + std::string(100'000, 't'), 414);
  // A target within its own limit, whose request line is not within the head's.
  for (const std::size_t target : {8188u, 8187u, 8180u, 8178u}) {
    expect_refused("GET " + std::string(target, '/') + " HTTP/1.1\r\nHost: a\r\n\r\n", 414);
  }
}

TEST(RequestParser, Answers431WhenTheMethodOrTheHeadersOutgrowTheHead) {
  expect_refused(std::string(8193, 'G'), 431);
  expect_refused("GET / HTTP/1.1\r\n" + std::string(8192, 'n'), 431);
  expect_refused("GET / HTTP/1.1\r\nn:" + std::string(8192, ' '), 431);
  expect_refused("GET / HTTP/1.1\r\nn: v" + std::string(8192, ' '), 431);
  expect_refused("GET /" + std::string(8000, 't') + " HTTP/1.1\r\nn: " + std::string(500, 'v'),
                 431);
}

// Quadratic work on a megabyte in single bytes would take many minutes.
TEST(RequestParser, LooksAtEachByteOnceHoweverTheHeadIsSplit) {
  std::string text = "GET / HTTP/1.1\r\n";
  while (text.size() < 1024 * 1024) text += "Name:   some value with \t white space     \r\n";
  text += "\r\n";
  const RequestParser::Config config{.head_bytes_max = 2 * text.size(), .headers_max = text.size()};
  RequestParser parser(config);
  const auto begin = std::chrono::steady_clock::now();
  State state = State::kMore;
  for (const std::uint8_t& byte : bytes_of(text)) {
    ASSERT_EQ(state, State::kMore);
    state = parser.feed({&byte, 1}).state;
  }
  EXPECT_EQ(state, State::kComplete);
  EXPECT_EQ(parser.head().headers.back().value, "some value with \t white space");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST(RequestParser, GivesTheSameOutcomeForMutatedRequestsInEverySplit) {
  constexpr std::string_view kSpice("\r\n\t :/,\0\x16\x7f\x80HTP1.0", 17);
  std::mt19937 random(6455);
  for (int round = 0; round < 2000; ++round) {
    std::string text(kRfc6455Request);
    const int mutations = 1 + static_cast<int>(random() % 3);
    for (int i = 0; i < mutations; ++i) {
      const std::size_t at = random() % text.size();
      const char byte = kSpice[random() % kSpice.size()];
      if (random() % 3 == 0) {
        text.erase(at, 1 + random() % 4);
      } else if (random() % 2 == 0) {
        text.insert(at, 1, byte);
      } else {
        text[at] = byte;
      }
    }
    const RequestParser::Config config{
        .head_bytes_max = 200 + random() % 100, .target_bytes_max = 6, .headers_max = 7};
    const Outcome outcome = parse(text, config);
    if (outcome.state == State::kRefused) {
      EXPECT_TRUE(outcome.status == 400 || outcome.status == 414 || outcome.status == 431 ||
                  outcome.status == 505);
    }
  }
}

}  // namespace
