#include "core/shared_bytes.h"

#include <cstring>
#include <new>
#include <utility>

#include "core/check.h"

namespace ws::core {

SharedBytes::SharedBytes(ConstBytes content) {
  if (content.empty()) return;
  WS_CHECK(content.size() <= UINT32_MAX);
  void* memory = ::operator new(sizeof(Block) + content.size());
  block_ = ::new (memory) Block{.size = static_cast<std::uint32_t>(content.size())};
  std::memcpy(static_cast<void*>(block_ + 1), content.data(), content.size());
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
