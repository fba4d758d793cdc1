// Public. Topics: what is sent once and reaches many.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ws {

// What becomes of a published message for a subscriber that is slow: one whose socket takes no more
// and for whom more than TopicOptions::waiting_bytes wait. Control frames, and what send() sends,
// are never dropped. Where a subscriber's frames are made for it alone (it is the client's side of
// its connection, or has an extension besides permessage-deflate) the newest is what is dropped.
enum class SlowConsumer : std::uint8_t {
  kClose,       // the subscriber is closed with 1013
  kDropNewest,  // it does not get this one
  kDropOldest,  // what waits longest of this topic makes room; if that is not enough, kDropNewest
  kKeepLatest,  // at most the newest message of a topic waits, however few bytes do
};

struct TopicOptions {
  SlowConsumer slow_consumer = SlowConsumer::kClose;
  // Of all output that waits for the subscriber. 0: for kClose Limits::queue_max_bytes, for the
  // others Limits::queue_high_bytes.
  std::uint32_t waiting_bytes = 0;
};

// Over all threads and since the start. A subscriber whose connection is open counts once for each
// message published: in delivered or in dropped, unless publish() returned false for its thread.
struct TopicStats {
  std::uint64_t subscriptions = 0;  // now
  std::uint64_t published = 0;      // messages
  std::uint64_t delivered = 0;      // given to a connection, in order; less what was dropped later
  std::uint64_t dropped = 0;        // by policy, or to a subscriber closed for it
  std::uint64_t closed = 0;         // subscribers, for being slow
};

}  // namespace ws
