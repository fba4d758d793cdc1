// Internal. Commands of the system, for tests of what other people's programs make of ours.
#pragma once

#include <string>

namespace ws::test {

struct Ran {
  int exit_code = -1;  // 124: it took longer than 60 s
  std::string output;  // of stdout
};
// Through /bin/sh.
Ran run(const std::string& command);

// Whether it ends with 0, for "command -v curl".
bool works(const std::string& command);

}  // namespace ws::test
