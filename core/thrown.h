// Internal. What was thrown, in words.
#pragma once

#include <exception>
#include <string>

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

}  // namespace ws::core
