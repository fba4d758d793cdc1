// Internal. Immutable bytes with a count of references: one encoded frame for many connections.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/buffer.h"

namespace ws::core {

// Copies share the bytes; the last one frees them. Header and bytes are one allocation.
// thread: any; the bytes never change once made, the count is atomic.
class SharedBytes {
 public:
  SharedBytes() = default;
  explicit SharedBytes(ConstBytes content) : SharedBytes(content, {}) {}
  SharedBytes(ConstBytes front, ConstBytes back);  // one behind the other
  SharedBytes(const SharedBytes& other);
  SharedBytes(SharedBytes&& other) noexcept;
  SharedBytes& operator=(SharedBytes other) noexcept;
  ~SharedBytes();

  ConstBytes bytes() const;
  std::size_t size() const { return bytes().size(); }

 private:
  struct Block {
    std::atomic<std::uint32_t> references{1};
    std::uint32_t size;
    // `size` bytes follow
  };
  Block* block_ = nullptr;
};

}  // namespace ws::core
