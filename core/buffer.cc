#include "core/buffer.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "core/check.h"
#include "core/copy.h"

namespace ws::core {
namespace {

constexpr std::size_t kPageBytes = 4096;

std::size_t skew(std::size_t capacity) {
  return capacity < Buffer::kLargeBytes ? 0 : Buffer::kSkewBytes;
}

std::uint8_t* allocate(std::size_t capacity) {
  const std::size_t bytes = capacity + skew(capacity);
  const std::size_t pages = (bytes + kPageBytes - 1) / kPageBytes;
  void* const memory =
      skew(capacity) == 0 ? std::malloc(bytes) : std::aligned_alloc(kPageBytes, pages * kPageBytes);
  if (memory == nullptr) throw std::bad_alloc();
  return static_cast<std::uint8_t*>(memory) + skew(capacity);
}

}  // namespace

Buffer::Buffer(Buffer&& other) noexcept {
  *this = std::move(other);
}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this == &other) return *this;
  release();
  bytes_ = std::exchange(other.bytes_, nullptr);
  begin_ = std::exchange(other.begin_, 0);
  end_ = std::exchange(other.end_, 0);
  capacity_ = std::exchange(other.capacity_, 0);
  return *this;
}

void Buffer::make_room(std::size_t count) {
  WS_CHECK(count <= UINT32_MAX);
  const std::size_t used = size();
  // Moving to the front pays for itself only when at least half as much was consumed: a nearly
  // full buffer that loses and gains a byte at a time must grow, or each byte moves all others.
  if (capacity_ - used >= count && begin_ >= used / 2) {
    if (used > 0) std::memmove(bytes_, data(), used);
  } else {
    const std::size_t wanted = std::max({used + count, 2 * used, std::size_t{capacity_}});
    WS_CHECK(wanted <= UINT32_MAX);
    std::uint8_t* const grown = allocate(wanted);
    if (used > 0) copy_large(grown, data(), used);
    release();
    bytes_ = grown;
    capacity_ = static_cast<std::uint32_t>(wanted);
  }
  begin_ = 0;
  end_ = static_cast<std::uint32_t>(used);
}

void Buffer::append(ConstBytes bytes) {
  if (bytes.empty()) return;
  copy_large(prepare(bytes.size()).data(), bytes.data(), bytes.size());
  end_ += static_cast<std::uint32_t>(bytes.size());
}

void Buffer::consume(std::size_t count) {
  WS_CHECK(count <= size());
  begin_ += static_cast<std::uint32_t>(count);
  if (begin_ == end_) clear();
}

void Buffer::release() {
  if (bytes_ != nullptr) std::free(bytes_ - skew(capacity_));
  bytes_ = nullptr;
  begin_ = end_ = capacity_ = 0;
}

}  // namespace ws::core
