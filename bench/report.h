// Internal. The results of a run, for people and for programs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bench/histogram.h"

namespace ws::bench {

// Lines in the order of adding; the JSON has the same under the keys.
class Report {
 public:
  // label: for the text; values with the same label share its line.
  void number(std::string_view key, std::string_view label, double value, int decimals,
              std::string_view unit);
  void word(std::string_view key, std::string_view label, std::string_view value);
  // p50 to p99.9 and the maximum, in microseconds.
  void latency(const Histogram& histogram);

  void print_text() const;
  void print_json() const;  // one line

 private:
  struct Entry {
    std::string key;
    std::string label;
    std::string value;
    std::string unit;
    bool quoted;
  };
  std::vector<Entry> entries_;
};

}  // namespace ws::bench
