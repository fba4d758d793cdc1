// The answer to an opening request (rows H5-H7). "The request itself is judged
// first (405, 400), then the route (404), then the upgrade (426), then the Origin (403)."
#include "ws/opening.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tests/conformance/conformance.h"
#include "ws/extensions.h"
#include "ws/proto/http_parser.h"

namespace ws {
namespace {

using test::Request;

// A server of two routes, one of which any page may use.
class Opening : public testing::Test {
 protected:
  Opening() {
    router_.add("/ws", {});
    router_.add("/open/*", {.origins = {"*"}});
  }

  // What a program without an on_upgrade says in the end.
  struct Answer {
    int status = 0;
    std::string_view reason;
    std::string response;
    const Handlers* handlers = nullptr;
    bool deflate = false;
  };

  Answer answer(const Request& request, bool tls = false) {
    const std::string text = request.str();
    parser_ = std::make_unique<proto::RequestParser>(proto::RequestParser::Config{});
    const auto step =
        parser_->feed({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
    EXPECT_EQ(step.state, proto::RequestParser::State::kComplete) << text;
    Judgement judged = judge_request(parser_->head(), router_, origins_, tls);
    Answer answer{.reason = judged.reason, .response = std::move(judged.response)};
    if (judged.kind == Judgement::Kind::kUpgrade) {
      answer.handlers = judged.route.handlers;
      const Negotiated negotiated = accept_extensions(parser_->head(), deflate_, {});
      answer.deflate = !negotiated.elements.empty();
      answer.response = upgrade_answer(parser_->head(), {}, negotiated.answer).value();
    }
    answer.status = std::stoi(answer.response.substr(answer.response.find(' ')));
    return answer;
  }
  int status(const Request& request, bool tls = false) { return answer(request, tls).status; }

  Router router_;
  std::vector<std::string> origins_;
  DeflateOptions deflate_;
  std::unique_ptr<proto::RequestParser> parser_;
};

Request at(const std::string& target) {
  Request request;
  request.line = "GET " + target + " HTTP/1.1";
  return request;
}

Request plain_get(const std::string& target) {
  Request request = at(target);
  request.headers = {"Host: localhost"};
  return request;
}

Request from(const std::string& origin, const std::string& target = "/ws") {
  return at(target).with("Origin: " + origin);
}

// Whether `response` has this whole header line.
bool has_line(const std::string& response, const std::string& line) {
  return response.find("\r\n" + line + "\r\n") < response.find("\r\n\r\n");
}

// "every answer but 101 carries Content-Length and Connection: close"; and the length is right.
void expect_whole_refusal(const std::string& response, std::string_view reason, int status) {
  EXPECT_FALSE(reason.empty());
  EXPECT_TRUE(response.starts_with("HTTP/1.1 " + std::to_string(status) + " ")) << response;
  const std::size_t head_end = response.find("\r\n\r\n");
  ASSERT_NE(head_end, std::string::npos) << response;
  const std::size_t body_bytes = response.size() - head_end - 4;
  EXPECT_TRUE(has_line(response, "Content-Length: " + std::to_string(body_bytes))) << response;
  EXPECT_TRUE(has_line(response, "Connection: close") ||
              has_line(response, "Connection: Upgrade, close"))
      << response;
}

TEST_F(Opening, AGoodRequestGetsItsRoute) {
  const Answer answer = this->answer({});
  EXPECT_EQ(answer.status, 101);
  EXPECT_EQ(answer.handlers, router_.find("/ws").handlers);
  EXPECT_TRUE(answer.response.starts_with("HTTP/1.1 101 ")) << answer.response;
  EXPECT_TRUE(answer.response.ends_with("\r\n\r\n")) << answer.response;
  EXPECT_TRUE(has_line(answer.response, "Sec-WebSocket-Accept: " + std::string(test::kAccept)));
  EXPECT_FALSE(has_line(answer.response, "Connection: close"));
}

TEST_F(Opening, TheRouteIsFoundByThePathAlone) {
  EXPECT_EQ(answer(at("/ws?token=1")).handlers, router_.find("/ws").handlers);
  EXPECT_EQ(answer(at("http://localhost/ws")).handlers, router_.find("/ws").handlers);
  EXPECT_EQ(answer(at("http://localhost/open/x?y=/ws")).handlers, router_.find("/open/x").handlers);
  EXPECT_EQ(status(at("/open?/open/x")), 404);
}

TEST_F(Opening, ARefusalIsAWholeAnswer) {
  const auto expect_refused = [this](const Request& request, int status) {
    const Answer refused = answer(request);
    EXPECT_EQ(refused.handlers, nullptr);
    expect_whole_refusal(refused.response, refused.reason, status);
  };
  expect_refused(at("/nowhere"), 404);
  expect_refused(plain_get("/ws"), 426);
  expect_refused(from("https://evil.example"), 403);
  expect_refused(Request().without("Host"), 400);
  Request post;
  post.line = "POST /ws HTTP/1.1";
  expect_refused(post, 405);
  for (const int status : {400, 408, 414, 431, 500, 503, 505}) {
    const Judgement refused = refuse_request(status);
    EXPECT_EQ(refused.kind, Judgement::Kind::kRefused);
    expect_whole_refusal(refused.response, refused.reason, status);
  }
}

TEST_F(Opening, RefusalsCarryTheHeadersTheyNeed) {
  Request post;
  post.line = "POST /ws HTTP/1.1";
  EXPECT_TRUE(has_line(answer(post).response, "Allow: GET"));

  // RFC 9110 15.5.22: "The server MUST send an Upgrade header field in a 426 response"; 7.8: "a
  // sender of Upgrade MUST also send an "Upgrade" connection option".
  for (const Request& request :
       {plain_get("/ws"), Request().instead("Sec-WebSocket-Version: 12")}) {
    const std::string response = answer(request).response;
    EXPECT_TRUE(has_line(response, "Upgrade: websocket")) << response;
    EXPECT_TRUE(has_line(response, "Connection: Upgrade, close")) << response;
  }
  EXPECT_TRUE(has_line(answer(Request().instead("Sec-WebSocket-Version: 12")).response,
                       "Sec-WebSocket-Version: 13"));
  EXPECT_NE(refuse_request(503).response.find("\r\nRetry-After: "), std::string::npos);
}

TEST_F(Opening, AWrongMethodIsSaidBeforeAnythingElse) {
  Request request;
  request.line = "POST /nowhere HTTP/1.1";
  request.without("Host").without("Upgrade").with("Origin: https://evil.example");
  EXPECT_EQ(status(request), 405);
}

TEST_F(Opening, AMalformedRequestIsSaidBeforeTheRoute) {
  EXPECT_EQ(status(at("/nowhere").without("Host")), 400);
  EXPECT_EQ(status(at("/nowhere").with("Host: localhost")), 400);
  EXPECT_EQ(status(at("/nowhere").with("Content-Length: 5")), 400);
  EXPECT_EQ(status(at("/nowhere").with("Transfer-Encoding: chunked")), 400);
  EXPECT_EQ(status(plain_get("/nowhere").without("Host")), 400);
}

TEST_F(Opening, ATargetThatIsNoPathIsMalformed) {
  for (const char* target : {"*", "localhost:80", "ftp://localhost/ws", "ws"}) {
    EXPECT_EQ(status(at(target)), 400) << target;
  }
}

TEST_F(Opening, AMissingRouteIsSaidBeforeTheUpgrade) {
  EXPECT_EQ(status(plain_get("/nowhere")), 404);
  EXPECT_EQ(status(at("/nowhere").instead("Sec-WebSocket-Version: 12")), 404);
  EXPECT_EQ(status(from("https://evil.example", "/nowhere")), 404);
}

TEST_F(Opening, AMissingUpgradeIsSaidBeforeTheOrigin) {
  EXPECT_EQ(status(plain_get("/ws").with("Origin: https://evil.example")), 426);
  EXPECT_EQ(status(from("https://evil.example").instead("Sec-WebSocket-Version: 12")), 426);
  EXPECT_EQ(status(from("https://evil.example").without("Sec-WebSocket-Version")), 426);
}

TEST_F(Opening, ABadKeyIsMalformed) {
  EXPECT_EQ(status(Request().without("Sec-WebSocket-Key")), 400);
  EXPECT_EQ(status(Request().instead("Sec-WebSocket-Key: short")), 400);
  EXPECT_EQ(status(from("https://evil.example").without("Sec-WebSocket-Key")), 400);
}

// Row H7: "default = exact same-origin when Origin present".
TEST_F(Opening, AForeignOriginIsRefused) {
  for (const char* origin :
       {"https://evil.example", "http://localhost.evil.example", "http://localhost:81", "null",
        "http://evil.example/localhost", "http://localhost@evil.example", "localhost", ""}) {
    EXPECT_EQ(status(from(origin)), 403) << origin;
  }
  EXPECT_EQ(status(from("http://localhost").with("Origin: http://localhost")), 403) << "repeated";
}

TEST_F(Opening, OurOwnOriginMayConnect) {
  EXPECT_EQ(status(from("http://localhost")), 101);
  EXPECT_EQ(status(from("http://LOCALHOST:80")), 101);
  EXPECT_EQ(status(from("https://localhost"), true), 101);
  EXPECT_EQ(status(from("https://localhost:443"), true), 101);
  EXPECT_EQ(status(from("http://localhost:8080").instead("Host: localhost:8080")), 101);
}

// RFC 6454: an origin is scheme, host and port. What a page without TLS says is anybody's word.
TEST_F(Opening, TheSchemeIsPartOfTheOrigin) {
  EXPECT_EQ(status(from("https://localhost"), false), 403);
  EXPECT_EQ(status(from("http://localhost"), true), 403);
}

TEST_F(Opening, AListedOriginMayConnect) {
  origins_ = {"https://app.example", "null"};
  EXPECT_EQ(status(from("https://app.example")), 101);
  EXPECT_EQ(status(from("https://app.example:443")), 101);
  EXPECT_EQ(status(from("null")), 101);
  EXPECT_EQ(status(from("http://localhost")), 101) << "our own, still";
  EXPECT_EQ(status(from("http://app.example")), 403);
  EXPECT_EQ(status(from("https://app.example:444")), 403);
  EXPECT_EQ(status(from("https://x.app.example")), 403);
}

TEST_F(Opening, AStarAllowsEveryOrigin) {
  origins_ = {"*"};
  EXPECT_EQ(status(from("https://evil.example")), 101);
  EXPECT_EQ(status(from("null")), 101);
}

TEST_F(Opening, ARequestWithoutOriginIsNoBrowsers) {
  origins_ = {"https://app.example"};
  EXPECT_EQ(status({}), 101);
}

TEST_F(Opening, ARouteMayAcceptAnyOrigin) {
  EXPECT_EQ(status(from("https://evil.example", "/open/1")), 101);
  EXPECT_EQ(status(from("null", "/open/1")), 101);
  EXPECT_EQ(status(from("https://evil.example", "/ws")), 403) << "the other route does not";
}

// Handlers::origins: "Empty: ServerOptions::origins."
TEST_F(Opening, ARoutesOwnListRulesItInsteadOfTheServers) {
  origins_ = {"https://app.example"};
  router_.add("/own", {.origins = {"https://own.example"}});
  EXPECT_EQ(status(from("https://own.example", "/own")), 101);
  EXPECT_EQ(status(from("http://localhost", "/own")), 101) << "our own, still";
  EXPECT_EQ(status(from("https://app.example", "/own")), 403);
  EXPECT_EQ(status(from("https://app.example", "/ws")), 101);
  EXPECT_EQ(status(from("https://own.example", "/ws")), 403);
}

TEST_F(Opening, NamesTheExtensionItAgreedOn) {
  Request request = at("/open/x");
  request.headers.push_back("Sec-WebSocket-Extensions: permessage-deflate");
  EXPECT_FALSE(answer(request).deflate) << "off unless asked for";
  deflate_.mode = DeflateMode::kOn;
  const Answer agreed = answer(request);
  ASSERT_TRUE(agreed.deflate);
  EXPECT_NE(agreed.response.find("\r\nSec-WebSocket-Extensions: permessage-deflate; "
                                 "server_no_context_takeover; client_no_context_takeover\r\n"),
            std::string::npos)
      << agreed.response;
  const Answer plain = answer(at("/open/x"));
  EXPECT_FALSE(plain.deflate);
  EXPECT_EQ(plain.response.find("Extensions"), std::string::npos) << plain.response;
}

}  // namespace
}  // namespace ws
