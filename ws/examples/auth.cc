// Only who brings a good token gets in: auth [URL]; then connect with the header
// "Authorization: Bearer open-sesame".
#include <ws/ws.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <iostream>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace {

struct User {
  std::string name;
};

// Stands for a database: it takes its time, on a thread of its own.
class Directory {
 public:
  using Answer = std::function<void(std::optional<User>)>;

  void find(std::string token, Answer answer) {
    {
      const std::lock_guard lock(mutex_);
      questions_.emplace_back(std::move(token), std::move(answer));
    }
    asked_.notify_one();
  }

 private:
  void work(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (asked_.wait(lock, stop, [this] { return !questions_.empty(); })) {
      const auto [token, answer] = std::move(questions_.front());
      questions_.pop_front();
      lock.unlock();
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      answer(token == "open-sesame" ? std::optional(User{"Ali"}) : std::nullopt);
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable_any asked_;
  std::deque<std::pair<std::string, Answer>> questions_;
  std::jthread thread_{[this](const std::stop_token& stop) { work(stop); }};
};

}  // namespace

int main(int argc, char** argv) {
  ws::Server server({.listen = {argc > 1 ? argv[1] : "ws://127.0.0.1:8080"}});
  Directory directory;  // behind the server, so that it ends first: it answers through it

  // The loop goes on serving others while the directory thinks.
  const auto judge = [&](const ws::Request& request) -> ws::Upgrade {
    constexpr std::string_view kScheme = "Bearer ";
    const std::string_view credentials = request.header("Authorization");
    if (!credentials.starts_with(kScheme)) {
      return ws::Reject{
          .status = 401, .body = "a token, please\n", .headers = {{"WWW-Authenticate", "Bearer"}}};
    }
    directory.find(std::string(credentials.substr(kScheme.size())),
                   [&server, id = request.id](std::optional<User> user) {
                     if (user) return server.answer(id, ws::Accept{.data = std::move(*user)});
                     server.answer(id, ws::Reject{.status = 403, .body = "unknown token\n"});
                   });
    return ws::Defer{};
  };

  server.route("/*", {.on_upgrade = judge, .on_open = [](ws::Conn& conn) {
                        conn.send("welcome, " + conn.data<User>().name);
                      }});

  server.stop_on_signals();
  if (auto done = server.listen(); !done) return done.error().print(stderr), 1;
  std::cout << "listening on " << server.urls()[0] << std::endl;
  return server.run() ? 0 : 1;
}
