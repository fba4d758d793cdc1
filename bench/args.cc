#include "bench/args.h"

#include <errno.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>

namespace ws::bench {
namespace {

void print_line(std::string_view message) {
  std::fprintf(stderr, "%s: %.*s\n", program_invocation_short_name,
               static_cast<int>(message.size()), message.data());
}

}  // namespace

void usage_error(const std::string& message) {
  print_line(message + " (see --help)");
  std::exit(2);
}

std::optional<std::uint64_t> parse_number(std::string_view text, std::uint64_t k) {
  const char* const end = text.data() + text.size();
  std::uint64_t number = 0;
  const auto parsed = std::from_chars(text.data(), end, number);
  const std::string_view suffix(parsed.ptr, static_cast<std::size_t>(end - parsed.ptr));
  const std::uint64_t unit = suffix == "k" ? k : suffix == "m" ? k * k : 1;
  const bool known_suffix = suffix.empty() || unit > 1;
  if (parsed.ec != std::errc() || !known_suffix || number > UINT32_MAX) return {};
  return number * unit;
}

void die(std::string_view message) {
  std::fflush(stdout);
  print_line(message);
  std::exit(1);
}

Args::Args(int argc, char** argv, std::string_view usage) : words_(argv + 1, argv + argc) {
  if (!flag("--help")) return;
  std::fwrite(usage.data(), 1, usage.size(), stdout);
  std::exit(0);
}

bool Args::has(std::string_view name) const {
  return std::find(words_.begin(), words_.end(), name) != words_.end();
}

bool Args::flag(std::string_view name) {
  return std::erase(words_, name) > 0;
}

std::string Args::text(std::string_view name, std::string_view fallback) {
  std::string value(fallback);
  // The last one given wins, so that a script's defaults can be overridden behind them.
  for (auto at = words_.begin(); (at = std::find(at, words_.end(), name)) != words_.end();) {
    if (at + 1 == words_.end()) usage_error(std::string(name) + " needs a value");
    value = at[1];
    at = words_.erase(at, at + 2);
  }
  return value;
}

std::uint64_t Args::size(std::string_view name, std::uint64_t fallback, std::uint64_t most) {
  return number(name, fallback, 1024, most);
}

std::uint64_t Args::count(std::string_view name, std::uint64_t fallback, std::uint64_t most) {
  return number(name, fallback, 1000, most);
}

std::uint64_t Args::number(std::string_view name, std::uint64_t fallback, std::uint64_t k,
                           std::uint64_t most) {
  const std::string value = text(name, std::to_string(fallback));
  const auto number = parse_number(value, k);
  if (!number) usage_error(std::string(name) + ' ' + value + ": not a number like 64, 16k or 1m");
  if (*number > most) {
    usage_error(std::string(name) + ' ' + value + ": must be at most " + std::to_string(most));
  }
  return *number;
}

double Args::seconds(std::string_view name, double fallback) {
  const std::string value = text(name, std::to_string(fallback));
  char* end = nullptr;
  const double number = std::strtod(value.c_str(), &end);
  if (value.empty() || *end != '\0' || !(number >= 0 && number < 1e6)) {
    usage_error(std::string(name) + ' ' + value + ": not a number of seconds");
  }
  return number;
}

void Args::finish() const {
  if (!words_.empty()) usage_error(words_.front() + ": unknown option");
}

}  // namespace ws::bench
