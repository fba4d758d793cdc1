// Slots name time, not distance: a node at level L waits in the slot numbered by digit L (base 64)
// of its deadline, between 1 and 64 slots ahead of that digit of now_ms_. When time enters a slot,
// its nodes are filed again: each is due, or nearer and so at a lower level.
#include "core/timer_wheel.h"

#include <algorithm>
#include <bit>

#include "core/check.h"

namespace ws::core {
namespace {

void make_empty(TimerNode& list) {
  list.next = list.prev = &list;
}

bool is_empty(const TimerNode& list) {
  return list.next == &list;
}

void push_back(TimerNode& list, TimerNode& node) {
  node.prev = list.prev;
  node.next = &list;
  list.prev->next = &node;
  list.prev = &node;
}

void unlink(TimerNode& node) {
  node.prev->next = node.next;
  node.next->prev = node.prev;
  node.next = node.prev = nullptr;
}

void move_all(TimerNode& from, TimerNode& to) {
  if (is_empty(from)) return;
  from.next->prev = to.prev;
  to.prev->next = from.next;
  from.prev->next = &to;
  to.prev = from.prev;
  make_empty(from);
}

std::uint64_t bit(std::uint64_t slot) {
  return std::uint64_t{1} << slot;
}

}  // namespace

TimerWheel::TimerWheel(std::uint64_t now_ms) : now_ms_(now_ms) {
  for (auto& level : slots_) {
    for (TimerNode& list : level) make_empty(list);
  }
  make_empty(due_);
  make_empty(expired_);
}

void TimerWheel::arm(TimerNode& node, std::uint64_t deadline_ms) {
  cancel(node);
  node.deadline_ms = deadline_ms;
  wake_ms_ = std::min(wake_ms_, deadline_ms);
  file(node);
}

void TimerWheel::cancel(TimerNode& node) {
  if (!node.armed()) return;
  unlink(node);
  wake_ms_ = 0;  // to be found anew
}

void TimerWheel::file(TimerNode& node) {
  if (node.deadline_ms <= now_ms_) {
    push_back(due_, node);
    return;
  }
  // What lies beyond the last level is filed as if it were the farthest time that level can name.
  constexpr std::uint64_t kAheadMax = (std::uint64_t{1} << (kLevels * kSlotBits)) - 1;
  const std::uint64_t ahead = std::min(node.deadline_ms - now_ms_, kAheadMax);
  const auto level = static_cast<unsigned>(std::bit_width(ahead) - 1) / kSlotBits;
  const std::uint64_t slot = ((now_ms_ + ahead) >> (level * kSlotBits)) % kSlots;
  push_back(slots_[level][slot], node);
  occupied_[level] |= bit(slot);
}

// Moves time, and every node due by then to expired_. Costs a few instructions when no slot is
// entered, and never more than one look at each occupied slot, however far time jumps.
void TimerWheel::collect(std::uint64_t now_ms) {
  if (now_ms > now_ms_) {
    TimerNode entered;
    make_empty(entered);
    for (unsigned level = 0; level < kLevels; ++level) {
      const std::uint64_t from = now_ms_ >> (level * kSlotBits);
      const std::uint64_t to = now_ms >> (level * kSlotBits);
      if (from == to) break;  // nor did a coarser level move on
      // Bit i of `passed` is the slot i + 1 ahead of `from`.
      std::uint64_t passed = std::rotr(occupied_[level], static_cast<int>((from + 1) % kSlots));
      if (to - from < kSlots) passed &= bit(to - from) - 1;
      for (; passed != 0; passed &= passed - 1) {
        const auto i = static_cast<unsigned>(std::countr_zero(passed));
        const std::uint64_t slot = (from + 1 + i) % kSlots;
        move_all(slots_[level][slot], entered);
        occupied_[level] &= ~bit(slot);
      }
    }
    now_ms_ = now_ms;
    while (!is_empty(entered)) {
      TimerNode& node = *entered.next;
      unlink(node);
      file(node);
    }
  }
  move_all(due_, expired_);
}

TimerNode* TimerWheel::pop_expired() {
  if (is_empty(expired_)) return nullptr;
  TimerNode* node = expired_.next;
  WS_DCHECK(node->deadline_ms <= now_ms_);
  unlink(*node);
  return node;
}

std::uint64_t TimerWheel::next_wake_ms() {
  if (!is_empty(due_)) return now_ms_;
  if (wake_ms_ <= now_ms_) wake_ms_ = find_wake_ms();
  return wake_ms_;
}

std::uint64_t TimerWheel::find_wake_ms() {
  std::uint64_t wake_ms = kNever;
  for (unsigned level = 0; level < kLevels; ++level) {
    const std::uint64_t from = now_ms_ >> (level * kSlotBits);
    while (occupied_[level] != 0) {
      const std::uint64_t coming =
          std::rotr(occupied_[level], static_cast<int>((from + 1) % kSlots));
      const std::uint64_t next = from + 1 + static_cast<unsigned>(std::countr_zero(coming));
      if (!is_empty(slots_[level][next % kSlots])) {
        // A slot is entered at the earliest deadline it can hold, so no node there is due before.
        wake_ms = std::min(wake_ms, next << (level * kSlotBits));
        break;
      }
      occupied_[level] &= ~bit(next % kSlots);  // cancel() had left it
    }
  }
  return wake_ms;
}

}  // namespace ws::core
