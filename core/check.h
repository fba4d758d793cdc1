// Public. Assertions for bugs of ours; never for bytes a peer sent.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace ws::core {

// Prints where and what, then aborts: a broken invariant must not become a served request.
[[noreturn]] inline void check_failed(const char* file, int line, const char* what) {
  std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, what);
  std::abort();
}

}  // namespace ws::core

// Always on: for facts that cost O(1) to test.
#define WS_CHECK(condition)                          \
  (__builtin_expect(static_cast<bool>(condition), 1) \
       ? (void)0                                     \
       : ::ws::core::check_failed(__FILE__, __LINE__, #condition))

// For what a program that uses the library got wrong, where going on is harmless: debug builds name
// it with its cure and abort, release builds carry on.
#ifdef NDEBUG
#define WS_MISUSE(what) ((void)0)
#else
#define WS_MISUSE(what) ::ws::core::check_failed(__FILE__, __LINE__, "misuse: " what)
#endif

// Debug builds only: for facts inside per-message and per-byte paths.
#ifdef NDEBUG
#define WS_DCHECK(condition) ((void)0)
#else
#define WS_DCHECK(condition) WS_CHECK(condition)
#endif
