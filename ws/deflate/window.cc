#include "ws/deflate/window.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/check.h"
#include "core/copy.h"

namespace ws::deflate {

Window::Window(unsigned bits) : bytes_max_(1u << bits) {
  WS_CHECK(bits >= kWindowBitsMin && bits <= kWindowBitsMax);
}

void Window::grow(std::size_t wanted) {
  const auto bytes =
      static_cast<std::uint32_t>(std::min<std::size_t>(std::bit_ceil(wanted), bytes_max_));
  auto ring = std::make_unique_for_overwrite<std::uint8_t[]>(bytes);
  // Nothing was dropped as long as the ring could grow: the content lies at its front, in order.
  if (size_ > 0) std::memcpy(ring.get(), ring_.get(), size_);
  ring_ = std::move(ring);
  ring_bytes_ = bytes;
  next_ = size_;
}

void Window::append(core::ConstBytes bytes) {
  if (bytes.empty()) return;
  if (bytes.size() > bytes_max_) bytes = bytes.last(bytes_max_);
  if (ring_bytes_ < bytes_max_ && size_ + bytes.size() > ring_bytes_) grow(size_ + bytes.size());
  WS_DCHECK(std::has_single_bit(ring_bytes_));
  WS_DCHECK(next_ < ring_bytes_);
  const std::size_t first = std::min<std::size_t>(bytes.size(), ring_bytes_ - next_);
  core::copy_large(ring_.get() + next_, bytes.data(), first);
  core::copy_large(ring_.get(), bytes.data() + first, bytes.size() - first);
  next_ = static_cast<std::uint32_t>(next_ + bytes.size()) & (ring_bytes_ - 1);
  size_ = static_cast<std::uint32_t>(std::min<std::size_t>(size_ + bytes.size(), ring_bytes_));
}

}  // namespace ws::deflate
