// Limits that a flag sets, and what an attack may cost (rows F2, H8
// and T7), on a real wsd.
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <thread>

#include "tests/conformance/conformance.h"
#include "tests/conformance/deflate_frames.h"
#include "tests/conformance/runner.h"
#include "tests/support/stream.h"
#include "tests/support/wsd_process.h"

namespace ws::test {
namespace {

// A wsd of its own with some more arguments, and clients of it.
class Wsd {
 public:
  explicit Wsd(std::vector<std::string> args) : process_(with_listeners(std::move(args))) {
    EXPECT_TRUE(process_.wait_listening(2)) << process_.output();
  }
  std::unique_ptr<Stream> connect(bool tls = false) {
    return Stream::connect(process_.port(tls ? "wss://" : "ws://"), tls);
  }
  // On a connection of its own. Returns what is wrong, "" if nothing.
  std::string play(const Script& script, bool raw = false, bool tls = false) {
    const std::unique_ptr<Stream> stream = connect(tls);
    if (stream == nullptr) return "no connection";
    return Client(*stream).play(Case{.id = "", .script = [&] { return script; }, .raw = raw});
  }
  // Of the lines in /proc/PID/status, in KiB.
  long status(const std::string& name) const {
    std::ifstream file("/proc/" + std::to_string(process_.pid()) + "/status");
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with(name + ":")) return std::stol(line.substr(name.size() + 1));
    }
    return -1;
  }
  WsdProcess& process() { return process_; }

 private:
  static std::vector<std::string> with_listeners(std::vector<std::string> args) {
    for (const char* word :
         {"--listen", "ws://127.0.0.1:0", "--listen", "wss://127.0.0.1:0", "--threads", "1"}) {
      args.emplace_back(word);
    }
    return args;
  }

  WsdProcess process_;
};

Script echo() {
  return Script().sends(text("hi")).gets_text("hi").bye();
}

TEST(Routes, OtherPathsAreNotFoundWhenRoutesAreGiven) {
  Wsd wsd({"--route", "/echo=echo"});
  Request here;
  here.line = "GET /echo?x=1 HTTP/1.1";
  EXPECT_EQ(wsd.play(Script().sends(here.str()).upgraded().bye(), true), "");
  for (const char* target : {"/", "/other", "/echo/", "/Echo", "/echo2"}) {
    Request elsewhere;
    elsewhere.line = std::string("GET ") + target + " HTTP/1.1";
    EXPECT_EQ(wsd.play(Script().sends(elsewhere.str()).refused(404), true), "") << target;
    elsewhere.headers = {"Host: localhost"};
    EXPECT_EQ(wsd.play(Script().sends(elsewhere.str()).refused(404), true), "") << target;
  }
}

TEST(Limits, MaxMessageIsExact) {
  Wsd wsd({"--max-message", "1KiB"});
  const std::string most = repeat("x", 1024);
  for (const bool tls : {false, true}) {
    EXPECT_EQ(wsd.play(Script().sends(text(most)).gets_text(most).bye(), false, tls), "");
    EXPECT_EQ(wsd.play(Script().sends(text(most + "x")).fails(1009), false, tls), "");
    EXPECT_EQ(
        wsd.play(Script().sends(first(kText, most) + middle("") + last("")).gets_text(most).bye(),
                 false, tls),
        "");
    EXPECT_EQ(wsd.play(Script().sends(first(kText, most) + last("x")).fails(1009), false, tls), "");
  }
}

// At a limit: 503 with Retry-After, and a place is free again as soon as somebody leaves.
TEST(Limits, ConnectionsOverTheLimitGet503) {
  for (const char* flag : {"--max-connections", "--max-per-ip"}) {
    Wsd wsd({flag, "2"});
    std::unique_ptr<Stream> one = wsd.connect();
    std::unique_ptr<Stream> two = wsd.connect();
    ASSERT_TRUE(one != nullptr && two != nullptr);
    ASSERT_EQ(Client(*one).upgrade(), "");
    ASSERT_EQ(Client(*two).upgrade(), "");
    std::unique_ptr<Stream> three = wsd.connect();
    ASSERT_NE(three, nullptr);
    Client refused(*three);
    Answer answer;
    ASSERT_TRUE(three->write(Request().str()));
    ASSERT_EQ(refused.read_answer(answer, 5'000), "") << flag;
    EXPECT_EQ(answer.status, 503) << flag;
    EXPECT_TRUE(answer.header("Retry-After").has_value()) << flag;
    EXPECT_TRUE(answer.has_token("Connection", "close")) << flag;
    EXPECT_EQ(refused.read_end(1'500), "") << flag;
    EXPECT_EQ(Client(*one).play(echo()), "") << "the others feel nothing of it";
    three.reset();  // one that is being refused may take up a place until it has gone
    one.reset();
    std::string wrong = "not tried";
    for (int tries = 0; tries < 50 && !wrong.empty(); ++tries) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      wrong = wsd.play(echo());
    }
    EXPECT_EQ(wrong, "") << flag;
  }
}

// Row F2: 100 peers announce 16 MiB each and send a few bytes. Were any of it set aside because it
// was announced, 1.6 GiB would be.
TEST(Attacks, AnnouncedBytesCostNothing) {
  Wsd wsd({});
  ASSERT_EQ(wsd.play(echo()), "");
  const long before = wsd.status("VmSize");
  ASSERT_GT(before, 0);
  std::vector<std::unique_ptr<Stream>> peers;
  for (int i = 0; i < 100; ++i) {
    peers.push_back(wsd.connect());
    ASSERT_NE(peers.back(), nullptr);
    ASSERT_EQ(Client(*peers.back()).upgrade(), "");
    ASSERT_TRUE(peers.back()->write(
        frame({.opcode = i % 2 == 0 ? kText : kBinary, .announced = kLimits.message_bytes},
              repeat("few", 5'000))));
  }
  ASSERT_EQ(wsd.play(echo()), "");
  EXPECT_LT(wsd.status("VmSize") - before, 128 * 1024);
}

// Row F3: a message that stays one buffer, however small its fragments are.
TEST(Attacks, TinyFragmentsCostNoMoreThanTheirBytes) {
  Wsd wsd({});
  ASSERT_EQ(wsd.play(echo()), "");
  const long before = wsd.status("VmRSS");
  std::vector<std::unique_ptr<Stream>> peers;
  const std::string tiny = first(kBinary, "x") + repeat(middle("y"), 7 * 10'000);
  for (int i = 0; i < 50; ++i) {
    peers.push_back(wsd.connect());
    ASSERT_NE(peers.back(), nullptr);
    Client client(*peers.back());
    ASSERT_EQ(client.upgrade(), "");
    ASSERT_TRUE(peers.back()->write(tiny + ping()));
    ASSERT_EQ(client.play(Script().gets_pong("")), "");
  }
  // 50 messages of 10,001 bytes; sanitizers and the allocator take their share.
  EXPECT_LT(wsd.status("VmRSS") - before, 16 * 1024);
}

// Row C1: 16 KiB that become 16 MiB, as often as anybody likes, take the memory of a message and
// its answer, not of all the buffers they grew through.
TEST(Attacks, CompressedMessagesLeaveNoMemoryBehind) {
  Wsd wsd({});
  ASSERT_EQ(wsd.play(echo()), "");
  constexpr long kTerabyte = 1L << 30;  // in KiB: what only a sanitizer maps
  if (wsd.status("VmSize") > kTerabyte) GTEST_SKIP() << "sanitizers keep what is freed";
  const long before = wsd.status("VmRSS");
  Script script =
      offers(kOffer, "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
  for (int i = 0; i < 12; ++i) {
    script.sends(packed(kBinary, deflated(std::string(kMessageMax, '\0'))))
        .gets_packed(kBinary, std::string(kMessageMax, '\0'));
  }
  ASSERT_EQ(wsd.play(script.bye(), true), "");
  EXPECT_LT(wsd.status("VmHWM") - before, 96 * 1024);
}

// A peer of the wrong kind is nobody else's trouble.
TEST(Attacks, StrangersDoNotDisturb) {
  Wsd wsd({});
  {
    const auto plain_at_tls = Stream::connect(wsd.process().port("wss://"), false);
    ASSERT_NE(plain_at_tls, nullptr);
    ASSERT_TRUE(plain_at_tls->write(Request().str()));
    std::string heard;
    Stream::Got got = Stream::Got::kData;
    while (got == Stream::Got::kData) got = plain_at_tls->read(heard, 3'000);
    EXPECT_EQ(got, Stream::Got::kEof) << "an alert at most, then FIN";
  }
  EXPECT_EQ(Stream::connect(wsd.process().port("ws://"), true), nullptr);
  for (const bool tls : {false, true}) EXPECT_EQ(wsd.play(echo(), false, tls), "");
}

// Row T7: over TLS, FIN without close_notify is an end like another: what was asked is answered.
TEST(Attacks, TruncatedTlsIsAnEnd) {
  Wsd wsd({});
  const auto stream = wsd.connect(true);
  ASSERT_NE(stream, nullptr);
  Client client(*stream);
  ASSERT_EQ(client.upgrade(), "");
  ASSERT_TRUE(stream->write(text("last words")));
  stream->fin();
  EXPECT_EQ(client.play(Script().gets_text("last words")), "");
  std::string heard;
  Stream::Got got = Stream::Got::kData;
  while (got == Stream::Got::kData) got = stream->read(heard, 3'000);
  EXPECT_NE(got, Stream::Got::kTimeout) << "still there";
  EXPECT_EQ(wsd.play(echo(), false, true), "");
}

}  // namespace
}  // namespace ws::test
