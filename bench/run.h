// Internal. What the main thread and the threads of a run tell each other.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

namespace ws::bench {

enum class Phase : std::uint8_t { kWarmup, kMeasure, kDrain };

class Run {
 public:
  [[nodiscard]] Phase phase() const { return phase_.load(std::memory_order_acquire); }
  void enter(Phase phase);

  // The ends of the measured time, once entered and left; else never.
  [[nodiscard]] std::uint64_t measured_from_ns() const { return measured_from_ns_; }
  [[nodiscard]] std::uint64_t measured_to_ns() const { return measured_to_ns_; }

  // A thread looked for work in vain instead of sleeping: CPU time that was to spare.
  void add_spun(std::uint64_t ns) { spun_ns_.fetch_add(ns, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t spun_ns() const { return spun_ns_; }

  void fail(const std::string& reason);
  // The calling thread works for the run.
  void enlist();
  [[nodiscard]] std::vector<pid_t> threads();
  // A thread has done its work: it stays until it is dismissed, as the kernel forgets the figures
  // of one that has ended.
  void done();
  void dismiss();

  // Sleeps, but no longer than until the first failure, or until so many threads are done. tick:
  // called meanwhile, twice a second.
  void sleep(double seconds, std::uint64_t threads, const std::function<void()>& tick);

  [[nodiscard]] std::string failure();

 private:
  std::atomic<Phase> phase_ = Phase::kWarmup;
  std::atomic<std::uint64_t> measured_from_ns_ = UINT64_MAX;
  std::atomic<std::uint64_t> measured_to_ns_ = UINT64_MAX;
  std::atomic<std::uint64_t> spun_ns_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<pid_t> threads_;
  std::uint64_t done_ = 0;
  bool dismissed_ = false;
  std::string failure_;
};

}  // namespace ws::bench
