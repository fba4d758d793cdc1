// What a program reads from a request (ws/request.h), and plain pages: on_http (ws/handlers.h).
#include "ws/request.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "tests/conformance/conformance.h"
#include "tests/support/raw_peer.h"
#include "tests/support/test_server.h"

namespace ws::test {
namespace {

TEST(Request, FindsHeadersWhateverTheirCase) {
  ws::Request request;
  request.headers = {{"X-Token", "first"}, {"Host", "h"}, {"x-token", "second"}, {"Empty", ""}};
  EXPECT_EQ(request.header("x-TOKEN"), "first");
  EXPECT_EQ(request.header("host"), "h");
  EXPECT_EQ(request.header("empty"), "");
  EXPECT_EQ(request.header("x-toke"), "");
  EXPECT_EQ(request.header(""), "");
}

TEST(Request, FindsParametersByTheirName) {
  ws::Request request;
  request.params = {{"room", "blue"}, {"Room", "red"}};
  EXPECT_EQ(request.param("room"), "blue");
  EXPECT_EQ(request.param("Room"), "red") << "names of the program's own, case and all";
  EXPECT_EQ(request.param("seat"), "");
}

// From the route's pattern to the hook, to on_http and to the open connection.
TEST(Request, CarriesTheParametersOfItsRoute) {
  std::string asked;
  Server server({.listen = {"ws://127.0.0.1:0"}, .threads = 1});
  server.route("/room/:room/seat/:seat",
               {.on_upgrade = [&](const ws::Request& r) -> Upgrade {
                  asked = std::string(r.param("room")) + " " + std::string(r.param("seat"));
                  return Accept{};
                },
                .on_http =
                    [](const ws::Request& r) {
                      return Response{.body = "seat " + std::string(r.param("seat"))};
                    },
                .on_message =
                    [](Conn& conn, const Message&) {
                      const ws::Request& r = conn.request();
                      conn.send(std::string(r.params.at(0).name) + "=" +
                                std::string(r.param("room")) + " " + std::string(r.param("seat")) +
                                std::string(r.param("none")));
                    }});
  ASSERT_TRUE(server.start());
  const std::uint16_t port = port_of(server.urls().at(0));
  const auto stream = Stream::connect(port, false);
  ASSERT_NE(stream, nullptr);
  Request request;
  request.line = "GET /room/a%20b/seat/7?x HTTP/1.1";
  EXPECT_EQ(Client(*stream).play(Script()
                                     .sends(request.str())
                                     .upgraded()
                                     .sends(text("?"))
                                     .gets_text("room=a%20b 7")
                                     .bye()),
            "");
  EXPECT_EQ(asked, "a%20b 7");
  const auto page = Stream::connect(port, false);
  ASSERT_TRUE(page != nullptr && page->write("GET /room/x/seat/9 HTTP/1.1\r\nHost: h\r\n\r\n"));
  Answer answer;
  EXPECT_EQ(Client(*page).read_answer(answer, 20'000), "");
  EXPECT_EQ(answer.body, "seat 9");
  server.stop(0);
  server.wait();
}

// --- on_http ---

class Pages : public OverBothSchemes {
 protected:
  Answer ask(const TestServer& server, const Request& request) const {
    const auto stream = server.connect(tls());
    Answer answer;
    if (stream == nullptr || !stream->write(request.str())) return answer;
    Client client(*stream);
    EXPECT_EQ(client.read_answer(answer, 20'000, request.line.starts_with("HEAD")), "");
    EXPECT_EQ(client.read_end(20'000), "") << "RFC 9112 9.6: the server closes";
    return answer;
  }
};
INSTANTIATE_TEST_SUITE_P(Over, Pages, testing::Bool(), scheme);

Request page(const std::string& line) {
  Request request;
  request.line = line + " HTTP/1.1";
  request.headers = {"Host: localhost"};
  return request;
}

using OnHttp = std::function<Response(const ws::Request&)>;
Handlers answering(OnHttp on_http) {
  Handlers handlers;
  handlers.on_http = std::move(on_http);
  return handlers;
}

TEST_P(Pages, AreAnsweredByTheHandler) {
  TestServer server(answering([](const ws::Request& r) {
    return Response{.body = std::string(r.method) + " " + std::string(r.path) + " " +
                            std::string(r.query) + " " + std::string(r.header("X-A"))};
  }));
  const Answer answer = ask(server, page("GET /health?x=1").with("X-A: b"));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "GET /health x=1 b");
  EXPECT_EQ(answer.header("Content-Length"), std::to_string(answer.body.size()));
  EXPECT_EQ(answer.header("Content-Type"), "text/plain; charset=utf-8");
  EXPECT_EQ(answer.header("Connection"), "close");
  EXPECT_TRUE(answer.header("Date").has_value()) << "RFC 9110 6.6.1";
}

TEST_P(Pages, MayHaveAStatusHeadersAndAType) {
  TestServer server(answering([](const ws::Request&) {
    return Response{.status = 404,
                    .body = "<p>",
                    .headers = {{"Content-Type", "text/html"}, {"Cache-Control", "no-store"}}};
  }));
  const Answer answer = ask(server, page("GET /"));
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(answer.body, "<p>");
  EXPECT_EQ(answer.header("Content-Type"), "text/html");
  EXPECT_EQ(answer.header("Cache-Control"), "no-store");
}

// RFC 9110 9.3.2: as for GET, "the server MUST NOT send content in the response".
TEST_P(Pages, AHeadGetsTheSameWithoutTheBody) {
  TestServer server(answering([](const ws::Request& r) {
    return Response{.body = r.method == "HEAD" ? "1234" : "", .headers = {{"X-A", "1"}}};
  }));
  const Answer answer = ask(server, page("HEAD /"));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("Content-Length"), "4");
  EXPECT_EQ(answer.header("X-A"), "1");
  EXPECT_EQ(answer.body, "");
}

// RFC 9110 15.3.5 and 8.6: no content, and no Content-Length.
TEST_P(Pages, ANoContentHasNone) {
  TestServer server(
      answering([](const ws::Request&) { return Response{.status = 204, .body = "not sent"}; }));
  const auto stream = server.connect(tls());
  ASSERT_TRUE(stream != nullptr && stream->write(page("GET /").str()));
  std::string got;
  while (stream->read(got, 20'000) == Stream::Got::kData) {
  }
  EXPECT_TRUE(got.starts_with("HTTP/1.1 204 ")) << got;
  EXPECT_TRUE(got.ends_with("\r\n\r\n")) << got;
  EXPECT_EQ(got.find("Content-Length"), std::string::npos) << got;
}

TEST_P(Pages, AreForGetAndHeadOnly) {
  int calls = 0;
  TestServer server(answering([&](const ws::Request&) {
    ++calls;
    return Response{};
  }));
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "get"}) {
    const Answer answer = ask(server, page(std::string(method) + " /"));
    EXPECT_EQ(answer.status, 405) << method;
    EXPECT_TRUE(answer.has_token("Allow", "GET")) << method;
  }
  EXPECT_EQ(ask(server, page("GET /").with("Content-Length: 2")).status, 400);
  EXPECT_EQ(ask(server, page("GET /").without("Host")).status, 400);
  EXPECT_EQ(calls, 0);
}

// What asks for an upgrade wants no page, however wrongly it asks.
TEST_P(Pages, AreNotForThoseWhoWantAnUpgrade) {
  int calls = 0;
  TestServer server(answering([&](const ws::Request&) {
    ++calls;
    return Response{};
  }));
  const Answer answer = ask(server, Request().instead("Sec-WebSocket-Version: 8"));
  EXPECT_EQ(answer.status, 426);
  EXPECT_EQ(answer.header("Sec-WebSocket-Version"), "13");
  EXPECT_EQ(ask(server, Request().without("Sec-WebSocket-Key")).status, 400);
  EXPECT_EQ(calls, 0);
  Peer peer = server.peer(tls());
  EXPECT_EQ(peer.play(Script().bye()), "");
}

TEST_P(Pages, AHandlerThatThrowsIs500) {
  TestServer server(answering([](const ws::Request& r) -> Response {
    if (r.path == "/bad") return {.status = 99};
    if (r.path == "/int") throw 1;
    throw std::runtime_error("a secret");
  }));
  for (const char* path : {"GET /", "GET /int", "HEAD /", "HEAD /bad"}) {
    const Answer answer = ask(server, page(path));
    EXPECT_EQ(answer.status, 500) << path;
    EXPECT_EQ(answer.body.find("secret"), std::string::npos);
  }
}

TEST_P(Pages, MayBeLargeAndReadSlowly) {
  const std::string body = repeat("0123456789abcdefg", 6'000'000);
  TestServer server(answering([&](const ws::Request&) { return Response{.body = body}; }));
  RawPeer peer(connect_tcp(server.port(tls()), {.receive_buffer_bytes = 16'384}), tls());
  peer.queue(page("GET /").str());
  peer.push(20'000);
  std::string got = peer.read(20'000);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  while (!peer.ended() && got.size() < 2 * body.size()) got += peer.exchange(1, 20'000);
  const std::size_t head = got.find("\r\n\r\n");
  ASSERT_NE(head, std::string::npos);
  EXPECT_TRUE(got.substr(head + 4) == body) << got.size();
}

}  // namespace
}  // namespace ws::test
