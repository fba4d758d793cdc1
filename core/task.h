// Internal. A move-only callable: std::function without the demand that the callable be copyable.
#pragma once

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

#include "core/check.h"

namespace ws::core {

// Owns any `void()` callable, also one that captures a unique_ptr. Call it only while it holds one:
// a default or moved-from Task is empty. cost: one allocation to make.
class Task {
 public:
  Task() = default;
  template <class F>
  requires(!std::is_same_v<std::decay_t<F>, Task> && std::invocable<std::decay_t<F>&>)
      Task(F&& callable)
      : callable_(new std::decay_t<F>(std::forward<F>(callable)), Ops::destroy<std::decay_t<F>>),
        call_(Ops::call<std::decay_t<F>>) {}

  explicit operator bool() const { return callable_ != nullptr; }
  void operator()() {
    WS_CHECK(callable_ != nullptr);
    call_(callable_.get());
  }

 private:
  struct Ops {
    template <class F>
    static void destroy(void* callable) {
      delete static_cast<F*>(callable);
    }
    template <class F>
    static void call(void* callable) {
      (*static_cast<F*>(callable))();
    }
  };

  std::unique_ptr<void, void (*)(void*)> callable_{nullptr, nullptr};
  void (*call_)(void*) = nullptr;
};

}  // namespace ws::core
