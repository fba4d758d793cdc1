// Internal. A ws::Server inside the test, and what its handlers saw.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/conformance/runner.h"
#include "tests/support/stream.h"
#include "ws/ws.h"

namespace ws::test {

using OnMessage = std::function<void(Conn&, const Message&)>;
void echo(Conn& conn, const Message& message);
// Valid until `bytes` are gone.
Message binary_message(std::string_view bytes);

// Every callback there was. thread: any.
class Journal {
 public:
  struct Closing {
    std::uint64_t id = 0;
    CloseCode code{};
    CloseCause cause{};
    std::string reason{};
  };

  // Handlers that write into it; messages go to `on_message` then.
  Handlers handlers(OnMessage on_message = echo);

  std::size_t opens() const;
  std::size_t messages() const;
  std::size_t bytes() const;  // of those messages
  // "open", "message" and "close" of one connection, in order: "omc".
  std::string order(std::uint64_t id) const;
  // All there are, once there are `count`, or after 20 s.
  std::vector<Closing> closings(std::size_t count);

 private:
  void note(Conn& conn, char what);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::pair<std::uint64_t, char>> events_;
  std::vector<Closing> closings_;
  std::size_t bytes_ = 0;
};

// A connection that has been upgraded. Movable.
struct Peer {
  explicit Peer(std::unique_ptr<Stream> connected);  // throws when there is none, or no 101
  std::string play(const Script& script) { return client.play(script); }

  std::unique_ptr<Stream> stream;
  Client client;
};

// Of what listens on 127.0.0.1.
inline std::string ws_url(std::uint16_t port, std::string_view path = "/") {
  return "ws://127.0.0.1:" + std::to_string(port) + std::string(path);
}

// One that listens on ws:// and wss:// with free ports. Without `options.threads` it has one.
class TestServer {
 public:
  explicit TestServer(const Limits& limits = {}, OnMessage on_message = echo);
  explicit TestServer(Handlers handlers, const Limits& limits = {});
  TestServer(ServerOptions options, Handlers handlers);

  std::uint16_t port(bool tls) const;
  std::unique_ptr<Stream> connect(bool tls) const;
  Peer peer(bool tls) const { return Peer(connect(tls)); }
  std::string url(std::string_view path = "/") const { return ws_url(port(false), path); }
  // "" when a new client is served.
  std::string serves(bool tls) const;
  // Waits up to 20 s.
  bool has_connections(std::size_t count) const;

  Server& server() { return *server_; }
  Journal& journal() { return journal_; }
  void stop_and_wait();

 private:
  void start(ServerOptions options, Handlers handlers);

  Journal journal_;
  std::unique_ptr<Server> server_;
};

// For tests that run over ws and over wss: INSTANTIATE_TEST_SUITE_P(Over, X, testing::Bool(),
// scheme).
class OverBothSchemes : public testing::TestWithParam<bool> {
 protected:
  bool tls() const { return GetParam(); }
};
inline std::string scheme(const testing::TestParamInfo<bool>& over_tls) {
  return over_tls.param ? "wss" : "ws";
}

// Calls `done` every few milliseconds until it holds; false: not within 20 s.
bool eventually(const std::function<bool()>& done);

// Open descriptors of this process.
std::size_t open_descriptors();

// The digits at the end of a URL.
std::uint16_t port_of(const std::string& url);

// Throws when there is no connection, which fails the test.
inline BlockingConn connected(const std::string& url, ClientOptions options = {}) {
  auto conn = ws::connect(url, {}, std::move(options));
  if (!conn) throw std::runtime_error(conn.error().message());
  return std::move(conn).value();
}

// Fails the test, and shows the text, when the part is not in it.
inline void expect_has(const std::string& text, std::string_view part) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

}  // namespace ws::test
