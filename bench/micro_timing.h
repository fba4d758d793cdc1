// Internal. How long small things take: CPU time of this thread, medians of interleaved runs.
#pragma once

#include <time.h>

#include <algorithm>
#include <functional>
#include <vector>

namespace ws::bench {

inline constexpr int kRounds = 25;
inline constexpr double kRunSeconds = 0.004;

inline double cpu_seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Seconds for one pass of each, the median over interleaved runs of as many passes as it takes.
inline std::vector<double> measure(const std::vector<std::function<void()>>& passes) {
  std::vector<int> repeats;
  for (const auto& pass : passes) {
    int count = 0;
    for (const double start = cpu_seconds(); cpu_seconds() - start < kRunSeconds; ++count) pass();
    repeats.push_back(count);
  }
  std::vector<std::vector<double>> seconds(passes.size());
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < passes.size(); ++i) {
      const double start = cpu_seconds();
      for (int k = 0; k < repeats[i]; ++k) passes[i]();
      seconds[i].push_back((cpu_seconds() - start) / repeats[i]);
    }
  }
  std::vector<double> medians;
  for (std::vector<double>& all : seconds) {
    std::nth_element(all.begin(), all.begin() + kRounds / 2, all.end());
    medians.push_back(all[kRounds / 2]);
  }
  return medians;
}

// The compiler has to have the bytes at `memory` as they are by now, and may know nothing of them.
inline void keep(const void* memory) {
  asm volatile("" : : "r"(memory) : "memory");
}

}  // namespace ws::bench
