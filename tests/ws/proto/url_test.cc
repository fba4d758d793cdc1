#include "ws/proto/url.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <optional>
#include <random>
#include <string>
#include <string_view>

#include "tests/support/guard_page.h"

namespace {

using ws::proto::Authority;
using ws::proto::ConnectUrl;
using ws::proto::ListenUrl;
using ws::proto::parse_authority;
using ws::proto::parse_connect_url;
using ws::proto::parse_listen_url;
using ws::proto::split_url;
using ws::test::GuardedCopy;

ListenUrl good(std::string_view text) {
  const GuardedCopy guarded(text);
  auto result = parse_listen_url(guarded.text());
  if (!result) {
    ADD_FAILURE() << result.error().message();
    return {};
  }
  return *result;
}

// The error line, after checking what every one of them has.
std::string error_of(std::string_view text) {
  const GuardedCopy guarded(text);
  const auto result = parse_listen_url(guarded.text());
  if (result) {
    ADD_FAILURE() << text << " was accepted";
    return "";
  }
  const std::string message = result.error().message();
  EXPECT_NE(message.find(text), std::string::npos) << message;
  EXPECT_NE(message.find("ws://HOST:PORT"), std::string::npos) << message;
  EXPECT_NE(message.find("ws+unix:PATH"), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  return message;
}

void expect_fault(std::string_view text, std::string_view fault) {
  const std::string message = error_of(text);
  EXPECT_NE(message.find(fault), std::string::npos) << message;
}

void expect_tcp(std::string_view text, bool tls, std::string_view host, int port) {
  const ListenUrl url = good(text);
  EXPECT_EQ(url.tls, tls) << text;
  EXPECT_EQ(url.host, host) << text;
  EXPECT_EQ(url.port, port) << text;
  EXPECT_EQ(url.unix_path, "") << text;
}

TEST(ParseListenUrl, ReadsTheFormsOfTheDesign) {
  expect_tcp("ws://127.0.0.1:8888", false, "127.0.0.1", 8888);
  expect_tcp("wss://127.0.0.1:8889", true, "127.0.0.1", 8889);
  expect_tcp("ws://0.0.0.0:8080", false, "0.0.0.0", 8080);
  expect_tcp("wss://[::1]:8443", true, "::1", 8443);
  expect_tcp("ws://[::]:0", false, "::", 0);
  expect_tcp("ws://*:80", false, "*", 80);
  expect_tcp("ws://localhost:65535", false, "localhost", 65535);
}

// RFC 6455 section 3.
TEST(ParseListenUrl, DefaultsToPort80And443) {
  expect_tcp("ws://127.0.0.1", false, "127.0.0.1", 80);
  expect_tcp("wss://[::1]", true, "::1", 443);
}

TEST(ParseListenUrl, KeepsPortZeroAsAnyFreePort) {
  expect_tcp("wss://localhost:0", true, "localhost", 0);
}

TEST(ParseListenUrl, IgnoresTheCaseOfSchemeAndLocalhost) {
  expect_tcp("WS://LocalHost:1", false, "localhost", 1);
  expect_tcp("WsS://127.0.0.1:1", true, "127.0.0.1", 1);
  EXPECT_EQ(good("WS+Unix:/a/B").unix_path, "/a/B");
}

TEST(ParseListenUrl, ReadsUnixSockets) {
  const ListenUrl plain = good("ws+unix:/run/wsd.sock");
  EXPECT_FALSE(plain.tls);
  EXPECT_EQ(plain.host, "");
  EXPECT_EQ(plain.unix_path, "/run/wsd.sock");
  const ListenUrl secure = good("wss+unix:rel/a b:c?d#e@");
  EXPECT_TRUE(secure.tls);
  EXPECT_EQ(secure.unix_path, "rel/a b:c?d#e@");
}

TEST(ParseListenUrl, RefusesABadSocketPath) {
  expect_fault("ws+unix:", "path is missing");
  expect_fault("wss+unix:", "path is missing");
  expect_fault("ws+unix://run/wsd.sock", "without //");
  expect_fault("ws+unix:///run/wsd.sock", "without //");
  expect_fault(std::string_view("ws+unix:/a\0b", 12), "zero byte");
}

TEST(ParseListenUrl, RefusesOtherSchemes) {
  for (const char* text : {"http://127.0.0.1:80", "https://127.0.0.1", "wsx://127.0.0.1:80",
                           "://127.0.0.1", "tcp://127.0.0.1:80", "localhost:8080", "w://1.2.3.4",
                           "127.0.0.1:8888", "unix:/a", " ws://127.0.0.1"}) {
    expect_fault(text, "scheme is not ws");
  }
  expect_fault("", "no scheme");
  expect_fault("8080", "no scheme");
  expect_fault("*", "no scheme");
  for (const char* text : {"ws:127.0.0.1", "ws:/127.0.0.1", "ws:", "wss:/", "ws:x://127.0.0.1"}) {
    expect_fault(text, "followed by ://");
  }
}

TEST(ParseListenUrl, RefusesAPathQueryFragmentOrUserPart) {
  expect_fault("ws://127.0.0.1:80/", "path");
  expect_fault("ws://127.0.0.1/", "path");
  expect_fault("ws://127.0.0.1:80/chat", "path");
  expect_fault("ws://127.0.0.1:80?x", "query");
  expect_fault("ws://127.0.0.1:80#x", "fragment");
  expect_fault("ws://me@127.0.0.1:80", "user part");
  expect_fault("ws://me:secret@127.0.0.1:80", "user part");
}

TEST(ParseListenUrl, RefusesAMissingHost) {
  expect_fault("ws://", "host is missing");
  expect_fault("wss://:8080", "host is missing");
  expect_fault("ws:///", "path");
}

TEST(ParseListenUrl, RefusesABadPort) {
  for (const char* port :
       {"65536", "99999999999999999999", "-1", "+1", "1x", "x", "0x50", " 80", "80 ", "8.0"}) {
    expect_fault("ws://127.0.0.1:" + std::string(port), "not a number from 0 to 65535");
    expect_fault("ws://[::1]:" + std::string(port), "not a number from 0 to 65535");
  }
  expect_fault("ws://127.0.0.1:", "port is missing");
  expect_fault("ws://[::1]:", "port is missing");
}

TEST(ParseListenUrl, RefusesAHostThatIsNoAddress) {
  for (const char* host :
       {"example.com", "localhost.", "**",         "*.1",      "1.2.3",    "1.2.3.4.5",
        "1.2.3.256",   "1.2.3.1000", "01.2.3.4",   "1.2.3.4.", ".1.2.3",   "1..2.3",
        "0x7f.0.0.1",  "127.1",      "2130706433", "a b",      "[::1",     "[]",
        "[1.2.3.4]",   "[::1%eth0]", "[::1]x",     "\x80",     "%31.2.3.4"}) {
    expect_fault("ws://" + std::string(host), "not an address");
    expect_fault("ws://" + std::string(host) + ":80", "not an address");
  }
}

TEST(ParseListenUrl, AsksForBracketsAroundIPv6) {
  expect_fault("ws://::1", "needs brackets");
  expect_fault("ws://::1:8080", "needs brackets");
  expect_fault("ws://fe80::1:80", "needs brackets");
}

TEST(ListenUrl, WritesTheFormItReads) {
  EXPECT_EQ(good("ws://127.0.0.1").to_string(), "ws://127.0.0.1:80");
  EXPECT_EQ(good("WSS://[::1]").to_string(), "wss://[::1]:443");
  for (const char* text : {"ws://127.0.0.1:8888", "wss://*:0", "wss://[2001:db8::1]:8443",
                           "ws://localhost:1", "ws+unix:/run/wsd.sock", "wss+unix:wsd.sock"}) {
    EXPECT_EQ(good(text).to_string(), text);
  }
}

TEST(SplitUrl, CutsAtSchemeAndAuthority) {
  const auto url = split_url("http://host:1/path?q#f");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->scheme, "http");
  EXPECT_EQ(url->authority, "host:1");
  EXPECT_EQ(url->rest, "/path?q#f");
  EXPECT_EQ(split_url("a://b?c/d")->authority, "b");
  EXPECT_EQ(split_url("a://b#c/d")->rest, "#c/d");
  EXPECT_EQ(split_url("a://b")->rest, "");
  EXPECT_EQ(split_url("://")->authority, "");
  EXPECT_FALSE(split_url("host:80"));
  EXPECT_FALSE(split_url("a:/b"));
  EXPECT_FALSE(split_url(""));
}

std::optional<Authority> authority_of(const GuardedCopy& text) {
  return parse_authority(text.text());
}

// RFC 3986 section 3.2.2 and 3.2.3.
TEST(ParseAuthority, ReadsNamesAddressesAndPorts) {
  struct Vector {
    const char* text;
    const char* host;
    std::optional<std::uint16_t> port;
  };
  const Vector vectors[] = {
      {"server.example.com", "server.example.com", std::nullopt},
      {"a", "a", std::nullopt},
      {"host:80", "host", 80},
      {"host:", "host", std::nullopt},
      {"host:0", "host", 0},
      {"host:0080", "host", 80},
      {"host:65535", "host", 65535},
      {"192.0.2.1:8080", "192.0.2.1", 8080},
      {"[::1]", "[::1]", std::nullopt},
      {"[2001:db8::8:800:200c:417a]:443", "[2001:db8::8:800:200c:417a]", 443},
      {"xn--bcher-kva.example", "xn--bcher-kva.example", std::nullopt},
      {"b%C3%BCcher.example", "b%C3%BCcher.example", std::nullopt},
      {"-._~!$&'()*+,;=:1", "-._~!$&'()*+,;=", 1},
  };
  for (const Vector& vector : vectors) {
    const GuardedCopy guarded(vector.text);
    const auto authority = authority_of(guarded);
    ASSERT_TRUE(authority) << vector.text;
    EXPECT_EQ(authority->host, vector.host);
    EXPECT_EQ(authority->port, vector.port) << vector.text;
  }
}

TEST(ParseAuthority, RefusesWhatIsNone) {
  for (const char* text :
       {"",          ":80",        "user@host", "user:pw@host", "host:65536", "host:x",
        "host:-1",   "host:8 0",   "host :80",  "a b",          "a/b",        "a?b",
        "a#b",       "a\\b",       "a[b]",      "[::1",         "::1",        "[::1]80",
        "[::1]x:80", "[]",         "[v1.x]",    "[::1%251]",    "host%",      "host%2",
        "host%2g",   "\"host\"",   "a\x80",     "a\x7f",        "a<b",        "a|b",
        "a^b",       "host:80:80", "a\tb",      "host:8a",      "http://a"}) {
    EXPECT_FALSE(authority_of(GuardedCopy(std::string_view(text)))) << text;
  }
  EXPECT_FALSE(parse_authority(std::string_view("a\0b", 3)));
}

// RFC 4291 section 2.2.
TEST(ParseAuthority, KnowsTheFormsOfIPv6Addresses) {
  for (const char* text :
       {"::", "::1", "1::", "ABCD:EF01:2345:6789:ABCD:EF01:2345:6789",
        "2001:DB8:0:0:8:800:200C:417A", "FF01::101", "0:0:0:0:0:0:13.1.68.3", "::13.1.68.3",
        "::FFFF:129.144.52.38", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1::3:4:5:6:7:8",
        "1:2:3:4:5:6:1.2.3.4", "1::1.2.3.4"}) {
    EXPECT_TRUE(authority_of(GuardedCopy(std::string_view("[" + std::string(text) + "]")))) << text;
  }
  for (const char* text : {"",
                           ":",
                           ":::",
                           "1",
                           "1:2:3:4:5:6:7",
                           "1:2:3:4:5:6:7:8:9",
                           "1::2::3",
                           "12345::",
                           "g::",
                           "1:",
                           ":1",
                           "::1:",
                           ":1::",
                           "1:2:3:4:5:6:7:8::",
                           "::1:2:3:4:5:6:7:8",
                           "1.2.3.4",
                           "1:2:3:4:5:6:7:1.2.3.4",
                           "::1.2.3",
                           "::1.2.3.256",
                           "::1.2.3.4:1",
                           "::1.2.3.4.5",
                           "::01.2.3.4",
                           "1:2:3:4:5:1.2.3.4",
                           ":: 1",
                           "-1::"}) {
    EXPECT_FALSE(authority_of(GuardedCopy(std::string_view("[" + std::string(text) + "]"))))
        << text;
  }
}

// With three changes: another byte that means something in URLs, or an earlier end.
std::string mutated(std::string text, std::mt19937& random) {
  constexpr std::string_view kSpice = ":/[]@?#%.*0w+";
  for (int i = 0; i < 3; ++i) {
    const std::size_t at = random() % text.size();
    if (random() % 2 == 0) {
      text[at] = kSpice[random() % kSpice.size()];
    } else {
      text.resize(at + 1);
    }
  }
  return text;
}

TEST(ParseListenUrl, ReadsNoByteBeyondAnyMutatedUrl) {
  std::mt19937 random(3986);
  for (int round = 0; round < 5000; ++round) {
    const std::string text =
        mutated(round % 2 == 0 ? "wss://[2001:db8::1.2.3.4]:8443" : "ws://127.0.0.1:80", random);
    const GuardedCopy guarded(text);
    const auto result = parse_listen_url(guarded.text());
    if (result) {
      const auto again = parse_listen_url(result.value().to_string());
      ASSERT_TRUE(again) << text;
      EXPECT_EQ(again.value().to_string(), result.value().to_string());
    }
  }
}

ConnectUrl connect_to(std::string_view text) {
  const GuardedCopy guarded(text);
  auto result = parse_connect_url(guarded.text());
  if (!result) {
    ADD_FAILURE() << result.error().message();
    return {};
  }
  return *result;
}

void expect_connect(std::string_view text, bool tls, std::string_view host, int port,
                    std::string_view target, std::string_view host_header) {
  const ConnectUrl url = connect_to(text);
  EXPECT_EQ(url.tls, tls) << text;
  EXPECT_EQ(url.host, host) << text;
  EXPECT_EQ(url.port, port) << text;
  EXPECT_EQ(url.unix_path, "") << text;
  EXPECT_EQ(url.target, target) << text;
  EXPECT_EQ(url.host_header(), host_header) << text;
}

std::string connect_error_of(std::string_view text) {
  const GuardedCopy guarded(text);
  const auto result = parse_connect_url(guarded.text());
  if (result) {
    ADD_FAILURE() << text << " was accepted";
    return "";
  }
  const std::string message = result.error().message();
  EXPECT_NE(message.find("ws://HOST[:PORT]/PATH"), std::string::npos) << message;
  for (const char c : message) EXPECT_TRUE(c >= 0x20 && c < 0x7F) << message;
  return message;
}

void expect_connect_fault(std::string_view text, std::string_view fault) {
  const std::string message = connect_error_of(text);
  EXPECT_NE(message.find(fault), std::string::npos) << message;
}

// RFC 6455 section 3; section 4.1 for Host.
TEST(ParseConnectUrl, ReadsHostPortPathAndQuery) {
  expect_connect("ws://example.com/chat", false, "example.com", 80, "/chat", "example.com");
  expect_connect("wss://example.com/chat?room=1&x=%2F", true, "example.com", 443,
                 "/chat?room=1&x=%2F", "example.com");
  expect_connect("ws://127.0.0.1:8888/", false, "127.0.0.1", 8888, "/", "127.0.0.1:8888");
  expect_connect("ws://[2001:db8::1]:8443/a", false, "2001:db8::1", 8443, "/a",
                 "[2001:db8::1]:8443");
  expect_connect("wss://[::1]/a", true, "::1", 443, "/a", "[::1]");
  expect_connect("WSS://Example.COM/A", true, "Example.COM", 443, "/A", "Example.COM");
  expect_connect("ws://my_host.xn--bcher-kva.example./", false, "my_host.xn--bcher-kva.example.",
                 80, "/", "my_host.xn--bcher-kva.example.");
}

TEST(ParseConnectUrl, LeavesOutOnlyTheDefaultPortOfTheScheme) {
  EXPECT_EQ(connect_to("ws://a:80").host_header(), "a");
  EXPECT_EQ(connect_to("wss://a:443").host_header(), "a");
  EXPECT_EQ(connect_to("ws://a:443").host_header(), "a:443");
  EXPECT_EQ(connect_to("wss://a:80").host_header(), "a:80");
  EXPECT_EQ(connect_to("wss://[::1]:80").host_header(), "[::1]:80");
  // RFC 3986 section 3.2.3: port = *DIGIT.
  expect_connect("wss://a:/b", true, "a", 443, "/b", "a");
  expect_connect("ws://a:65535", false, "a", 65535, "/", "a:65535");
}

// RFC 6455 section 3: "/" if the path is empty, "?" if the query is not.
TEST(ParseConnectUrl, MakesTheResourceName) {
  EXPECT_EQ(connect_to("ws://a").target, "/");
  EXPECT_EQ(connect_to("ws://a?x=1").target, "/?x=1");
  EXPECT_EQ(connect_to("ws://a?x/y?z").target, "/?x/y?z");
  EXPECT_EQ(connect_to("ws://a/?").target, "/");
  EXPECT_EQ(connect_to("ws://a?").target, "/");
  EXPECT_EQ(connect_to("ws://a/b?").target, "/b");
  EXPECT_EQ(connect_to("ws://a/b??").target, "/b??");
  EXPECT_EQ(connect_to("ws://a//b/../c").target, "//b/../c");
}

// RFC 3986 sections 3.3 and 3.4: pchar, "/" and "?".
TEST(ParseConnectUrl, AcceptsTheBytesOfATargetAndNamesTheEncodingOfAllOthers) {
  constexpr std::string_view kAllowed =
      "-._~!$&'()*+,;=:@/?"
      "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    if (c == '#') continue;
    for (const std::string& target : {std::string("/a") + c + "b", std::string("/a?b") + c + "b"}) {
      const std::string url = "ws://host" + target;
      if (kAllowed.find(c) != std::string_view::npos) {
        EXPECT_EQ(connect_to(url).target, target);
        continue;
      }
      char encoded[8];
      std::snprintf(encoded, sizeof encoded, "%%%02X", byte);
      expect_connect_fault(url, "percent-encoded, as " + std::string(encoded));
    }
  }
  EXPECT_EQ(connect_to("ws://a/%C3%bc%23").target, "/%C3%bc%23");
  for (const char* target : {"/%", "/%2", "/%g0", "/%0g", "/a%", "/?%", "/%%41"}) {
    expect_connect_fault("ws://a" + std::string(target), "percent-encoded, as %25");
  }
}

TEST(ParseConnectUrl, RefusesAFragment) {
  for (const char* text :
       {"ws://a/b#c", "ws://a#c", "ws://a/b?c#d", "wss://a/#", "ws+unix:/run/x:/a#b"}) {
    expect_connect_fault(text, "fragment");
    expect_connect_fault(text, "%23");
  }
}

TEST(ParseConnectUrl, RefusesAUserPartWithoutRepeatingIt) {
  for (const char* text : {"ws://me@a/b", "ws://me:secret@a/b", "wss://secret:@a", "ws://@a",
                           "ws://x@secret@a/b", "http://me:secret@a/"}) {
    const std::string message = connect_error_of(text);
    EXPECT_EQ(message.find("secret"), std::string::npos) << message;
    EXPECT_NE(message.find("***@a"), std::string::npos) << message;
  }
  expect_connect_fault("ws://me:secret@a/b", "user part");
  EXPECT_EQ(connect_to("ws://a/@b").target, "/@b");
}

TEST(ParseConnectUrl, RefusesOtherSchemes) {
  expect_connect_fault("http://a/", "is ws, not http");
  expect_connect_fault("HTTP://a/", "is ws, not http");
  expect_connect_fault("https://a/", "is wss, not https");
  for (const char* text : {"ftp://a", "wsx://a", "://a", "a:80", "localhost:8080/chat", " ws://a",
                           "httpx://a", "unix:/a", "h2c://a"}) {
    expect_connect_fault(text, "scheme is not ws");
  }
  for (const char* text : {"", "a", "/chat", "example.com"}) {
    expect_connect_fault(text, "no scheme");
  }
  for (const char* text : {"ws:a", "ws:/a", "ws:", "wss:/"}) {
    expect_connect_fault(text, "followed by ://");
  }
}

TEST(ParseConnectUrl, RefusesABadHostOrPort) {
  expect_connect_fault("ws://", "host is missing");
  expect_connect_fault("ws:///chat", "host is missing");
  expect_connect_fault("ws://:80/", "host is missing");
  expect_connect_fault("ws://::1/", "needs brackets");
  expect_connect_fault("ws://fe80::1:80/", "needs brackets");
  for (const char* host : {"a b", "[::1", "[]", "[1.2.3.4]", "[::1%25eth0]", "b\xc3\xbc", "a\\b",
                           "a%41", "b%C3%BCcher.example", "a\nb", "a<b"}) {
    expect_connect_fault("ws://" + std::string(host) + "/", "neither an address nor a name");
  }
  for (const char* port : {"65536", "-1", "x", "8 0", "1:2"}) {
    expect_connect_fault("ws://[::1]:" + std::string(port) + "/", "the ");
  }
  expect_connect_fault("ws://a:65536/", "the port is not a number");
  expect_connect_fault("ws://a:x/", "the port is not a number");
  expect_connect_fault("ws://a:0/", "port 0");
  expect_connect_fault(std::string_view("ws://a\0/", 8), "neither");
}

TEST(ParseConnectUrl, ReadsUnixSocketsWithATargetAfterColonSlash) {
  const auto expect_unix = [](std::string_view text, bool tls, std::string_view path,
                              std::string_view target) {
    const ConnectUrl url = connect_to(text);
    EXPECT_EQ(url.tls, tls) << text;
    EXPECT_EQ(url.host, "") << text;
    EXPECT_EQ(url.unix_path, path) << text;
    EXPECT_EQ(url.target, target) << text;
    EXPECT_EQ(url.host_header(), "localhost") << text;
  };
  expect_unix("ws+unix:/run/wsd.sock", false, "/run/wsd.sock", "/");
  expect_unix("WSS+unix:/run/wsd.sock", true, "/run/wsd.sock", "/");
  expect_unix("ws+unix:/run/x:/chat?room=1", false, "/run/x", "/chat?room=1");
  expect_unix("ws+unix:/run/x:/", false, "/run/x", "/");
  expect_unix("ws+unix:/run/x:/?", false, "/run/x", "/");
  expect_unix("wss+unix:rel/a b:c?d#e@:/f:/g", true, "rel/a b:c?d#e@", "/f:/g");
  expect_connect_fault("ws+unix:", "path is missing");
  expect_connect_fault("ws+unix::/chat", "path is missing");
  expect_connect_fault("ws+unix://run/x.sock", "without //");
  expect_connect_fault("ws+unix:/run/x:/a b", "percent-encoded, as %20");
  expect_connect_fault(std::string_view("ws+unix:/a\0b", 12), "zero byte");
}

TEST(ParseConnectUrl, ReadsNoByteBeyondAnyMutatedUrl) {
  std::mt19937 random(6455);
  for (int round = 0; round < 5000; ++round) {
    const std::string text =
        mutated(round % 2 == 0 ? "wss://[2001:db8::1]:8443/a?b=%41" : "ws+unix:/run/x:/a", random);
    const GuardedCopy guarded(text);
    const auto result = parse_connect_url(guarded.text());
    if (!result) continue;
    EXPECT_TRUE(result.value().target.starts_with('/')) << text;
    EXPECT_TRUE(parse_authority(result.value().host_header())) << text;
    EXPECT_NE(result.value().host.empty(), result.value().unix_path.empty()) << text;
  }
}

}  // namespace
