#include "core/shared_bytes.h"

#include <algorithm>
#include <new>
#include <utility>

#include "core/check.h"

namespace ws::core {

SharedBytes::SharedBytes(ConstBytes front, ConstBytes back) {
  const std::size_t size = front.size() + back.size();
  if (size == 0) return;
  WS_CHECK(size <= UINT32_MAX);
  void* memory = ::operator new(sizeof(Block) + size);
  block_ = ::new (memory) Block{.size = static_cast<std::uint32_t>(size)};
  auto* bytes = reinterpret_cast<std::uint8_t*>(block_ + 1);
  std::copy(front.begin(), front.end(), bytes);
  std::copy(back.begin(), back.end(), bytes + front.size());
}

SharedBytes::SharedBytes(const SharedBytes& other) : block_(other.block_) {
  // Relaxed: whoever copies already holds a reference, so the count cannot reach zero meanwhile.
  if (block_ != nullptr) block_->references.fetch_add(1, std::memory_order_relaxed);
}

SharedBytes::SharedBytes(SharedBytes&& other) noexcept
    : block_(std::exchange(other.block_, nullptr)) {}

SharedBytes& SharedBytes::operator=(SharedBytes other) noexcept {
  std::swap(block_, other.block_);
  return *this;
}

SharedBytes::~SharedBytes() {
  if (block_ == nullptr) return;
  // Release: this thread's reads come before the count. Acquire: the last owner frees after them.
  if (block_->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  block_->~Block();
  ::operator delete(block_);
}

ConstBytes SharedBytes::bytes() const {
  if (block_ == nullptr) return {};
  return {reinterpret_cast<const std::uint8_t*>(block_ + 1), block_->size};
}

}  // namespace ws::core
