// Other people's clients against a real wsd, over ws and over wss, compressed and not: what each of
// them checks is in its script beside this file. The test of a client that is not installed is
// skipped.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "tests/support/shell.h"
#include "tests/support/wsd_process.h"

namespace ws::test {
namespace {

constexpr std::string_view kPassed = "all checks passed";

class Clients : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    wsd_ = start("on");
    takeover_ = start("takeover");
  }
  static void TearDownTestSuite() {
    stop(wsd_);
    stop(takeover_);
  }

  void SetUp() override {
    ASSERT_TRUE(wsd_->wait_listening(2, 0)) << wsd_->output();
    ASSERT_TRUE(takeover_->wait_listening(2, 0)) << takeover_->output();
  }

  // "ws://127.0.0.1:PORT/" -> "http://127.0.0.1:PORT/"
  static std::string url(const std::string& scheme, const std::string& listener,
                         const WsdProcess& wsd = *wsd_) {
    return scheme + "127.0.0.1:" + std::to_string(wsd.port(listener)) + "/";
  }
  static std::vector<std::string> urls() {
    return {url("ws://", "ws://"), url("wss://", "wss://")};
  }

  // Arguments of the scripts that exchange 10,000 compressed messages.
  static std::vector<std::string> compressions() {
    const std::string kept = url("ws://", "ws://", *takeover_);
    return {url("ws://", "ws://") + " on", kept + " takeover",
            url("wss://", "wss://", *takeover_) + " takeover", kept + " takeover-declined"};
  }

  // The script says `kPassed` when it comes to its end: a promise that is never kept ends Node with
  // exit code 0.
  static void expect_passes(const std::string& command) {
    const Ran ran = run(command + " 2>&1");
    EXPECT_EQ(ran.exit_code, 0) << command << "\n" << ran.output;
    EXPECT_NE(ran.output.find(kPassed), std::string::npos) << command << "\n" << ran.output;
  }

  // Why the test of a client must be skipped; "": it is installed.
  static std::string nodes_ws_missing() {
    if (!works("command -v node")) return "node is missing: make test-deps installs it";
    if (std::filesystem::exists("build/clients/node_modules/ws")) return "";
    return "Node's ws is not in build/clients: make test-deps installs it";
  }
  static std::string pythons_websockets_missing() {
    if (works("/usr/bin/python3 -c 'import websockets'")) return "";
    return "python3-websockets is missing: make test-deps installs it";
  }

  static std::unique_ptr<WsdProcess> wsd_;
  static std::unique_ptr<WsdProcess> takeover_;

 private:
  static std::unique_ptr<WsdProcess> start(const std::string& deflate) {
    auto wsd = std::make_unique<WsdProcess>(std::vector<std::string>{
        "--listen", "ws://127.0.0.1:0", "--listen", "wss://127.0.0.1:0", "--deflate", deflate});
    wsd->wait_listening(2);
    return wsd;
  }
  static void stop(std::unique_ptr<WsdProcess>& wsd) {
    wsd->signal(SIGTERM);
    EXPECT_EQ(wsd->wait_exit(12'000), 0) << wsd->output();
    EXPECT_EQ(wsd->output().find("Sanitizer"), std::string::npos) << wsd->output();
    wsd.reset();
  }
};
std::unique_ptr<WsdProcess> Clients::wsd_;
std::unique_ptr<WsdProcess> Clients::takeover_;

const std::string kNodesWs = "node tests/e2e/node_ws.mjs ";
const std::string kPythonsWebsockets =
    "env no_proxy=127.0.0.1 /usr/bin/python3 tests/e2e/python_websockets.py ";

TEST_F(Clients, NodesWsIsServed) {
  if (const std::string why = nodes_ws_missing(); !why.empty()) GTEST_SKIP() << why;
  for (const std::string& url : urls()) expect_passes(kNodesWs + url);
}

TEST_F(Clients, NodesWsExchanges10000CompressedMessages) {
  if (const std::string why = nodes_ws_missing(); !why.empty()) GTEST_SKIP() << why;
  for (const std::string& arguments : compressions()) expect_passes(kNodesWs + arguments);
}

TEST_F(Clients, PythonsWebsocketsIsServed) {
  if (const std::string why = pythons_websockets_missing(); !why.empty()) GTEST_SKIP() << why;
  for (const std::string& url : urls()) expect_passes(kPythonsWebsockets + url);
}

TEST_F(Clients, PythonsWebsocketsExchanges10000CompressedMessages) {
  if (const std::string why = pythons_websockets_missing(); !why.empty()) GTEST_SKIP() << why;
  for (const std::string& arguments : compressions()) expect_passes(kPythonsWebsockets + arguments);
}

TEST_F(Clients, NodesOwnWebSocketIsServed) {
  // Node 20 has it behind this flag, 22 and later accept the flag.
  const std::string node =
      "env NODE_TLS_REJECT_UNAUTHORIZED=0 node --no-warnings --experimental-websocket ";
  if (!works(node + "-e 'new WebSocket(\"ws://127.0.0.1:1\").onerror = () => {}'")) {
    GTEST_SKIP() << "no node with a WebSocket of its own: that takes version 22";
  }
  for (const std::string& url : urls()) expect_passes(node + "tests/e2e/web_socket.js " + url);
  expect_passes(node + "tests/e2e/web_socket.js " + url("ws://", "ws://", *takeover_));
}

TEST_F(Clients, ChromiumIsServed) {
  if (!works("command -v chromium")) GTEST_SKIP() << "chromium is missing: apt-get install it";
  std::string home = testing::TempDir() + "chromium-XXXXXX";
  ASSERT_NE(::mkdtemp(home.data()), nullptr);
  const std::string page = std::filesystem::absolute("tests/e2e/browser.html").string();
  // No sandbox: it refuses to make one for root.
  const Ran ran = run("env HOME=" + home + " chromium --user-data-dir=" + home +
                      " --headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
                      " --disable-background-networking --disable-component-update --disable-sync"
                      " --ignore-certificate-errors --dump-dom 'file://" +
                      page + "?" + urls()[0] + "," + urls()[1] + "," +
                      url("ws://", "ws://", *takeover_) + "' 2>" + home + "/stderr");
  EXPECT_EQ(ran.exit_code, 0);
  EXPECT_NE(ran.output.find("<title>" + std::string(kPassed)), std::string::npos) << ran.output;
  std::error_code ignored;  // its last processes may still be writing
  std::filesystem::remove_all(home, ignored);
}

struct Refusal {
  std::string arguments;
  std::string status;
  std::vector<std::string> headers;
};

TEST_F(Clients, CurlGetsTheRefusalItDeserves) {
  if (!works("command -v curl")) GTEST_SKIP() << "curl is missing: make test-deps installs it";
  const std::string upgrade = "-H 'Connection: Upgrade' -H 'Upgrade: websocket' ";
  const std::string version = "-H 'Sec-WebSocket-Version: 13' ";
  const std::string key = "-H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' ";
  const std::string long_value(9000, 'a');  // a head may have 8 KiB
  const std::vector<Refusal> refusals = {
      // RFC 9110 15.5.22: "The server MUST send an Upgrade header field in a 426 response".
      {"", "426", {"Upgrade: websocket", "Connection: Upgrade, close"}},
      // RFC 6455 4.4: "it MUST respond with a |Sec-WebSocket-Version| header field".
      {upgrade + key, "426", {"Sec-WebSocket-Version: 13"}},
      {upgrade + key + "-H 'Sec-WebSocket-Version: 12'", "426", {"Sec-WebSocket-Version: 13"}},
      {upgrade + version, "400", {}},
      {upgrade + version + "-H 'Sec-WebSocket-Key: c2hvcnQ='", "400", {}},
      {upgrade + version + key + key, "400", {}},
      {upgrade + version + key + "-H Host:", "400", {}},
      // RFC 9110 15.5.6: "The origin server MUST generate an Allow header field in a 405 response".
      {upgrade + version + key + "--data x", "405", {"Allow: GET"}},
      {"--head", "405", {"Allow: GET"}},
      // Over TLS it would offer "http/1.0" only: no protocol in common.
      {"--http1.0 --no-alpn", "505", {}},
      {"-H 'X: " + long_value + "'", "431", {}},
      {"--request-target /" + long_value, "414", {}},
  };
  for (const std::string& url : {url("http://", "ws://"), url("https://", "wss://")}) {
    for (const Refusal& refusal : refusals) {
      const std::string command =
          "curl -q --silent --show-error --insecure --include "
          "--noproxy '*' --max-time 10 " +
          refusal.arguments + " " + url + " 2>&1";
      const Ran ran = run(command);
      EXPECT_EQ(ran.exit_code, 0) << command << "\n" << ran.output;
      EXPECT_TRUE(ran.output.starts_with("HTTP/1.1 " + refusal.status + " ")) << command << "\n"
                                                                              << ran.output;
      EXPECT_NE(ran.output.find("\r\nContent-Length: "), std::string::npos) << ran.output;
      for (const std::string& header : refusal.headers) {
        EXPECT_NE(ran.output.find("\r\n" + header + "\r\n"), std::string::npos)
            << header << " is not in the answer to " << command << "\n"
            << ran.output;
      }
    }
  }
}

}  // namespace
}  // namespace ws::test
