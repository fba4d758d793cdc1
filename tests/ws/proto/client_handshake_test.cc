#include "ws/proto/client_handshake.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/bytes.h"
#include "tls/crypto.h"
#include "ws/proto/handshake.h"
#include "ws/proto/http_parser.h"

namespace {

using ws::HeaderField;
using ws::proto::check_client_request;
using ws::proto::client_request;
using ws::proto::RequestParser;
using ws::proto::ResponseParser;
using ws::proto::ServerAnswer;
using ws::test::bytes_of;
using Strings = std::vector<std::string>;
using Headers = std::vector<HeaderField>;

constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";  // RFC 6455 section 1.3

// RFC 6455 section 4.1: "a randomly selected 16-byte value that has been base64-encoded [...] The
// nonce MUST be selected randomly for each connection."
TEST(MakeKey, IsSixteenBytesAndNewEachTime) {
  std::set<std::string> keys;
  for (int i = 0; i < 1000; ++i) {
    const std::string key = ws::proto::make_key();
    const auto bytes = ws::tls::base64_decode(key);
    ASSERT_TRUE(bytes) << key;
    EXPECT_EQ(bytes->size(), 16u);
    keys.insert(key);
  }
  EXPECT_EQ(keys.size(), 1000u);
}

// Section 1.2's request, with what a program may add.
TEST(ClientRequest, HasTheLinesOfRfc6455) {
  const Strings subprotocols = {"chat", "superchat"};
  const Strings extensions = {"permessage-deflate; client_max_window_bits", "x"};
  const Headers headers = {{"Origin", "http://example.com"}, {"Cookie", "a=b; c=d"}, {"Empty", ""}};
  EXPECT_EQ(client_request({.target = "/chat?room=1",
                            .host = "server.example.com:8080",
                            .key = kKey,
                            .subprotocols = subprotocols,
                            .extensions = extensions,
                            .headers = headers}),
            "GET /chat?room=1 HTTP/1.1\r\n"
            "Host: server.example.com:8080\r\n"
            "Upgrade: websocket\r\n"
            "Connection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: chat, superchat\r\n"
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x\r\n"
            "Origin: http://example.com\r\n"
            "Cookie: a=b; c=d\r\n"
            "Empty: \r\n"
            "\r\n");
}

// The ABNF of both lists is 1#: an empty one is left out.
TEST(ClientRequest, HasNoLineForAnEmptyList) {
  EXPECT_EQ(client_request({.target = "/", .host = "[::1]", .key = kKey}),
            "GET / HTTP/1.1\r\n"
            "Host: [::1]\r\n"
            "Upgrade: websocket\r\n"
            "Connection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\n"
            "\r\n");
}

std::string error_of(const Strings& subprotocols, const Headers& headers) {
  const auto result = check_client_request(subprotocols, headers);
  if (result) return "";
  EXPECT_EQ(result.error().message().find('\n'), std::string::npos);
  return result.error().message();
}

void expect_refused(const Strings& subprotocols, const Headers& headers, std::string_view named,
                    std::string_view fault) {
  const std::string line = error_of(subprotocols, headers);
  EXPECT_NE(line.find("\"" + std::string(named) + "\""), std::string::npos)
      << named << ": " << line;
  EXPECT_NE(line.find(fault), std::string::npos) << named << ": " << line;
}

TEST(CheckClientRequest, PassesWhatAProgramMaySend) {
  EXPECT_EQ(error_of({}, {}), "");
  EXPECT_EQ(error_of({"chat", "Chat", "v1.json", "!#$%&'*+-.^_`|~09az"}, {}), "");
  EXPECT_EQ(error_of({}, {{"Origin", "http://example.com"},
                          {"Authorization", "Basic bWU6c2VjcmV0"},
                          {"Cookie", "a=b"},
                          {"Cookie", "c=d"},
                          {"User-Agent", "x/1 (\xc3\xa4)\t\"y\""},
                          {"X-Sec-WebSocket-Key", ""},
                          {"Sec-WebSocket", "x"},
                          {"Hosts", "x"}}),
            "");
}

// Section 4.1: "non-empty strings [...] not including separator characters [...] and MUST all be
// unique strings."
TEST(CheckClientRequest, RefusesSubprotocolsThatAreNoTokensOrRepeated) {
  for (const char* name : {"", "a b", "a,b", "a;b", "a/b", "a\"b", "(a)", "a=1", "chat "}) {
    expect_refused({"good", name}, {}, name, "not a token");
  }
  expect_refused({"a\r\nX: y"}, {}, "a??X: y", "not a token");
  expect_refused({"\xc3\xa4"}, {}, "??", "not a token");
  expect_refused({"a", "b", "a"}, {}, "a", "twice");
}

TEST(CheckClientRequest, RefusesHeadersThatAreNone) {
  for (const char* name : {"", "A B", "A:", "A ", " A", "A/B", "\"A\""}) {
    expect_refused({}, {{"Good", "x"}, {name, "x"}}, name, "not a token");
  }
  expect_refused({}, {{"A\r\nB", "x"}}, "A??B", "not a token");
}

// RFC 9110 section 5.5: field-content has no control characters but HTAB.
TEST(CheckClientRequest, RefusesControlCharactersInValues) {
  for (int byte = 0; byte < 256; ++byte) {
    const Headers headers = {{"X-Name", std::string("a") + static_cast<char>(byte) + "b"}};
    if (byte == '\t' || (byte >= 0x20 && byte != 0x7F)) {
      EXPECT_EQ(error_of({}, headers), "") << byte;
    } else {
      expect_refused({}, headers, "X-Name", "control character");
    }
  }
  expect_refused({}, {{"X", "a\r\nHost: b"}}, "X", "line break");
}

TEST(CheckClientRequest, RefusesHeadersTheHandshakeOwns) {
  expect_refused({}, {{"Host", "a"}}, "Host", "from the URL");
  expect_refused({}, {{"hOST", "a"}}, "hOST", "from the URL");
  expect_refused({}, {{"Sec-WebSocket-Protocol", "a"}}, "Sec-WebSocket-Protocol", "subprotocols");
  for (const char* name :
       {"Upgrade", "Connection", "connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version",
        "SEC-WEBSOCKET-EXTENSIONS", "Sec-WebSocket-Accept", "Sec-WebSocket-Whatever"}) {
    expect_refused({}, {{name, "a"}}, name, "writes it itself");
  }
  for (const char* name : {"Content-Length", "transfer-encoding"}) {
    expect_refused({}, {{name, "0"}}, name, "no body");
  }
}

// A response to change line by line: a good handshake to begin with.
struct ServerResponse {
  std::string line = "HTTP/1.1 101 Switching Protocols";
  Strings headers = {"Upgrade: websocket", "Connection: Upgrade",
                     "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="};

  ServerResponse& with(std::string header) {
    headers.push_back(std::move(header));
    return *this;
  }
  ServerResponse& without(std::string_view name) {
    std::erase_if(headers, [&](const std::string& header) {
      return header.starts_with(std::string(name) + ":");
    });
    return *this;
  }
  // In the place of the header of the same name.
  ServerResponse& change(std::string header) {
    const std::string name = header.substr(0, header.find(':'));
    return without(name).with(std::move(header));
  }
  std::string text() const {
    std::string text = line + "\r\n";
    for (const std::string& header : headers) text += header + "\r\n";
    return text + "\r\n";
  }
};

// What a person would see of the verdict: the error line, or what was agreed on.
std::string judge(const ServerResponse& response,
                  const Strings& subprotocols = {"chat", "superchat"}) {
  ResponseParser parser{ResponseParser::Config{.head_bytes_max = 4 * 1024 * 1024}};
  EXPECT_EQ(parser.feed(bytes_of(response.text())).state, ResponseParser::State::kComplete);
  const auto result = ws::proto::judge_response(parser.head(), kKey, subprotocols);
  if (!result) {
    EXPECT_EQ(result.error().message().find('\n'), std::string::npos);
    return result.error().message();
  }
  std::string text = "ok " + result.value().subprotocol;
  for (const auto& extension : result.value().extensions) {
    text += "|" + std::string(extension.name);
    for (const auto& parameter : extension.parameters) {
      text += ";" + std::string(parameter.name);
      if (parameter.value) text += "=" + *parameter.value;
    }
  }
  return text;
}

void expect_fault(const ServerResponse& response, std::string_view fault,
                  const Strings& subprotocols = {"chat", "superchat"}) {
  const std::string line = judge(response, subprotocols);
  EXPECT_FALSE(line.starts_with("ok ")) << response.text();
  EXPECT_NE(line.find(fault), std::string::npos) << response.text() << line;
}

TEST(JudgeResponse, AcceptsTheSampleOfRfc6455) {
  EXPECT_EQ(judge(ServerResponse().with("Sec-WebSocket-Protocol: chat")), "ok chat");
  EXPECT_EQ(judge(ServerResponse()), "ok ");
  EXPECT_EQ(judge(ServerResponse(), {}), "ok ");
}

TEST(JudgeResponse, NamesTheStatusWhenItIsNot101) {
  ServerResponse response;
  response.line = "HTTP/1.1 404 whatever the server says";
  EXPECT_EQ(judge(response), "the server answered 404 Not Found, not 101 Switching Protocols");
  response.line = "HTTP/1.0 200 OK";
  EXPECT_EQ(judge(response), "the server answered 200 OK, not 101 Switching Protocols");
  for (const int status : {199 + 1, 204, 300, 304, 400, 401, 403, 426, 500, 503, 599, 999}) {
    response.line = "HTTP/1.1 " + std::to_string(status) + " x";
    expect_fault(response, "the server answered " + std::to_string(status));
  }
}

TEST(JudgeResponse, NamesTheLocationOfARedirectItDoesNotFollow) {
  for (const int status : {301, 302, 303, 307, 308}) {
    ServerResponse response;
    response.line = "HTTP/1.1 " + std::to_string(status) + " x";
    response.with("Location: wss://other.example/chat");
    expect_fault(response, "\"wss://other.example/chat\"; redirects are not followed");
    expect_fault(response, "answered " + std::to_string(status));
    expect_fault(response.without("Location"), "without a Location");
    response.with("Location: /\x9b\x80\t" + std::string(1000, 'x'));
    expect_fault(response, "\"/???xxx");
    EXPECT_LT(judge(response).size(), 400u);
  }
}

// RFC 6455 section 4.1, after "The client MUST validate the server's response as follows".
TEST(JudgeResponse, WantsUpgradeToBeWebsocket) {
  EXPECT_EQ(judge(ServerResponse().change("Upgrade: WebSocket")), "ok ");
  expect_fault(ServerResponse().without("Upgrade"), "Upgrade header");
  for (const char* value :
       {"", "websockets", "h2c", "websocket, h2c", "websocket/13", "web socket"}) {
    expect_fault(ServerResponse().change("Upgrade: " + std::string(value)), "Upgrade header");
  }
  expect_fault(ServerResponse().with("Upgrade: websocket"), "Upgrade header");
}

TEST(JudgeResponse, WantsUpgradeAmongTheTokensOfConnection) {
  for (const char* value : {"upgrade", "UPGRADE", "keep-alive, Upgrade", ",Upgrade ,"}) {
    EXPECT_EQ(judge(ServerResponse().change("Connection: " + std::string(value))), "ok ") << value;
  }
  EXPECT_EQ(judge(ServerResponse().with("Connection: keep-alive")), "ok ");
  expect_fault(ServerResponse().without("Connection"), "Connection header");
  for (const char* value : {"", "close", "keep-alive", "Upgrades", "Up grade"}) {
    expect_fault(ServerResponse().change("Connection: " + std::string(value)), "Connection header");
  }
}

TEST(JudgeResponse, WantsTheAcceptThatFitsTheKey) {
  EXPECT_EQ(
      judge(ServerResponse().change("Sec-WebSocket-Accept: \t s3pPLMBiTxaQ9kYGzzhZRbK+xOo= ")),
      "ok ");
  expect_fault(ServerResponse().without("Sec-WebSocket-Accept"), "missing or repeated");
  expect_fault(ServerResponse().with("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
               "missing or repeated");
  for (const char* value : {"", "S3PPLMBITXAQ9KYGZZHZRBK+XOO=", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo",
                            "dGhlIHNhbXBsZSBub25jZQ==", "\"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\"",
                            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=,", "AAAA"}) {
    expect_fault(ServerResponse().change("Sec-WebSocket-Accept: " + std::string(value)),
                 "does not fit");
  }
}

TEST(JudgeResponse, WantsHttp11) {
  ServerResponse response;
  response.line = "HTTP/1.0 101 Switching Protocols";
  expect_fault(response, "HTTP/1.0");
}

// "this header field indicates the use of a subprotocol that was not present in the client's
// handshake"; section 11.3.4: once in a response.
TEST(JudgeResponse, TakesOneSubprotocolOfThoseOffered) {
  const std::string name = "Sec-WebSocket-Protocol: ";
  EXPECT_EQ(judge(ServerResponse().with(name + "superchat")), "ok superchat");
  for (const char* value : {"other", "Chat", "chat, superchat", "chat,", "chatx"}) {
    expect_fault(ServerResponse().with(name + value),
                 "\"" + std::string(value) + "\", which was not");
  }
  expect_fault(ServerResponse().with(name), "was not offered");
  expect_fault(ServerResponse().with(name + "chat"), "was not offered", {});
  expect_fault(ServerResponse().with(name + "chat").with(name + "chat"), "more than once");
  expect_fault(ServerResponse().with(name + "chat").with("sec-websocket-protocol: superchat"),
               "more than once");
}

// Section 9.1.
TEST(JudgeResponse, GivesTheExtensionsOfAllHeadersAsOneList) {
  const std::string name = "Sec-WebSocket-Extensions: ";
  EXPECT_EQ(
      judge(ServerResponse().with(name + "permessage-deflate; server_max_window_bits=\"10\"")),
      "ok |permessage-deflate;server_max_window_bits=10");
  EXPECT_EQ(judge(ServerResponse().with(name + "a; b; c=1,,d").with(name).with(name + "e")),
            "ok |a;b;c=1|d|e");
  for (const char* value : {"foo bar", "foo;", "foo; a=", "foo; a=\"1", "good, foo;;b", "foo/1"}) {
    expect_fault(ServerResponse().with(name + value), "list of extensions is malformed at \"foo");
  }
  expect_fault(ServerResponse().with(name), "list of extensions is empty");
  expect_fault(ServerResponse().with(name + ",, ,"), "list of extensions is empty");
}

TEST(JudgeResponse, ReadsPathologicalListsInLinearTime) {
  const std::string blanks(500'000, ' ');
  expect_fault(ServerResponse().with("Sec-WebSocket-Extensions: a" + blanks + "b"), "malformed");
  expect_fault(ServerResponse().with("Sec-WebSocket-Protocol: a" + blanks + "b"), "not offered");
  EXPECT_EQ(
      judge(ServerResponse().with("Sec-WebSocket-Extensions: a;b" + std::string(500'000, ','))),
      "ok |a;b");
}

// Both sides of this library agree on the handshake.
TEST(ClientHandshake, OpensWithTheServerSide) {
  const std::string key = ws::proto::make_key();
  const Strings subprotocols = {"chat"};
  const Strings extensions = {"permessage-deflate"};
  const Headers headers = {{"Origin", "http://example.com"}};
  RequestParser server{RequestParser::Config{}};
  const std::string request = client_request({.target = "/a?b",
                                              .host = "example.com",
                                              .key = key,
                                              .subprotocols = subprotocols,
                                              .extensions = extensions,
                                              .headers = headers});
  const RequestParser::Step step = server.feed(bytes_of(request));
  ASSERT_EQ(step.state, RequestParser::State::kComplete);
  EXPECT_EQ(step.consumed, request.size());
  EXPECT_EQ(ws::proto::judge_upgrade(server.head()).status, 101);
  EXPECT_EQ(ws::proto::target_path(server.head().target), "/a");
  EXPECT_TRUE(ws::proto::origin_allowed(server.head(), false, {}));

  const std::string response =
      ws::proto::upgrade_response(server.head(), "Sec-WebSocket-Protocol: chat\r\n");
  ResponseParser client{ResponseParser::Config{}};
  ASSERT_EQ(client.feed(bytes_of(response)).state, ResponseParser::State::kComplete);
  const auto answer = ws::proto::judge_response(client.head(), key, subprotocols);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer.value().subprotocol, "chat");
  EXPECT_TRUE(answer.value().extensions.empty());
}

}  // namespace
