#include "bench/process.h"

#include <sched.h>
#include <sys/resource.h>
#include <time.h>

#include <fstream>
#include <stdexcept>
#include <string>

namespace ws::bench {
namespace {

std::uint64_t nanoseconds(const timespec& time) {
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(time.tv_nsec);
}

}  // namespace

std::uint64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return nanoseconds(time);
}

// The process's CPU clock rather than /proc/PID/stat: that one counts in ticks of 10 ms.
std::optional<std::uint64_t> cpu_time_ns(pid_t pid) {
  clockid_t clock{};
  timespec time{};
  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) != 0) return {};
  return nanoseconds(time);
}

std::uint64_t thread_cpu_ns(pthread_t thread) {
  clockid_t clock{};
  timespec time{};
  if (pthread_getcpuclockid(thread, &clock) == 0) clock_gettime(clock, &time);
  return nanoseconds(time);
}

std::uint64_t cpu_wait_ns(const std::vector<pid_t>& threads) {
  std::uint64_t sum = 0;
  for (const pid_t thread : threads) {
    std::ifstream schedstat("/proc/self/task/" + std::to_string(thread) + "/schedstat");
    std::uint64_t ran_ns = 0;
    std::uint64_t waited_ns = 0;
    if (schedstat >> ran_ns >> waited_ns) sum += waited_ns;
  }
  return sum;
}

std::uint64_t usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) == 0 ? static_cast<std::uint64_t>(CPU_COUNT(&set))
                                                     : 1;
}

std::optional<std::uint64_t> resident_bytes(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  std::string word;
  while (status >> word) {
    std::uint64_t kib = 0;
    if (word == "VmRSS:" && status >> kib) return kib * 1024;
  }
  return {};
}

void raise_descriptor_limit(std::size_t needed) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < needed) {
    throw std::runtime_error("needs " + std::to_string(needed) +
                             " descriptors, the hard limit is " + std::to_string(limit.rlim_max) +
                             "; raise it with `ulimit -Hn`");
  }
}

}  // namespace ws::bench
