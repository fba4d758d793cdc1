// Internal. Echo load over many connections and threads: closed loop or open loop.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "bench/echo_client.h"
#include "bench/histogram.h"
#include "bench/run.h"

namespace ws::bench {

struct LoadPlan {
  ClientPlan client;
  std::uint64_t connections = 1;
  std::uint64_t threads = 1;
  std::uint64_t depth = 1;     // closed loop: messages in flight per connection
  double rate = 0;             // open loop: messages per second in all; 0 = closed loop
  std::uint64_t messages = 0;  // closed loop: in all, then it ends; 0 = until told
};

// When each message in flight was sent, or should have been: a ring that grows.
class SendTimes {
 public:
  void push(std::uint64_t ns) {
    if (count_ == ring_.size()) grow();
    ring_[(first_ + count_++) & (ring_.size() - 1)] = ns;
  }
  std::uint64_t pop() {
    const std::uint64_t ns = ring_[first_];
    first_ = (first_ + 1) & (ring_.size() - 1);
    --count_;
    return ns;
  }
  [[nodiscard]] bool empty() const { return count_ == 0; }

 private:
  void grow();

  std::vector<std::uint64_t> ring_ = std::vector<std::uint64_t>(1);  // a power of two
  std::size_t first_ = 0;
  std::size_t count_ = 0;
};

// One thread's share of the connections.
class EchoWorker {
 public:
  // index: of the threads' 0 to plan.threads - 1.
  EchoWorker(Run& run, const LoadPlan& plan, std::uint64_t index);
  ~EchoWorker();
  EchoWorker(const EchoWorker&) = delete;
  EchoWorker& operator=(const EchoWorker&) = delete;

  void connect();  // one more; throws std::runtime_error
  // Until the run drains, or its share of plan.messages is done, and what is in flight has come
  // back.
  void work();

  [[nodiscard]] std::uint64_t messages() const { return messages_.load(std::memory_order_relaxed); }
  // After work().
  [[nodiscard]] const Histogram& latency() const { return latency_; }
  [[nodiscard]] std::uint64_t unanswered() const { return unanswered_; }
  // Open loop: how late each message was sent. The rest of its latency is not the generator's.
  [[nodiscard]] const Histogram& lateness() const { return lateness_; }

 private:
  struct Connection {
    Connection(const ClientPlan& plan) : client(plan, "") {}
    EchoClient client;
    SendTimes sent_ns;
    bool touched = false;  // in this turn of the open loop
  };

  [[nodiscard]] bool open_loop() const { return plan_.rate > 0; }
  void wait_and_serve(std::uint64_t until_ns);
  void send_what_is_due(std::uint64_t until_ns);
  bool start(Connection& connection, std::uint64_t messages, std::uint64_t now);
  bool serve(Connection& connection, bool hangup);
  void settle(Connection& connection, std::uint64_t replies, std::uint64_t now);
  [[nodiscard]] bool measured(std::uint64_t due_ns) const;
  void count_unanswered();
  void fail(const Connection& connection);

  Run& run_;
  const LoadPlan& plan_;
  proto::DeflateEngine engine_;
  ClientPlan client_plan_;
  int epoll_fd_;
  const bool may_spin_;  // open loop: instead of a short sleep
  std::deque<Connection> connections_;
  std::vector<std::uint8_t> scratch_;
  std::vector<Connection*> touched_;
  std::uint64_t in_flight_ = 0;
  std::uint64_t unsent_ = UINT64_MAX;  // of plan.messages
  double interval_ns_ = 0;
  double due_ns_;  // open loop: when the next message is
  std::size_t next_connection_ = 0;
  std::atomic<std::uint64_t> messages_ = 0;
  Histogram latency_;
  Histogram lateness_;
  std::uint64_t unanswered_ = 0;
  bool failed_ = false;
};

}  // namespace ws::bench
