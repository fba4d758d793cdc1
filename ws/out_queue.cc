#include "ws/out_queue.h"

#include <algorithm>
#include <utility>

#include "core/check.h"

namespace ws {

void OutQueue::push(core::SharedBytes frame, const void* topic) {
  // A queue that never runs empty must not grow at its end for ever.
  if (first_ >= 64 && first_ >= shared_.size() / 2) {
    shared_.erase(shared_.begin(), shared_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
  WS_DCHECK(first_ <= shared_.size());
  WS_DCHECK(own_placed_ <= own_.size());
  shared_bytes_ += frame.size();
  shared_.push_back({std::move(frame), topic, own_.size() - own_placed_});
  own_placed_ = own_.size();
}

void OutQueue::append(OutQueue& later) {
  WS_CHECK(later.first_sent_ == 0);
  core::ConstBytes own = later.own_.bytes();
  const auto push_own = [&](std::size_t count) {
    if (count > 0) push(core::SharedBytes(own.first(count)), nullptr);
    own = own.subspan(count);
  };
  for (std::size_t i = later.first_; i < later.shared_.size(); ++i) {
    Shared& shared = later.shared_[i];
    push_own(shared.own_before);
    push(std::move(shared.frame), shared.topic);
  }
  push_own(own.size());
  later = {};
}

void OutQueue::move_to(core::Buffer& out) {
  while (!empty()) {
    iovec parts[2];
    std::size_t count = 0;
    for (const iovec& piece : std::span(parts, front(parts))) {
      out.append({static_cast<const std::uint8_t*>(piece.iov_base), piece.iov_len});
      count += piece.iov_len;
    }
    consume(count);
  }
}

std::size_t OutQueue::front(std::span<iovec> parts) const {
  WS_DCHECK(parts.size() >= 2);
  std::size_t used = 0;
  core::ConstBytes own = own_.bytes();
  std::size_t skip = first_sent_;
  for (std::size_t i = first_; i < shared_.size() && used + 2 <= parts.size(); ++i) {
    const Shared& shared = shared_[i];
    if (shared.own_before > 0) parts[used++] = part_of(own.first(shared.own_before));
    own = own.subspan(shared.own_before);
    parts[used++] = part_of(shared.frame.bytes().subspan(skip));
    skip = 0;
    if (i + 1 < shared_.size()) continue;
    if (!own.empty() && used < parts.size()) parts[used++] = part_of(own);
    return used;
  }
  if (!has_shared() && !own.empty()) parts[used++] = part_of(own);
  return used;
}

void OutQueue::consume(std::size_t count) {
  WS_CHECK(count <= size());
  while (has_shared()) {
    Shared& shared = shared_[first_];
    const std::size_t own = std::min(count, shared.own_before);
    own_.consume(own);
    own_placed_ -= own;
    shared.own_before -= own;
    count -= own;
    if (shared.own_before > 0) return;
    const std::size_t sent = std::min(count, shared.frame.size() - first_sent_);
    first_sent_ += sent;
    shared_bytes_ -= sent;
    count -= sent;
    if (first_sent_ < shared.frame.size()) return;
    pop_first();
  }
  own_.consume(count);
}

void OutQueue::pop_first() {
  WS_DCHECK(first_sent_ == shared_[first_].frame.size());
  shared_[first_].frame = {};
  first_sent_ = 0;
  if (++first_ == shared_.size()) clear_shared();
}

// What a burst left behind is given back; a steady flow needs only a little and keeps it.
void OutQueue::clear_shared() {
  WS_DCHECK(own_placed_ == 0 || shared_bytes_ == 0);
  constexpr std::size_t kKept = 64;
  if (shared_.capacity() > kKept) shared_ = {};
  shared_.clear();
  first_ = own_placed_ = 0;
}

// Looks no further than it has to, and closes the gaps towards the front: the many that wait behind
// stay where they are.
std::size_t OutQueue::drop_oldest(const void* topic, std::size_t bytes) {
  std::size_t dropped = 0;
  std::size_t kept = first_;   // where the next frame that stays goes
  std::size_t own_before = 0;  // of frames dropped since the last one that stayed
  std::size_t i = first_;
  for (; i < shared_.size() && size() > bytes; ++i) {
    Shared& shared = shared_[i];
    const bool begun = i == first_ && first_sent_ > 0;
    if (shared.topic == topic && !begun) {
      shared_bytes_ -= shared.frame.size();
      shared.frame = {};
      own_before += shared.own_before;
      ++dropped;
      continue;
    }
    shared.own_before += std::exchange(own_before, 0);
    if (kept != i) shared_[kept] = std::move(shared);
    ++kept;
  }
  if (dropped == 0) return 0;
  if (i < shared_.size()) {
    shared_[i].own_before += own_before;
  } else {
    WS_DCHECK(own_before <= own_placed_);
    own_placed_ -= own_before;  // what stood before them is now behind all
  }
  const auto at = [this](std::size_t place) {
    return shared_.begin() + static_cast<std::ptrdiff_t>(place);
  };
  std::move_backward(at(first_), at(kept), at(i));
  first_ += dropped;
  if (!has_shared()) clear_shared();
  return dropped;
}

}  // namespace ws
