// Public. One object of any type that a connection carries for its program.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include "core/check.h"

namespace ws {

// Like std::any, but what it holds need not be copyable. thread: the connection's.
class UserData {
 public:
  UserData() = default;
  // `.data = User{...}`
  template <class T>
  requires(!std::is_same_v<std::decay_t<T>, UserData>) UserData(T&& value)
      : object_(new std::decay_t<T>(std::forward<T>(value)), destroy<std::decay_t<T>>),
        type_(&kType<std::decay_t<T>>) {}

  explicit operator bool() const { return object_ != nullptr; }

  // The object, made on the first use if it can be made of nothing. Another type than the one it
  // was made with ends the process: nothing it could return would be right.
  template <class T>
  T& get() {
    if constexpr (std::is_default_constructible_v<T>) {
      if (!object_) *this = UserData(T{});
    }
    WS_CHECK(type_ == &kType<T>);  // Conn::data<T>() with another T than before, or none yet
    return *static_cast<T*>(object_.get());
  }

 private:
  // Its address tells types apart.
  template <class T>
  static constexpr char kType = 0;
  template <class T>
  static void destroy(void* object) {
    delete static_cast<T*>(object);
  }

  std::unique_ptr<void, void (*)(void*)> object_{nullptr, nullptr};
  const char* type_ = nullptr;
};

}  // namespace ws
