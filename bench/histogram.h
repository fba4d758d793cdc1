// Internal. Counts of durations at about 1 % resolution, for percentiles.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace ws::bench {

// Each power of two is cut into 128 steps, so a bucket is at most 1/128 = 0.8 % of its value wide.
class Histogram {
 public:
  void add(std::uint64_t value) {
    ++counts_[bucket(value)];
    ++total_;
    max_ = std::max(max_, value);
  }

  void merge(const Histogram& other) {
    for (std::size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
    total_ += other.total_;
    max_ = std::max(max_, other.max_);
  }

  // The smallest bucket start such that `fraction` of all values lie in its bucket or below; 0 when
  // empty.
  [[nodiscard]] std::uint64_t percentile(double fraction) const {
    const double wanted = fraction * static_cast<double>(total_);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      seen += counts_[i];
      if (seen > 0 && static_cast<double>(seen) >= wanted) return bucket_start(i);
    }
    return 0;
  }

  [[nodiscard]] std::uint64_t max() const { return max_; }

 private:
  static constexpr int kStepBits = 7;
  static constexpr std::uint64_t kSteps = 1U << kStepBits;
  static constexpr int kValueBitsMax = 40;  // 2^40 ns = 18 minutes; longer ones count as that
  static constexpr std::size_t kBuckets = (kValueBitsMax - kStepBits + 1) * kSteps;

  static std::size_t bucket(std::uint64_t value) {
    value = std::min(value, (std::uint64_t{1} << kValueBitsMax) - 1);
    if (value < kSteps) return static_cast<std::size_t>(value);
    const auto shift = static_cast<std::size_t>(std::bit_width(value)) - 1 - kStepBits;
    // The top 8 bits are left, 128..255: the first step of this power of two counts as 128.
    return shift * kSteps + static_cast<std::size_t>(value >> shift);
  }

  static std::uint64_t bucket_start(std::size_t bucket) {
    if (bucket < kSteps) return bucket;
    const std::size_t shift = bucket / kSteps - 1;
    return (kSteps + bucket % kSteps) << shift;
  }

  std::vector<std::uint64_t> counts_ = std::vector<std::uint64_t>(kBuckets);
  std::uint64_t total_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace ws::bench
