// Public. Spare buffers that stay warm: one pool per reactor thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "core/buffer.h"

namespace ws::core {

// Connections hold memory only while something is half received or half sent; between times it
// rests here, so that a steady flow of large messages costs neither malloc nor page faults. thread:
// one.
class BufferPool {
 public:
  // An empty buffer: the largest spare of at most `bytes_max`, else one without memory.
  // bytes_max: what the holder may keep from others, whatever it makes of it.
  Buffer take(std::size_t bytes_max) {
    Buffer* best = nullptr;
    for (Buffer& spare : spares_) {
      if (spare.capacity() > bytes_max) continue;
      if (best == nullptr || spare.capacity() > best->capacity()) best = &spare;
    }
    return best == nullptr ? Buffer() : take_out(*best);
  }

  // Leaves `buffer` empty and without memory.
  void give(Buffer& buffer) {
    if (buffer.capacity() == 0) return;
    buffer.clear();
    // Small ones, however many, do not keep out the large ones, which are dear to make.
    if (spares_.size() == kSparesMax) {
      const auto less = [](const Buffer& a, const Buffer& b) {
        return a.capacity() < b.capacity();
      };
      Buffer& smallest = *std::min_element(spares_.begin(), spares_.end(), less);
      if (less(smallest, buffer)) take_out(smallest).release();
    }
    if (bytes_ + buffer.capacity() > kBytesMax || spares_.size() == kSparesMax) {
      buffer.release();
      return;
    }
    bytes_ += buffer.capacity();
    spares_.push_back(std::move(buffer));
  }

  // Frees as many spares as lay here all the time since the last call.
  void trim() {
    for (; unused_ > 0; --unused_) {
      bytes_ -= spares_.back().capacity();
      spares_.pop_back();
    }
    unused_ = spares_.size();
  }
  bool holds_memory() const { return !spares_.empty(); }

 private:
  static constexpr std::size_t kBytesMax = 64 * 1024 * 1024;  // 64 messages of 1 MiB
  static constexpr std::size_t kSparesMax = 64;

  Buffer take_out(Buffer& spare) {
    Buffer taken = std::move(spare);
    if (&spare != &spares_.back()) spare = std::move(spares_.back());
    spares_.pop_back();
    bytes_ -= taken.capacity();
    unused_ = std::min(unused_, spares_.size());
    return taken;
  }

  std::vector<Buffer> spares_;
  std::size_t bytes_ = 0;
  std::size_t unused_ = 0;  // the fewest spares there were since the last trim()
};

}  // namespace ws::core
