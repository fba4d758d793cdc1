// Public. Which version of the library this is.
#pragma once

#include <string_view>

namespace ws {

// MAJOR.MINOR.PATCH. The Makefile reads it here for the files that it installs.
inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace ws
