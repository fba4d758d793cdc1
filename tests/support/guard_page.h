// Internal. Memory in which one byte too far is a crash, for the tests of parsers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace ws::test {

// A writable copy of some bytes between two pages that may be neither read nor written. It touches
// the one behind it (kEnd) or the one before it (kStart).
class GuardedCopy {
 public:
  enum class Flush { kEnd, kStart };

  explicit GuardedCopy(std::span<const std::uint8_t> bytes, Flush flush = Flush::kEnd);
  explicit GuardedCopy(std::string_view text, Flush flush = Flush::kEnd);
  ~GuardedCopy();
  GuardedCopy(const GuardedCopy&) = delete;
  GuardedCopy& operator=(const GuardedCopy&) = delete;

  std::span<std::uint8_t> span() const { return span_; }
  std::string_view text() const {
    return {reinterpret_cast<const char*>(span_.data()), span_.size()};
  }

 private:
  void* map_;
  std::size_t map_bytes_;
  std::span<std::uint8_t> span_;
};

}  // namespace ws::test
