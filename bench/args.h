// Internal. Command-line options of the bench programs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ws::bench {

// Each reader takes its option out of the line; finish() refuses whatever nobody asked for.
// errors: a wrong option prints one line and exits with 2.  `--help` prints the usage and exits
// with 0.
class Args {
 public:
  Args(int argc, char** argv, std::string_view usage);

  bool flag(std::string_view name);
  std::string text(std::string_view name, std::string_view fallback);
  std::uint64_t size(std::string_view name, std::uint64_t fallback);  // takes the suffixes k and m
  double seconds(std::string_view name, double fallback);
  void finish() const;

 private:
  std::vector<std::string> words_;
};

// Prints "PROGRAM: message" and exits with 1.
[[noreturn]] void die(std::string_view message);

}  // namespace ws::bench
