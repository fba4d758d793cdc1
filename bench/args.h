// Internal. Command-line options of the bench programs.
#pragma once

#include <cstdint>
#include <optional>
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

  [[nodiscard]] bool has(std::string_view name) const;  // before it is read
  bool flag(std::string_view name);
  std::string text(std::string_view name, std::string_view fallback);
  // The suffixes k and m stand for 1024 and 1024 * 1024 of bytes, and for thousands and millions of
  // anything else. A number above `most` is a wrong option.
  std::uint64_t size(std::string_view name, std::uint64_t fallback, std::uint64_t most = kSizeMax);
  std::uint64_t count(std::string_view name, std::uint64_t fallback,
                      std::uint64_t most = kCountMax);
  double seconds(std::string_view name, double fallback);
  void finish() const;

  static constexpr std::uint64_t kSizeMax = 1 << 30;
  static constexpr std::uint64_t kCountMax = 1'000'000'000'000;

 private:
  std::uint64_t number(std::string_view name, std::uint64_t fallback, std::uint64_t k,
                       std::uint64_t most);

  std::vector<std::string> words_;
};

// The number that `text` is, k standing for so many.  returns: nullopt = none, or above 2^32 units.
[[nodiscard]] std::optional<std::uint64_t> parse_number(std::string_view text, std::uint64_t k);

// Prints "PROGRAM: message (see --help)" and exits with 2.
[[noreturn]] void usage_error(const std::string& message);

// Prints "PROGRAM: message" and exits with 1.
[[noreturn]] void die(std::string_view message);

}  // namespace ws::bench
