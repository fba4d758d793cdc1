// wsd as its users meet it: exit codes, what it prints, signals.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/support/loopback.h"
#include "tests/support/raw_peer.h"
#include "tests/support/test_certs.h"
#include "tests/support/test_server.h"
#include "tests/support/wsd_process.h"

namespace ws::test {
namespace {

using namespace std::chrono_literals;
using Arguments = std::vector<std::string>;

constexpr int kExitMs = 20'000;

const Arguments kBothSchemes = {"--listen",          "ws://127.0.0.1:0", "--listen",
                                "wss://127.0.0.1:0", "--threads",        "1"};

Arguments with(Arguments arguments, const Arguments& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// The last lines of a process may still be on their way when it has ended.
bool prints(const WsdProcess& wsd, const std::string& part) {
  return eventually([&] { return has(wsd.output(), part); });
}

// Runs to the end.
struct Ended {
  explicit Ended(const Arguments& arguments) {
    WsdProcess wsd(arguments);
    code = wsd.wait_exit(kExitMs).value_or(-1);
    eventually([&] { return has(wsd.output(), "\n"); });
    output = wsd.output();
  }
  int code = -1;
  std::string output;
};

// One line that starts with "wsd: ", holds all of `parts`, and that exit code.
void expect_refusal(const Arguments& arguments, int code, const Arguments& parts) {
  const Ended ended(arguments);
  EXPECT_EQ(ended.code, code) << ended.output;
  EXPECT_TRUE(ended.output.starts_with("wsd: ")) << ended.output;
  EXPECT_EQ(ended.output.find('\n'), ended.output.size() - 1) << ended.output;
  for (const std::string& part : parts) EXPECT_TRUE(has(ended.output, part)) << ended.output;
}

Peer peer_of(const WsdProcess& wsd, bool tls) {
  return Peer(Stream::connect(wsd.port(tls ? "wss://" : "ws://"), tls));
}

// --- exit codes ---

TEST(Daemon, PrintsItsVersionAndHelp) {
  const Ended version({"--version"});
  EXPECT_EQ(version.code, 0);
  EXPECT_TRUE(version.output.starts_with("wsd ")) << version.output;
  const Ended help({"--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_TRUE(has(help.output, "--listen URL")) << help.output;
}

TEST(Daemon, BadUsageExits2) {
  expect_refusal({"--treads", "2"}, 2, {"--treads", "--threads"});
  expect_refusal({"--listen", "http://127.0.0.1:80"}, 2, {"--listen", "http://127.0.0.1:80"});
  expect_refusal({"--threads", "many"}, 2, {"--threads", "many"});
  expect_refusal({"--config", "/nowhere/wsd.conf"}, 2, {"/nowhere/wsd.conf"});
  expect_refusal({"serve"}, 2, {"serve"});
}

TEST(Daemon, WhatKeepsItFromStartingExits1) {
  TestCerts certs;
  certs.make("one");
  certs.make("two");
  const net::Listener holder = open_or_die(ip("127.0.0.1"));
  const std::string taken = "ws://" + holder.address().to_string();
  const Arguments tls = {"--listen", "wss://127.0.0.1:0"};
  expect_refusal({"--listen", taken}, 1, {taken, "in use"});
  expect_refusal(with(tls, {"--cert", certs.cert("one"), "--key", certs.path("none.key")}), 1,
                 {certs.path("none.key")});
  expect_refusal(with(tls, {"--cert", certs.cert("one"), "--key", certs.key("two")}), 1,
                 {certs.key("two")});
  expect_refusal(with(tls, {"--cert", certs.write("no.pem", "x"), "--key", certs.key("one")}), 1,
                 {certs.path("no.pem")});
}

TEST(Daemon, TestConfigOnlyLooks) {
  TestCerts certs;
  certs.make("one");
  certs.make("two");
  const net::Listener holder = open_or_die(ip("127.0.0.1"));
  const std::string taken = "ws://" + holder.address().to_string();
  const Arguments good = {"--test-config", "--listen",       taken, "--listen", "wss://127.0.0.1:0",
                          "--cert",        certs.cert("one")};
  const Ended fine(with(good, {"--key", certs.key("one")}));
  EXPECT_EQ(fine.code, 0) << fine.output << "a port in use is no fault of the settings";
  EXPECT_FALSE(has(fine.output, "listening")) << fine.output;
  expect_refusal(with(good, {"--key", certs.key("two")}), 1, {certs.key("two")});
  expect_refusal({"--test-config", "--max-message", "0"}, 2, {"--max-message"});
  const std::string bad = certs.write("wsd.conf", "threads = 2\nlisten = nonsense\n");
  expect_refusal({"--test-config", "--config", bad}, 2, {bad + ":2", "nonsense"});
}

// --- running ---

TEST(Daemon, SaysWhereItListens) {
  TestCerts directory;
  const std::string path = directory.path("wsd.sock");
  WsdProcess wsd(with(kBothSchemes, {"--listen", "ws+unix:" + path, "--log-level", "off"}));
  ASSERT_TRUE(wsd.wait_listening(3)) << wsd.output();
  const std::vector<std::string> urls = wsd.urls();
  EXPECT_TRUE(urls[0].starts_with("ws://127.0.0.1:")) << urls[0];
  EXPECT_TRUE(urls[1].starts_with("wss://127.0.0.1:")) << urls[1];
  EXPECT_EQ(urls[2], "ws+unix:" + path);
  EXPECT_NE(port_of(urls[0]), 0);
  EXPECT_NE(port_of(urls[1]), 0);
  // "make a P-256 self-signed one in memory and print its SHA-256 fingerprint".
  EXPECT_TRUE(prints(wsd, "SHA-256 ")) << wsd.output();
  for (const bool tls : {false, true}) {
    Peer peer = peer_of(wsd, tls);
    EXPECT_EQ(peer.play(Script().sends(text("hi")).gets_text("hi").bye()), "");
  }
  EXPECT_TRUE(connect_unix(path));
  wsd.signal(SIGTERM);
  EXPECT_EQ(wsd.wait_exit(kExitMs), 0) << wsd.output();
  EXPECT_FALSE(connect_unix(path));
}

TEST(Daemon, TakesItsSettingsFromAFile) {
  TestCerts directory;
  WsdProcess wsd({"--config", directory.write("wsd.conf",
                                              "# all of it\nlisten = ws://127.0.0.1:0\n"
                                              "route = /only=echo\nthreads = 1\n")});
  ASSERT_TRUE(wsd.wait_listening(1)) << wsd.output();
  const auto stream = Stream::connect(wsd.port("ws://"), false);
  ASSERT_NE(stream, nullptr);
  EXPECT_EQ(Client(*stream).play(Script().sends(Request().str()).refused(404)), "");
}

// --- signals ---

TEST(Daemon, DrainsOnSigtermAndSigint) {
  for (const int number : {SIGTERM, SIGINT}) {
    WsdProcess wsd(kBothSchemes);
    ASSERT_TRUE(wsd.wait_listening(2)) << wsd.output();
    Peer plain = peer_of(wsd, false);
    Peer sealed = peer_of(wsd, true);
    wsd.signal(number);
    for (Peer* peer : {&plain, &sealed}) {
      EXPECT_EQ(peer->play(Script().gets_close(1001).sends(close(1001)).eof()), "");
      peer->stream->half_close();
    }
    EXPECT_EQ(wsd.wait_exit(kExitMs), 0) << wsd.output();
  }
}

TEST(Daemon, ASecondSignalExits3AtOnce) {
  // With two threads the one that waits for the peer may be either.
  for (const char* threads : {"1", "2", "2", "2", "2"}) {
    std::vector<std::string> arguments = kBothSchemes;
    arguments.insert(arguments.end(), {"--threads", threads});
    WsdProcess wsd(arguments);
    ASSERT_TRUE(wsd.wait_listening(2)) << wsd.output();
    Peer peer = peer_of(wsd, false);
    wsd.signal(SIGTERM);
    EXPECT_EQ(peer.play(Script().gets_close(1001)), "");
    std::this_thread::sleep_for(50ms);
    EXPECT_TRUE(wsd.running()) << "an answer is awaited";
    const auto start = std::chrono::steady_clock::now();
    wsd.signal(SIGINT);
    EXPECT_EQ(wsd.wait_exit(kExitMs), 3) << wsd.output();
    EXPECT_LT(std::chrono::steady_clock::now() - start, 4s) << "5 s is the closing handshake's";
  }
}

// Under load a stop must be as clean: clients keep coming while it happens.
TEST(Daemon, DrainsWhileClientsCome) {
  for (int round = 0; round < 3; ++round) {
    WsdProcess wsd(kBothSchemes);
    ASSERT_TRUE(wsd.wait_listening(2)) << wsd.output();
    const std::uint16_t port = wsd.port("ws://");
    std::vector<std::unique_ptr<Stream>> crowd;
    for (int i = 0; i < 300; ++i) {
      crowd.push_back(Stream::open(port, false));
      if (i == 200) wsd.signal(SIGTERM);
    }
    crowd.clear();
    EXPECT_EQ(wsd.wait_exit(kExitMs), 0) << wsd.output();
  }
}

// The certificate that a new client is shown.
std::string certificate_of(const WsdProcess& wsd) {
  const core::Fd fd = connect_tcp(wsd.port("wss://"));
  TlsClient client;
  return fd && client.handshake(fd.get()) ? client.server_common_name() : "no handshake";
}

TEST(Daemon, LoadsCertificatesAgainOnSighup) {
  TestCerts certs;
  certs.make("old");
  certs.make("new");
  const auto install = [&](const std::string& name) {
    certs.write("live.pem", TestCerts::read(certs.cert(name)));
    certs.write("live.key", TestCerts::read(certs.key(name)));
  };
  install("old");
  WsdProcess wsd(
      with(kBothSchemes, {"--cert", certs.path("live.pem"), "--key", certs.path("live.key")}));
  ASSERT_TRUE(wsd.wait_listening(2)) << wsd.output();
  Peer peer = peer_of(wsd, true);
  EXPECT_EQ(certificate_of(wsd), "old");

  certs.write("live.pem", "this is no PEM");
  wsd.signal(SIGHUP);
  EXPECT_TRUE(prints(wsd, "live.pem")) << "the error is not logged: " << wsd.output();
  EXPECT_EQ(certificate_of(wsd), "old");

  install("new");
  wsd.signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return certificate_of(wsd) == "new"; })) << wsd.output();
  EXPECT_EQ(peer.play(Script().sends(text("still")).gets_text("still").bye()), "");
  peer.stream->half_close();
  wsd.signal(SIGTERM);
  EXPECT_EQ(wsd.wait_exit(kExitMs), 0) << wsd.output();
}

TEST(Daemon, SighupWithoutCertificatesDoesNoHarm) {
  WsdProcess wsd({"--listen", "ws://127.0.0.1:0", "--threads", "1"});
  ASSERT_TRUE(wsd.wait_listening(1)) << wsd.output();
  wsd.signal(SIGHUP);
  Peer peer = peer_of(wsd, false);
  EXPECT_EQ(peer.play(Script().sends(text("hi")).gets_text("hi").bye()), "");
  EXPECT_TRUE(wsd.running());
}

// --- logs ---

// Just enough of RFC 8259 for an object of strings and numbers.
class FlatJson {
 public:
  static bool valid(const std::string& line) {
    FlatJson json(line);
    return json.object() && json.at_ == line.size();
  }

 private:
  explicit FlatJson(const std::string& line) : line_(line) {}
  bool take(char wanted) {
    if (at_ >= line_.size() || line_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  bool object() {
    if (!take('{')) return false;
    do {
      if (!string() || !take(':') || !(string() || number())) return false;
    } while (take(','));
    return take('}');
  }
  bool number() {
    const std::size_t start = at_;
    while (at_ < line_.size() && std::isdigit(static_cast<unsigned char>(line_[at_])) != 0) ++at_;
    return at_ > start;
  }
  bool string() {
    if (!take('"')) return false;
    while (at_ < line_.size() && line_[at_] != '"') {
      const auto byte = static_cast<unsigned char>(line_[at_++]);
      if (byte < 0x20 || byte > 0x7e) return false;
      if (byte == '\\' && !escape()) return false;
    }
    return take('"');
  }
  bool escape() {
    if (at_ >= line_.size()) return false;
    const char letter = line_[at_++];
    if (letter != 'u') return std::string_view("\"\\/bfnrt").find(letter) != std::string::npos;
    for (int i = 0; i < 4; ++i) {
      if (at_ >= line_.size() || std::isxdigit(static_cast<unsigned char>(line_[at_++])) == 0) {
        return false;
      }
    }
    return true;
  }

  const std::string& line_;
  std::size_t at_ = 0;
};

TEST(Daemon, TellsOfEachConnectionAtLogLevelDebug) {
  WsdProcess wsd(with(kBothSchemes, {"--log-level", "debug"}));
  ASSERT_TRUE(wsd.wait_listening(2)) << wsd.output();
  for (const bool tls : {false, true}) {
    const auto stream = Stream::connect(wsd.port(tls ? "wss://" : "ws://"), tls);
    ASSERT_NE(stream, nullptr);
    stream->write(Request().str() + close(4321, "bye"));
    std::string heard;
    while (stream->read(heard, 20'000) == Stream::Got::kData) continue;
  }
  const auto times = [&](const std::string& part) {
    const std::string output = wsd.output();
    int count = 0;
    for (std::size_t at = 0; (at = output.find(part, at)) != std::string::npos; ++at) ++count;
    return count;
  };
  EXPECT_TRUE(eventually([&] { return times(" code=4321") == 2; })) << wsd.output();
  EXPECT_EQ(times(" debug opened peer=127.0.0.1:"), 2) << wsd.output();
  EXPECT_EQ(times(" debug closed id="), 2) << wsd.output();
}

// Row R7: whatever peers write, a line of the log stays one line of printable ASCII.
TEST(Daemon, HostilePeersCannotForgeItsLog) {
  const std::string hostile[] = {
      "GET /\"x\\\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "GET /%0a{\"level\":\"error\"} HTTP/1.1\r\nHost: localhost\r\n\r\n",
      Request().with("Origin: http://\"evil\\\xff\x80\t x").str(),
      Request().instead("Host: \"\\\xc3\xa9").str(),
      "G\x1b[31mT / HTTP/1.1\r\n\r\n",
      "\x16\x03\x01\r\n\n\n",
      Request().str() + text("\xff\n\x1b[31m"),
      Request().str() +
          close(4000, "bye\n{\"level\":\"error\",\"event\":\"forged\"}\xf0\x9f\x92\xa5"),
      Request().str() + frame({.masked = false}, "\n\nforged\n"),
      "GET /" + std::string(9'000, '"') + " HTTP/1.1\r\n\r\n",
  };
  for (const char* format : {"json", "text"}) {
    WsdProcess wsd(with(kBothSchemes, {"--log-format", format, "--log-level", "debug", "--origin",
                                       "https://a.example"}));
    ASSERT_TRUE(wsd.wait_listening(2)) << wsd.output();
    for (const bool tls : {false, true}) {
      for (const std::string& bytes : hostile) {
        const auto stream = Stream::connect(wsd.port(tls ? "wss://" : "ws://"), tls);
        ASSERT_NE(stream, nullptr);
        stream->write(bytes);
        stream->half_close();
        std::string heard;
        while (stream->read(heard, 20'000) == Stream::Got::kData) continue;
      }
    }
    wsd.signal(SIGTERM);
    ASSERT_EQ(wsd.wait_exit(kExitMs), 0) << wsd.output();
    EXPECT_TRUE(prints(wsd, "stopping"));
    std::istringstream lines(wsd.output());
    int logged = 0;
    for (std::string line; std::getline(lines, line);) {
      EXPECT_TRUE(std::all_of(line.begin(), line.end(), [](char c) {
        return c >= 0x20 && c < 0x7f;
      })) << line;
      EXPECT_FALSE(has(line, "\"event\":\"forged\"")) << line;
      if (line.starts_with("listening on ") || line.starts_with("certificate ")) continue;
      ++logged;
      if (std::string_view(format) == "json") {
        EXPECT_TRUE(FlatJson::valid(line)) << line;
      } else {
        // 2026-01-31T12:00:00.123Z level event
        EXPECT_TRUE(line.size() > 24 && line[10] == 'T' && line[23] == 'Z') << line;
      }
    }
    EXPECT_GT(logged, 0);
  }
}

}  // namespace
}  // namespace ws::test
