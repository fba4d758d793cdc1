// Compression as a program chooses it: ServerOptions::deflate and SendOptions.
#include <gtest/gtest.h>

#include <string>

#include "tests/conformance/conformance.h"
#include "tests/conformance/deflate_frames.h"
#include "tests/support/test_server.h"

namespace ws::test {
namespace {

constexpr const char* kShared =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

ServerOptions with(DeflateOptions deflate) {
  return {.listen = {"ws://127.0.0.1:0", "wss://127.0.0.1:0"}, .threads = 1, .deflate = deflate};
}

Handlers echoing(SendOptions how) {
  return {.on_message = [how](Conn& conn, const Message& message) { conn.send(message, how); }};
}

std::string play(const TestServer& server, const Script& script) {
  const auto stream = server.connect(false);
  return Client(*stream).play(script);
}

TEST(Compression, IsOffUnlessAskedFor) {
  TestServer server(with({}), echoing({}));
  EXPECT_EQ(play(server, offers("permessage-deflate", "").bye()), "");
}

// RFC 7692 section 8: what must not be compressed together with an attacker's text is sent plain.
TEST(Compression, AMessageMayOptOut) {
  const std::string long_text(5000, 'a');
  for (const bool compress : {true, false}) {
    TestServer server(with({.mode = DeflateMode::kOn}), echoing({.compress = compress}));
    Script script = offers("permessage-deflate", kShared).sends(text(long_text));
    compress ? script.gets_packed(kText, long_text) : script.gets_text(long_text);
    EXPECT_EQ(play(server, script.bye()), "") << compress;
  }
}

TEST(Compression, StartsAtTheThreshold) {
  TestServer server(with({.mode = DeflateMode::kOn, .threshold_bytes = 100}), echoing({}));
  const std::string below(99, 'a');
  const std::string at(100, 'a');
  EXPECT_EQ(play(server, offers("permessage-deflate", kShared)
                             .sends(text(below) + text(at))
                             .gets_text(below)
                             .gets_packed(kText, at)
                             .bye()),
            "");
}

TEST(Compression, KeepsToTheWindowOfTheOptionsAndAtBothLevels) {
  const std::string long_text = [] {
    std::string text;
    for (int i = 0; i < 2000; ++i) text += "line " + std::to_string(i * 7919 % 1000) + "\n";
    return text;
  }();
  for (const DeflateLevel level : {DeflateLevel::kFast, DeflateLevel::kBetter}) {
    TestServer server(with({.mode = DeflateMode::kTakeover, .level = level, .window_bits = 9}),
                      echoing({}));
    EXPECT_EQ(play(server, offers("permessage-deflate; client_max_window_bits",
                                  "permessage-deflate; server_max_window_bits=9; "
                                  "client_max_window_bits=9")
                               .sends(text(long_text) + text(long_text))
                               .gets_packed(kText, long_text)
                               .gets_packed(kText, long_text)
                               .bye()),
              "");
  }
}

TEST(Compression, AWindowThatIsNoneIsAnErrorAtStart) {
  for (const unsigned bits : {7u, 16u}) {
    Server server(with({.mode = DeflateMode::kOn, .window_bits = bits}));
    const auto started = server.listen();
    ASSERT_FALSE(started);
    EXPECT_NE(started.error().message().find("window_bits"), std::string::npos);
  }
}

}  // namespace
}  // namespace ws::test
