#include "tests/support/test_server.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <stdexcept>
#include <thread>
#include <utility>

namespace ws::test {
namespace {

// For everything that is bound to happen: far beyond what a busy machine and sanitizers take.
constexpr auto kPatience = std::chrono::seconds(20);

std::unique_ptr<Stream> made(std::unique_ptr<Stream> stream) {
  if (stream == nullptr) throw std::runtime_error("no connection");
  return stream;
}

}  // namespace

void echo(Conn& conn, const Message& message) {
  conn.send(message);
}

Message binary_message(std::string_view bytes) {
  return {MessageType::kBinary,
          {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}};
}

Handlers Journal::handlers(OnMessage on_message) {
  return {.on_open = [this](Conn& conn) { note(conn, 'o'); },
          .on_message =
              [this, on_message = std::move(on_message)](Conn& conn, const Message& message) {
                {
                  const std::lock_guard lock(mutex_);
                  bytes_ += message.bytes.size();
                }
                note(conn, 'm');
                on_message(conn, message);
              },
          .on_close =
              [this](Conn& conn, const Close& why) {
                // As one with its event: who waits for the closing looks at the order next.
                const std::lock_guard lock(mutex_);
                const std::uint64_t id = conn.id().packed();
                events_.emplace_back(id, 'c');
                closings_.push_back({id, why.code, why.cause, std::string(why.reason)});
                changed_.notify_all();
              }};
}

void Journal::note(Conn& conn, char what) {
  const std::lock_guard lock(mutex_);
  events_.emplace_back(conn.id().packed(), what);
  changed_.notify_all();
}

std::size_t Journal::opens() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::count_if(
      events_.begin(), events_.end(), [](const auto& event) { return event.second == 'o'; }));
}

std::size_t Journal::messages() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::count_if(
      events_.begin(), events_.end(), [](const auto& event) { return event.second == 'm'; }));
}

std::size_t Journal::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

std::string Journal::order(std::uint64_t id) const {
  const std::lock_guard lock(mutex_);
  std::string out;
  for (const auto& [of, what] : events_) {
    if (of == id) out.push_back(what);
  }
  return out;
}

std::vector<Journal::Closing> Journal::closings(std::size_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, kPatience, [&] { return closings_.size() >= count; });
  return closings_;
}

Peer::Peer(std::unique_ptr<Stream> connected)
    : stream(made(std::move(connected))), client(*stream) {
  const std::string wrong = client.upgrade();
  if (!wrong.empty()) throw std::runtime_error("upgrade: " + wrong);
}

TestServer::TestServer(const Limits& limits, OnMessage on_message) {
  start({.listen = {}, .tls = {}, .origins = {}, .threads = 1, .limits = limits},
        journal_.handlers(std::move(on_message)));
}

TestServer::TestServer(Handlers handlers, const Limits& limits) {
  start({.listen = {}, .tls = {}, .origins = {}, .threads = 1, .limits = limits},
        std::move(handlers));
}

TestServer::TestServer(ServerOptions options, Handlers handlers) {
  start(std::move(options), std::move(handlers));
}

void TestServer::start(ServerOptions options, Handlers handlers) {
  if (options.listen.empty()) options.listen = {"ws://127.0.0.1:0", "wss://127.0.0.1:0"};
  if (options.threads == 0) options.threads = 1;
  server_ = std::make_unique<Server>(std::move(options));
  server_->route("/*", std::move(handlers));
  if (auto started = server_->start(); !started) {
    throw std::runtime_error(started.error().message());
  }
}

std::uint16_t TestServer::port(bool tls) const {
  for (const std::string& url : server_->urls()) {
    if (url.starts_with(tls ? "wss://" : "ws://")) return port_of(url);
  }
  return 0;
}

std::unique_ptr<Stream> TestServer::connect(bool tls) const {
  return Stream::connect(port(tls), tls);
}

std::string TestServer::serves(bool tls) const {
  const std::unique_ptr<Stream> stream = connect(tls);
  if (stream == nullptr) return "no connection";
  Client client(*stream);
  const std::string wrong = client.upgrade();
  if (!wrong.empty()) return wrong;
  return client.play(Script().sends(text("hello")).gets_text("hello").bye());
}

bool TestServer::has_connections(std::size_t count) const {
  return eventually([&] { return server_->connections() == count; });
}

void TestServer::stop_and_wait() {
  server_->stop();
  server_->wait();
}

bool eventually(const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!done()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

std::uint16_t port_of(const std::string& url) {
  std::uint16_t port = 0;
  const std::size_t colon = url.rfind(':');
  std::from_chars(url.data() + colon + 1, url.data() + url.size(), port);
  return port;
}

}  // namespace ws::test
