// Internal. The last bytes of a stream of messages: what context takeover keeps (RFC 7692 s7.1.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/buffer.h"
#include "core/check.h"
#include "ws/deflate/format.h"

namespace ws::deflate {

// A ring of at most 2^bits bytes that starts with no memory at all and doubles up to that size.
class Window {
 public:
  explicit Window(unsigned bits);  // 8 to 15

  std::size_t bytes_max() const { return bytes_max_; }
  std::size_t size() const { return size_; }              // bytes that may be referred to
  std::size_t held_bytes() const { return ring_bytes_; }  // on the heap

  void append(core::ConstBytes bytes);
  void clear() { next_ = size_ = 0; }  // keeps the memory

  // The bytes from `back` bytes before the end on, as far as they lie in one piece: the rest is at
  // the start of the ring. back: 1 to size(). valid until: append().
  core::ConstBytes piece(std::size_t back) const {
    WS_DCHECK(back >= 1);
    WS_DCHECK(back <= size_);
    const std::size_t from = (next_ - back) & (ring_bytes_ - 1);
    return {ring_.get() + from, ring_bytes_ - from};
  }
  const std::uint8_t* front() const { return ring_.get(); }

 private:
  void grow(std::size_t wanted);

  std::unique_ptr<std::uint8_t[]> ring_;
  std::uint32_t ring_bytes_ = 0;  // a power of two, or 0
  std::uint32_t next_ = 0;        // where in the ring the next byte goes
  std::uint32_t size_ = 0;
  std::uint32_t bytes_max_;
};

}  // namespace ws::deflate
