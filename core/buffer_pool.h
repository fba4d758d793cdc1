// Internal. Spare buffers that stay warm: one pool per reactor thread.
#pragma once

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
  // An empty buffer, with memory when a spare is at hand.
  Buffer take() {
    if (spares_.empty()) return {};
    Buffer spare = std::move(spares_.back());
    spares_.pop_back();
    bytes_ -= spare.capacity();
    return spare;
  }

  // Leaves `buffer` empty and without memory.
  void give(Buffer& buffer) {
    if (buffer.capacity() == 0) return;
    buffer.clear();
    if (bytes_ + buffer.capacity() > kBytesMax || spares_.size() == kSparesMax) {
      buffer.release();
      return;
    }
    bytes_ += buffer.capacity();
    spares_.push_back(std::move(buffer));
  }

 private:
  static constexpr std::size_t kBytesMax = 4 * 1024 * 1024;  // four messages of 1 MiB
  static constexpr std::size_t kSparesMax = 64;

  std::vector<Buffer> spares_;
  std::size_t bytes_ = 0;
};

}  // namespace ws::core
