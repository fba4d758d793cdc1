// What a link sends: straight to the socket while it takes everything, else through the queue.
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "core/check.h"
#include "ws/link.h"
#include "ws/outgoing.h"
#include "ws/shard.h"

namespace ws {

namespace {

// Pieces of one sendmsg(2): a few hundred bytes of stack, and a kilobyte or more of most output.
constexpr std::size_t kDrainParts = 64;

}  // namespace

// Where this link's next bytes belong: in the thread's outbox during its own event, else in its
// queue, and a flush at the end of the turn is due.
core::Buffer& Link::sink() {
  if (shard_.current_link() == this) return shard_.outbox();
  flush_later();
  return own_queue();
}

void Link::flush_later() {
  if (dirty_) return;
  dirty_ = true;
  shard_.reactor().mark_dirty(id());
}

// 5.4: "The fragments of one message MUST NOT be interleaved between the fragments of another
// message".
core::Buffer& Link::data_sink() {
  return streaming_ ? extra_->held.own() : sink();
}

// In the outbox; 0 outside this link's own event.
std::size_t Link::staged() const {
  return shard_.current_link() == this ? shard_.outbox().size() : 0;
}

std::size_t Link::queued() const {
  const std::size_t kept = extra_ ? extra_->queue.size() + extra_->held.size() : 0;
  // Where older bytes wait, what is staged will wait behind them.
  return waits() ? kept + staged() : kept;
}

// Whether one more message may be sent; if not, the peer is too slow to be kept, as it would be for
// one that no queue may hold.
bool Link::has_room(std::size_t payload_bytes, std::size_t frame_bytes) {
  const bool fits = std::max(queued(), staged()) <= shard_.limits().queue_max_bytes;
  if (fits && !proto::is_too_large(payload_bytes, frame_bytes)) return true;
  fail(CloseCode::kTryAgainLater, "too slow", CloseCause::kSlowConsumer);
  return false;
}

// Most messages are short answers that nothing stands in the way of, and go straight to the outbox.
// It has room for them as a rule, and to have it grow elsewhere keeps calls out of the common way.
inline bool Link::sends_at_once(core::ConstBytes payload, SendOptions options) {
  return phase_ == Phase::kOpen && plain_ && !streaming_ && options.frame_bytes == 0 &&
         payload.size() < Link::kDirectBytes && shard_.current_link() == this && !waits() &&
         shard_.outbox().room() >= proto::kFrameHeaderBytesMax + payload.size();
}

SendStatus Link::send_message(proto::Opcode opcode, core::ConstBytes payload, SendOptions options) {
  if (!sends_at_once(payload, options)) [[unlikely]]
    return send_any(opcode, payload, options);
  Shard& shard = shard_;  // kept in a register, whatever the payload's bytes are stored to
  core::Buffer& out = shard.outbox();
  // A constant sender: with the config's, every message would load and test its role anew.
  proto::encode_frame(out, {.role = proto::Role::kServer}, opcode, payload);
  const bool full = out.size() >= shard.outbox_bytes_max();
  shard.counters().messages_sent.add(1);
  if (full) flush_outbox();
  return SendStatus::kSent;
}

[[gnu::noinline]] SendStatus Link::send_any(proto::Opcode opcode, core::ConstBytes payload,
                                            SendOptions options) {
  if (phase_ != Phase::kOpen) return SendStatus::kClosed;
  if (!has_room(payload.size(), options.frame_bytes)) return SendStatus::kDropped;
  shard_.counters().messages_sent.add(1);
  const proto::ProtocolConfig& config = protocol_.config();
  if (config.extension_count == 0) return send_encoded(opcode, 0, payload, options.frame_bytes);

  // RFC 6455 9.1: "the extensions listed first [...] are applied first".
  core::BufferPool& pool = shard_.scratch().pool;
  core::Buffer transformed;
  std::uint8_t rsv = 0;
  core::ConstBytes bytes = payload;
  for (std::size_t i = 0; i < config.extension_count; ++i) {
    const auto& [extension, bit] = config.extensions[i];
    if (extension == config.deflate && !options.compress) continue;
    if (bytes.size() < extension->encode_bytes_min()) continue;
    core::Buffer out = pool.take(2 * bytes.size());
    shard_.spend_codec(bytes.size());
    if (extension->encode(bytes, out)) {
      rsv |= bit;
      std::swap(transformed, out);
      bytes = transformed.bytes();
    }
    pool.give(out);
  }
  const SendStatus status = send_encoded(opcode, rsv, bytes, options.frame_bytes);
  pool.give(transformed);
  return status;
}

SendStatus Link::send_encoded(proto::Opcode opcode, std::uint8_t rsv, core::ConstBytes payload,
                              std::size_t frame_bytes) {
  const bool its_turn = shard_.current_link() == this;
  const bool direct = its_turn && !waits();
  const bool in_one_frame = frame_bytes == 0 || payload.size() <= frame_bytes;
  if (direct && in_one_frame && !client_ && !streaming_ && payload.size() >= Link::kDirectBytes)
    return send_direct(opcode, rsv, payload);
  core::Buffer& out = data_sink();
  proto::encode_message(out, protocol_.config().self, opcode, rsv, payload, frame_bytes);
  if (streaming_) {
    note_queued();
    return SendStatus::kQueued;
  }
  // Not while older bytes wait: the queue may hold the very message that a handler is looking at,
  // and must not move.
  if (direct && out.size() >= shard_.outbox_bytes_max()) flush_outbox();
  if (!its_turn) flush_when_large();
  return direct ? SendStatus::kSent : SendStatus::kQueued;
}

// Frames of a message whose end is not known yet; what others have to say waits for it.
SendStatus Link::stream_frame(proto::FrameMarks marks, core::ConstBytes payload) {
  if (phase_ != Phase::kOpen) return SendStatus::kClosed;
  if (!has_room(payload.size(), 0)) return SendStatus::kDropped;
  core::Buffer& out = sink();
  // append() of nothing would be a frame that says nothing. begin() says the type, end() the end.
  if (marks.opcode != proto::Opcode::kContinuation || !payload.empty() || marks.fin) {
    proto::encode_frame(out, protocol_.config().self, marks, payload);
  }
  extra();
  streaming_ = !marks.fin;
  const bool its_turn = shard_.current_link() == this;
  const bool direct = its_turn && !waits();
  if (marks.fin) {
    shard_.counters().messages_sent.add(1);
    if (direct) {
      extra_->held.move_to(out);
    } else if (!extra_->held.empty()) {
      if (its_turn) queue_outbox();
      extra_->queue.append(extra_->held);
    }
  }
  if (!its_turn) flush_when_large();
  if (!direct) return SendStatus::kQueued;
  if (out.size() >= shard_.outbox_bytes_max()) flush_outbox();
  return SendStatus::kSent;
}

SendStatus Link::send_ping(core::ConstBytes payload) {
  if (phase_ != Phase::kOpen) return SendStatus::kClosed;
  if (!has_room(payload.size(), 0)) return SendStatus::kDropped;
  proto::encode_frame(sink(), protocol_.config().self, proto::Opcode::kPing, payload);
  return shard_.current_link() == this && !waits() ? SendStatus::kSent : SendStatus::kQueued;
}

// What other links, threads and timers have for this one leaves at the end of the turn, in one
// call. A lot of it leaves at once, so that a burst does not make a peer look slow that is not.
void Link::flush_when_large() {
  if (writable_ && queued_bytes() >= shard_.outbox_bytes_max()) drain_queue();
  note_queued();
}

bool Link::take_publication(Publication& publication, const Topic& topic, bool at_once) {
  WS_DCHECK(Shard::current() == &shard_);
  if (phase_ != Phase::kOpen) return false;
  const proto::ProtocolConfig& config = protocol_.config();
  const bool only_deflate = config.deflate != nullptr && config.extension_count == 1;
  // A client masks each frame for itself, and what other extensions make of a message is their own.
  const bool shares = !client_ && (config.extension_count == 0 || only_deflate);
  if (!admit_publication(topic, shares)) return false;
  if (!shares) {
    const Message& message = publication.message();
    const SendStatus status =
        send_message(opcode_of(message.type), message.bytes, publication.options());
    if (status <= SendStatus::kQueued) return true;
    topic.rule->closed.fetch_add(1, std::memory_order_relaxed);
    topic.rule->dropped.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  core::SharedBytes frames;
  if (only_deflate) frames = publication.compressed(*config.deflate);
  if (frames.size() > 0) {
    config.deflate->forget_sent();
  } else {
    frames = publication.plain();
  }
  shard_.counters().messages_sent.add(1);
  share(std::move(frames), topic, at_once);
  return true;
}

void Link::share(core::SharedBytes frames, const Topic& topic, bool at_once) {
  WS_DCHECK(phase_ == Phase::kOpen);
  WS_DCHECK(!client_);
  if (streaming_) {
    extra_->held.push(std::move(frames), &topic);
    return note_queued();
  }
  const bool its_turn = shard_.current_link() == this;
  if (its_turn && !waits()) {
    shard_.outbox().append(frames.bytes());
    if (shard_.outbox().size() >= shard_.outbox_bytes_max()) flush_outbox();
    return;
  }
  if (at_once && !its_turn && writable_ && !waits()) {
    const iovec whole = part_of(frames.bytes());
    const std::size_t refused = write_parts({&whole, 1});
    if (refused == 0) return;
    const std::size_t sent = frames.size() - refused;
    extra_->queue.push(std::move(frames), &topic);
    extra_->queue.consume(sent);
    return note_queued();
  }
  if (its_turn) {
    queue_outbox();
  } else {
    flush_later();
  }
  extra_->queue.push(std::move(frames), &topic);
  if (!its_turn) flush_when_large();
}

// What this event has said so far goes behind what waits, as a frame to be shared: own bytes that
// wait may be the message that a handler is looking at, and must not move.
void Link::queue_outbox() {
  core::Buffer& outbox = shard_.outbox();
  if (outbox.empty()) return;
  extra_->queue.push(core::SharedBytes(outbox.bytes()), nullptr);
  outbox.clear();
}

// The topic's policy for slow subscribers. shares: what waits for it can be dropped.
bool Link::admit_publication(const Topic& topic, bool shares) {
  const Limits& limits = shard_.limits();
  TopicRule& rule = *topic.rule;
  const SlowConsumer policy = rule.options.slow_consumer;
  std::size_t most = rule.options.waiting_bytes;
  if (most == 0) {
    most = policy == SlowConsumer::kClose ? limits.queue_max_bytes : limits.queue_high_bytes;
  }
  // Slow is whose socket takes no more. (While it does, no message that is being handled waits.)
  if (writable_ && queued() > most) drain_queue();
  if (phase_ != Phase::kOpen) return false;
  const bool latest = policy == SlowConsumer::kKeepLatest && !writable_ && shares;
  if (!latest && queued() <= most) return true;
  if (policy == SlowConsumer::kClose) {
    fail(CloseCode::kTryAgainLater, "too slow", CloseCause::kSlowConsumer);
    rule.closed.fetch_add(1, std::memory_order_relaxed);
  } else if (policy != SlowConsumer::kDropNewest) {
    const std::size_t dropped = drop_oldest(topic, latest ? 0 : most);
    rule.dropped.fetch_add(dropped, std::memory_order_relaxed);
    rule.delivered.fetch_sub(dropped, std::memory_order_relaxed);
    if (drain_due_) flush_later();  // it may be below the low mark now, of which settle() tells
  }
  if (phase_ == Phase::kOpen && queued() <= (latest ? limits.queue_max_bytes : most)) return true;
  rule.dropped.fetch_add(1, std::memory_order_relaxed);
  return false;
}

// Until `bytes` at most wait for this peer, or none of the topic does.
std::size_t Link::drop_oldest(const Topic& topic, std::size_t bytes) {
  OutQueue& queue = extra_->queue;
  OutQueue& held = extra_->held;
  std::size_t dropped = queue.drop_oldest(&topic, bytes - std::min(bytes, held.size()));
  dropped += held.drop_oldest(&topic, bytes - std::min(bytes, queue.size()));
  return dropped;
}

SendStatus Link::send_direct(proto::Opcode opcode, std::uint8_t rsv, core::ConstBytes payload) {
  WS_DCHECK(shard_.current_link() == this);
  WS_DCHECK(!waits());
  core::Buffer& outbox = shard_.outbox();
  const proto::ServerHeader whole(opcode, rsv, payload.size());
  const core::ConstBytes header = whole.bytes();
  std::array<iovec, 3> parts{part_of(outbox.bytes()), part_of(header), part_of(payload)};
  std::span<const iovec> used = parts;
  if (outbox.empty() && shard_.is_received_view(payload)) {
    // An echo: the header we received lies in front of the payload, is not needed any more and is
    // longer than ours. One piece costs the kernel a twentieth less than two.
    auto* frame = const_cast<std::uint8_t*>(payload.data()) - header.size();
    std::memcpy(frame, header.data(), header.size());
    parts[0] = part_of({frame, header.size() + payload.size()});
    used = used.first(1);
  }
  const std::size_t refused = write_parts(used);
  outbox.clear();
  if (refused == 0) return SendStatus::kSent;
  // An echo of a gathered message keeps the memory it was gathered in instead of copying it.
  if (refused <= payload.size()) {
    if (core::Buffer message = protocol_.take_message(payload); !message.empty()) {
      message.consume(payload.size() - refused);
      extra().queue.own() = std::move(message);
      note_queued();
      return SendStatus::kQueued;
    }
  }
  keep_unsent(used, refused);
  return SendStatus::kQueued;
}

core::Buffer& Link::own_queue() {
  core::Buffer& own = extra().queue.own();
  if (own.capacity() == 0) own = shard_.scratch().pool.take(2 * Shard::kOutboxBytes);
  return own;
}

// A server that has nothing more to say: finish_output() follows as soon as all is taken.
inline net::Transport::Push Link::push() const {
  const bool last = phase_ == Phase::kFinishing && !client_;
  return last ? net::Transport::Push::kWithFin : net::Transport::Push::kNow;
}

// One system call for all parts. Returns how many bytes, counted from the end, the socket did not
// take; 0 of a connection that broke.
std::size_t Link::write_parts(std::span<const iovec> parts) {
  if (broken_) return 0;
  std::size_t refused = 0;
  for (const iovec& p : parts) refused += p.iov_len;
  const net::Transport::Output output = transport_.write(parts, shard_.scratch(), push());
  shard_.counters().bytes_sent.add(output.bytes);
  if (output.failed) {
    write_failed();
    return 0;
  }
  WS_DCHECK(output.bytes <= refused);
  refused -= output.bytes;
  // What is in flight grows by it, and that is not the peer's doing.
  if (pinged_ && phase_ == Phase::kOpen) counted_bytes_ += static_cast<std::uint32_t>(output.sent);
  if (phase_ >= Phase::kClosing && window_bytes_ > 0) {
    window_bytes_ += static_cast<std::uint32_t>(output.sent);
  }
  if (refused > 0 || transport_.pending() > 0) writable_ = false;
  return refused;
}

// What the peer said before it left, its Close or its answer among it, is still there to be read.
void Link::write_failed() {
  const bool opening = phase_ == Phase::kOpening && client_;
  const bool listens = opening || phase_ == Phase::kOpen || phase_ == Phase::kClosing;
  if (!listens || held_back_) return drop(CloseCause::kPeer);
  broken_ = readable_ = hangup_ = true;
  discard_queue();
  make_ready();
}

void Link::discard_queue() {
  if (extra_) extra_->queue = {};
  paused_ = drain_due_ = false;
}

// Copies the last `count` bytes of the parts to the queue.
void Link::keep_unsent(std::span<const iovec> parts, std::size_t count) {
  std::size_t skip = 0;
  for (const iovec& p : parts) skip += p.iov_len;
  WS_DCHECK(count <= skip);
  skip -= count;
  for (const iovec& p : parts) {
    const core::ConstBytes bytes{static_cast<const std::uint8_t*>(p.iov_base), p.iov_len};
    const std::size_t skipped = std::min(skip, bytes.size());
    skip -= skipped;
    own_queue().append(bytes.subspan(skipped));
  }
  note_queued();
}

// What waits for end() waits for the program and not for the peer, whose next message may be what
// ends the stream: reading goes on. So does a client's: what it has to say does not come of what it
// reads, and if both ends stopped reading neither would take anything again. Nor does what on_drain
// says: a server that always refills the queue would hardly ever read.
void Link::note_queued() {
  if (phase_ > Phase::kOpen || broken_) return;
  const std::size_t high = shard_.limits().queue_high_bytes;
  const std::size_t pumped = extra_ ? extra_->pumped_bytes : 0;
  if (!client_ && unsent() > std::max(high, pumped)) paused_ = true;
  if (extra_ && extra_->queue.size() + extra_->held.size() > high) drain_due_ = true;
}

void Link::flush_outbox() {
  WS_DCHECK(shard_.current_link() == this);
  core::Buffer& outbox = shard_.outbox();
  if (outbox.empty()) return;
  const std::array<iovec, 1> whole{part_of(outbox.bytes())};
  // What is older goes first.
  const std::size_t refused = waits() ? outbox.size() : write_parts(whole);
  if (refused > 0 && !dead()) keep_unsent(whole, refused);
  outbox.clear();
}

// Taking its output is a sign of life from a peer whose input we do not read meanwhile.
void Link::note_taken(std::size_t bytes) {
  if (bytes == 0) return;
  alive_ms_ = static_cast<std::uint32_t>(shard_.reactor().now_ms());
  if (phase_ >= Phase::kClosing) window_bytes_ += static_cast<std::uint32_t>(bytes);
}

void Link::drain_queue() {
  const net::Transport::Output sealed = transport_.flush(shard_.scratch(), push());
  if (sealed.failed) return write_failed();
  if (broken_) discard_queue();
  note_taken(sealed.sent);
  bool took_all = transport_.pending() == 0;
  while (took_all && queued_bytes() > 0) {
    OutQueue& queue = extra_->queue;
    std::array<iovec, kDrainParts> parts;
    const std::span used(parts.data(), queue.front(parts));
    std::size_t wanted = 0;
    for (const iovec& p : used) wanted += p.iov_len;
    const net::Transport::Output output = transport_.write(used, shard_.scratch(), push());
    shard_.counters().bytes_sent.add(output.bytes);
    if (output.failed) return write_failed();
    WS_DCHECK(output.bytes <= wanted);
    queue.consume(output.bytes);
    note_taken(output.sent);
    if (queue.own().empty()) shard_.scratch().pool.give(queue.own());
    took_all = output.bytes == wanted;
  }
  if (unsent() > 0) writable_ = false;
  if (extra_) extra_->pumped_bytes = std::min(extra_->pumped_bytes, unsent());
}

// The end of a link's event: everything it answered leaves in one system call, and phases that wait
// for that move on.
void Link::settle() {
  if (dead()) return shard_.outbox().clear();
  if (!waits()) protocol_.release_pong(shard_.outbox());
  flush_outbox();
  const bool all_said = unsent() == 0 && !paused_ && !drain_due_ && phase_ < Phase::kFinishing;
  if (all_said) return;
  if (writable_ && !dead()) drain_queue();
  if (dead()) return;
  note_queued();
  // Low mark: a quarter of the high one, so that reading resumes in bulk.
  const std::size_t low = shard_.limits().queue_high_bytes / 4;
  if (paused_ && unsent() <= low) {
    paused_ = false;
    resume_reading();
  }
  if (drain_due_ && queued() <= low) {
    drain_due_ = false;
    const bool was_paused = paused_;
    call_on_drain();
    flush_outbox();
    if (dead()) return;
    paused_ = false;  // by what on_drain said
    if (was_paused) resume_reading();
    extra_->pumped_bytes = unsent();
  }
  if (phase_ == Phase::kFinishing && unsent() == 0) finish_output();
}

// "the server MUST close the WebSocket connection, and SHOULD close the TCP connection immediately"
// comes to: close_notify, FIN, then reading on until the peer's FIN, because closing a socket with
// unread input sends RST, which can destroy our last bytes on their way into the peer's hands.
void Link::finish_output() {
  WS_DCHECK(phase_ == Phase::kFinishing);
  WS_DCHECK(unsent() == 0);
  // RFC 6455 7.1.1: "when a client is instructed to do the same, it SHOULD wait for a TCP Close
  // from the server." Closing our socket after that, or after the time for it, sends the FIN.
  const auto fin = client_ ? net::Transport::Fin::kLater : net::Transport::Fin::kSend;
  switch (transport_.finish(shard_.scratch(), fin)) {
    case net::Transport::Ended::kYes:
      break;
    case net::Transport::Ended::kBlocked:
      writable_ = false;
      return;
    case net::Transport::Ended::kFailed:
      return drop(CloseCause::kPeer);
  }
  phase_ = Phase::kLingering;
  begin_window();
  if (saw_end_) return drop(close_cause_);
  // There may be input already that no edge will announce again.
  if (readable_) make_ready();
}

}  // namespace ws
