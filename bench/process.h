// Internal. What the kernel knows of a process: CPU time, resident memory, descriptor limit.
#pragma once

#include <pthread.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace ws::bench {

[[nodiscard]] std::uint64_t now_ns();

// User + system time of all threads of a process, living and ended.  returns: nullopt = no such
// process.
[[nodiscard]] std::optional<std::uint64_t> cpu_time_ns(pid_t pid);

// The same of one thread of this process, which lives.
[[nodiscard]] std::uint64_t thread_cpu_ns(pthread_t thread);

// How long these threads of this process have waited for a CPU to run on.  returns: 0 where the
// kernel does not tell.
[[nodiscard]] std::uint64_t cpu_wait_ns(const std::vector<pid_t>& threads);

// Cores that this process may use.
[[nodiscard]] std::uint64_t usable_cores();

// VmRSS of a process.  returns: nullopt = no such process.
[[nodiscard]] std::optional<std::uint64_t> resident_bytes(pid_t pid);

// Raises the soft descriptor limit to the hard one; throws std::runtime_error when `needed` is
// still above it.
void raise_descriptor_limit(std::size_t needed);

}  // namespace ws::bench
