// Internal. Hierarchical timer wheel: intrusive, O(1) to arm, re-arm and cancel.
#pragma once

#include <array>
#include <cstdint>
#include <limits>

#include "core/id.h"

namespace ws::core {

// Lives inside the object it times. The owner cancels it (or lets it fire) before it goes away.
struct TimerNode {
  TimerNode* next = nullptr;  // null when not armed
  TimerNode* prev = nullptr;
  std::uint64_t deadline_ms = 0;
  Id owner;  // handed to the expiry callback

  bool armed() const { return next != nullptr; }
};

// Levels of 64 slots, each level 64 times coarser than the one below: 1 ms, 64 ms, 4.1 s, 4.4 min,
// 4.7 h. A node moves down a level as its time comes near; a deadline beyond the last level (12.4
// days) waits there and is filed again. thread: one; the wheel outlives every node armed in it.
class TimerWheel {
 public:
  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

  explicit TimerWheel(std::uint64_t now_ms);
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  // Arms `node`, or moves it if it is armed. A deadline already past fires at the next advance(),
  // also when an expiry callback arms it.
  void arm(TimerNode& node, std::uint64_t deadline_ms);
  void cancel(TimerNode& node);  // nothing happens when it is not armed

  // Moves time forward and unlinks every node whose deadline is <= now_ms, calling
  // expired(node) for each after unlinking it, in no promised order. The callback may arm and
  // cancel any node. Time never runs backwards: an earlier now_ms counts as the latest one seen.
  template <class Expired>
  void advance(std::uint64_t now_ms, Expired&& expired) {
    collect(now_ms);
    while (TimerNode* node = pop_expired()) expired(*node);
  }

  // A lower bound of the next deadline, never later than it: kNever when nothing is armed.
  // Sleeping until then and calling advance() is correct, at worst one wake-up early per level.
  // After advance() it lies in the future unless a past deadline was armed meanwhile.
  // cost: two comparisons, unless that time has come, or a node was cancelled or moved since it was
  // asked.
  std::uint64_t next_wake_ms();

 private:
  static constexpr int kLevels = 5;
  static constexpr int kSlotBits = 6;
  static constexpr int kSlots = 1 << kSlotBits;

  void file(TimerNode& node);
  void collect(std::uint64_t now_ms);
  std::uint64_t find_wake_ms();
  TimerNode* pop_expired();

  std::uint64_t now_ms_;
  std::uint64_t wake_ms_ = kNever;  // next_wake_ms()'s answer while it is ahead; due_ apart
  // Heads of circular lists of nodes.
  std::array<std::array<TimerNode, kSlots>, kLevels> slots_;
  std::array<std::uint64_t, kLevels> occupied_{};  // a bit per slot; may name one cancel() emptied
  TimerNode due_;                                  // past deadlines, for the next advance()
  TimerNode expired_;                              // what this advance() still has to hand out
};

}  // namespace ws::core
