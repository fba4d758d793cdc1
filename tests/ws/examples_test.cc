// Every program of ws/examples, as its users run it: what it prints, and what it says to a client.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/stream.h"
#include "tests/support/test_server.h"
#include "tests/support/wsd_process.h"
#include "ws/ws.h"

namespace ws::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr int kExitMs = 20'000;
constexpr std::uint32_t kReplyMs = 20'000;

// It lies beside the wsd of the same build.
std::string path_of(const std::string& example) {
  const char* const wsd = std::getenv("WSD");
  const fs::path build = wsd != nullptr ? fs::path(wsd).parent_path() : fs::path("build/release");
  return (build / "examples" / example).string();
}

bool prints(const WsdProcess& process, const std::string& part) {
  return eventually([&] { return process.output().find(part) != std::string::npos; });
}

void expect_output(const WsdProcess& process, std::initializer_list<std::string> parts) {
  for (const std::string& part : parts) EXPECT_TRUE(prints(process, part)) << process.output();
}

// Interrupted, it ends as it should.
void expect_clean_stop(WsdProcess& process) {
  process.signal(SIGINT);
  EXPECT_EQ(process.wait_exit(kExitMs), 0) << process.output();
  EXPECT_EQ(process.output().find("Sanitizer"), std::string::npos) << process.output();
}

// An example that serves, on a port of its own.
class Serving {
 public:
  explicit Serving(const std::string& example, std::vector<std::string> more = {})
      : process_(arguments(std::move(more)), {}, path_of(example)) {
    if (!process_.wait_listening(1)) ADD_FAILURE() << example << ": " << process_.output();
  }
  ~Serving() { stop(); }

  void stop() {
    if (!std::exchange(stopped_, true)) expect_clean_stop(process_);
  }

  std::string url(const std::string& path) const { return ws_url(port(), path); }
  std::uint16_t port() const { return process_.port("ws://"); }
  WsdProcess& process() { return process_; }

 private:
  static std::vector<std::string> arguments(std::vector<std::string> more) {
    more.insert(more.begin(), "ws://127.0.0.1:0");
    return more;
  }
  WsdProcess process_;
  bool stopped_ = false;
};

// The next message; "(none)" when there is none, with the reason.
std::string next(BlockingConn& conn) {
  auto message = conn.receive(kReplyMs);
  if (!message) return "(none) " + message.error().message();
  return *message ? std::string((*message)->text()) : "(none) in time";
}

std::string get(std::uint16_t port, const std::string& path) {
  const auto stream = Stream::connect(port, false);
  if (!stream || !stream->write("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n")) return {};
  std::string answer;
  while (stream->read(answer, 5'000) == Stream::Got::kData) {
  }
  return answer;
}

TEST(Examples, EchoSendsEveryMessageBackUntilInterrupted) {
  Serving echo("echo");
  BlockingConn conn = connected(echo.url("/any/path"));
  ASSERT_TRUE(conn.send("grüße"));
  EXPECT_EQ(next(conn), "grüße");
  const std::vector<std::uint8_t> bytes{0, 1, 254, 255};
  ASSERT_TRUE(conn.send(bytes));
  auto binary = conn.receive(kReplyMs);
  ASSERT_TRUE(binary && *binary);
  EXPECT_EQ((*binary)->type, MessageType::kBinary);
  EXPECT_EQ((*binary)->bytes, bytes);
  // RFC 6455 7.4.1: "1001 indicates that an endpoint is "going away", such as a server going down".
  echo.stop();
  EXPECT_NE(next(conn).find("1001"), std::string::npos);
}

TEST(Examples, ASecondSignalDoesNotWait) {
  WsdProcess echo({"ws://127.0.0.1:0"}, {}, path_of("echo"));
  ASSERT_TRUE(echo.wait_listening(1)) << echo.output();
  const Peer silent(Stream::connect(echo.port("ws://"), false));
  echo.signal(SIGINT);
  std::string close;
  ASSERT_EQ(silent.stream->read(close, 20'000), Stream::Got::kData);
  // The answer to that Close would be awaited for 5 s.
  echo.signal(SIGTERM);
  EXPECT_EQ(echo.wait_exit(2'500), 128 + SIGTERM);
}

TEST(Examples, EchoHasTwelveLines) {
  std::ifstream in("ws/examples/echo.cc");
  const auto lines = std::count(std::istreambuf_iterator<char>(in), {}, '\n');
  EXPECT_GT(lines, 0);
  EXPECT_LE(lines, 12);
}

TEST(Examples, ChatReachesTheRoomAndNobodyElse) {
  Serving chat("chat");
  BlockingConn ann = connected(chat.url("/garden/ann"));
  EXPECT_EQ(next(ann), "* ann is here");
  BlockingConn cy = connected(chat.url("/cellar/cy"));
  EXPECT_EQ(next(cy), "* cy is here");
  BlockingConn bob = connected(chat.url("/garden/bob"));
  EXPECT_EQ(next(bob), "* bob is here");
  EXPECT_EQ(next(ann), "* bob is here");
  ASSERT_TRUE(bob.send("hello"));
  EXPECT_EQ(next(ann), "bob: hello");
  EXPECT_EQ(next(bob), "bob: hello");
  bob.close();
  EXPECT_EQ(next(ann), "* bob has gone");
  ASSERT_TRUE(cy.send("anybody?"));
  EXPECT_EQ(next(cy), "cy: anybody?");  // the next one since it came
}

TEST(Examples, AuthLetsGoodTokensIn) {
  Serving auth("auth");
  const auto attempt = [&](std::vector<HeaderField> headers) {
    return connect(auth.url("/"), {.headers = std::move(headers)});
  };
  const auto without = attempt({});
  ASSERT_FALSE(without);
  EXPECT_NE(without.error().message().find("401"), std::string::npos) << without.error().message();
  const auto unknown = attempt({{"Authorization", "Bearer sesame"}});
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message().find("403"), std::string::npos) << unknown.error().message();
  auto good = attempt({{"Authorization", "Bearer open-sesame"}});
  ASSERT_TRUE(good) << good.error().message();
  EXPECT_EQ(next(*good), "welcome, Ali");
}

std::uint64_t number_in(const std::string& json) {
  const std::string start = "{\"number\":";
  std::uint64_t number = 0;
  if (json.starts_with(start)) {
    std::from_chars(json.data() + start.size(), json.data() + json.size(), number);
  }
  return number;
}

TEST(Examples, MarketDataQuotesOnlyNewPrices) {
  Serving market("market_data", {"1000"});
  BlockingConn globex = connected(market.url("/prices/GLOBEX"));
  std::uint64_t last = 0;
  for (int i = 0; i < 50; ++i) {
    const std::string price = next(globex);
    EXPECT_NE(price.find("\"symbol\":\"GLOBEX\",\"cents\":"), std::string::npos) << price;
    EXPECT_GT(number_in(price), last) << price;
    last = number_in(price);
  }
  market.stop();
  ASSERT_TRUE(prints(market.process(), " dropped\n")) << market.process().output();
  const std::string output = market.process().output();
  std::istringstream summary(output.substr(output.find('\n') + 1));
  std::uint64_t published = 0;
  std::uint64_t delivered = 0;
  std::string word;
  summary >> published >> word >> delivered;
  EXPECT_GE(published, 3 * last) << output;  // of three symbols
  EXPECT_GE(delivered, 50u) << output;
  EXPECT_LE(delivered, published / 3) << output;
}

TEST(Examples, SlowClientIsWaitedForInBoundedMemory) {
  Serving download("slow_client");
  constexpr std::size_t kMebibyte = 1024 * 1024;
  constexpr std::size_t kMebibytes = 32;  // more than both sockets take
  BlockingConn conn = connected(download.url("/" + std::to_string(kMebibytes)));
  std::size_t bytes = 0;
  for (;;) {
    auto piece = conn.receive(kReplyMs);
    if (!piece) {
      EXPECT_NE(piece.error().message().find("1000"), std::string::npos) << piece.error().message();
      break;
    }
    ASSERT_TRUE(*piece) << "after " << bytes << " bytes";
    bytes += (*piece)->bytes.size();
    if (bytes % kMebibyte == 0) std::this_thread::sleep_for(5ms);  // it is slow
  }
  EXPECT_EQ(bytes, kMebibytes * kMebibyte);

  const std::string line = "/32: local, 0 pieces not sent, at most ";
  ASSERT_TRUE(prints(download.process(), line)) << download.process().output();
  const std::string output = download.process().output();
  const std::size_t waited = std::strtoull(&output[output.find(line) + line.size()], nullptr, 10);
  // Above the high mark, or it was no slow client; by one piece at most, with its frame's header.
  EXPECT_GT(waited, Limits().queue_high_bytes) << output;
  EXPECT_LE(waited, Limits().queue_high_bytes + 64 * 1024 + 10) << output;
}

TEST(Examples, ClientComesBackWithItsServer) {
  Serving server("echo");
  const std::string url = server.url("");
  WsdProcess client({url}, {}, path_of("client"));
  expect_output(client, {"connected to 127.0.0.1:", "received hello\n"});
  server.stop();
  expect_output(client, {"closed with 1001: peer\n", ": again in "});
  const std::size_t before = client.output().size();
  WsdProcess again({url}, {}, path_of("echo"));
  ASSERT_TRUE(again.wait_listening(1)) << again.output();
  EXPECT_TRUE(eventually([&] {
    return client.output().find("received hello\n", before) != std::string::npos;
  })) << client.output();
  expect_clean_stop(client);
  expect_output(client, {"closed with 1001: shutdown\n"});
  expect_clean_stop(again);
}

TEST(Examples, HealthAnswersBesideTheWebSocket) {
  Serving health("health");
  BlockingConn conn = connected(health.url("/echo"));
  ASSERT_TRUE(conn.send("one"));
  EXPECT_EQ(next(conn), "one");
  const std::string state = get(health.port(), "/health");
  EXPECT_TRUE(state.starts_with("HTTP/1.1 200 ")) << state;
  EXPECT_NE(state.find("\r\nContent-Type: application/json\r\n"), std::string::npos) << state;
  EXPECT_TRUE(state.ends_with("\r\n\r\n{\"status\":\"ok\",\"opened\":1,\"messages\":1}\n"))
      << state;
  const std::string page = get(health.port(), "/");
  EXPECT_NE(page.find("\r\nContent-Type: text/html"), std::string::npos) << page;
  EXPECT_NE(page.find("\r\n\r\n<!doctype html>"), std::string::npos) << page;
  // RFC 9110 15.5.22, as nothing but a WebSocket is there.
  EXPECT_TRUE(get(health.port(), "/echo").starts_with("HTTP/1.1 426 "));
  EXPECT_TRUE(get(health.port(), "/nothing").starts_with("HTTP/1.1 404 "));
}

TEST(Examples, PublisherThreadSendsItsInputToEverybody) {
  std::string directory = testing::TempDir() + "publisher-XXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  const std::string input = directory + "/input";
  ASSERT_EQ(::mkfifo(input.c_str(), 0600), 0);
  WsdProcess publisher(
      {"-c", "exec " + path_of("publisher_thread") + " ws://127.0.0.1:0 <" + input}, {}, "/bin/sh");
  std::ofstream lines(input);  // from here on the shell goes on
  ASSERT_TRUE(publisher.wait_listening(1)) << publisher.output();
  const std::string url = publisher.urls()[0];
  BlockingConn first = connected(url);
  BlockingConn second = connected(url);
  // Each has its 101, which leaves when on_open is over: both are subscribed.
  lines << "one" << std::endl << "two" << std::endl;
  for (BlockingConn* const conn : {&first, &second}) {
    EXPECT_EQ(next(*conn), "one");
    EXPECT_EQ(next(*conn), "two");
  }
  lines.close();
  EXPECT_EQ(publisher.wait_exit(kExitMs), 0) << publisher.output();
  EXPECT_NE(next(first).find("1001"), std::string::npos);
  fs::remove_all(directory);
}

TEST(Examples, RequestReplyFindsEveryReply) {
  WsdProcess calls({}, {}, path_of("request_reply"));
  EXPECT_EQ(calls.wait_exit(kExitMs), 0) << calls.output();
  // 2 + 4 + ... + 2000
  expect_output(calls, {"20 + 22 = 42\n", "1,000 replies at once, their sum is 1001000\n"});
}

TEST(Examples, ProtocolOnlyTalksThroughBuffers) {
  WsdProcess talk({}, {}, path_of("protocol_only"));
  EXPECT_EQ(talk.wait_exit(kExitMs), 0) << talk.output();
  EXPECT_TRUE(prints(talk, "client closed")) << talk.output();
  EXPECT_EQ(talk.output(),
            "server received hello\nclient received hello yourself\n"
            "server closed with 1000\nclient closed with 1000\n");
}

TEST(Examples, AWrongUrlIsALineAndAnExitCode) {
  for (const std::string example : {"echo", "chat", "auth", "market_data", "slow_client", "client",
                                    "health", "publisher_thread", "request_reply"}) {
    WsdProcess process({"http://127.0.0.1"}, {}, path_of(example));
    EXPECT_EQ(process.wait_exit(kExitMs), 1) << example << ": " << process.output();
    expect_output(process, {"http://127.0.0.1", "\n"});
  }
}

TEST(Examples, TheReadmeNamesEachOfThem) {
  std::ifstream in("ws/examples/README.md");
  const std::string readme(std::istreambuf_iterator<char>(in), {});
  for (const auto& entry : fs::directory_iterator("ws/examples")) {
    if (entry.path().extension() != ".cc") continue;
    const std::string name = entry.path().filename().string();
    EXPECT_NE(readme.find("`" + name + "`"), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace ws::test
