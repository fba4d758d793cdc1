// Opening handshakes that are refused, each with its status: rows H1 to H6 and
// H8. Whatever is refused, nothing behind it is parsed or answered, and the server closes.
#include "tests/conformance/conformance.h"

namespace ws::test {
namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;
using namespace std::string_literals;  // some requests hold a zero byte

const Headers kUpgradeRequired = {{"Upgrade", "websocket"}, {"Connection", "Upgrade"}};
const Headers kVersionRequired = {
    {"Upgrade", "websocket"}, {"Connection", "Upgrade"}, {"Sec-WebSocket-Version", "13"}};
const Headers kAllow = {{"Allow", "GET"}};

// Alone, and with a good request behind it in the same segment (row H5): there is one answer.
void refuse(Cases& cases, const std::string& id, const std::string& request, int status,
            const Headers& headers = {}, bool head_only = false) {
  add_raw(cases, id, Script().sends(request).refused(status, headers, head_only));
  add_raw(cases, "H5-pipelined-behind-" + id,
          Script()
              .sends(request + Request().str() + text("smuggled"))
              .waits(10)  // time for an RST to overtake the answer
              .refused(status, headers, head_only));
}

void refuse(Cases& cases, const std::string& id, const Request& request, int status,
            const Headers& headers = {}, bool head_only = false) {
  refuse(cases, id, request.str(), status, headers, head_only);
}

std::string with_line(const std::string& line) {
  Request request;
  request.line = line;
  return request.str();
}

void add_methods(Cases& cases) {
  for (const auto* method :
       {"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get", "GETS", "FOO"}) {
    refuse(cases, std::string("H6-method-") + method,
           with_line(std::string(method) + " /ws HTTP/1.1"), 405, kAllow);
  }
  refuse(cases, "H6-method-HEAD", with_line("HEAD /ws HTTP/1.1"), 405, kAllow, true);
  refuse(cases, "H6-options-asterisk", with_line("OPTIONS * HTTP/1.1"), 405, kAllow);
  refuse(cases, "H6-connect-authority", with_line("CONNECT localhost:80 HTTP/1.1"), 405, kAllow);
}

void add_no_upgrade(Cases& cases) {
  Request plain;
  plain.headers = {"Host: localhost"};
  refuse(cases, "H6-plain-get", plain, 426, kUpgradeRequired);
  refuse(cases, "H6-no-upgrade", Request().without("Upgrade"), 426, kUpgradeRequired);
  refuse(cases, "H6-no-connection", Request().without("Connection"), 426, kUpgradeRequired);
  for (const auto* value : {"", "h2c", "websocket2", "web socket", "websockets, h2c", "13"}) {
    refuse(cases, std::string("H8-upgrade-is ") + value,
           Request().instead(std::string("Upgrade: ") + value), 426, kUpgradeRequired);
  }
  for (const auto* value : {"", "keep-alive", "close", "upgraded", "xupgrade, keep-alive"}) {
    refuse(cases, std::string("H8-connection-is ") + value,
           Request().instead(std::string("Connection: ") + value), 426, kUpgradeRequired);
  }
}

void add_versions(Cases& cases) {
  refuse(cases, "H5-no-version", Request().without("Sec-WebSocket-Version"), 426, kVersionRequired);
  for (const auto* value : {"0", "7", "8", "12", "14", "113", "130", "013", "+13", "13.0", "0xd",
                            "thirteen", "13 13", "8, 13", "13, 8", ""}) {
    refuse(cases, std::string("H5-version-is ") + value,
           Request().instead(std::string("Sec-WebSocket-Version: ") + value), 426,
           kVersionRequired);
  }
}

void add_keys(Cases& cases) {
  refuse(cases, "H6-no-key", Request().without("Sec-WebSocket-Key"), 400);
  for (const auto* value :
       {"", "x", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25j",              // 15 bytes
        "dGhlIHNhbXBsZSBub25jZVg=",          // 17 bytes
        "dGhlIHNhbXBsZSBub25jZSB0d2ljZQ==",  // 22 bytes
        "dGhlIHNhbXBsZSBub25jZ!==", "dGhlIHNhbXBs ZSBub25jZQ==", "dGhlIHNhbXBsZSBub25-_w==",
        "=GhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="}) {
    refuse(cases, std::string("H6-key-is ") + value,
           Request().instead(std::string("Sec-WebSocket-Key: ") + value), 400);
  }
  refuse(cases, "H6-key-twice", Request().with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400);
  refuse(cases, "H6-two-keys", Request().with("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="), 400);
}

void add_hosts(Cases& cases) {
  refuse(cases, "H6-no-host", Request().without("Host"), 400);
  refuse(cases, "H6-host-twice", Request().with("Host: localhost"), 400);
  refuse(cases, "H6-two-hosts", Request().with("Host: elsewhere"), 400);
  refuse(cases, "H6-two-hosts-and-an-absolute-target",
         with_line("GET http://localhost/ws HTTP/1.1\r\nHost: other"), 400);
  for (const auto* value : {"a b", "a/b", "user@localhost", "localhost:port", "localhost:80x",
                            "[::1", "::1]", "a^b", "a<b>", "a\"b", "local\\host", "?", "#"}) {
    refuse(cases, std::string("H6-host-is ") + value,
           Request().instead(std::string("Host: ") + value), 400);
  }
}

// A body announced by an upgrade request would be read as frames by us and as a body by a proxy in
// front of us, so it is refused unread (row H4).
void add_request_bodies(Cases& cases) {
  for (const auto* header :
       {"Content-Length: 5", "Content-Length: 1", "Content-Length: 18446744073709551616",
        "Content-Length: -1", "Content-Length: five", "Content-Length: 0x0", "Content-Length: +0",
        "Content-Length: 0\r\nContent-Length: 5", "Transfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked\r\nContent-Length: 0", "transfer-encoding:chunked"}) {
    const std::string request = Request().with(header).str();
    refuse(cases, std::string("H4 ") + header, request, 400);
    add_raw(cases, std::string("H4-with-body ") + header,
            Script()
                .sends(request + "5\r\nhello\r\n0\r\n\r\n" + Request().str())
                .waits(10)
                .refused(400));
  }
}

void add_versions_of_http(Cases& cases) {
  for (const auto* version : {"1.0", "0.9", "1.2", "2.0", "3.0", "9.9"}) {
    refuse(cases, std::string("H6-http-") + version,
           with_line(std::string("GET /ws HTTP/") + version), 505);
  }
  refuse(cases, "H6-http2-preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
}

void add_request_lines(Cases& cases) {
  const char* const lines[] = {"GET  /ws HTTP/1.1",
                               "GET /ws  HTTP/1.1",
                               "GET\t/ws HTTP/1.1",
                               "GET /ws\tHTTP/1.1",
                               " GET /ws HTTP/1.1",
                               "GET /ws HTTP/1.1 ",
                               "GET /ws",
                               "GET",
                               "GET HTTP/1.1",
                               "GET /ws http/1.1",
                               "GET /ws HTTP/1",
                               "GET /ws HTTP/1.",
                               "GET /ws HTTP/1.1.1",
                               "GET /ws HTTPS/1.1",
                               "GET /ws HTTP 1.1",
                               "GET /a b HTTP/1.1",
                               "G@T /ws HTTP/1.1",
                               "(GET) /ws HTTP/1.1",
                               ":",
                               "GET ws HTTP/1.1",
                               "GET * HTTP/1.1",
                               "GET localhost:80 HTTP/1.1",
                               "GET ftp://h/ws HTTP/1.1",
                               "GET /ws\x01 HTTP/1.1",
                               "GET /\x7f HTTP/1.1",
                               "GET /ws#part HTTP/1.1",
                               "GET /ws HTTP/1.1\rX: y"};
  for (const char* line : lines) {
    refuse(cases, std::string("H6-line ") + line, with_line(line), 400);
  }
  refuse(cases, "H6-zero-byte-in-the-target", with_line("GET /w\0s HTTP/1.1"s), 400);
}

void add_header_lines(Cases& cases) {
  const char* const headers[] = {"Name : value",
                                 "Name\t: value",
                                 "No colon",
                                 ": no name",
                                 "Two words: value",
                                 "N(me: value",
                                 "N\"me: value",
                                 "N@me: value",
                                 "N/me: value",
                                 "N\xc3\xa4me: value",
                                 "X: a\x01",
                                 "X: a\x7f",
                                 "X: a\x0b!",
                                 "X: a\x1b[31m",
                                 "X: a\rb",
                                 "X: folded\r\n value",
                                 "X: folded\r\n\tvalue",
                                 "X: a\r\r\nY: b"};
  for (const char* header : headers) {
    refuse(cases, std::string("H6-header ") + header, Request().with(header), 400);
  }
  refuse(cases, "H6-header-with-a-zero-byte", Request().with("X: a\0b"s), 400);
  refuse(cases, "H6-name-with-a-zero-byte", Request().with("X\0: ab"s), 400);
  refuse(cases, "H6-host-with-a-zero-byte", Request().instead("Host: local\0host"s), 400);
  refuse(cases, "H6-space-before-the-first-header",
         with_line("GET /ws HTTP/1.1\r\n X: folded into the request line"), 400);
  refuse(cases, "H6-folded-key",
         Request().instead("Sec-WebSocket-Key:\r\n dGhlIHNhbXBsZSBub25jZQ=="), 400);
}

void add_line_ends(Cases& cases) {
  std::string all_bare;
  for (const char byte : Request().str()) {
    if (byte != '\r') all_bare.push_back(byte);
  }
  refuse(cases, "H6-bare-lf-everywhere", all_bare, 400);
  refuse(cases, "H6-bare-lf-after-the-request-line", with_line("GET /ws HTTP/1.1\nX: y"), 400);
  refuse(cases, "H6-bare-lf-between-headers", Request().with("X: y\nZ: w"), 400);
  std::string last_bare = Request().str();
  last_bare.replace(last_bare.size() - 2, 2, "\n");
  refuse(cases, "H6-bare-lf-at-the-end", last_bare, 400);
  // Refused where it stands: nobody waits for the rest of such a head.
  add_raw(cases, "H6-bare-lf-in-an-unfinished-head",
          Script().sends("GET /ws HTTP/1.1\nHost: localhost").refused(400));
  add_raw(cases, "H6-bad-header-line-in-an-unfinished-head",
          Script().sends("GET /ws HTTP/1.1\r\nHost : localhost\r\nUpg").refused(400));
}

// A greeting in another protocol is answered in ours, not left to the deadline.
void add_other_protocols(Cases& cases) {
  std::string hello = "\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03"s;
  for (int i = 0; i < 180; ++i) hello.push_back(static_cast<char>(0x80 + i % 100));
  add_raw(cases, "H6-tls-hello-inside-the-connection", Script().sends(hello).refused(400));
  add_raw(cases, "H6-zero-bytes", Script().sends(std::string(64, '\0')).refused(400));
  add_raw(cases, "H6-frame-without-a-handshake", Script().sends(text("no handshake")).refused(400));
  add_raw(cases, "H6-ssh-greeting", Script().sends("SSH-2.0-OpenSSH_9.2\r\n").refused(400));
}

void add_long_heads(Cases& cases) {
  Request many;
  while (many.headers.size() < kLimits.request_headers + 1) many.with("x: y");
  refuse(cases, "H1-101-headers", many, 431);
  Request tiny;
  tiny.headers = {};
  for (int i = 0; i < 2100; ++i) tiny.with("a:b");
  for (const std::string& header : Request().headers) tiny.with(header);
  refuse(cases, "H1-2100-tiny-headers-before-the-real-ones", tiny, 431);
  Request full;
  full.with("X-Fill: ");
  full.headers.back() += repeat("f", kLimits.request_head_bytes + 1 - full.str().size());
  refuse(cases, "H2-head-of-8-KiB-and-a-byte", full, 431);
  refuse(cases, "H2-header-of-30-KiB", Request().with("X: " + repeat("h", 30 * 1024)), 431);
  refuse(cases, "H2-header-name-of-30-KiB", Request().with(repeat("h", 30 * 1024) + ": x"), 431);
  add_raw(cases, "H2-header-without-an-end",
          Script()
              .sends("GET /ws HTTP/1.1\r\nHost: localhost\r\nX: " + repeat("h", 20 * 1024))
              .waits(10)
              .refused(431));
  add_raw(cases, "H2-header-without-an-end-bytewise",
          Script()
              .sends("GET /ws HTTP/1.1\r\nHost: localhost\r\nX: " + repeat("h", 8200), bytewise())
              .refused(431));
  for (std::size_t length : Sizes{9'000, 30'000}) {
    refuse(cases, "H6-target-of-" + n(length),
           with_line("GET /" + repeat("t", length) + " HTTP/1.1"), 414);
  }
  add_raw(cases, "H6-target-without-an-end",
          Script().sends("GET /" + repeat("t", 20 * 1024)).waits(10).refused(414));
}

void add_bad_lists(Cases& cases) {
  for (const auto* value : {"chat superchat", "ch@t", "\"chat\"", "a;b", "a=b"}) {
    refuse(cases, std::string("H3-protocol-is ") + value,
           Request().with(std::string("Sec-WebSocket-Protocol: ") + value), 400);
  }
  for (const auto* value : {"x-foo; =1", "; a", "x-foo a", "x-foo; a=\"", "x-foo; a=\"b", "x@foo",
                            "x-foo; a=b c", "x-foo; a==b"}) {
    refuse(cases, std::string("H3-extension-is ") + value,
           Request().with(std::string("Sec-WebSocket-Extensions: ") + value), 400);
  }
}

// A peer that leaves before it asked: nothing to say, nothing to keep.
void add_peers_lost_in_the_request(Cases& cases) {
  add_raw(cases, "H8-fin-at-once", Script().half_closes().gone());
  add_raw(cases, "H8-fin-inside-the-request",
          Script().sends("GET /ws HTTP/1.1\r\nHo").half_closes().gone());
  add_raw(cases, "H8-fin-behind-the-request",
          Script().sends(Request().str()).half_closes().upgraded().gone());
  add_raw(cases, "H8-fin-behind-a-bad-request",
          Script().sends("GET /ws HTTP/1.0\r\n\r\n").half_closes().refused(505));
}

}  // namespace

void add_refusals(Cases& cases) {
  add_methods(cases);
  add_no_upgrade(cases);
  add_versions(cases);
  add_keys(cases);
  add_hosts(cases);
  add_request_bodies(cases);
  add_versions_of_http(cases);
  add_request_lines(cases);
  add_header_lines(cases);
  add_line_ends(cases);
  add_other_protocols(cases);
  add_long_heads(cases);
  add_bad_lists(cases);
  add_peers_lost_in_the_request(cases);
}

}  // namespace ws::test
