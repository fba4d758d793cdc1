// Internal. Output that waits for a peer: its own bytes, and frames it shares with others, in
// order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <sys/uio.h>

#include "core/buffer.h"
#include "core/shared_bytes.h"

namespace ws {

inline iovec part_of(core::ConstBytes bytes) {
  return {const_cast<std::uint8_t*>(bytes.data()), bytes.size()};  // it serves reads, too
}

// Own bytes lie in one buffer; a shared frame is a reference that knows how many own bytes go
// before it. thread: one. cost: no allocation in steady state.
class OutQueue {
 public:
  bool empty() const { return size() == 0; }
  std::size_t size() const { return own_.size() + shared_bytes_; }
  bool has_shared() const { return first_ < shared_.size(); }

  // Append own bytes to it, or give it memory while it has none; nothing else.
  core::Buffer& own() { return own_; }
  // topic: whose frames may be dropped together; compared only.
  void push(core::SharedBytes frame, const void* topic);

  // Puts all of `later`, of which nothing has gone out, behind it, and leaves that empty. Own bytes
  // that are here already stay where they are.
  void append(OutQueue& later);

  // Appends the bytes of all of it to `out`, and leaves it empty.
  void move_to(core::Buffer& out);

  // Fills `parts` with what goes out first, and returns how many were needed.
  std::size_t front(std::span<iovec> parts) const;
  // What of it has gone out.
  void consume(std::size_t count);

  // Drops frames of `topic` that have not begun to go out, oldest first, until `bytes` at most wait
  // or none of it is left. Returns how many.
  std::size_t drop_oldest(const void* topic, std::size_t bytes);

 private:
  struct Shared {
    core::SharedBytes frame;
    const void* topic;
    std::size_t own_before;  // own bytes between the frame before and this one
  };
  void pop_first();
  void clear_shared();

  core::Buffer own_;
  std::vector<Shared> shared_;  // from first_ on; those before it are gone
  std::size_t first_ = 0;
  std::size_t first_sent_ = 0;    // of shared_[first_]
  std::size_t shared_bytes_ = 0;  // left
  std::size_t own_placed_ = 0;    // own bytes before the last shared frame
};

}  // namespace ws
