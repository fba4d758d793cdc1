// What a link sends: straight to the socket while it takes everything, else through the queue.
#include <array>
#include <utility>

#include "core/check.h"
#include "ws/link.h"
#include "ws/shard.h"

namespace ws {

namespace {

// From here on a payload goes to the kernel from where it lies: copying it first costs more than a
// system call of its own saves.
constexpr std::size_t kDirectBytes = 16 * 1024;
// An outbox is sent when it is this full, while its bytes are still in the cache; also four full
// TLS records.
constexpr std::size_t kOutboxBytes = 64 * 1024;

iovec part(core::ConstBytes bytes) {
  return {const_cast<std::uint8_t*>(bytes.data()),
          bytes.size()};  // iovec serves reads and writes alike
}

}  // namespace

SendStatus Link::send(proto::Opcode opcode, core::ConstBytes payload) {
  if (phase_ != Phase::kOpen) return SendStatus::kClosed;
  if (queued_bytes() > shard_.limits().queue_max_bytes) {
    fail(CloseCode::kTryAgainLater, "too slow", CloseCause::kSlowConsumer);
    return SendStatus::kDropped;
  }
  core::Buffer& out = sink();
  const bool direct = payload.size() >= kDirectBytes && &out == &shard_.outbox();
  if (direct) {
    std::array<std::uint8_t, proto::kFrameHeaderBytesMax> header;
    const std::size_t header_bytes = proto::encode_header(
        header.data(),
        {.payload_bytes = payload.size(), .mask_key = {}, .opcode = opcode, .fin = true},
        proto::Role::kServer);
    const std::array<iovec, 3> parts{part(out.bytes()), part({header.data(), header_bytes}),
                                     part(payload)};
    write_parts(parts);
    out.clear();
  } else {
    proto::encode_frame(out, shard_.protocol_config().self, opcode, payload);
    if (&out == &shard_.outbox() && out.size() >= kOutboxBytes) flush_outbox();
  }
  return writable_ ? SendStatus::kSent : SendStatus::kQueued;
}

// Where this link's next bytes belong: the thread's outbox during its own event, its queue when
// older bytes wait there or when it is not its turn (a flush at the end of the turn is then due).
core::Buffer& Link::sink() {
  const bool its_turn = shard_.current() == this;
  if (its_turn && !unsent()) return shard_.outbox();
  if (!its_turn && !dirty_) {
    dirty_ = true;
    shard_.reactor().mark_dirty(id());
  }
  core::Buffer& queue = extra().queue;
  if (queue.capacity() == 0) queue = shard_.scratch().pool.take();
  return queue;
}

bool Link::unsent() const {
  return queued_bytes() > 0 || transport_.pending();
}

// One system call for all parts; what the socket refuses is copied to the queue.
void Link::write_parts(std::span<const iovec> parts) {
  const net::Transport::Output output = transport_.write(parts, shard_.scratch());
  if (output.failed) return drop(CloseCause::kPeer);
  std::size_t taken = output.bytes;
  for (const iovec& p : parts) {
    const core::ConstBytes bytes{static_cast<const std::uint8_t*>(p.iov_base), p.iov_len};
    const std::size_t skip = std::min(taken, bytes.size());
    taken -= skip;
    keep_unsent(bytes.subspan(skip));
  }
  if (unsent()) writable_ = false;
}

void Link::keep_unsent(core::ConstBytes bytes) {
  if (bytes.empty()) return;
  core::Buffer& queue = extra().queue;
  if (queue.capacity() == 0) queue = shard_.scratch().pool.take();
  queue.append(bytes);
}

void Link::flush_outbox() {
  core::Buffer& outbox = shard_.outbox();
  if (outbox.empty()) return;
  const iovec whole = part(outbox.bytes());
  write_parts({&whole, 1});
  outbox.clear();
}

void Link::drain_queue() {
  if (!transport_.flush(shard_.scratch())) return drop(CloseCause::kPeer);
  if (queued_bytes() > 0) {
    core::Buffer& queue = extra_->queue;
    const iovec whole = part(queue.bytes());
    const net::Transport::Output output = transport_.write({&whole, 1}, shard_.scratch());
    if (output.failed) return drop(CloseCause::kPeer);
    queue.consume(output.bytes);
    // Taking its output is a sign of life from a peer whose input we do not read meanwhile.
    if (output.bytes > 0) alive_ms_ = static_cast<std::uint32_t>(shard_.reactor().now_ms());
    if (queue.empty()) shard_.scratch().pool.give(queue);
  }
  if (unsent()) writable_ = false;
}

// The end of a link's event: everything it answered leaves in one system call, and phases that wait
// for that move on.
void Link::settle() {
  flush_outbox();
  if (writable_ && unsent() && !dead()) drain_queue();
  if (!dead() && !unsent()) {
    protocol_.release_pong(shard_.outbox());
    flush_outbox();
  }
  shard_.outbox().clear();  // of a link that died meanwhile
  if (dead()) return;
  // Low mark: a quarter of the high one, so that reading resumes in bulk.
  if (paused_ && queued_bytes() <= shard_.limits().queue_high_bytes / 4) {
    paused_ = false;
    make_ready();
  }
  if (phase_ == Phase::kFinishing && !unsent()) finish_output();
}

bool Link::paused() {
  if (queued_bytes() > shard_.limits().queue_high_bytes) paused_ = true;
  return paused_;
}

// "the server MUST close the WebSocket connection, and SHOULD close the TCP connection immediately"
// comes to: close_notify, FIN, then reading on until the peer's FIN, because closing a socket with
// unread input sends RST, which can destroy our last bytes on their way into the peer's hands.
void Link::finish_output() {
  if (!transport_.finish(shard_.scratch())) return drop(CloseCause::kPeer);
  phase_ = Phase::kLingering;
  arm(shard_.limits().linger_ms);
  if (saw_end_) return drop(close_cause_);
  // There may be input already that no edge will announce again.
  if (readable_) make_ready();
}

}  // namespace ws
