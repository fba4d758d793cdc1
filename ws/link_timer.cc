// A link's deadlines: one timer, armed for the nearest of them. Traffic does not re-arm it: when it
// fires early it looks at the times written down meanwhile and goes back to sleep.
#include <algorithm>
#include <utility>

#include "core/check.h"
#include "core/log.h"
#include "ws/link.h"
#include "ws/shard.h"

namespace ws {

void Link::arm(std::uint32_t in_ms) {
  WS_DCHECK(!dead());
  core::Reactor& reactor = shard_.reactor();
  reactor.timers().arm(timer_, reactor.now_ms() + in_ms);
}

void Link::on_timer() {
  switch (phase_) {
    case Phase::kOpening:
      return on_opening_timer();
    case Phase::kOpen: {
      const std::uint32_t assembly = check_assembly();
      if (phase_ != Phase::kOpen) return;
      const std::uint32_t keep_alive = check_keep_alive();
      if (phase_ == Phase::kOpen) arm(std::min(assembly, keep_alive));
      return;
    }
    case Phase::kClosing:
      // What is owed stands before our Close.
      if (!peer_takes()) finish(close_code_, {}, CloseCause::kTimeout);
      return;
    case Phase::kFinishing:
    case Phase::kLingering:
      if (!peer_takes()) drop(close_cause_);
      return;
    case Phase::kDead:
      return;
  }
}

void Link::on_opening_timer() {
  if (client_) return connect_timed_out();
  if (transport_.handshaking()) return drop(CloseCause::kTimeout);
  // It is the program that has not made up its mind.
  if (held_back_) return refuse(refuse_request(503));
  refuse(refuse_request(408));
}

// A new one for the peer to take what is owed in, or to answer. Its FIN has linger_ms, unless more
// stands before that than it is asked to take in so short a time.
void Link::begin_window() {
  const Limits& limits = shard_.limits();
  window_ms_ = static_cast<std::uint32_t>(shard_.reactor().now_ms());
  window_bytes_ = static_cast<std::uint32_t>(transport_.socket().in_flight());
  const bool little = std::uint64_t{1000} * window_bytes_ <=
                      std::uint64_t{limits.assembly_bytes_per_s} * limits.linger_ms;
  if (phase_ != Phase::kLingering) return arm(limits.close_ms);
  arm(little ? limits.linger_ms : std::max(limits.close_ms, limits.linger_ms));
}

// A peer that goes on taking what is owed to it, at the pace that is asked of messages, gets it
// all. What our kernel holds counts as owed: it may be megabytes, and makes no edge before a third
// of them is gone. FIN stands behind it, too.
bool Link::peer_takes() {
  const std::uint32_t elapsed_ms =
      static_cast<std::uint32_t>(shard_.reactor().now_ms()) - window_ms_;
  const auto in_flight = static_cast<std::uint32_t>(transport_.socket().in_flight());
  const auto taken = static_cast<std::int32_t>(window_bytes_ - in_flight);
  const bool takes =
      taken > 0 && std::uint64_t{1000} * static_cast<std::uint32_t>(taken) >=
                       std::uint64_t{shard_.limits().assembly_bytes_per_s} * elapsed_ms;
  if (takes) begin_window();
  return takes;
}

// Each check returns the milliseconds until the next one is due.
std::uint32_t Link::check_keep_alive() {
  const Limits& limits = shard_.limits();
  if (limits.ping_after_ms == UINT32_MAX) return UINT32_MAX;
  const auto now = static_cast<std::uint32_t>(shard_.reactor().now_ms());
  // What the peer says meanwhile is not heard.
  if (held_back_) alive_ms_ = now;
  const auto since_ping = static_cast<std::int32_t>(alive_ms_ - ping_ms_);
  if (pinged_ && since_ping >= 0) pinged_ = false;
  if (pinged_) {
    const std::uint32_t waited_ms = now - ping_ms_;
    if (waited_ms < limits.pong_wait_ms) return limits.pong_wait_ms - waited_ms;
    // The ping may stand behind megabytes in our kernel, which makes no edge before a third of them
    // is gone. A peer that takes them at the pace that is asked of messages is there.
    const auto in_flight = static_cast<std::uint32_t>(transport_.socket().in_flight());
    const auto taken =
        static_cast<std::int32_t>(std::exchange(counted_bytes_, in_flight) - in_flight);
    if (taken > 0 && std::uint64_t{1000} * static_cast<std::uint32_t>(taken) >=
                         std::uint64_t{limits.assembly_bytes_per_s} * waited_ms) {
      ping_ms_ = now;
      return limits.pong_wait_ms;
    }
    if (unsent() > 0) {
      fail(CloseCode::kTryAgainLater, "too slow", CloseCause::kSlowConsumer);
    } else {
      fail(CloseCode::kPolicyViolation, "no answer to ping", CloseCause::kTimeout);
    }
    return 0;
  }
  const std::uint32_t silent_ms = now - alive_ms_;
  if (silent_ms < limits.ping_after_ms) return limits.ping_after_ms - silent_ms;
  // Behind output that waits a ping would say nothing new: taking that output is the answer we
  // want.
  if (unsent() == 0) proto::encode_frame(sink(), protocol_.config().self, proto::Opcode::kPing, {});
  pinged_ = true;
  ping_ms_ = now;
  counted_bytes_ = static_cast<std::uint32_t>(transport_.socket().in_flight());
  return limits.pong_wait_ms;
}

std::uint32_t Link::check_assembly() {
  if (!assembling_) return UINT32_MAX;
  const Limits& limits = shard_.limits();
  const auto now = static_cast<std::uint32_t>(shard_.reactor().now_ms());
  const std::uint32_t elapsed_ms = now - window_ms_;
  if (elapsed_ms < limits.assembly_ms) return limits.assembly_ms - elapsed_ms;
  const std::uint64_t flowed = protocol_.flowed_bytes() - window_bytes_;
  // Not its fault while we do not read.
  if (reads() && flowed * 1000 < std::uint64_t{limits.assembly_bytes_per_s} * elapsed_ms) {
    fail(CloseCode::kPolicyViolation, "message took too long", CloseCause::kTimeout);
    return 0;
  }
  window_ms_ = now;
  window_bytes_ = protocol_.flowed_bytes();
  return limits.assembly_ms;
}

// The time in which we did not read is not the peer's.
void Link::resume_reading() {
  make_ready();
  if (!assembling_) return;
  window_ms_ = static_cast<std::uint32_t>(shard_.reactor().now_ms());
  window_bytes_ = protocol_.flowed_bytes();
}

// After decoding: has a message begun that is not whole yet?
void Link::note_assembly() {
  const bool unfinished = phase_ == Phase::kOpen && protocol_.mid_message();
  if (unfinished && !assembling_) {
    const std::uint64_t now = shard_.reactor().now_ms();
    window_ms_ = static_cast<std::uint32_t>(now);
    window_bytes_ = 0;
    const std::uint32_t window_ms = shard_.limits().assembly_ms;
    if (timer_.deadline_ms > now + window_ms) arm(window_ms);
  }
  assembling_ = unfinished;
}

}  // namespace ws
