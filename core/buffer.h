// Public. A growable run of bytes, consumed from the front.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/check.h"

namespace ws::core {

using Bytes = std::span<std::uint8_t>;
using ConstBytes = std::span<const std::uint8_t>;

inline ConstBytes bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// Unlike std::vector it does not clear memory before it is filled, and it drops its front for free.
// Spans into it stay valid until the next prepare(), append(), release() or assignment. A new one
// owns no memory. errors: std::bad_alloc; beyond 4 GiB it aborts.
class Buffer {
 public:
  // From kLargeBytes on a buffer begins at this place in a page, for which it takes up to 4 KiB
  // more than capacity(). Linux copies to and from sockets with `rep movsb`, which takes five times
  // as long when the target lies 1 to 31 bytes further into its page than the source (measured on
  // AMD Zen; copy.h tells of memcpy()). The kernel's side of a large message begins with a page,
  // and ours would where malloc puts large blocks: 16 bytes behind that.
  static constexpr std::size_t kLargeBytes = 64 * 1024;
  static constexpr std::size_t kPlaceInPage = 256;

  Buffer() = default;
  ~Buffer() { release(); }
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;

  bool empty() const { return begin_ == end_; }
  std::size_t size() const { return end_ - begin_; }
  std::size_t capacity() const { return capacity_; }
  std::size_t room() const { return capacity_ - end_; }  // what prepare() gives without growing
  std::uint8_t* data() { return bytes_ + begin_; }
  Bytes bytes() { return {data(), size()}; }
  ConstBytes bytes() const { return {bytes_ + begin_, size()}; }

  // Room for at least `count` more bytes behind the content. Fill it, then commit() what was
  // filled. Appending and consuming n bytes in any order costs O(n) in all.
  Bytes prepare(std::size_t count) {
    if (capacity_ - end_ < count) make_room(count);
    return {bytes_ + end_, capacity_ - end_};
  }
  void commit(std::size_t count) {
    WS_CHECK(count <= capacity_ - end_);
    end_ += static_cast<std::uint32_t>(count);
  }
  void append(ConstBytes bytes);       // `bytes` may not lie in this buffer
  void consume(std::size_t count);     // from the front
  void clear() { begin_ = end_ = 0; }  // keeps the memory
  void release();                      // gives the memory back

 private:
  void make_room(std::size_t count);
  std::uint8_t* memory() const { return bytes_ == nullptr ? nullptr : bytes_ - skew_; }

  std::uint8_t* bytes_ = nullptr;  // malloc's memory() and skew_; realloc may grow it in place
  std::uint32_t begin_ = 0;
  std::uint32_t end_ = 0;
  std::uint32_t capacity_ = 0;  // 32 bits: no buffer of ours passes 4 GiB (checked)
  std::uint32_t skew_ = 0;
};

}  // namespace ws::core
