#include "bench/run.h"

#include <unistd.h>

#include <chrono>

#include "bench/process.h"

namespace ws::bench {

void Run::enter(Phase phase) {
  if (phase == Phase::kMeasure) measured_from_ns_ = now_ns();
  if (phase == Phase::kDrain) measured_to_ns_ = now_ns();
  phase_.store(phase, std::memory_order_release);
}

void Run::fail(const std::string& reason) {
  const std::lock_guard lock(mutex_);
  if (failure_.empty()) failure_ = reason;
  changed_.notify_all();
}

void Run::enlist() {
  const std::lock_guard lock(mutex_);
  threads_.push_back(gettid());
}

std::vector<pid_t> Run::threads() {
  const std::lock_guard lock(mutex_);
  return threads_;
}

void Run::done() {
  std::unique_lock lock(mutex_);
  ++done_;
  changed_.notify_all();
  changed_.wait(lock, [&] { return dismissed_; });
}

void Run::dismiss() {
  const std::lock_guard lock(mutex_);
  dismissed_ = true;
  changed_.notify_all();
}

void Run::sleep(double seconds, std::uint64_t threads, const std::function<void()>& tick) {
  using Clock = std::chrono::steady_clock;
  constexpr auto kTick = std::chrono::milliseconds(500);
  const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                      std::chrono::duration<double>(seconds));
  std::unique_lock lock(mutex_);
  const auto over = [&] { return !failure_.empty() || done_ >= threads; };
  while (Clock::now() < end &&
         !changed_.wait_until(lock, std::min(end, Clock::now() + kTick), over)) {
    lock.unlock();
    tick();  // which may fail the run
    lock.lock();
  }
}

std::string Run::failure() {
  const std::lock_guard lock(mutex_);
  return failure_;
}

}  // namespace ws::bench
