// Extensions of a program's own (ws/proto/extension.h): agreed on, declined, stacked, and abused.
#include "ws/extensions.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/raw_server.h"
#include "tests/support/test_server.h"
#include "ws/ws.h"

namespace ws::test {
namespace {

// XORs every byte with a key that the server chose. Messages that begin with '-' are left alone.
class Xor : public Extension {
 public:
  explicit Xor(std::uint8_t key) : key_(key) {}

  bool encode(std::span<const std::uint8_t> message, core::Buffer& out) override {
    if (!message.empty() && message[0] == '-') return false;
    append(message, out);
    return true;
  }
  std::size_t encode_bytes_min() const override { return 2; }
  void begin_decode(std::span<const std::uint8_t> message) override { left_ = message; }
  Status decode(core::Buffer& out, std::size_t bytes_max, std::size_t share_bytes) override {
    if (left_.size() > bytes_max) return Status::kTooBig;
    // As if it could be broken: no message of this extension may begin with 0.
    if (out.empty() && !left_.empty() && left_[0] == 0) return Status::kBad;
    const auto share = left_.first(std::min({left_.size(), share_bytes, std::size_t{1000}}));
    append(share, out);
    left_ = left_.subspan(share.size());
    return left_.empty() ? Status::kDone : Status::kMore;
  }

 private:
  void append(std::span<const std::uint8_t> bytes, core::Buffer& out) const {
    for (const std::uint8_t byte : bytes) {
      const auto changed = static_cast<std::uint8_t>(byte ^ key_);
      out.append({&changed, 1});
    }
  }

  std::uint8_t key_;
  std::span<const std::uint8_t> left_;
};

// "x-xor; key=7": a client offers a key or leaves it to the server, which may insist on its own.
class XorType : public ExtensionType {
 public:
  explicit XorType(std::string offered_key = {}, RsvBit bit = RsvBit::kRsv2,
                   std::string name = "x-xor")
      : offered_key_(std::move(offered_key)), bit_(bit), name_(std::move(name)) {}

  std::string_view name() const override { return name_; }
  RsvBit rsv() const override { return bit_; }
  std::optional<Agreement> accept(std::span<const ExtensionParameter> offer) const override {
    std::string key = "42";
    for (const ExtensionParameter& parameter : offer) {
      if (parameter.name == "decline") return std::nullopt;
      if (parameter.name == "key" && parameter.value) key = *parameter.value;
    }
    return Agreement{std::make_unique<Xor>(number(key)), "key=" + key + "; flag"};
  }
  std::string offer() const override { return offered_key_; }
  std::unique_ptr<Extension> confirm(std::span<const ExtensionParameter> answer) const override {
    if (answer.size() != 2 || answer[0].name != "key" || !answer[0].value) return nullptr;
    if (answer[1].name != "flag" || answer[1].value) return nullptr;
    return std::make_unique<Xor>(number(*answer[0].value));
  }

 private:
  static std::uint8_t number(const std::string& text) {
    return static_cast<std::uint8_t>(std::atoi(text.c_str()));
  }

  std::string offered_key_;
  RsvBit bit_;
  std::string name_;
};

using Types = std::vector<std::shared_ptr<const ExtensionType>>;

std::shared_ptr<const ExtensionType> xor_type(std::string key = {}, RsvBit bit = RsvBit::kRsv2,
                                              std::string name = "x-xor") {
  return std::make_shared<XorType>(std::move(key), bit, std::move(name));
}

std::string xored(std::string text, int key) {
  for (char& c : text) c = static_cast<char>(c ^ key);
  return text;
}

// --- both sides are ours ---

// What comes back of `sent` from an echo, and how it ends.
std::string echoed(Loopback& net, Types offered, const std::vector<std::string>& sent) {
  const auto log = std::make_shared<std::string>();  // the connection outlives this call
  net.route("/", {.on_message = [](Conn& conn, const Message& m) { conn.send(m); },
                  .on_close =
                      [log](Conn&, const Close& why) {
                        *log += "S" + std::to_string(static_cast<int>(why.code)) + " ";
                      }});
  EXPECT_TRUE(net.connect(
      "ws://test/",
      {.extensions = std::move(offered),
       .on_failure = [log](const ConnectFailure& why) { *log += "failed: " + why.reason; }},
      {.on_open =
           [&](Conn& conn) {
             for (const std::string& text : sent) conn.send(text);
           },
       .on_message =
           [log](Conn&, const Message& m) {
             *log +=
                 (m.bytes.size() < 100 ? std::string(m.text()) : std::to_string(m.bytes.size())) +
                 " ";
           }}));
  net.run();
  return *log;
}

TEST(Extensions, AgreeAndTransformBothWays) {
  Loopback net({.extensions = {xor_type()}});
  EXPECT_EQ(
      echoed(net, {xor_type("key=7")}, {"hello", "-plain", "x", "", std::string(50'000, 'y')}),
      "hello -plain x  50000 ");
}

TEST(Extensions, ADeclinedOfferIsNoFailure) {
  Loopback net({.extensions = {xor_type()}});
  EXPECT_EQ(echoed(net, {xor_type("decline")}, {"hello"}), "hello ");
}

TEST(Extensions, WhatTheServerDoesNotKnowIsNotUsed) {
  Loopback net;
  EXPECT_EQ(echoed(net, {xor_type()}, {"hello"}), "hello ");
}

TEST(Extensions, TheNextOfferOfTheSameNameIsTried) {
  Loopback net({.extensions = {xor_type()}});
  EXPECT_EQ(echoed(net, {xor_type("decline"), xor_type("key=9")}, {"hello"}), "hello ");
}

TEST(Extensions, StackWithDeflateAndWithEachOther) {
  ServerOptions server{.extensions = {xor_type(), xor_type("", RsvBit::kRsv3, "x-second")}};
  server.deflate = {.mode = DeflateMode::kTakeover, .threshold_bytes = 1};
  ClientOptions client{.deflate = server.deflate};
  Loopback net(server, client);
  const std::string text(20'000, 'z');
  EXPECT_EQ(echoed(net, {xor_type("key=3"), xor_type("key=5", RsvBit::kRsv3, "x-second")},
                   {"hello", text, "-plain", text}),
            "hello 20000 -plain 20000 ");
  EXPECT_LT(net.stats().bytes_sent, 5000U) << "it was compressed before it was scrambled";
}

TEST(Extensions, OneThatClaimsTheBitOfDeflateStandsBack) {
  ServerOptions server{.extensions = {xor_type("", RsvBit::kRsv1)}};
  server.deflate.mode = DeflateMode::kOn;
  const Types offered{xor_type("key=3", RsvBit::kRsv1)};
  {
    Loopback net(server, {.deflate = server.deflate});
    EXPECT_EQ(echoed(net, offered, {"hello"}), "hello ");
  }
  {
    Loopback net(server);  // a client without deflate
    EXPECT_EQ(echoed(net, offered, {"hello"}), "hello ");
  }
}

TEST(Extensions, FragmentsAndTopicsAreTransformedAsWell) {
  Loopback net({.extensions = {xor_type()}});
  std::string log;
  net.route("/", {.on_open = [](Conn& conn) {
              conn.subscribe("news");
              conn.send("in fragments", {.frame_bytes = 5});
            }});
  const Handlers listens{
      .on_message = [&](Conn&, const Message& m) { log += std::string(m.text()) + ";"; }};
  ASSERT_TRUE(net.connect("ws://test/", {.extensions = {xor_type()}}, listens));
  ASSERT_TRUE(net.connect("ws://test/", {}, listens));
  net.run();
  net.publish("news", "published");
  net.run();
  EXPECT_EQ(log, "in fragments;in fragments;published;published;");
}

TEST(Extensions, AreNotOfferedByWhoTakesMessagesInPieces) {
  Loopback net({.extensions = {xor_type()}});
  std::string got;
  net.route("/", {.on_open = [](Conn& conn) { conn.send("plain to all"); }});
  ASSERT_TRUE(net.connect("ws://test/", {.extensions = {xor_type()}},
                          {.on_chunk = [&](Conn&, const Chunk& chunk) {
                            got.append(chunk.bytes.begin(), chunk.bytes.end());
                          }}));
  net.run();
  EXPECT_EQ(got, "plain to all");
}

// --- our server and bare frames ---

struct Served {
  explicit Served(DeflateOptions deflate = {}, Types types = {xor_type()})
      : server({.deflate = deflate,
                .extensions = std::move(types),
                .limits = {.message_bytes = 10'000}},
               journal.handlers()),
        peer(connect_tcp(server.port(false)), false) {}

  // The extensions it answers to such an offer.
  std::string upgrade(const std::string& offer) {
    peer.queue(Request().with("Sec-WebSocket-Extensions: " + offer).str());
    peer.push(1000);
    return header_of(read_head(peer), "Sec-WebSocket-Extensions");
  }
  void send(std::uint8_t opcode, std::string_view payload, std::uint8_t rsv, bool fin = true) {
    peer.queue(frame({.opcode = opcode, .fin = fin, .rsv = rsv}, payload));
  }
  // The next frame; first byte and payload.
  ClientFrame next() {
    peer.push(1000);
    return read_client_frame(peer, rest);
  }
  void expect_close(int code) {
    const ClientFrame got = next();
    EXPECT_EQ(got.opcode(), kClose);
    EXPECT_EQ(got.payload.substr(0, 2),
              (std::string{static_cast<char>(code >> 8), static_cast<char>(code & 255)}));
  }

  Journal journal;
  TestServer server;
  RawPeer peer;
  std::string rest;
};

TEST(ExtensionsOfAServer, AnswerWithTheirParameters) {
  EXPECT_EQ(Served().upgrade("x-xor; key=7"), "x-xor; key=7; flag");
  EXPECT_EQ(Served().upgrade("x-xor; key=\"7\""), "x-xor; key=7; flag");
  EXPECT_EQ(Served().upgrade("x-xor"), "x-xor; key=42; flag");
  EXPECT_EQ(Served().upgrade("x-other, x-xor"), "x-xor; key=42; flag");
  EXPECT_EQ(Served().upgrade("x-xor; decline"), "");
  EXPECT_EQ(Served().upgrade("x-xor; decline, x-xor; key=8"), "x-xor; key=8; flag");
  EXPECT_EQ(Served().upgrade("x-xor; key=1, x-xor; key=2"), "x-xor; key=1; flag") << "once";
  EXPECT_EQ(Served().upgrade("x-other"), "");
}

TEST(ExtensionsOfAServer, DeflateComesFirst) {
  Served served({.mode = DeflateMode::kOn});
  EXPECT_EQ(served.upgrade("x-xor, permessage-deflate; client_no_context_takeover; "
                           "server_no_context_takeover"),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover, "
            "x-xor; key=42; flag");
}

TEST(ExtensionsOfAServer, MarkWhatTheyTransformWithTheirBit) {
  Served served;
  served.upgrade("x-xor; key=7");
  served.send(kText, xored("hello", 7), 2);
  ClientFrame got = served.next();
  EXPECT_EQ(got.first, 0x80 | 0x20 | kText);
  EXPECT_FALSE(got.masked);
  EXPECT_EQ(xored(got.payload, 7), "hello");
  served.send(kText, "-left alone", 0);
  got = served.next();
  EXPECT_EQ(got.first, 0x80 | kText);
  EXPECT_EQ(got.payload, "-left alone");
  // Shorter than encode_bytes_min().
  served.send(kText, "x", 0);
  EXPECT_EQ(served.next().first, 0x80 | kText);
}

TEST(ExtensionsOfAServer, FragmentsAreMarkedOnTheFirstOne) {
  Served served;
  served.upgrade("x-xor; key=7");
  const std::string whole = xored("in three parts", 7);
  served.send(kText, whole.substr(0, 4), 2, false);
  served.send(kPing, "between", 0);
  served.send(kContinuation, whole.substr(4, 4), 0, false);
  served.send(kContinuation, whole.substr(8), 0);
  EXPECT_EQ(served.next().opcode(), kPong);
  EXPECT_EQ(xored(served.next().payload, 7), "in three parts");
}

TEST(ExtensionsOfAServer, BitsWithoutAnAgreementAreRefused) {
  const auto refused = [](const std::string& offer, std::uint8_t opcode, std::uint8_t rsv) {
    Served served;
    served.upgrade(offer);
    served.send(opcode, "hello", rsv);
    served.expect_close(1002);
  };
  refused("x-other", kText, 2);
  refused("x-xor; decline", kText, 2);
  refused("x-xor", kText, 4);
  refused("x-xor", kText, 1);
  refused("x-xor", kText, 6);
  refused("x-xor", kPing, 2);
}

TEST(ExtensionsOfAServer, ABitOnAContinuationIsRefused) {
  Served served;
  served.upgrade("x-xor");
  served.send(kText, "abc", 2, false);
  served.send(kContinuation, "def", 2);
  served.expect_close(1002);
}

TEST(ExtensionsOfAServer, WhatCannotBeDecodedIs1007) {
  Served served;
  served.upgrade("x-xor; key=7");
  served.send(kBinary, std::string(3, '\0'), 2);
  served.expect_close(1007);
}

TEST(ExtensionsOfAServer, WhatIsTooBigIs1009) {
  Served served;
  served.upgrade("x-xor; key=7");
  served.send(kBinary, std::string(10'001, 'x'), 2);
  served.expect_close(1009);
}

TEST(ExtensionsOfAServer, TheLargestMessagePasses) {
  Served served;
  served.upgrade("x-xor; key=7");
  served.send(kBinary, std::string(10'000, 'x'), 2);
  EXPECT_EQ(served.next().payload.size(), 10'000U);
}

TEST(ExtensionsOfAServer, TextIsValidatedBehindThem) {
  // Valid as it stands on the wire, not when it is decoded; and the other way round.
  {
    Served served;
    served.upgrade("x-xor; key=128");
    served.send(kText, std::string(2000, 'a'), 2);
    served.expect_close(1007);
  }
  {
    Served served;
    served.upgrade("x-xor; key=128");
    served.send(kText, xored("aaa", 128), 2);
    EXPECT_EQ(xored(served.next().payload, 128), "aaa");
  }
  // Ends inside a character.
  {
    Served served;
    served.upgrade("x-xor; key=7");
    served.send(kText, xored("\xe2\x82", 7), 2);
    served.expect_close(1007);
  }
  // Unmarked text is text as ever.
  {
    Served served;
    served.upgrade("x-xor; key=128");
    served.send(kText, xored("aaa", 128), 0);
    served.expect_close(1007);
  }
}

// RFC 6455 9.1: "the extensions listed first [...] are applied first": deflate before XOR on the
// way out, XOR undone first on the way in.
TEST(ExtensionsOfAServer, AreAppliedInTheOrderOfTheAnswer) {
  Served served({.mode = DeflateMode::kOn, .threshold_bytes = 1});
  ASSERT_TRUE(served.upgrade("permessage-deflate, x-xor; key=7").starts_with("permessage-deflate"));
  // RFC 7692 7.2.3.1: "Hello" in one block with fixed Huffman codes.
  const std::string hello = "\xf2\x48\xcd\xc9\xc9\x07" + std::string(1, '\0');
  served.send(kText, xored(hello, 7), 4 + 2);
  served.send(kText, hello, 4);
  served.send(kText, xored("Hello", 7), 2);
  for (int i = 0; i < 3; ++i) {
    const ClientFrame got = served.next();
    const std::string unscrambled = got.rsv() & 0x20 ? xored(got.payload, 7) : got.payload;
    EXPECT_NE(got.rsv() & 0x20, 0);
    EXPECT_EQ(unscrambled, got.rsv() & 0x40 ? hello : "Hello");
  }
}

TEST(ExtensionsOfAServer, OneThatAgreesToNothingIsDeclined) {
  class Empty : public XorType {
   public:
    std::optional<Agreement> accept(std::span<const ExtensionParameter>) const override {
      return Agreement{};
    }
  };
  Served served({}, {std::make_shared<Empty>(), xor_type()});
  EXPECT_EQ(served.upgrade("x-xor"), "x-xor; key=42; flag") << "the next of that name is asked";
}

// --- our client and bare frames ---

struct Asking {
  // answer: the extensions that the server says it took.
  explicit Asking(Types types, const std::string& answer, DeflateOptions deflate = {},
                  std::string_view behind = {})
      : client({.deflate = deflate, .limits = {.message_bytes = 10'000}}) {
    EXPECT_TRUE(client.connect(server.url(),
                               {.extensions = std::move(types),
                                .on_failure =
                                    [this](const ConnectFailure& why) {
                                      const std::lock_guard lock(mutex);
                                      failure = why.reason;
                                    }},
                               journal.handlers()));
    peer.emplace(server.accept());
    const std::string request = read_head(*peer);
    offer = header_of(request, "Sec-WebSocket-Extensions");
    peer->send_raw(switching(request, "Sec-WebSocket-Extensions: " + answer + "\r\n") +
                   std::string(behind));
  }
  // Else the client would wait for the server to close TCP.
  ~Asking() { peer->reset(); }

  bool fails() {
    const bool failed = eventually([&] {
      const std::lock_guard lock(mutex);
      return !failure.empty() || journal.opens() > 0;
    });
    const std::lock_guard lock(mutex);
    return failed && failure.find("extension") != std::string::npos;
  }
  ClientFrame next() { return read_client_frame(*peer, rest); }

  RawServer server;
  std::mutex mutex;
  std::string failure;
  std::string offer;
  std::optional<RawPeer> peer;
  std::string rest;
  Journal journal;
  ws::Client client;
};

TEST(ExtensionsOfAClient, AreOfferedBehindDeflate) {
  Asking asking({xor_type("key=7"), xor_type("", RsvBit::kRsv3, "x-second")}, "x-xor; key=7; flag",
                {.mode = DeflateMode::kOn});
  EXPECT_TRUE(asking.offer.starts_with("permessage-deflate")) << asking.offer;
  EXPECT_TRUE(asking.offer.ends_with(", x-xor; key=7, x-second")) << asking.offer;
}

TEST(ExtensionsOfAClient, TransformBothWays) {
  const std::string hello = frame({.opcode = kText, .rsv = 2, .masked = false}, xored("hello", 9));
  const std::string plain = frame({.opcode = kText, .masked = false}, "-plain");
  Asking asking({xor_type()}, "x-xor; key=9; flag", {}, hello + plain);
  const ClientFrame got = asking.next();
  EXPECT_TRUE(got.masked);
  EXPECT_EQ(got.first, 0x80 | 0x20 | kText);
  EXPECT_EQ(xored(got.payload, 9), "hello");
  EXPECT_EQ(asking.next().payload, "-plain");
}

TEST(ExtensionsOfAClient, FailOnAnAnswerThatIsNone) {
  for (const char* answer :
       {"x-other", "x-xor", "x-xor; key=9; other", "x-xor; key=9; flag, x-xor; key=9; flag",
        "x-xor; key=9; flag, permessage-deflate"}) {
    EXPECT_TRUE(Asking({xor_type()}, answer).fails()) << answer;
  }
  // Two that claim one bit.
  EXPECT_TRUE(Asking({xor_type(), xor_type("", RsvBit::kRsv2, "x-second")},
                     "x-xor; key=9; flag, x-second; key=9; flag")
                  .fails());
  EXPECT_TRUE(Asking({xor_type("", RsvBit::kRsv1)}, "permessage-deflate, x-xor; key=9; flag",
                     {.mode = DeflateMode::kTakeover})
                  .fails());
}

TEST(ExtensionsOfAClient, AnAnswerMayBeToTheSecondOfferOfAName) {
  class Picky : public XorType {
   public:
    std::unique_ptr<Extension> confirm(std::span<const ExtensionParameter>) const override {
      return nullptr;
    }
  };
  Asking asking({std::make_shared<Picky>(), xor_type("key=9")}, "x-xor; key=9; flag", {},
                frame({.opcode = kText, .rsv = 2, .masked = false}, xored("hello", 9)));
  EXPECT_EQ(xored(asking.next().payload, 9), "hello");
}

TEST(ExtensionsOfAClient, FollowTheServersOrder) {
  // Here XOR comes first, so deflate is undone first.
  const std::string hello = "\xf2\x48\xcd\xc9\xc9\x07" + std::string(1, '\0');
  Asking asking({xor_type()},
                "x-xor; key=0; flag, permessage-deflate; server_no_context_takeover; "
                "client_no_context_takeover",
                {.mode = DeflateMode::kOn},
                frame({.opcode = kText, .rsv = 4 + 2, .masked = false}, hello));
  EXPECT_EQ(asking.next().payload, "Hello");
}

// What deflate makes here is not the message yet, whose limit is what it may make at most.
TEST(ExtensionsOfAClient, TheLargestLimitHoldsInFrontOfOthers) {
  RawServer server;
  ClientOptions options;
  options.deflate.mode = DeflateMode::kOn;
  options.limits.message_bytes = kMessageBytesMost;
  std::promise<std::string> got;
  ws::Client client(options);
  ASSERT_TRUE(client.connect(server.url(), {.extensions = {std::make_shared<XorType>()}},
                             {.on_message = [&](Conn&, const Message& message) {
                               got.set_value(std::string(message.text()));
                             }}));
  RawPeer peer = accept_upgrade(server,
                                "Sec-WebSocket-Extensions: x-xor; key=1; flag, permessage-deflate; "
                                "server_no_context_takeover; client_no_context_takeover\r\n",
                                {"\xe2\x03\x4b\x04\x00", 5});  // "a", deflated
  EXPECT_EQ(got.get_future().get(), "`");
}

TEST(ExtensionsOfAClient, HostileServersAreRefused) {
  const auto code_for = [](std::uint8_t rsv, std::string_view payload) {
    Asking asking({xor_type()}, "x-xor; key=9; flag", {},
                  frame({.opcode = kBinary, .rsv = rsv, .masked = false}, payload));
    const ClientFrame got = asking.next();
    EXPECT_EQ(got.opcode(), kClose);
    return static_cast<std::uint8_t>(got.payload.at(0)) << 8 |
           static_cast<std::uint8_t>(got.payload.at(1));
  };
  EXPECT_EQ(code_for(4, "abc"), 1002);
  EXPECT_EQ(code_for(1, "abc"), 1002);
  EXPECT_EQ(code_for(2, std::string(1, '\0')), 1007);
  EXPECT_EQ(code_for(2, std::string(10'001, 'x')), 1009);
}

}  // namespace
}  // namespace ws::test
