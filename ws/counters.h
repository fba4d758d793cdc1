// Internal. What one shard counts.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "ws/stats.h"

namespace ws {

// One thread adds, any may read. cost: that of a plain addition.
class Counter {
 public:
  void add(std::uint64_t count) { value_.store(get() + count, std::memory_order_relaxed); }
  std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

struct Counters {
  Counter accepted;
  Counter opened;
  std::array<Counter, kCloseCauses> closed;
  Counter messages_received;
  Counter messages_sent;
  Counter bytes_received;
  Counter bytes_sent;

  void add_to(Stats& stats) const {
    stats.accepted += accepted.get();
    stats.opened += opened.get();
    for (std::size_t i = 0; i < kCloseCauses; ++i) stats.closed[i] += closed[i].get();
    stats.messages_received += messages_received.get();
    stats.messages_sent += messages_sent.get();
    stats.bytes_received += bytes_received.get();
    stats.bytes_sent += bytes_sent.get();
  }
};

}  // namespace ws
