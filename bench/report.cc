#include "bench/report.h"

#include <cmath>
#include <cstdio>

namespace ws::bench {

void Report::number(std::string_view key, std::string_view label, double value, int decimals,
                    std::string_view unit) {
  char text[64] = "null";  // of a server that used no CPU time, say: JSON has no infinity
  if (std::isfinite(value)) std::snprintf(text, sizeof text, "%.*f", decimals, value);
  entries_.push_back({std::string(key), std::string(label), text, std::string(unit), false});
}

void Report::word(std::string_view key, std::string_view label, std::string_view value) {
  entries_.push_back({std::string(key), std::string(label), std::string(value), "", true});
}

void Report::latency(const Histogram& histogram) {
  struct Named {
    const char* name;
    double fraction;
  };
  static constexpr Named kPercentiles[] = {
      {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}};
  const auto add = [&](const std::string& name, std::uint64_t ns) {
    number("latency_us_" + name, "latency us", static_cast<double>(ns) / 1e3, 1, name);
  };
  for (const auto& [name, fraction] : kPercentiles) add(name, histogram.percentile(fraction));
  add("max", histogram.max());
}

void Report::print_text() const {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    const bool first = i == 0 || entries_[i - 1].label != entry.label;
    const bool last = i + 1 == entries_.size() || entries_[i + 1].label != entry.label;
    if (first) std::printf("%-19s", entry.label.c_str());
    std::printf("%s%s%s%s", entry.value.c_str(), entry.unit.empty() ? "" : " ", entry.unit.c_str(),
                last ? "\n" : ", ");
  }
}

void Report::print_json() const {
  char separator = '{';
  for (const Entry& entry : entries_) {
    const char* const quote = entry.quoted ? "\"" : "";
    std::printf("%c\"%s\":%s%s%s", separator, entry.key.c_str(), quote, entry.value.c_str(), quote);
    separator = ',';
  }
  std::printf("}\n");
}

}  // namespace ws::bench
