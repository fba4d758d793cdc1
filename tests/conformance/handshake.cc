// Opening handshakes that are accepted (RFC 6455 section 4.2, RFC 9110, RFC 9112), and frames that
// arrive together with the request: rows H2, H3, H6 and H7.
#include <algorithm>

#include "tests/conformance/conformance.h"

namespace ws::test {
namespace {

// Accepted, and then it is a WebSocket.
void accept(Cases& cases, std::string id, const Request& request, Chop chop = {}) {
  add_raw(cases, std::move(id),
          Script()
              .sends(request.str(), std::move(chop))
              .upgraded()
              .sends(text("hi"))
              .gets_text("hi")
              .bye());
}

void add_chopped(Cases& cases) {
  accept(cases, "H2-one-byte-per-write", Request(), bytewise());
  const std::size_t length = Request().str().size();
  for (std::size_t at = 1; at < length; ++at) {
    accept(cases, "H2-request-split-at-" + n(at), Request(), split_at({at}));
  }
  Request long_one;
  for (int i = 0; i < 50; ++i) long_one.with("X-" + std::to_string(i) + ": " + repeat("v", 100));
  accept(cases, "H2-long-request-bytewise", long_one, bytewise());
}

void add_spellings(Cases& cases) {
  accept(cases, "plain-request", Request());
  Request shouted;
  shouted.headers = {"HOST: LOCALHOST", "UPGRADE: WEBSOCKET", "CONNECTION: UPGRADE",
                     "SEC-WEBSOCKET-KEY: dGhlIHNhbXBsZSBub25jZQ==", "SEC-WEBSOCKET-VERSION: 13"};
  accept(cases, "H6-names-and-tokens-in-capitals", shouted);
  Request quiet;
  quiet.headers = {"host:localhost", "upgrade:websocket", "connection:upgrade",
                   "sec-websocket-key:dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-version:13"};
  accept(cases, "H6-small-letters-and-no-space-after-the-colon", quiet);
  Request roomy;
  roomy.headers = {
      "Host: \t localhost \t ", "Upgrade:   websocket  ", "Connection:\tUpgrade\t",
      "Sec-WebSocket-Key:  dGhlIHNhbXBsZSBub25jZQ==  ", "Sec-WebSocket-Version: \t13 "};
  accept(cases, "H6-white-space-around-values", roomy);
  Request reversed;
  std::reverse(reversed.headers.begin(), reversed.headers.end());
  accept(cases, "headers-in-another-order", reversed);
}

void add_lists(Cases& cases) {
  const auto instead = [&cases](const char* id, const char* header) {
    accept(cases, id, Request().instead(header));
  };
  instead("connection-keep-alive-and-upgrade", "Connection: keep-alive, Upgrade");
  instead("connection-upgrade-first", "Connection: upgrade , keep-alive");
  instead("connection-with-empty-elements", "Connection: , ,Upgrade,");
  instead("upgrade-among-others", "Upgrade: h2c, websocket");
  instead("upgrade-first-of-two", "Upgrade: WebSocket,foo/2");
  accept(cases, "connection-on-two-lines",
         Request().instead("Connection: keep-alive").with("Connection: Upgrade"));
  accept(cases, "upgrade-on-two-lines",
         Request().instead("Upgrade: h2c").with("Upgrade: websocket"));
}

void add_targets(Cases& cases) {
  for (const auto* target :
       {"/", "/ws", "/wss", "/any/path/at/all", "/ws?a=1&b=%20", "/%e2%82%ac", "/a;b=c,d", "//",
        "/?", "http://localhost/ws", "http://localhost:8888/ws?x=y", "HTTP://LOCALHOST/",
        "http://localhost", "https://localhost/ws"}) {
    Request request;
    request.line = std::string("GET ") + target + " HTTP/1.1";
    accept(cases, std::string("H6-target ") + target, request);
  }
  Request request;
  request.line = "GET /" + repeat("long/", 7000) + " HTTP/1.1";
  accept(cases, "target-of-7001-bytes", request);
  for (const auto* host :
       {"localhost:8888", "EXAMPLE.com", "127.0.0.1:1", "[::1]", "[::1]:65535", "a-b.c_d~e:80"}) {
    accept(cases, std::string("host ") + host, Request().instead(std::string("Host: ") + host));
  }
}

// Headers that are nobody's business here.
void add_others(Cases& cases) {
  const auto with = [&cases](const char* id, const std::string& header) {
    accept(cases, id, Request().with(header));
  };
  with("H7-foreign-origin-at-the-echo", "Origin: https://evil.example");
  with("H7-null-origin-at-the-echo", "Origin: null");
  with("header-without-a-value", "X-Empty:");
  with("header-of-bytes-above-127", "X-Name: caf\xc3\xa9 \xff");
  with("header-with-a-tab-inside", "X-Tab: a\tb");
  with("header-name-of-every-token-byte",
       "!#$%&'*+-.^_`|~09azAZ: \"quoted\" (comment) {}[]<>@,;:\\/?=");
  with("cookie-and-authorization", "Cookie: a=b; c=d\r\nAuthorization: Basic dTpw");
  with("H4-content-length-0", "Content-Length: 0");
  with("subprotocols-nobody-speaks", "Sec-WebSocket-Protocol: chat, superchat");
  with("subprotocols-on-two-lines",
       "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: superchat");
  with("H3-extension-nobody-knows",
       "Sec-WebSocket-Extensions: x-foo; a=1; b=\"2\", x-bar;c, x-foo");
  with("H3-extensions-on-two-lines",
       "Sec-WebSocket-Extensions: x-foo\r\nSec-WebSocket-Extensions: x-bar");
  with("H3-thousands-of-spaces-in-the-extensions",
       "Sec-WebSocket-Extensions: x-foo;" + repeat(" ", 6000) + "a, x-bar");
  with("H3-thousands-of-spaces-in-the-protocols",
       "Sec-WebSocket-Protocol: a," + repeat(" \t", 6000) + "b");
  with("H3-thousands-of-commas-in-connection", "Connection: " + repeat(", ", 6000) + "x");
}

// The most that is allowed; one more of each is among the refusals.
void add_most(Cases& cases) {
  Request many;
  while (many.headers.size() < kLimits.request_headers) many.with("x: y");
  accept(cases, "H1-100-headers", many);
  Request full;
  full.with("X-Fill: ");
  full.headers.back() += repeat("f", kLimits.request_head_bytes - full.str().size());
  accept(cases, "H2-head-of-exactly-8-KiB", full);
  accept(cases, "H2-head-of-exactly-8-KiB-bytewise", full, bytewise());
}

// What comes in the segment of the request belongs to the new protocol and is served after the 101.
void add_early_frames(Cases& cases) {
  const std::string request = Request().str();
  const std::string big = repeat("early bird ", 64 * 1024);
  add_raw(cases, "early-message",
          Script().sends(request + text("early")).upgraded().gets_text("early").bye());
  add_raw(cases, "early-message-bytewise",
          Script().sends(request + text("early"), bytewise()).upgraded().gets_text("early").bye());
  add_raw(cases, "early-big-message",
          Script().sends(request + text(big)).upgraded().gets_text(big).bye());
  add_raw(cases, "early-ping-and-close",
          Script()
              .sends(request + ping("p") + close(1001) + text("ignored"))
              .waits(10)
              .upgraded()
              .gets_pong("p")
              .closed(1001));
  add_raw(cases, "early-pings-keep-their-place",
          Script()
              .sends(request + ping("1") + text("2") + ping("3") + binary("4") + ping("5"))
              .upgraded()
              .gets_pong("1")
              .gets_text("2")
              .gets_pong("3")
              .gets_binary("4")
              .gets_pong("5")
              .bye());
  add_raw(cases, "early-message-and-violation",
          Script()
              .sends(request + text("good") + frame({.rsv = 4}, "bad") + text("late"))
              .waits(10)
              .upgraded()
              .gets_text("good")
              .fails(1002));
  add_raw(cases, "early-fragments",
          Script()
              .sends(request + first(kText, "a") + ping())
              .upgraded()
              .gets_pong("")
              .sends(last("b"))
              .gets_text("ab")
              .bye());
  const std::string both = request + text("split");
  for (std::size_t at = request.size() - 3; at < both.size(); ++at) {
    add_raw(cases, "early-message-split-at-" + n(at),
            Script().sends(both, split_at({at})).upgraded().gets_text("split").bye());
  }
  add_raw(cases, "early-http-is-not-a-frame",
          Script().sends(request + request).waits(10).upgraded().fails(1002));
}

}  // namespace

void add_handshake(Cases& cases) {
  add_chopped(cases);
  add_spellings(cases);
  add_lists(cases);
  add_targets(cases);
  add_others(cases);
  add_most(cases);
  add_early_frames(cases);
}

}  // namespace ws::test
