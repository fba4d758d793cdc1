// Public. The outcome of work that the operating system or a configuration can refuse.
#pragma once

#include <cstdio>
#include <string>
#include <utility>
#include <variant>

namespace ws::core {

// One line for a person: what failed, on which thing, and what to do about it.
class Error {
 public:
  explicit Error(std::string message, int os_errno = 0)
      : message_(std::move(message)), os_errno_(os_errno) {}

  const std::string& message() const { return message_; }
  // The errno behind it, 0 when no system call failed.
  int os_errno() const { return os_errno_; }
  void print(std::FILE* out) const { std::fprintf(out, "%s\n", message_.c_str()); }

 private:
  std::string message_;
  int os_errno_;
};

// A value or an Error. Test it before use; reading the side that is not there ends the process
// (std::get throws, noexcept does not let it out).
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const { return state_.index() == 0; }
  T& value() & noexcept { return std::get<0>(state_); }
  const T& value() const& noexcept { return std::get<0>(state_); }
  T&& value() && noexcept { return std::get<0>(std::move(state_)); }
  T& operator*() & noexcept { return value(); }
  const T& operator*() const& noexcept { return value(); }
  T* operator->() noexcept { return &value(); }
  const T* operator->() const noexcept { return &value(); }
  const Error& error() const noexcept { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

// For work that yields nothing but its success: `return Ok{};`.
struct Ok {};

}  // namespace ws::core
