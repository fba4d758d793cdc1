// Internal. What the kernel knows of a process: CPU time, resident memory, descriptor limit.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>

namespace ws::bench {

[[nodiscard]] std::uint64_t now_ns();

// User + system time of all threads of a process, living and ended.  returns: nullopt = no such
// process.
[[nodiscard]] std::optional<std::uint64_t> cpu_time_ns(pid_t pid);

// How long the threads of this process, those that live, have waited for a CPU to run on.  returns:
// 0 where the kernel does not tell.
[[nodiscard]] std::uint64_t cpu_wait_ns();

// VmRSS of a process.  returns: nullopt = no such process.
[[nodiscard]] std::optional<std::uint64_t> resident_bytes(pid_t pid);

// Raises the soft descriptor limit to the hard one; throws std::runtime_error when `needed` is
// still above it.
void raise_descriptor_limit(std::size_t needed);

}  // namespace ws::bench
