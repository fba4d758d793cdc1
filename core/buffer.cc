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

std::size_t skew_in(const std::uint8_t* memory) {
  const std::size_t offset = reinterpret_cast<std::uintptr_t>(memory) % kPageBytes;
  return (Buffer::kPlaceInPage + kPageBytes - offset) % kPageBytes;
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
  skew_ = std::exchange(other.skew_, 0);
  return *this;
}

void Buffer::make_room(std::size_t count) {
  WS_CHECK(count <= UINT32_MAX);
  const std::size_t used = size();
  const std::size_t dropped = begin_;
  if (dropped > 0) {
    if (used > 0) std::memmove(bytes_, data(), used);
    begin_ = 0;
    end_ = static_cast<std::uint32_t>(used);
    // Moving to the front pays for itself only when at least half as much was consumed: a nearly
    // full buffer that loses and gains a byte at a time must grow, or each byte moves all others.
    if (capacity_ - used >= count && dropped >= used / 2) return;
  }
  const std::size_t twice = std::min<std::size_t>(2 * used, UINT32_MAX);
  const std::size_t wanted = std::max({used + count, twice, std::size_t{capacity_}});
  WS_CHECK(wanted <= UINT32_MAX);
  if (used == 0) release();  // realloc would copy what nobody wants
  const bool large = wanted >= kLargeBytes;
  void* const grown = std::realloc(memory(), wanted + (large ? kPageBytes : 0));
  if (grown == nullptr) throw std::bad_alloc();
  auto* const base = static_cast<std::uint8_t*>(grown);
  const std::size_t skew = large ? skew_in(base) : 0;
  if (used > 0 && skew != skew_) std::memmove(base + skew, base + skew_, used);
  bytes_ = base + skew;
  skew_ = static_cast<std::uint32_t>(skew);
  capacity_ = static_cast<std::uint32_t>(wanted);
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
  std::free(memory());
  bytes_ = nullptr;
  begin_ = end_ = capacity_ = skew_ = 0;
}

}  // namespace ws::core
