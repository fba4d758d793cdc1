// What a link sends: straight to the socket while it takes everything, else through the queue.
#include <array>
#include <cstring>
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

// Where this link's next bytes belong: in the thread's outbox during its own event, else in its
// queue, and a flush at the end of the turn is due.
core::Buffer& Link::sink() {
  if (shard_.current() == this) return shard_.outbox();
  if (!dirty_) {
    dirty_ = true;
    shard_.reactor().mark_dirty(id());
  }
  return queue();
}

SendStatus Link::send(proto::Opcode opcode, core::ConstBytes payload, SendOptions options) {
  if (phase_ != Phase::kOpen) return SendStatus::kClosed;
  const std::size_t staged = shard_.current() == this ? shard_.outbox().size() : 0;
  if (queued_bytes() + staged > shard_.limits().queue_max_bytes) {
    fail(CloseCode::kTryAgainLater, "too slow", CloseCause::kSlowConsumer);
    return SendStatus::kDropped;
  }
  proto::PermessageDeflate* const deflate = protocol_.config().deflate;
  if (deflate == nullptr || !options.compress || payload.size() < deflate->threshold_bytes()) {
    return send_frame(opcode, payload, false);
  }
  core::BufferPool& pool = shard_.scratch().pool;
  core::Buffer compressed = pool.take(2 * payload.size());
  const bool rsv1 = deflate->compress(payload, compressed);
  shard_.spend_codec(payload.size());
  const SendStatus status = send_frame(opcode, rsv1 ? compressed.bytes() : payload, rsv1);
  pool.give(compressed);
  return status;
}

SendStatus Link::send_frame(proto::Opcode opcode, core::ConstBytes payload, bool rsv1) {
  const bool its_turn = shard_.current() == this;
  const bool direct = its_turn && !unsent();
  if (direct && payload.size() >= kDirectBytes) return send_direct(opcode, payload, rsv1);
  core::Buffer& out = its_turn ? shard_.outbox() : sink();
  // A constant sender: with the shard's, every message would load and test its role anew.
  proto::encode_frame(out, {.role = proto::Role::kServer}, opcode, payload, rsv1);
  // Not while older bytes wait: the queue may hold the very message that a handler is looking at,
  // and must not move.
  if (direct && out.size() >= kOutboxBytes) flush_outbox();
  return direct ? SendStatus::kSent : SendStatus::kQueued;
}

SendStatus Conn::send(const Message& message, SendOptions options) {
  const bool text = message.type == MessageType::kText;
  return link_->send(text ? proto::Opcode::kText : proto::Opcode::kBinary, message.bytes, options);
}

SendStatus Link::send_direct(proto::Opcode opcode, core::ConstBytes payload, bool rsv1) {
  core::Buffer& outbox = shard_.outbox();
  std::array<std::uint8_t, proto::kFrameHeaderBytesMax> header;
  const std::size_t header_bytes = proto::encode_header(header.data(),
                                                        {.payload_bytes = payload.size(),
                                                         .mask_key = {},
                                                         .opcode = opcode,
                                                         .fin = true,
                                                         .rsv1 = rsv1},
                                                        proto::Role::kServer);
  std::array<iovec, 3> parts{part(outbox.bytes()), part({header.data(), header_bytes}),
                             part(payload)};
  std::span<const iovec> used = parts;
  if (outbox.empty() && shard_.is_received_view(payload)) {
    // An echo: the header we received lies in front of the payload, is not needed any more and is
    // longer than ours. One piece costs the kernel a twentieth less than two.
    auto* frame = const_cast<std::uint8_t*>(payload.data()) - header_bytes;
    std::memcpy(frame, header.data(), header_bytes);
    parts[0] = part({frame, header_bytes + payload.size()});
    used = used.first(1);
  }
  const std::size_t refused = write_parts(used);
  outbox.clear();
  if (refused == 0) return SendStatus::kSent;
  // An echo of a gathered message keeps the memory it was gathered in instead of copying it.
  if (refused <= payload.size()) {
    if (core::Buffer message = protocol_.take_message(payload); !message.empty()) {
      message.consume(payload.size() - refused);
      extra().queue = std::move(message);
      note_queued();
      return SendStatus::kQueued;
    }
  }
  keep_unsent(used, refused);
  return SendStatus::kQueued;
}

core::Buffer& Link::queue() {
  core::Buffer& queue = extra().queue;
  if (queue.capacity() == 0) queue = shard_.scratch().pool.take(2 * kOutboxBytes);
  return queue;
}

// One system call for all parts. Returns how many bytes, counted from the end, the socket did not
// take.
std::size_t Link::write_parts(std::span<const iovec> parts) {
  std::size_t refused = 0;
  for (const iovec& p : parts) refused += p.iov_len;
  const net::Transport::Output output = transport_.write(parts, shard_.scratch());
  if (output.failed) {
    drop(CloseCause::kPeer);
    return 0;
  }
  refused -= output.bytes;
  if (refused > 0 || transport_.pending()) writable_ = false;
  return refused;
}

// Copies the last `count` bytes of the parts to the queue.
void Link::keep_unsent(std::span<const iovec> parts, std::size_t count) {
  std::size_t skip = 0;
  for (const iovec& p : parts) skip += p.iov_len;
  skip -= count;
  for (const iovec& p : parts) {
    const core::ConstBytes bytes{static_cast<const std::uint8_t*>(p.iov_base), p.iov_len};
    const std::size_t skipped = std::min(skip, bytes.size());
    skip -= skipped;
    queue().append(bytes.subspan(skipped));
  }
  note_queued();
}

void Link::note_queued() {
  if (queued_bytes() > shard_.limits().queue_high_bytes) paused_ = true;
}

void Link::flush_outbox() {
  core::Buffer& outbox = shard_.outbox();
  if (outbox.empty()) return;
  const std::array<iovec, 1> whole{part(outbox.bytes())};
  // What is older goes first.
  const std::size_t refused = unsent() ? outbox.size() : write_parts(whole);
  if (refused > 0 && !dead()) keep_unsent(whole, refused);
  outbox.clear();
}

void Link::drain_queue() {
  if (!unsent()) return;
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
  if (dead()) return shard_.outbox().clear();
  if (!unsent()) protocol_.release_pong(shard_.outbox());
  flush_outbox();
  if (writable_ && !dead()) drain_queue();
  if (dead()) return;
  // Low mark: a quarter of the high one, so that reading resumes in bulk.
  if (paused_ && queued_bytes() <= shard_.limits().queue_high_bytes / 4) {
    paused_ = false;
    make_ready();
  }
  if (phase_ == Phase::kFinishing && !unsent()) finish_output();
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
