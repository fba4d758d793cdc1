// Our client against other people's servers, compressed and not. The test of a server that is not
// installed is skipped.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "ws/ws.h"

namespace ws::test {
namespace {

constexpr std::uint32_t kPatienceMs = 20'000;

bool works(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

// A script beside this file, which writes its port and ends when somebody connects to /quit.
class OtherServer {
 public:
  explicit OtherServer(const std::string& command)
      : pipe_(::popen(("timeout -k 5 60 " + command).c_str(), "r")) {
    if (std::fscanf(pipe_, "%d", &port_) != 1) ADD_FAILURE() << command << " does not start";
  }
  ~OtherServer() {
    auto quitting = ws::connect(url("quit"));
    if (quitting) {
      const auto end = quitting.value().receive(kPatienceMs);
      EXPECT_FALSE(end);
      EXPECT_NE(end.error().message().find("1001 (as you like)"), std::string::npos)
          << end.error().message();
    }
    EXPECT_EQ(::pclose(pipe_), 0);
  }
  OtherServer(const OtherServer&) = delete;
  OtherServer& operator=(const OtherServer&) = delete;

  std::string url(const std::string& path = {}) const {
    return "ws://127.0.0.1:" + std::to_string(port_) + "/" + path;
  }

 private:
  FILE* pipe_;
  int port_ = 0;
};

void expect_echo(BlockingConn& conn, const Message& message) {
  ASSERT_TRUE(conn.send(message));
  const auto got = conn.receive(kPatienceMs);
  ASSERT_TRUE(got) << got.error().message();
  ASSERT_TRUE(got.value()) << "no answer";
  EXPECT_EQ(got.value()->type, message.type);
  EXPECT_TRUE(std::equal(got.value()->bytes.begin(), got.value()->bytes.end(),
                         message.bytes.begin(), message.bytes.end()));
}

std::vector<std::uint8_t> bytes_of(std::size_t count) {
  std::vector<std::uint8_t> bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::uint8_t>(i * i >> 3);
  return bytes;
}

void expect_works(const std::string& command) {
  for (const auto& [mode, name] : std::initializer_list<std::pair<DeflateMode, std::string>>{
           {DeflateMode::kOff, "off"},
           {DeflateMode::kOn, "on"},
           {DeflateMode::kTakeover, "takeover"}}) {
    SCOPED_TRACE(name);
    OtherServer server(command + name);
    const ClientOptions options{.deflate = {.mode = mode, .threshold_bytes = 1}};
    {
      auto asking = ws::connect(server.url("extensions"), {}, options);
      ASSERT_TRUE(asking) << asking.error().message();
      const auto agreed = asking.value().receive(kPatienceMs);
      ASSERT_TRUE(agreed && agreed.value());
      EXPECT_EQ(agreed.value()->text(), mode == DeflateMode::kOff ? "" : "permessage-deflate");
    }
    auto conn = ws::connect(server.url(), {}, options);
    ASSERT_TRUE(conn) << conn.error().message();
    for (const std::size_t size : {0U, 1U, 125U, 126U, 65'535U, 65'536U, 1'000'000U}) {
      expect_echo(conn.value(), bytes_of(size));
      expect_echo(conn.value(), std::string(size, 'x'));
    }
    for (int i = 0; i < 200; ++i) {
      expect_echo(conn.value(), "{\"number\": " + std::to_string(i) + ", \"name\": \"äöü\"}");
    }
    conn.value().close(static_cast<CloseCode>(4000), "done");
    const auto end = conn.value().receive(0);
    ASSERT_FALSE(end);
    EXPECT_NE(end.error().message().find("4000"), std::string::npos) << end.error().message();
  }
}

TEST(Servers, NodesWs) {
  if (!works("command -v node")) GTEST_SKIP() << "node is missing: make test-deps installs it";
  if (!std::filesystem::exists("build/clients/node_modules/ws")) {
    GTEST_SKIP() << "Node's ws is not in build/clients: make test-deps installs it";
  }
  expect_works("node tests/e2e/node_ws_server.mjs ");
}

TEST(Servers, PythonsWebsockets) {
  if (!works("/usr/bin/python3 -c 'import websockets'")) {
    GTEST_SKIP() << "python3-websockets is missing: make test-deps installs it";
  }
  expect_works("/usr/bin/python3 tests/e2e/python_websockets_server.py ");
}

}  // namespace
}  // namespace ws::test
