// The opening as a program takes part in it: on_upgrade and its three decisions, what they may
// carry, origins and subprotocols (ws/request.h, ws/handlers.h).
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/support/loopback.h"
#include "tests/support/raw_peer.h"
#include "tests/support/test_certs.h"
#include "tests/support/test_server.h"

namespace ws::test {
namespace {

class Upgrading : public OverBothSchemes {};
INSTANTIATE_TEST_SUITE_P(Over, Upgrading, testing::Bool(), scheme);

// An on_upgrade that always says the same; what it says may not be copied.
std::function<ws::Upgrade(const ws::Request&)> always(std::function<ws::Upgrade()> decision) {
  return [decision = std::move(decision)](const ws::Request&) { return decision(); };
}

// What comes for `request`, to its end unless it is a 101.
Answer ask(const TestServer& server, const Request& request, bool tls = false) {
  const auto stream = server.connect(tls);
  Answer answer;
  if (stream == nullptr || !stream->write(request.str())) return answer;
  Client client(*stream);
  EXPECT_EQ(client.read_answer(answer, 20'000), "") << request.str();
  if (answer.status == 101) return answer;
  EXPECT_EQ(client.read_end(20'000), "");
  return answer;
}

Request at(const std::string& target) {
  Request request;
  request.line = "GET " + target + " HTTP/1.1";
  return request;
}

// --- the request ---

TEST_P(Upgrading, TheHookSeesTheWholeRequest) {
  std::string seen;
  Handlers handlers;
  handlers.on_upgrade = [&](const ws::Request& r) -> Upgrade {
    seen = std::string(r.method) + " " + std::string(r.target) + " | " + std::string(r.path) +
           " | " + std::string(r.query) + " | " + std::string(r.header("x-TWICE")) + " | " +
           std::string(r.header("None")) + " | " + std::to_string(r.headers.size()) + " | " +
           r.peer + " |";
    for (const std::string_view each : r.subprotocols) seen.append(" ").append(each);
    if (r.tls) seen += " | " + r.tls->version + " " + r.tls->client_subject;
    EXPECT_TRUE(!r.tls || !r.tls->cipher.empty());
    return Accept{};
  };
  TestServer server(handlers);
  RawPeer peer(connect_tcp(server.port(tls())), tls());
  const std::string own = own_address(peer.fd()).to_string();
  peer.queue(at("/a%20b//c?x=1&y=%2F?z")
                 .with("X-Twice: first")
                 .with("X-Twice: second")
                 .with("Sec-WebSocket-Protocol: p2, p1")
                 .with("Sec-WebSocket-Protocol: p3")
                 .str());
  ASSERT_TRUE(peer.exchange(1).starts_with("HTTP/1.1 101 "));
  EXPECT_EQ(seen, "GET /a%20b//c?x=1&y=%2F?z | /a%20b//c | x=1&y=%2F?z | first |  | 9 | " + own +
                      " | p2 p1 p3" + (tls() ? " | TLSv1.3 " : ""));
}

// RFC 9112 3.2.2: absolute-form; RFC 3986 6.2.3: an empty path is "/".
TEST(UpgradingRequest, HasAPathWhateverTheFormOfTheTarget) {
  std::string seen;
  Handlers handlers;
  handlers.on_upgrade = [&](const ws::Request& r) -> Upgrade {
    seen = std::string(r.target) + " | " + std::string(r.path) + " | " + std::string(r.query);
    return Accept{};
  };
  TestServer server(handlers);
  EXPECT_EQ(ask(server, at("http://localhost/x/y?q")).status, 101);
  EXPECT_EQ(seen, "http://localhost/x/y?q | /x/y | q");
  EXPECT_EQ(ask(server, at("http://localhost")).status, 101);
  EXPECT_EQ(seen, "http://localhost | / | ");
  EXPECT_EQ(ask(server, at("/?")).status, 101);
  EXPECT_EQ(seen, "/? | / | ");
}

TEST(UpgradingRequest, NamesAVerifiedClientCertificate) {
  TestCerts certs;
  certs.make_ca("ca");
  certs.make("alice", {.issuer = "ca"});
  ServerOptions options;
  options.tls.client_certificates = ClientCertificates::kOptional;
  options.tls.client_ca_file = certs.cert("ca");
  std::string subject = "not asked";
  Handlers handlers;
  handlers.on_upgrade = [&](const ws::Request& r) -> Upgrade {
    subject = r.tls ? r.tls->client_subject : "no TLS";
    return Reject{};
  };
  TestServer server(options, handlers);
  const auto subject_of = [&](const TlsClientOptions& client_options) {
    const core::Fd fd = connect_tcp(server.port(true));
    TlsClient client(client_options);
    if (!client.handshake(fd.get())) return std::string("no handshake");
    client.send(fd.get(), Request().str());
    return client.receive_from(fd.get()).starts_with("HTTP/1.1 403 ") ? subject : "no 403";
  };
  EXPECT_EQ(subject_of({.cert_file = certs.cert("alice"), .key_file = certs.key("alice")}),
            "CN=alice");
  EXPECT_EQ(subject_of({}), "");
  EXPECT_EQ(
      subject_of(
          {.version = kTls12, .cert_file = certs.cert("alice"), .key_file = certs.key("alice")}),
      "CN=alice");
}

// --- Accept ---

TEST_P(Upgrading, AcceptBringsSubprotocolHeadersAndData) {
  std::string at_open;
  Handlers handlers;
  handlers.on_upgrade = [](const ws::Request&) -> Upgrade {
    return Accept{.subprotocol = "chat.v2",
                  .headers = {{"X-Room", "caf\xc3\xa9\t7"}, {"X-Empty", ""}, {"Set-Cookie", "a=b"}},
                  .data = std::make_unique<std::string>("mine")};
  };
  handlers.on_open = [&](Conn& conn) {
    at_open = std::string(conn.subprotocol()) + " " + *conn.data<std::unique_ptr<std::string>>();
    conn.send("welcome");
  };
  TestServer server(handlers);
  const auto stream = server.connect(tls());
  ASSERT_NE(stream, nullptr);
  ASSERT_TRUE(
      stream->write(Request().with("Sec-WebSocket-Protocol: chat.v1, chat.v2").str() + ping("p")));
  std::string answer;
  while (answer.find("welcome") == std::string::npos) {
    ASSERT_EQ(stream->read(answer, 20'000), Stream::Got::kData) << answer;
  }
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 101 ")) << answer;
  for (const char* line : {"Sec-WebSocket-Protocol: chat.v2", "X-Room: caf\xc3\xa9\t7",
                           "X-Empty: ", "Set-Cookie: a=b"}) {
    EXPECT_NE(answer.find("\r\n" + std::string(line) + "\r\n"), std::string::npos) << line;
  }
  EXPECT_EQ(at_open, "chat.v2 mine");
}

TEST(UpgradingAccept, ChoosesASubprotocolInTheServersOrder) {
  std::string of_conn;
  Handlers handlers;
  handlers.subprotocols = {"v2", "v1"};
  handlers.on_open = [&](Conn& conn) { of_conn = "<" + std::string(conn.subprotocol()) + ">"; };
  TestServer server(handlers);
  const struct {
    std::string offered;
    std::optional<std::string> chosen;
  } kCases[] = {{"Sec-WebSocket-Protocol: v1, v2", "v2"},
                {"Sec-WebSocket-Protocol: v0\r\nSec-WebSocket-Protocol: v1", "v1"},
                {"Sec-WebSocket-Protocol: V1", std::nullopt},  // 11.3.4: case-sensitive
                {"Sec-WebSocket-Protocol: v", std::nullopt},
                {"X-Nothing: 1", std::nullopt}};
  for (const auto& each : kCases) {
    const Answer answer = ask(server, Request().with(each.offered));
    EXPECT_EQ(answer.status, 101) << each.offered;
    EXPECT_EQ(answer.header("Sec-WebSocket-Protocol"), each.chosen) << each.offered;
  }
  Peer peer = server.peer(false);
  EXPECT_EQ(peer.play(Script().bye()), "");
  EXPECT_EQ(of_conn, "<>");
}

// The first of Handlers::subprotocols that the client offers, unless on_upgrade names one or "".
TEST(UpgradingAccept, TheHookDecidesAboutTheSubprotocol) {
  Handlers handlers;
  handlers.subprotocols = {"v1"};
  handlers.on_upgrade = [](const ws::Request& r) -> Upgrade {
    if (r.header("X-Want") == "whatever") return Accept{};
    return Accept{.subprotocol = std::string(r.header("X-Want"))};
  };
  TestServer server(handlers);
  const Request offer = Request().with("Sec-WebSocket-Protocol: v1, v2");
  EXPECT_EQ(ask(server, offer).header("Sec-WebSocket-Protocol"), std::nullopt);
  const Request whatever = Request(offer).with("X-Want: whatever");
  EXPECT_EQ(ask(server, whatever).header("Sec-WebSocket-Protocol"), "v1");
  EXPECT_EQ(ask(server, Request(offer).with("X-Want: v2")).header("Sec-WebSocket-Protocol"), "v2");
  // RFC 6455 4.1: one that was not offered makes the client fail the connection.
  EXPECT_EQ(ask(server, Request(offer).with("X-Want: v3")).status, 500);
  EXPECT_EQ(ask(server, Request().with("X-Want: v1")).status, 500);
}

// --- what may not be answered ---

const std::vector<HeaderField> kBadHeaders = {
    {"", "x"},
    {"two words", "x"},
    {"Evil:", "x"},
    {"Evil\r\nEvil", "x"},
    {std::string("Nul\0", 4), "x"},
    {"Evil\xc3\xa9", "x"},
    {"X", "a\r\nEvil: 1"},
    {"X", "a\nEvil: 1"},
    {"X", "a\rEvil: 1"},
    {"X", "\r\n\r\nEvil"},
    {"X", std::string("nul\0Evil", 8)},
    {"X", "Evil\x01"},
    {"X", "Evil\x7f"},
    {"Sec-WebSocket-Accept", "Evil"},
    {"sec-websocket-evil", "x"},
    {"Upgrade", "Evil"},
    {"CONNECTION", "Evil"},
    {"Content-Length", "0"},
    {"transfer-encoding", "Evil"},
};

// 500, and not a byte of what the program wanted to say.
void expect_500(const TestServer& server, const Request& request, const std::string& why) {
  const Answer answer = ask(server, request);
  EXPECT_EQ(answer.status, 500) << why;
  for (const auto& [name, value] : answer.headers) {
    EXPECT_EQ((name + value).find("vil"), std::string::npos) << why;
  }
  EXPECT_EQ(answer.body.find("vil"), std::string::npos) << why;
  EXPECT_EQ(answer.header("Connection"), "close") << why;
}

TEST(UpgradingBad, HeadersThatCannotBeSentAre500) {
  HeaderField bad;
  enum { kAccepts, kRejects, kPage } what = kAccepts;
  std::atomic<int> opens = 0;
  Handlers handlers;
  handlers.on_upgrade = [&](const ws::Request&) -> Upgrade {
    if (what == kAccepts) return Accept{.headers = {{"X-Good", "Evil"}, bad}};
    return Reject{.body = "Evil", .headers = {bad}};
  };
  handlers.on_http = [&](const ws::Request&) { return Response{.body = "Evil", .headers = {bad}}; };
  handlers.on_open = [&](Conn&) { ++opens; };
  TestServer server(handlers);
  Request page;
  page.headers = {"Host: localhost"};
  for (const HeaderField& field : kBadHeaders) {
    bad = field;
    what = kAccepts;
    expect_500(server, Request(), "Accept " + field.name + ": " + field.value);
    what = kRejects;
    expect_500(server, Request(), "Reject " + field.name + ": " + field.value);
    expect_500(server, page, "Response " + field.name + ": " + field.value);
  }
  EXPECT_EQ(opens, 0);
}

TEST(UpgradingBad, SubprotocolsAndStatusesThatAreNoneAre500) {
  ws::Upgrade (*decision)() = nullptr;
  Handlers handlers;
  handlers.on_upgrade = [&](const ws::Request&) { return decision(); };
  TestServer server(handlers);
  const Request offer = Request().with("Sec-WebSocket-Protocol: v1");
  decision = [] { return Upgrade(Accept{.subprotocol = "v1\r\nEvil: 1"}); };
  expect_500(server, offer, "a subprotocol with a line break");
  decision = [] { return Upgrade(Reject{.status = 101, .body = "Evil"}); };
  expect_500(server, offer, "101");
  decision = [] { return Upgrade(Reject{.status = 199, .body = "Evil"}); };
  expect_500(server, offer, "199");
  decision = [] { return Upgrade(Reject{.status = 600, .body = "Evil"}); };
  expect_500(server, offer, "600");
  decision = [] { return Upgrade(Reject{.status = -403, .body = "Evil"}); };
  expect_500(server, offer, "-403");
}

TEST_P(Upgrading, AHookThatThrowsIs500) {
  std::atomic<int> calls = 0;
  Handlers handlers;
  handlers.on_upgrade = [&](const ws::Request&) -> Upgrade {
    if (calls++ == 0) throw std::runtime_error("Evil, and on purpose");
    throw 42;
  };
  handlers.on_open = [](Conn&) { FAIL() << "opened"; };
  TestServer server(handlers);
  for (int i = 0; i < 2; ++i) {
    const Answer answer = ask(server, Request(), tls());
    EXPECT_EQ(answer.status, 500);
    EXPECT_EQ(answer.body.find("Evil"), std::string::npos) << "what it says is for the log";
  }
  EXPECT_TRUE(server.has_connections(0));
}

// --- Reject ---

TEST_P(Upgrading, RejectSaysWhatItIsTold) {
  Handlers handlers;
  handlers.on_upgrade = [](const ws::Request& r) -> Upgrade {
    if (r.path == "/json") {
      return Reject{.status = 418,
                    .body = R"({"why":1})",
                    .headers = {{"content-type", "application/json"}, {"X-A", "1"}}};
    }
    return Reject{.status = 401,
                  .body = "who are you?",
                  .headers = {{"WWW-Authenticate", "Basic realm=\"x\""}}};
  };
  handlers.on_message = [](Conn&, const Message&) { FAIL() << "what follows a refusal was read"; };
  TestServer server(handlers);
  const Answer plain = ask(server, Request(), tls());
  EXPECT_EQ(plain.status, 401);
  EXPECT_EQ(plain.body, "who are you?");
  EXPECT_TRUE(plain.header("Content-Type").value_or("").starts_with("text/plain"));
  EXPECT_EQ(plain.header("Content-Length"), "12");
  EXPECT_EQ(plain.header("Connection"), "close");
  EXPECT_EQ(plain.header("WWW-Authenticate"), "Basic realm=\"x\"");
  EXPECT_EQ(plain.header("Upgrade"), std::nullopt);

  const Answer json = ask(server, at("/json"), tls());
  EXPECT_EQ(json.status, 418);
  EXPECT_EQ(json.header("Content-Type"), "application/json") << "once";
  EXPECT_EQ(json.body, R"({"why":1})");

  const auto stream = server.connect(tls());
  ASSERT_NE(stream, nullptr);
  EXPECT_EQ(Client(*stream).play(Script().sends(Request().str() + text("early")).refused(401)), "");
}

TEST(UpgradingReject, IsAPlain403UnlessItSaysMore) {
  Handlers handlers;
  handlers.on_upgrade = always([] { return Upgrade(Reject{}); });
  TestServer server(handlers);
  const Answer answer = ask(server, Request());
  EXPECT_EQ(answer.status, 403);
  EXPECT_EQ(answer.body, "");
  EXPECT_EQ(answer.header("Content-Length"), "0");
}

// --- origins ---

TEST(UpgradingOrigin, IsTheServersOwnByDefaultAListOrAny) {
  std::atomic<int> asked = 0;
  Handlers handlers;
  handlers.on_upgrade = [&](const ws::Request&) -> Upgrade {
    ++asked;
    return Accept{};
  };
  const auto status = [&](const std::vector<std::string>& of_server,
                          const std::vector<std::string>& of_route, const char* origin) {
    Handlers route = handlers;
    route.origins = of_route;
    TestServer server({.origins = of_server}, route);
    Request request;
    return ask(server, origin[0] == '\0' ? request : request.with("Origin: " + std::string(origin)))
        .status;
  };
  using List = std::vector<std::string>;
  EXPECT_EQ(status({}, {}, "http://localhost"), 101);
  EXPECT_EQ(status({}, {}, ""), 101) << "no browser";
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(status({}, {}, "https://evil.example"), 403);
  EXPECT_EQ(status({}, {}, "null"), 403);
  EXPECT_EQ(asked, 2) << "the hook is not asked about foreign pages";
  const List app = {"https://app.example"};
  EXPECT_EQ(status(app, {}, "https://app.example"), 101);
  EXPECT_EQ(status(app, {}, "http://localhost"), 101);
  EXPECT_EQ(status(app, {}, "https://evil.example"), 403);
  EXPECT_EQ(status({"*"}, {}, "https://evil.example"), 101);
  EXPECT_EQ(status({"*"}, app, "https://evil.example"), 403) << "the route has its own";
  EXPECT_EQ(status(app, {"*"}, "https://evil.example"), 101);
}

TEST(UpgradingOrigin, OneThatIsNoneIsRefusedBeforeAnythingIsBound) {
  for (const char* origin : {"app.example", "https://app.example/", "https://*.example", ""}) {
    Server of_server({.listen = {"ws://127.0.0.1:0"}, .origins = {origin}});
    Server of_route({.listen = {"ws://127.0.0.1:0"}});
    of_route.route("/", {.origins = {origin}});
    for (Server* server : {&of_server, &of_route}) {
      for (const auto& result : {server->check(), server->listen()}) {
        ASSERT_FALSE(result) << origin;
        EXPECT_NE(result.error().message().find("\"" + std::string(origin) + "\""),
                  std::string::npos)
            << result.error().message();
        EXPECT_EQ(result.error().message().find('\n'), std::string::npos);
      }
    }
  }
}

// --- Conn::request() ---

TEST_P(Upgrading, TheRequestOutlivesTheCallback) {
  Handlers handlers;
  handlers.on_message = [](Conn& conn, const Message&) {
    const ws::Request& r = conn.request();
    std::string all = std::string(r.method) + " " + std::string(r.target) + " " +
                      std::string(r.path) + " " + std::string(r.query) + " " +
                      std::string(r.header("x-token")) + " " + std::to_string(r.headers.size());
    for (const std::string_view each : r.subprotocols) all.append(" ").append(each);
    all += r.peer == conn.peer() && r.tls.has_value() ? " tls" : r.peer == conn.peer() ? "" : "?";
    all += r.id == conn.id() ? " same" : " other";
    conn.send(all);
  };
  for (const bool with_hook : {false, true}) {
    if (with_hook) handlers.on_upgrade = always([] { return Upgrade(Accept{}); });
    TestServer server(handlers);
    const auto stream = server.connect(tls());
    ASSERT_NE(stream, nullptr);
    const std::string seen = "GET /p?q=1 /p q=1 secret 7 s1" + std::string(tls() ? " tls" : "");
    EXPECT_EQ(
        Client(*stream).play(
            Script()
                .sends(
                    at("/p?q=1").with("X-Token: secret").with("Sec-WebSocket-Protocol: s1").str(),
                    pieces(7))
                .upgraded()
                .sends(text("?"))
                .gets_text(seen + " same")
                .bye()),
        "");
  }
}

TEST(UpgradingRequest, IsForgottenWhereItIsNotWanted) {
  std::atomic<bool> asked = false;
  Handlers handlers;
  handlers.keep_request = false;
  handlers.on_upgrade = [&](const ws::Request& r) -> Upgrade {
    asked = r.target == "/ws";
    return Accept{.data = 7};
  };
  handlers.on_message = [](Conn& conn, const Message&) {
    const ws::Request& r = conn.request();
    conn.send(std::to_string(r.headers.size()) + std::string(r.target) + r.peer +
              std::string(r.header("Host")) + std::to_string(conn.data<int>()));
  };
  TestServer server(handlers);
  Peer peer = server.peer(false);
  EXPECT_TRUE(asked);
  EXPECT_EQ(peer.play(Script().sends(text("?")).gets_text("07").bye()), "");
}

}  // namespace
}  // namespace ws::test
