// Public. One header line of an HTTP head (RFC 9112 section 5).
#pragma once

#include <string>
#include <string_view>

namespace ws {

struct Header {
  std::string_view name;   // as it came: its case does not matter
  std::string_view value;  // without the white space around it
};

// One that a program sends.
struct HeaderField {
  std::string name;
  std::string value;
};

}  // namespace ws
