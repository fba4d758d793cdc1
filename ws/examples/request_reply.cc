// Requests and replies over one connection, first one at a time, then many at once:
// request_reply [URL]. The server is in here too; it adds numbers.
#include <ws/ws.h>

#include <cstdint>
#include <exception>
#include <future>
#include <iostream>
#include <map>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

// "ID A B" is answered by "ID SUM".
void add(ws::Conn& conn, const ws::Message& message) {
  std::istringstream request{std::string(message.text())};
  std::uint64_t id = 0;
  long a = 0;
  long b = 0;
  if (!(request >> id >> a >> b)) return conn.close(ws::CloseCode::kInvalidPayload, "ID A B");
  conn.send(std::to_string(id) + " " + std::to_string(a + b));
}

// Any number of requests at once, from any thread; replies find theirs by the id, in any order.
class Caller {
 public:
  explicit Caller(std::string_view url) {
    auto begun = client_.connect(
        url, {.on_failure = [this](const ws::ConnectFailure& why) { fail(why.reason); }},
        {.on_open = [this](ws::Conn& conn) { open_.set_value(conn.id()); },
         .on_message = [this](ws::Conn&, const ws::Message& reply) { take(reply.text()); },
         .on_close = [this](ws::Conn&, const ws::Close&) { end(); }});
    if (!begun) fail(begun.error().message());
    conn_ = open_.get_future().get();
  }

  // A std::future_error, broken_promise, comes out of it when the connection ends first.
  std::future<std::string> call(std::string_view request) {
    std::promise<std::string> promise;
    std::future<std::string> reply = promise.get_future();
    const std::lock_guard lock(mutex_);
    if (ended_) return reply;
    const std::uint64_t id = ++last_id_;
    waiting_.emplace(id, std::move(promise));
    client_.post(conn_, [text = std::to_string(id) + " " + std::string(request)](ws::Conn& conn) {
      conn.send(text);
    });
    return reply;
  }

 private:
  void take(std::string_view reply) {
    const std::size_t space = reply.find(' ');
    const std::lock_guard lock(mutex_);
    const auto found = waiting_.find(std::stoull(std::string(reply.substr(0, space))));
    if (found == waiting_.end()) return;
    found->second.set_value(std::string(reply.substr(space + 1)));
    waiting_.erase(found);
  }
  void end() {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    waiting_.clear();
  }
  void fail(const std::string& why) {
    open_.set_exception(std::make_exception_ptr(std::runtime_error(why)));
  }

  std::promise<ws::ConnId> open_;
  ws::ConnId conn_;
  std::mutex mutex_;  // guards all below but client_
  std::map<std::uint64_t, std::promise<std::string>> waiting_;
  std::uint64_t last_id_ = 0;
  bool ended_ = false;
  ws::Client client_;  // last, so destroyed first: its handlers use the rest
};

// Every call waits: the simplest client there is, for scripts and tests.
ws::Result<std::string> ask_once(std::string_view url, std::string_view request) {
  auto conn = ws::connect(url);
  if (!conn) return conn.error();
  if (auto sent = conn->send("1 " + std::string(request)); !sent) return sent.error();
  auto reply = conn->receive(5'000);
  if (!reply) return reply.error();
  if (!*reply) return ws::Error("no reply within 5 s");
  return std::string((*reply)->text().substr(2));
}

}  // namespace

int main(int argc, char** argv) try {
  ws::Server server({.listen = {argc > 1 ? argv[1] : "ws://127.0.0.1:0"}});
  server.route("/add", {.on_message = add});
  if (auto done = server.start(); !done) return done.error().print(stderr), 1;
  const std::string url = server.urls()[0] + "/add";

  auto reply = ask_once(url, "20 22");
  if (!reply) return reply.error().print(stderr), 1;
  std::cout << "20 + 22 = " << *reply << std::endl;

  Caller caller(url);
  std::vector<std::future<std::string>> replies;
  for (int i = 1; i <= 1'000; ++i) {
    replies.push_back(caller.call(std::to_string(i) + " " + std::to_string(i)));
  }
  long sum = 0;
  for (auto& each : replies) sum += std::stol(each.get());
  std::cout << "1,000 replies at once, their sum is " << sum << std::endl;
} catch (const std::exception& error) {
  std::cerr << error.what() << std::endl;
  return 1;
}
