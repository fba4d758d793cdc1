// Internal. Connections that are a burden: idle ones, and ones that read slowly.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/echo_client.h"

namespace ws::bench {

// A source address serves this many connections: well below the 28,232 ports of Linux's default
// range, since the ports of an earlier run may still be in TIME_WAIT.
inline constexpr std::uint64_t kConnectionsPerAddress = 8'000;

// "" for a server that is not on 127.*, which the source addresses 127.0.0.1, .2, ... cannot reach.
[[nodiscard]] std::string source_address(const Url& url, std::uint64_t connection);

struct CrowdPlan {
  ClientPlan client;
  std::uint64_t idle = 0;
  std::uint64_t slow = 0;
  std::uint64_t slow_bytes_per_s = 0;  // of each; 0: they do not read at all
};

// All on a thread of its own: pings are answered, slow readers are fed as much as the server takes.
class Crowd {
 public:
  explicit Crowd(const CrowdPlan& plan);
  ~Crowd();  // says goodbye
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;

  // Opens them all.  Throws std::runtime_error.
  void open();
  // After open().  The server may well end some of them.
  void start();

  [[nodiscard]] std::uint64_t lost() const { return lost_; }

 private:
  struct Member {
    Member(EchoClient&& connected, bool slow_reader)
        : client(std::move(connected)), slow(slow_reader) {}
    EchoClient client;
    bool slow;
    bool over = false;
  };

  void add(std::uint64_t number);
  void serve();
  void poll(int timeout_ms);
  void read_slowly();
  void feed(Member& member, std::uint64_t replies);
  void lose(Member& member);

  const CrowdPlan plan_;
  proto::DeflateEngine engine_;
  ClientPlan client_plan_;
  int epoll_fd_;
  std::mutex mutex_;            // while they are opened
  std::deque<Member> members_;  // grown under mutex_
  std::string failure_;         // guarded by mutex_
  std::atomic<std::uint64_t> next_ = 0;
  std::vector<std::uint8_t> scratch_;
  std::vector<std::uint8_t> sip_;  // what each slow reader may read now
  std::atomic<std::uint64_t> lost_ = 0;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace ws::bench
