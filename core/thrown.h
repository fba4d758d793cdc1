// Internal. What a program's functions throw: in words, and in the log.
#pragma once

#include <exception>
#include <string>
#include <string_view>

#include "core/log.h"

namespace ws::core {

// Only inside a catch (...): for a log line, or a reason.
inline std::string thrown() {
  try {
    throw;
  } catch (const std::exception& exception) {
    return exception.what();
  } catch (...) {
    return "not a std::exception";
  }
}

// false: the callback threw, and the log says so. event: a constant phrase for it.
template <class Callback>
[[gnu::always_inline]] inline bool guarded(std::string_view event, Callback&& callback) {
  try {
    callback();
    return true;
  } catch (...) {
    log(LogLevel::kError, event, {{"what", thrown()}});
    return false;
  }
}

}  // namespace ws::core
