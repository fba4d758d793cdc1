#include "ws/proto/handshake.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/guard_page.h"
#include "ws/proto/http_parser.h"

namespace {

using ws::proto::judge_upgrade;
using ws::proto::origin_allowed;
using ws::proto::refusal_response;
using ws::proto::RequestHead;
using ws::proto::RequestParser;
using ws::proto::Verdict;
using ws::test::GuardedCopy;

// A request to change line by line: a good handshake to begin with.
struct Request {
  std::string line = "GET /chat HTTP/1.1";
  std::vector<std::string> headers = {
      "Host: server.example.com", "Upgrade: websocket", "Connection: Upgrade",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"};

  Request& with(std::string header) {
    headers.push_back(std::move(header));
    return *this;
  }
  Request& without(std::string_view name) {
    const std::string start = std::string(name) + ":";
    std::erase_if(headers, [&](const std::string& header) { return header.starts_with(start); });
    return *this;
  }
  // In the place of the header of the same name.
  Request& change(std::string header) {
    const std::string name = header.substr(0, header.find(':'));
    return without(name).with(std::move(header));
  }
  Request& target(std::string_view text) {
    line = "GET " + std::string(text) + " HTTP/1.1";
    return *this;
  }
};

// A parsed request; the head points into the parser.
struct Parsed {
  explicit Parsed(const Request& request) {
    std::string text = request.line + "\r\n";
    for (const std::string& header : request.headers) text += header + "\r\n";
    text += "\r\n";
    const RequestParser::Step step =
        parser.feed({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
    EXPECT_EQ(step.state, RequestParser::State::kComplete) << text;
  }
  const RequestHead& head() const { return parser.head(); }
  RequestParser parser{RequestParser::Config{.head_bytes_max = 1024 * 1024}};
};

Verdict judge(const Request& request) {
  return judge_upgrade(Parsed(request).head());
}
int status(const Request& request) {
  return judge(request).status;
}

constexpr std::string_view kUpgradeLines = "Upgrade: websocket\r\nConnection: Upgrade, close\r\n";
constexpr std::string_view kVersionLines =
    "Upgrade: websocket\r\nConnection: Upgrade, close\r\nSec-WebSocket-Version: 13\r\n";

void expect_400(const Request& request) {
  const Verdict verdict = judge(request);
  EXPECT_EQ(verdict.status, 400) << request.line << " " << request.headers.back();
  EXPECT_EQ(verdict.extra_headers, "");
  EXPECT_FALSE(verdict.reason.empty());
}

// RFC 6455 sections 1.3 and 4.2.2.
TEST(AcceptKey, MatchesTheSampleOfRfc6455) {
  EXPECT_EQ(ws::proto::accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(JudgeUpgrade, AcceptsTheSampleOfRfc6455) {
  const Verdict verdict = judge(
      Request().with("Origin: http://example.com").with("Sec-WebSocket-Protocol: chat, superchat"));
  EXPECT_EQ(verdict.status, 101);
  EXPECT_EQ(verdict.extra_headers, "");
}

TEST(JudgeUpgrade, AcceptsWhatBrowsersSend) {
  Request request;
  request.change("Connection: keep-alive, Upgrade")
      .with("Pragma: no-cache")
      .with("Cache-Control: no-cache")
      .with("User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
      .with("Accept-Encoding: gzip, deflate, br, zstd")
      .with("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits");
  EXPECT_EQ(status(request), 101);
}

TEST(JudgeUpgrade, ComparesNamesAndUpgradeTokensWithoutCase) {
  Request request;
  request.headers = {"hOST: a", "uPGRADE: WebSocket", "CONNECTION: UPGRADE",
                     "sec-websocket-KEY: dGhlIHNhbXBsZSBub25jZQ==", "SEC-WEBSOCKET-VERSION: 13"};
  EXPECT_EQ(status(request), 101);
}

TEST(JudgeUpgrade, FindsTheTokensAmongOthersAndInSeveralHeaders) {
  EXPECT_EQ(status(Request().change("Upgrade: h2c, websocket, IRC/6.9")), 101);
  EXPECT_EQ(status(Request().with("Upgrade: h2c").with("Connection: close")), 101);
  EXPECT_EQ(status(Request().change("Connection: ,keep-alive ,, upgrade,")), 101);
}

TEST(JudgeUpgrade, Answers405ToEveryMethodButGet) {
  for (const char* method : {"POST", "HEAD", "PUT", "OPTIONS", "CONNECT", "get", "Get", "GETS"}) {
    Request request;
    request.line = std::string(method) + " /chat HTTP/1.1";
    const Verdict verdict = judge(request);
    EXPECT_EQ(verdict.status, 405) << method;
    EXPECT_EQ(verdict.extra_headers, "Allow: GET\r\n");
    EXPECT_FALSE(verdict.reason.empty());
  }
}

// RFC 9112 section 3.2.
TEST(JudgeUpgrade, Answers400ToAMissingRepeatedOrInvalidHost) {
  expect_400(Request().without("Host"));
  expect_400(Request().with("Host: server.example.com"));
  expect_400(Request().with("host: other"));
  for (const char* host : {"", "a b", "a, b", "a/b", "http://a", "user@a", "a:x", "a:65536", ":80",
                           "[::1", "::1", "[::g]", "a\xe4", "a?b", "a#b", "a\\b"}) {
    expect_400(Request().change("Host: " + std::string(host)));
  }
  for (const char* host : {"a:8080", "a:", "127.0.0.1:8888", "[::1]:8889", "[::1]", "LOCALHOST"}) {
    EXPECT_EQ(status(Request().change("Host: " + std::string(host))), 101) << host;
  }
}

TEST(JudgeUpgrade, Answers400ToAnAnnouncedBody) {
  for (const char* length : {"1", "10", "00001", "18446744073709551616", "-1", "+0", "0x0", "",
                             "0, 0", "0,5", "0 0", "a", "0.0"}) {
    expect_400(Request().with("Content-Length: " + std::string(length)));
  }
  expect_400(Request().with("Content-Length: 0").with("Content-Length: 5"));
  expect_400(Request().with("Content-Length: 5").with("Content-Length: 0"));
  for (const char* coding : {"chunked", "identity", "gzip, chunked", "xchunked", ""}) {
    expect_400(Request().with("Transfer-Encoding: " + std::string(coding)));
  }
  expect_400(Request().with("Content-Length: 0").with("transfer-encoding: chunked"));
}

TEST(JudgeUpgrade, AcceptsAnAnnouncedBodyOfNothing) {
  EXPECT_EQ(status(Request().with("Content-Length: 0").with("Content-Length: 0")), 101);
}

TEST(JudgeUpgrade, Answers400ToATargetThatIsNoPath) {
  for (const char* target : {"*", "chat", "server.example.com:80", "ftp://a/", "http:///x",
                             "http://user@a/", "/a#b", "http://a/#b", "http://a:x/"}) {
    expect_400(Request().target(target));
  }
}

// RFC 9112 section 3.2.2: "a server MUST accept the absolute-form in requests".
TEST(JudgeUpgrade, AcceptsAnAbsoluteFormTarget) {
  EXPECT_EQ(status(Request().target("http://server.example.com/chat")), 101);
  EXPECT_EQ(status(Request().target("wss://server.example.com")), 101);
  expect_400(Request().target("http://server.example.com/chat").without("Host"));
}

TEST(JudgeUpgrade, Answers426ToAGetWithoutUpgrade) {
  std::vector<Request> requests = {Request().without("Upgrade"), Request().without("Connection")};
  for (const char* line :
       {"Upgrade: h2c", "Upgrade:", "Upgrade: websocket/13", "Upgrade: websockets",
        "Upgrade: web socket", "Upgrade: \"websocket\"", "Connection: keep-alive",
        "Connection: close", "Connection: Upgraded", "Connection:"}) {
    requests.push_back(Request().change(line));
  }
  Request plain;
  plain.headers = {"Host: a", "Accept: text/html"};
  requests.push_back(plain);
  for (const Request& request : requests) {
    const Verdict verdict = judge(request);
    EXPECT_EQ(verdict.status, 426) << request.headers.back();
    EXPECT_EQ(verdict.extra_headers, kUpgradeLines);
    EXPECT_FALSE(verdict.reason.empty());
  }
}

// RFC 6455 sections 4.2.2 and 4.4.
TEST(JudgeUpgrade, Answers426WithOurVersionToAnyOther) {
  std::vector<Request> requests = {Request().without("Sec-WebSocket-Version"),
                                   Request().with("Sec-WebSocket-Version: 13"),
                                   Request().with("Sec-WebSocket-Version: 8")};
  for (const char* version : {"", "8", "7", "0", "12", "14", "25", "013", "+13", "13.0", "1 3",
                              "13, 8", "8, 13", "13,", "130", "0xd", "\"13\""}) {
    requests.push_back(Request().change("Sec-WebSocket-Version: " + std::string(version)));
  }
  for (const Request& request : requests) {
    const Verdict verdict = judge(request);
    EXPECT_EQ(verdict.status, 426) << request.headers.back();
    EXPECT_EQ(verdict.extra_headers, kVersionLines);
    EXPECT_FALSE(verdict.reason.empty());
  }
}

TEST(JudgeUpgrade, Answers400ToAMissingRepeatedOrMalformedKey) {
  expect_400(Request().without("Sec-WebSocket-Key"));
  expect_400(Request().with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="));
  expect_400(Request().with("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="));
  for (const char* key : {
           "",
           "=",
           "dGhlIHNhbXBsZSBub25jZQ",            // no padding
           "dGhlIHNhbXBsZSBub25jZQ=",           // half of it
           "dGhlIHNhbXBsZSBub25jZQ===",         // too much
           "dGhlIHNhbXBsZSBub25jZR==",          // unused bits set
           "dGhlIHNhbXBsZSBub25j",              // 15 bytes
           "dGhlIHNhbXBsZSBub25jZQE=",          // 17 bytes
           "dGhlIHNhbXBsZSBub25jZGhlIHNhbXBs",  // 24 bytes
           "dGhlIHNhbXBsZSBub25j!Q==",          // not in the alphabet
           "dGhlIHNhbXBsZSBub2-_ZQ==",          // base64url
           "dGhlIHNhbXBs ZSBub25jZQ==",         // white space inside
           "dGhlIHNhbXBsZSB=b25jZQ==",          // padding inside
           "\"dGhlIHNhbXBsZSBub25jZQ==\"",
       }) {
    expect_400(Request().change("Sec-WebSocket-Key: " + std::string(key)));
  }
  EXPECT_EQ(status(Request().change("Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==")), 101);
  EXPECT_EQ(status(Request().change("Sec-WebSocket-Key: /////////////////////w==")), 101);
}

std::string repeated(std::string_view element, int count) {
  std::string list;
  for (int i = 0; i < count; ++i) list.append(i == 0 ? "" : ",").append(element);
  return list;
}

// RFC 6455 section 4.2.1: tokens, in one header or several.
TEST(JudgeUpgrade, Answers400ToAMalformedListOfSubprotocols) {
  for (const char* list : {"", ",", " , ,", "a b", "a;b", "a/b", "a=b", "\"a\"", "a, b c", "a@b",
                           "a,\x80", "{a}", "a:b"}) {
    expect_400(Request().with("Sec-WebSocket-Protocol: " + std::string(list)));
  }
  for (const char* list : {"a", "chat, superchat", "a,,b", ",a,", "v10.stomp,\tv11.stomp", "!~"}) {
    EXPECT_EQ(status(Request().with("Sec-WebSocket-Protocol: " + std::string(list))), 101) << list;
  }
  EXPECT_EQ(status(Request().with("Sec-WebSocket-Protocol: a").with("Sec-WebSocket-Protocol:")),
            101);
  expect_400(Request().with("Sec-WebSocket-Protocol: a").with("Sec-WebSocket-Protocol: b c"));
}

TEST(JudgeUpgrade, AcceptsUpTo32Subprotocols) {
  const std::string name = "Sec-WebSocket-Protocol: ";
  EXPECT_EQ(status(Request().with(name + repeated("p", 32))), 101);
  expect_400(Request().with(name + repeated("p", 33)));
  EXPECT_EQ(status(Request().with(name + repeated("p", 16)).with(name + repeated("p", 16))), 101);
  expect_400(Request().with(name + repeated("p", 16)).with(name + repeated("p", 17)));
}

// RFC 6455 section 9.1.
TEST(JudgeUpgrade, Answers400ToAMalformedListOfExtensions) {
  for (const char* list : {"",
                           ",",
                           "foo bar",
                           "foo;",
                           "foo; ",
                           "foo;;bar",
                           "foo; =1",
                           "foo; a=",
                           "foo; a==1",
                           "foo; a=1=2",
                           "foo; a b",
                           "foo; a=1 2",
                           ";a",
                           "foo, ;a",
                           "foo/1",
                           "foo; a=\"1",
                           "foo; a=\"",
                           "foo; a=\"\"",
                           "foo; a=\"1 2\"",
                           "foo; a=\"1,2\"",
                           "foo; a=\"1;2\"",
                           "foo; a=\"1\\,2\"",
                           "foo; a=\"1\"2",
                           "foo; a=\"1\\",
                           "foo; a=\"1\\\"",
                           "foo; \"a\"=1",
                           "\"foo\"",
                           "foo; a=\x80",
                           "foo; a=1\"2\"",
                           "foo=1"}) {
    expect_400(Request().with("Sec-WebSocket-Extensions: " + std::string(list)));
  }
}

TEST(JudgeUpgrade, AcceptsGoodListsOfExtensionsKnownOrNot) {
  for (const char* list :
       {"foo", "foo, bar; baz=2", "permessage-deflate", "deflate-stream",
        "mux; max-channels=4; flow-control, deflate-stream", "private-extension",
        "permessage-deflate; client_max_window_bits; server_max_window_bits=10, permessage-deflate",
        "permessage-deflate; server_max_window_bits=\"10\"", "foo;a=\"1\\2\"", "foo ; a = 1 ;b",
        "foo,,bar,", "foo\t;\ta\t=\t\"1\"\t,\tbar", "foo; a; a; a=1"}) {
    EXPECT_EQ(status(Request().with("Sec-WebSocket-Extensions: " + std::string(list))), 101)
        << list;
  }
}

TEST(JudgeUpgrade, AcceptsUpTo16ExtensionOffers) {
  const std::string name = "Sec-WebSocket-Extensions: ";
  EXPECT_EQ(status(Request().with(name + repeated("x; a=1", 16))), 101);
  expect_400(Request().with(name + repeated("x; a=1", 17)));
  EXPECT_EQ(status(Request().with(name + repeated("x", 8)).with(name + repeated("x", 8))), 101);
  expect_400(Request().with(name + repeated("x", 8)).with(name + repeated("x", 9)));
}

// ws CVE-2021-32640 and the like: time that grows faster than the header would not end here.
TEST(JudgeUpgrade, ReadsPathologicalListsInLinearTime) {
  const std::string blanks(500'000, ' ');
  expect_400(Request().with("Sec-WebSocket-Protocol: a" + blanks + "b"));
  expect_400(Request().with("Sec-WebSocket-Extensions: a" + blanks + "b"));
  expect_400(Request().with("Sec-WebSocket-Extensions: a;b=\"" + blanks + "\""));
  expect_400(Request().with("Sec-WebSocket-Extensions: a;b=\"" + std::string(500'000, '\\')));
  EXPECT_EQ(status(Request().with("Sec-WebSocket-Protocol: a" + std::string(500'000, ','))), 101);
  EXPECT_EQ(status(Request().with("Sec-WebSocket-Extensions: a;b" + std::string(500'000, ','))),
            101);
  EXPECT_EQ(status(Request().change("Connection: " + blanks + std::string(400'000, ',') + "x")),
            426);
}

TEST(JudgeUpgrade, TakesTheFirstFaultInTheDocumentedOrder) {
  Request request;
  request.line = "POST * HTTP/1.1";
  request.headers = {"Content-Length: 5"};
  EXPECT_EQ(status(request), 405);
  request.line = "GET / HTTP/1.1";
  EXPECT_EQ(status(request), 400);
  request.headers = {"Host: a", "Sec-WebSocket-Protocol: ;"};
  EXPECT_EQ(judge(request).extra_headers, kUpgradeLines);
  request.with("Upgrade: websocket").with("Connection: upgrade");
  EXPECT_EQ(judge(request).extra_headers, kVersionLines);
  request.with("Sec-WebSocket-Version: 13");
  EXPECT_EQ(status(request), 400);
  request.with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==");
  EXPECT_EQ(status(request), 400);
  EXPECT_EQ(status(request.without("Sec-WebSocket-Protocol")), 101);
}

TEST(TargetPath, TakesThePathOfOriginFormAndAbsoluteForm) {
  struct Vector {
    const char* target;
    const char* path;
  };
  const Vector vectors[] = {
      {"/", "/"},
      {"/chat", "/chat"},
      {"/chat?room=1", "/chat"},
      {"/?x", "/"},
      {"/a/b?c?d/e", "/a/b"},
      {"/a?u=http://b/c", "/a"},
      {"//a/b", "//a/b"},
      {"http://host/chat?x", "/chat"},
      {"HTTPS://host:443/chat", "/chat"},
      {"ws://host/a/b", "/a/b"},
      {"wss://[::1]:8889/a", "/a"},
      {"http://host", "/"},
      {"http://host?x", "/"},
  };
  for (const Vector& vector : vectors) {
    const GuardedCopy guarded{std::string_view(vector.target)};
    EXPECT_EQ(ws::proto::target_path(guarded.text()), vector.path) << vector.target;
  }
}

TEST(TargetPath, IsEmptyForEveryOtherForm) {
  for (const char* target :
       {"*", "", "chat", "?x", "host:80", "ftp://host/a", "httpx://host/a", "x/http://host/a",
        "http:/host/a", "http:///a", "http://user@host/a", "http://host:99999/a", "/a#b", "/a?b#c",
        "http://host/a#b", "http://host#b", "http://"}) {
    const GuardedCopy guarded{std::string_view(target)};
    EXPECT_EQ(ws::proto::target_path(guarded.text()), "") << target;
  }
}

TEST(ValidOrigin, KnowsTheFormsAListMayHave) {
  for (const char* text :
       {"*", "null", "http://example.com", "https://example.com", "https://example.com:8443",
        "HTTP://EXAMPLE.COM", "http://127.0.0.1:80", "http://[::1]:8080", "http://localhost"}) {
    EXPECT_TRUE(ws::proto::valid_origin(GuardedCopy{std::string_view(text)}.text())) << text;
  }
  for (const char* text :
       {"", "**", "Null", "example.com", "//example.com", "http:example.com", "http://",
        "http://example.com/", "http://example.com/a", "http://example.com?a",
        "http://example.com#a", "http://user@example.com", "http://a:65536", "ws://example.com",
        "ftp://example.com", "http://a http://b", "http://a,http://b", "http://::1", " http://a"}) {
    EXPECT_FALSE(ws::proto::valid_origin(GuardedCopy{std::string_view(text)}.text())) << text;
  }
}

struct OriginCase {
  std::string_view host = "server.example.com";
  bool tls = false;
  std::vector<std::string> allowed = {};
  std::string_view target = "/chat";
};

bool allowed(std::string_view origin, const OriginCase& how = {}) {
  Request request;
  request.target(how.target).change("Host: " + std::string(how.host));
  request.with("Origin: " + std::string(origin));
  return origin_allowed(Parsed(request).head(), how.tls, how.allowed);
}

TEST(OriginAllowed, PassesARequestWithoutOrigin) {
  EXPECT_TRUE(origin_allowed(Parsed(Request()).head(), false, {}));
}

TEST(OriginAllowed, PassesTheSameOrigin) {
  EXPECT_TRUE(allowed("http://server.example.com"));
  EXPECT_TRUE(allowed("https://server.example.com", {.tls = true}));
  EXPECT_TRUE(allowed("HTTP://Server.EXAMPLE.com"));
  EXPECT_TRUE(allowed("http://localhost:8888", {.host = "localhost:8888"}));
  EXPECT_TRUE(allowed("http://[::1]:8888", {.host = "[::1]:8888"}));
}

TEST(OriginAllowed, TakesADefaultPortAndNoneForTheSame) {
  EXPECT_TRUE(allowed("http://a:80", {.host = "a"}));
  EXPECT_TRUE(allowed("http://a", {.host = "a:80"}));
  EXPECT_TRUE(allowed("http://a", {.host = "a:"}));
  EXPECT_TRUE(allowed("https://a:443", {.host = "a", .tls = true}));
  EXPECT_TRUE(allowed("https://a", {.host = "a:443", .tls = true}));
  EXPECT_FALSE(allowed("http://a:443", {.host = "a"}));
  EXPECT_FALSE(allowed("http://a", {.host = "a:443"}));
  EXPECT_FALSE(allowed("https://a:80", {.host = "a", .tls = true}));
}

TEST(OriginAllowed, RefusesAnotherSchemeHostOrPort) {
  EXPECT_FALSE(allowed("https://server.example.com"));
  EXPECT_FALSE(allowed("http://server.example.com", {.tls = true}));
  EXPECT_FALSE(allowed("http://example.com"));
  EXPECT_FALSE(allowed("http://evil.server.example.com"));
  EXPECT_FALSE(allowed("http://server.example.com.evil.com"));
  EXPECT_FALSE(allowed("http://server.example.com:8080"));
  EXPECT_FALSE(allowed("http://localhost:8889", {.host = "localhost:8888"}));
  EXPECT_FALSE(allowed("http://127.0.0.1:8888", {.host = "localhost:8888"}));
}

TEST(OriginAllowed, RefusesNullAndMalformedOrigins) {
  for (const char* origin :
       {"null", "", "server.example.com", "//server.example.com", "http:server.example.com",
        "http://server.example.com/", "http://server.example.com/chat",
        "http://user@server.example.com", "http://server.example.com http://server.example.com",
        "http://server.example.com, http://server.example.com", "ws://server.example.com",
        "http://", "*", "http://server.example.com:x"}) {
    EXPECT_FALSE(allowed(origin)) << origin;
  }
}

TEST(OriginAllowed, RefusesARepeatedOriginWhateverIsListed) {
  Request request;
  request.with("Origin: http://server.example.com").with("Origin: http://server.example.com");
  const std::vector<std::string> any = {"*", "http://server.example.com"};
  EXPECT_FALSE(origin_allowed(Parsed(request).head(), false, {}));
  EXPECT_FALSE(origin_allowed(Parsed(request).head(), false, any));
}

TEST(OriginAllowed, PassesAListedOrigin) {
  const OriginCase listed = {
      .allowed = {"https://App.example.com", "http://localhost:3000", "http://a:80", "http://b"}};
  EXPECT_TRUE(allowed("https://app.example.com", listed));
  EXPECT_TRUE(allowed("https://app.EXAMPLE.com:443", listed));
  EXPECT_TRUE(allowed("http://localhost:3000", listed));
  EXPECT_TRUE(allowed("http://a", listed));
  EXPECT_TRUE(allowed("http://b:80", listed));
  EXPECT_TRUE(allowed("http://server.example.com", listed));  // still our own
  for (const char* origin :
       {"http://app.example.com", "https://app.example.com:80", "https://example.com",
        "https://x.app.example.com", "http://localhost", "http://localhost:30000", "null",
        "https://app.example.com/", "app.example.com"}) {
    EXPECT_FALSE(allowed(origin, listed)) << origin;
  }
}

TEST(OriginAllowed, PassesNullOnlyWhenListed) {
  EXPECT_TRUE(allowed("null", {.allowed = {"null"}}));
  EXPECT_FALSE(allowed("http://example.com", {.allowed = {"null"}}));
  EXPECT_FALSE(allowed("NULL", {.allowed = {"null"}}));
}

TEST(OriginAllowed, PassesAnyWhenAStarIsListed) {
  for (const char* origin : {"http://example.com", "https://x:1", "null", "chrome-extension://a"}) {
    EXPECT_TRUE(allowed(origin, {.allowed = {"http://a", "*"}})) << origin;
  }
}

TEST(OriginAllowed, IgnoresEntriesThatAreNoOrigins) {
  EXPECT_FALSE(allowed("http://a", {.allowed = {"", "a", "http://a/", "ws://a"}}));
  EXPECT_FALSE(allowed("", {.allowed = {""}}));
}

// RFC 9112 section 3.2.2: the host of an absolute-form target takes the place of Host.
TEST(OriginAllowed, GoesByTheHostOfAnAbsoluteFormTarget) {
  const OriginCase absolute = {.host = "other", .target = "http://a:81/chat"};
  EXPECT_TRUE(allowed("http://a:81", absolute));
  EXPECT_FALSE(allowed("http://other", absolute));
}

TEST(UpgradeResponse, HasTheLinesOfRfc6455) {
  const Parsed parsed{Request()};
  EXPECT_EQ(ws::proto::upgrade_response(parsed.head(), ""),
            "HTTP/1.1 101 Switching Protocols\r\n"
            "Upgrade: websocket\r\n"
            "Connection: Upgrade\r\n"
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
            "\r\n");
}

TEST(UpgradeResponse, EndsWithExtraLines) {
  const Parsed parsed{Request()};
  const std::string extra = "Sec-WebSocket-Protocol: chat\r\nX-Node: 1\r\n";
  const std::string plain = ws::proto::upgrade_response(parsed.head(), "");
  EXPECT_EQ(ws::proto::upgrade_response(parsed.head(), extra),
            plain.substr(0, plain.size() - 2) + extra + "\r\n");
}

// A response cut into its lines, the way a client reads it.
struct Response {
  explicit Response(const std::string& text) {
    const std::size_t end = text.find("\r\n\r\n");
    EXPECT_NE(end, std::string::npos);
    body = text.substr(end + 4);
    for (std::size_t at = 0; at < end + 2;) {
      const std::size_t eol = text.find("\r\n", at);
      lines.push_back(text.substr(at, eol - at));
      at = eol + 2;
    }
  }
  std::ptrdiff_t count(const std::string& line) const {
    return std::count(lines.begin(), lines.end(), line);
  }
  std::ptrdiff_t named(std::string_view name) const {
    return std::count_if(lines.begin(), lines.end(), [name](const std::string& line) {
      return ws::proto::equals_ignore_case(line.substr(0, line.find(':')), name);
    });
  }
  std::vector<std::string> lines;
  std::string body;
};

TEST(RefusalResponse, HasStatusLengthTypeCloseAndOneLineOfBody) {
  const Response response(refusal_response(404, "no such route", ""));
  EXPECT_EQ(response.lines.front(), "HTTP/1.1 404 Not Found");
  EXPECT_EQ(response.body, "no such route\n");
  EXPECT_EQ(response.count("Content-Length: 14"), 1);
  EXPECT_EQ(response.count("Content-Type: text/plain; charset=utf-8"), 1);
  EXPECT_EQ(response.count("Connection: close"), 1);
  EXPECT_EQ(response.lines.size(), 4u);
}

TEST(RefusalResponse, NamesEveryStatusOfTheDesign) {
  for (const char* line : {"400 Bad Request", "403 Forbidden", "404 Not Found",
                           "405 Method Not Allowed", "408 Request Timeout", "414 URI Too Long",
                           "426 Upgrade Required", "431 Request Header Fields Too Large",
                           "503 Service Unavailable", "505 HTTP Version Not Supported"}) {
    const Response response(refusal_response(std::stoi(line), "why", ""));
    EXPECT_EQ(response.lines.front(), "HTTP/1.1 " + std::string(line));
    EXPECT_EQ(response.count("Content-Length: 4"), 1);
    EXPECT_EQ(response.body, "why\n");
  }
}

// RFC 9112 section 4: the space stays when the phrase is absent.
TEST(RefusalResponse, LeavesThePhraseOfAnUnknownStatusEmpty) {
  EXPECT_EQ(Response(refusal_response(499, "why", "")).lines.front(), "HTTP/1.1 499 ");
}

TEST(RefusalResponse, CarriesExtraLines) {
  const Response busy(refusal_response(503, "at its limit", "Retry-After: 5\r\n"));
  EXPECT_EQ(busy.count("Retry-After: 5"), 1);
  EXPECT_EQ(busy.count("Connection: close"), 1);
}

TEST(RefusalResponse, LetsAConnectionLineReplaceItsOwn) {
  const Response version(refusal_response(426, "why", kVersionLines));
  EXPECT_EQ(version.named("Connection"), 1);
  EXPECT_EQ(version.count("Connection: Upgrade, close"), 1);
  EXPECT_EQ(version.count("Upgrade: websocket"), 1);
  EXPECT_EQ(version.count("Sec-WebSocket-Version: 13"), 1);
  EXPECT_EQ(Response(refusal_response(400, "why", "connection: close\r\n")).named("Connection"), 1);
  const Response other(refusal_response(400, "why", "X-Connection: a\r\nX: Connection: b\r\n"));
  EXPECT_EQ(other.count("Connection: close"), 1);
}

}  // namespace
