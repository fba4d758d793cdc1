#include "ws/proto/http.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/bytes.h"
#include "tests/support/http_pieces.h"
#include "ws/proto/http_parser.h"

namespace {

using ws::proto::RequestHead;
using ws::proto::RequestParser;
using ws::test::bytes_of;
using ws::test::request_with;

// A parsed head and the parser its views point into.
struct ParsedHead {
  explicit ParsedHead(std::string_view text) {
    EXPECT_EQ(parser.feed(bytes_of(text)).state, RequestParser::State::kComplete);
  }
  const RequestHead* operator->() const { return &parser.head(); }
  RequestParser parser{RequestParser::Config{}};
};

TEST(RequestHead, FindsAHeaderThatComesOnceWhateverItsCase) {
  const ParsedHead head(request_with("sec-WEBSOCKET-key: abc"));
  EXPECT_EQ(head->header("Sec-WebSocket-Key"), "abc");
  EXPECT_EQ(head->header("Sec-WebSocket-Ke"), std::nullopt);
  EXPECT_EQ(head->header("Sec-WebSocket-Key1"), std::nullopt);
}

TEST(RequestHead, FindsNoValueForARepeatedHeader) {
  const ParsedHead head(request_with("N: v\r\nn: v\r\nN: v"));
  EXPECT_EQ(head->header("N"), std::nullopt);
  EXPECT_EQ(head->count("N"), 3u);
  EXPECT_EQ(head->count("Host"), 1u);
  EXPECT_EQ(head->count("M"), 0u);
}

TEST(ListHasToken, LooksThroughAllHeadersOfThatNameWithoutCase) {
  const ParsedHead head(request_with("Connection: keep-alive,\tUPGRADE ,x\r\nconnection: other"));
  for (const char* token : {"upgrade", "Upgrade", "keep-alive", "x", "OTHER"}) {
    EXPECT_TRUE(list_has_token(head.parser.head(), "Connection", token)) << token;
  }
  for (const char* token : {"keep", "alive", "upgrad", "upgrades", "keep-alive,\tUPGRADE", "z"}) {
    EXPECT_FALSE(list_has_token(head.parser.head(), "Connection", token)) << token;
  }
}

TEST(ListHasToken, IgnoresEmptyElements) {
  const ParsedHead head(request_with("Upgrade: ,, ,websocket,\t,"));
  EXPECT_TRUE(list_has_token(head.parser.head(), "Upgrade", "websocket"));
  EXPECT_FALSE(list_has_token(head.parser.head(), "Upgrade", "h2c"));
  const ParsedHead empty(request_with("Upgrade:"));
  EXPECT_FALSE(list_has_token(empty.parser.head(), "Upgrade", "websocket"));
}

// RFC 9110 section 5.6.1.2, and 5.2: the values of several headers make one list.
TEST(ListElements, JoinsAllHeadersOfThatNameAndIgnoresEmptyElements) {
  const ParsedHead head(request_with("A: x ,,\ty; z=1\r\nB: other\r\na:\r\nA: ,\r\na: last"));
  using List = std::vector<std::string_view>;
  EXPECT_EQ(list_elements(head.parser.head(), "A"), (List{"x", "y; z=1", "last"}));
  EXPECT_EQ(list_elements(head.parser.head(), "C"), List{});
}

TEST(NextListElement, CutsAListAtItsCommas) {
  std::string_view rest = " a ,b c,, \t,d";
  for (const char* element : {"a", "b c", "", "", "d"}) {
    EXPECT_FALSE(rest.empty());
    EXPECT_EQ(ws::proto::next_list_element(rest), element);
  }
  EXPECT_TRUE(rest.empty());
}

TEST(TrimBlanks, TakesSpacesAndTabsOffBothEnds) {
  EXPECT_EQ(ws::proto::trim_blanks(" \ta b\t "), "a b");
  EXPECT_EQ(ws::proto::trim_blanks("a"), "a");
  EXPECT_EQ(ws::proto::trim_blanks(" \t "), "");
  EXPECT_EQ(ws::proto::trim_blanks(""), "");
}

TEST(Printable, KeepsOneShortLineOfAscii) {
  EXPECT_EQ(ws::proto::printable(" /a?b=~ "), " /a?b=~ ");
  EXPECT_EQ(ws::proto::printable(std::string_view("a\r\n\t\0\x1b\x7f\xc3\xa4z", 10)), "a????????z");
  EXPECT_EQ(ws::proto::printable(std::string(200, 'x')), std::string(200, 'x'));
  EXPECT_EQ(ws::proto::printable(std::string(201, 'x')), std::string(200, 'x') + "...");
}

TEST(ReasonPhrase, KnowsRfc9110Section15) {
  EXPECT_EQ(ws::proto::reason_phrase(404), "Not Found");
  EXPECT_EQ(ws::proto::reason_phrase(308), "Permanent Redirect");
  EXPECT_EQ(ws::proto::reason_phrase(499), "");
}

TEST(EqualsIgnoreCase, FoldsAsciiLettersOnly) {
  using ws::proto::equals_ignore_case;
  EXPECT_TRUE(equals_ignore_case("abcXYZ-09", "ABCxyz-09"));
  EXPECT_TRUE(equals_ignore_case("", ""));
  EXPECT_FALSE(equals_ignore_case("a", "ab"));
  EXPECT_FALSE(equals_ignore_case("@", "`"));
  EXPECT_FALSE(equals_ignore_case("[", "{"));
  EXPECT_FALSE(equals_ignore_case("\xe4", "\xc4"));
}

TEST(IsToken, KnowsTheTokenBytesOfRfc9110) {
  EXPECT_TRUE(ws::proto::is_token("!#$%&'*+-.^_`|~09azAZ"));
  EXPECT_FALSE(ws::proto::is_token(""));
  for (const char* text : {"a b", "a,b", "a;b", "a=b", "a\"b", "a/b", "a\x7f", "\xe4", "a\t"}) {
    EXPECT_FALSE(ws::proto::is_token(text)) << text;
  }
}

}  // namespace
