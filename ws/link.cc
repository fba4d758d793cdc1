#include "ws/link.h"

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "core/log.h"
#include "core/thrown.h"
#include "ws/shard.h"

namespace ws {
namespace {

MessageType type_of(proto::Opcode opcode) {
  return opcode == proto::Opcode::kText ? MessageType::kText : MessageType::kBinary;
}

}  // namespace

using proto::Event;
using proto::Opcode;
using TransportState = net::Transport::State;

Link::Link(core::Id id, Shard& shard, net::Transport transport)
    : shard_(shard),
      transport_(std::move(transport)),
      protocol_(shard.protocol_config(proto::Role::kServer, false)),
      alive_ms_(static_cast<std::uint32_t>(shard.reactor().now_ms())) {
  timer_.owner = id;
  const Limits& limits = shard.limits();
  opening_ = std::make_unique<LinkOpening>();
  opening_->parser = std::make_unique<proto::RequestParser>(
      proto::RequestParser::Config{.head_bytes_max = limits.request_head_bytes,
                                   .target_bytes_max = limits.request_target_bytes,
                                   .headers_max = limits.request_headers});
  arm(limits.handshake_ms);
}

Link::~Link() {
  if (extra_) shard_.topics().unsubscribe_all(extra_->subscriptions);
  shard_.reactor().timers().cancel(timer_);
  if (shard_.limits().connections_per_ip > 0) {
    shard_.common().ip_counts.remove(shard_.public_id(id()));
  }
  Common& common = shard_.common();
  (turned_away_ ? common.refused : common.connections).fetch_sub(1, std::memory_order_relaxed);
}

void Link::turn_away() {
  turned_away_ = true;
  shard_.common().connections.fetch_sub(1, std::memory_order_relaxed);
  shard_.common().refused.fetch_add(1, std::memory_order_relaxed);
}

void Link::on_wake(std::uint32_t wake) {
  WS_DCHECK(Shard::current() == &shard_);
  WS_DCHECK(shard_.current_link() == nullptr);
  WS_DCHECK(shard_.outbox().empty());
  if ((wake & core::kResume) != 0) ready_ = false;
  if ((wake & core::kFlush) != 0) dirty_ = false;
  if (dead()) return;
  shard_.set_current_link(this);
  shard_.messages_left() = may_decode() ? shard_.limits().link_messages_per_turn : 0;
  if ((wake & core::kHangup) != 0) hangup_ = true;
  if ((wake & (core::kReadable | core::kHangup)) != 0) readable_ = true;
  if ((wake & core::kWritable) != 0) writable_ = true;
  if (client_ && phase_ == Phase::kOpening && (wake & (core::kWritable | core::kHangup)) != 0) {
    on_connect_event();
  }
  // Not on the socket of another address, which the event was not about.
  if ((wake & core::kWritable) != 0 && writable_ && unsent() > 0 && !dead()) drain_queue();
  if ((wake & core::kTimer) != 0) on_timer();
  if (readable_ || (wake & core::kResume) != 0) read_input();
  settle();
  shard_.set_current_link(nullptr);
  WS_DCHECK(shard_.outbox().empty());
  // No edge will remind us of what is left.
  WS_DCHECK(dead() || ready_ || !reads() || (!readable_ && !undecoded_));
  WS_DCHECK(dead() || broken_ || !writable_ || unsent() == 0);
}

void Link::read_input() {
  if (undecoded_) decode_backlog();
  if (at_end_ && !undecoded_) return ended_by_peer();
  std::uint32_t bytes_left = shard_.limits().link_bytes_per_turn;
  while (readable_ && !dead() && reads()) {
    // No edge will remind us of what a budget leaves behind.
    if (bytes_left == 0 || shard_.messages_left() == 0) return make_ready();
    const bool handshake = phase_ == Phase::kOpening && transport_.handshaking();
    if (handshake && !shard_.take_tls_handshake()) return make_ready();
    read_once(bytes_left);
  }
  // A client whose upgrade is being thought about has given up (FIN, or a close_notify that came
  // with the request): nobody needs the answer.
  if (held_back_ && (hangup_ || at_end_) && phase_ == Phase::kOpening) {
    return drop(CloseCause::kPeer);
  }
  // Nobody would notice that it is gone.
  if (broken_ && held_back_) return drop(CloseCause::kPeer);
  if (undecoded_ && !dead() && reads()) make_ready();
}

void Link::read_once(std::uint32_t& bytes_left) {
  if (phase_ >= Phase::kFinishing) return discard_input(bytes_left);
  core::Bytes direct;
  if (phase_ != Phase::kOpening) direct = protocol_.payload_space();
  direct = direct.first(std::min<std::size_t>(direct.size(), bytes_left));
  const net::Transport::Input input = transport_.read(direct, shard_.scratch());
  const std::size_t bytes = input.direct + input.bytes.size();
  if (bytes > 0) alive_ms_ = static_cast<std::uint32_t>(shard_.reactor().now_ms());
  shard_.counters().bytes_received.add(bytes);
  if (client_ && phase_ == Phase::kOpening) send_request();
  if (input.direct > 0) protocol_.payload_received(input.direct);
  if (bytes > 0) take_input(input.bytes);
  bytes_left -= static_cast<std::uint32_t>(std::min<std::size_t>(bytes, bytes_left));
  after_read(input.state);
}

// A peer may be in the middle of writing a message when it is refused or answered: so much, and
// what its kernel may hold, is read away so that no RST overtakes our last bytes. Nothing of it is
// kept. Who sends more is to take what is owed first: not read, TCP makes it wait, and peer_takes()
// says for how long.
void Link::discard_input(std::uint32_t& bytes_left) {
  constexpr std::uint64_t kSpareBytes = 1024 * 1024;
  const net::Transport::Discarded discarded = transport_.discard(shard_.scratch());
  counted_bytes_ += static_cast<std::uint32_t>(discarded.bytes);
  if (counted_bytes_ > shard_.limits().message_bytes + kSpareBytes) {
    if (unsent() == 0 && transport_.socket().in_flight() == 0) return drop(close_cause_);
    held_back_ = true;
  }
  bytes_left -= static_cast<std::uint32_t>(std::min<std::size_t>(discarded.bytes, bytes_left));
  after_read(discarded.state);
}

void Link::after_read(TransportState state) {
  switch (state) {
    case TransportState::kOk:
      return;
    case TransportState::kDrained:
      // No edge follows the FIN that was announced together with these bytes.
      if (!hangup_) readable_ = false;
      return;
    case TransportState::kBlocked:
      readable_ = false;
      // A write failed though the peer is still there: for want of memory.
      if (broken_ && phase_ <= Phase::kClosing) lost();
      return;
    case TransportState::kEnd:
      readable_ = false;
      // What came before the end is served first.
      if (!undecoded_) return ended_by_peer();
      at_end_ = true;
      return;
    case TransportState::kFailed:
      return lost();
  }
}

void Link::take_input(core::Bytes bytes) {
  switch (phase_) {
    case Phase::kOpening:
      return client_ ? take_response(bytes) : take_request(bytes);
    case Phase::kOpen:
    case Phase::kClosing:
      bytes = decode(bytes);
      if (!bytes.empty()) extra().backlog.append(bytes);
      return;
    default:
      return;
  }
}

void Link::open(const Handlers& handlers) {
  WS_DCHECK(phase_ == Phase::kOpening);
  handlers_ = &handlers;
  phase_ = Phase::kOpen;
  plain_ = !client_ && protocol_.config().extension_count == 0;
  shard_.counters().opened.add(1);
  if (core::log_enabled(core::LogLevel::kDebug)) {
    core::log(core::LogLevel::kDebug, "opened",
              {{"peer", transport_.socket().peer().to_string()},
               {"id", shard_.public_id(id()).packed()}});
  }
  arm(shard_.limits().ping_after_ms);
  if (handlers.on_open) guard([&](Conn& conn) { handlers.on_open(conn); });
}

// The one place where handlers run. Not core::guarded(), whose answer each message would look at.
template <class Callback>
[[gnu::always_inline]] inline void Link::guard(Callback&& callback) {
  try {
    return callback(*this);
  } catch (...) {
    core::log(core::LogLevel::kError, "handler threw", {{"what", core::thrown()}});
  }
  fail(CloseCode::kInternalError, "internal error", CloseCause::kHandlerThrew);
}

// Handles what was received, until it is used up, or a budget, or the peer's slowness in taking our
// answers, says stop. Returns what is left of it then.
core::Bytes Link::decode(core::Bytes bytes) {
  WS_DCHECK(phase_ != Phase::kOpening || held_back_);
  WS_DCHECK(!extra_ || extra_->backlog.empty());  // it is older
  protocol_.hold_pongs(!writable_);
  undecoded_ = false;
  std::uint32_t& messages_left = shard_.messages_left();
  core::Buffer& out = sink();
  const bool transformed = protocol_.config().extension_count > 0;
  for (;;) {
    if (!transformed) deliver_whole_messages(bytes);
    if (messages_left == 0 || !reads()) {
      undecoded_ = true;
      break;
    }
    if (bytes.empty() && protocol_.between_messages()) break;
    const Event event = protocol_.next(bytes, out);
    if (event.kind == Event::Kind::kNone) break;
    --messages_left;
    if (transformed) {
      shard_.spend_codec(event.decoded_bytes);
      if (!may_decode()) messages_left = 0;
    }
    handle(event);
  }
  note_assembly();
  return bytes;
}

// The row of them at the front. Nothing in it changes the protocol's state but a handler that
// closes, which ends it.
void Link::deliver_whole_messages(core::Bytes& bytes) {
  if (!protocol_.between_messages() || protocol_.config().chunks) return;
  const std::uint64_t bytes_max = protocol_.config().message_bytes_max;
  const std::uint32_t most = shard_.messages_left();
  std::uint32_t count = 0;
  core::Bytes rest = bytes;  // what nobody has the address of stays in registers
  while (phase_ == Phase::kOpen && count < most && reads()) {
    const auto message = proto::take_whole_message(rest, bytes_max);
    if (!message) break;
    ++count;
    shard_.counters().messages_received.add(1);
    call_on_message(message->opcode, message->payload, true);
  }
  bytes = rest;
  shard_.messages_left() -= count;
}

// Compressed messages can be a thousand times the bytes that a link's budget is about, so what the
// codecs may do in a turn is counted for all links together.
bool Link::may_decode() const {
  return protocol_.config().extension_count == 0 || !shard_.codec_spent();
}

void Link::decode_backlog() {
  core::Buffer backlog;  // taken out: handlers may end the link, which releases it
  if (extra_) backlog = std::move(extra_->backlog);
  const std::size_t left = decode(backlog.bytes()).size();
  backlog.consume(backlog.size() - left);
  if (left > 0) extra().backlog = std::move(backlog);
}

// header_in_front: of the payload, where it was received.
[[gnu::always_inline]] inline void Link::call_on_message(Opcode opcode, core::ConstBytes payload,
                                                         bool header_in_front) {
  if (!handlers_->on_message) return;
  const Message message(type_of(opcode), payload);
  const bool large_view = payload.size() >= kDirectBytes && header_in_front;
  if (large_view) shard_.set_received_view(payload);
  guard([&](Conn& conn) { handlers_->on_message(conn, message); });
  if (large_view) shard_.set_received_view({});
}

void Link::deliver_chunk(const Event& event) {
  const Chunk chunk{.type = type_of(event.opcode),
                    .bytes = event.payload,
                    .first = event.first,
                    .last = event.last};
  guard([&](Conn& conn) { handlers_->on_chunk(conn, chunk); });
}

void Link::handle(const Event& event) {
  switch (event.kind) {
    case Event::Kind::kMessage:
      assembling_ = false;
      if (phase_ != Phase::kOpen) return;
      shard_.counters().messages_received.add(1);
      if (!protocol_.config().chunks) {
        return call_on_message(event.opcode, event.payload, protocol_.header_in_front());
      }
      return deliver_chunk(
          {.opcode = event.opcode, .first = true, .last = true, .payload = event.payload});
    case Event::Kind::kChunk:
      if (event.last) assembling_ = false;
      if (phase_ != Phase::kOpen) return;
      if (event.last) shard_.counters().messages_received.add(1);
      return deliver_chunk(event);
    case Event::Kind::kClosed: {
      const auto* text = reinterpret_cast<const char*>(event.payload.data());
      const CloseCause cause = phase_ == Phase::kClosing ? close_cause_ : CloseCause::kPeer;
      if (extra_) extra_->close_reason.clear();
      return finish(event.code, {text, event.payload.size()}, cause);
    }
    case Event::Kind::kFailed:
      log_event("protocol error", proto::describe(event.error));
      return finish(event.code, proto::describe(event.error), CloseCause::kProtocol);
    case Event::Kind::kPing:
    case Event::Kind::kPong: {
      // What is torn from here on belongs to another frame.
      if (!protocol_.message_open()) assembling_ = false;
      const bool ping = event.kind == Event::Kind::kPing;
      const auto& handler = ping ? handlers_->on_ping : handlers_->on_pong;
      if (!handler || phase_ != Phase::kOpen) return;
      return guard([&](Conn& conn) { handler(conn, event.payload); });
    }
    case Event::Kind::kProgress:
    case Event::Kind::kNone:
      return;
  }
}

void Link::close_with(CloseCode code, std::string_view reason, CloseCause cause) {
  // Who closes does not want it back, even if the peer was quicker.
  if (client_ && cause == CloseCause::kLocal) extra_->dial->cancelled = true;
  if (phase_ != Phase::kOpen) return;
  const bool sendable =
      code == CloseCode::kNoStatus || proto::is_valid_close_code(static_cast<std::uint16_t>(code));
  if (!sendable) code = CloseCode::kInternalError;
  protocol_.close(sink(), code, reason);
  phase_ = Phase::kClosing;
  // The peer's answer has to be seen, whatever the program would rather not.
  if (held_back_) make_ready();
  held_back_ = false;
  close_code_ = code;
  close_cause_ = cause;
  if (!reason.empty()) extra().close_reason = reason;
  assembling_ = false;
  begin_window();
}

// Close without waiting for the peer's answer.
void Link::fail(CloseCode code, std::string_view reason, CloseCause cause) {
  if (phase_ >= Phase::kFinishing) return;
  // Another Close is out already, and stands.
  if (phase_ == Phase::kClosing) return finish(close_code_, {}, cause);
  protocol_.abort(sink(), code, reason);
  finish(code, reason, cause);
}

// From here on only output counts: settle() sends what is queued, then FIN.
void Link::finish(CloseCode code, std::string_view reason, CloseCause cause) {
  if (phase_ >= Phase::kFinishing) return;
  note_end();
  phase_ = Phase::kFinishing;
  close_code_ = code;
  close_cause_ = cause;
  if (!reason.empty() && handlers_ != nullptr) extra().close_reason = reason;
  if (extra_) {
    extra_->backlog.release();
    extra_->held = {};
  }
  undecoded_ = paused_ = drain_due_ = held_back_ = streaming_ = false;
  counted_bytes_ = 0;
  begin_window();
  if (readable_) make_ready();
}

// Of the conversation; the connection may go on for some seconds.
void Link::note_end() {
  if (Dial* const of = dial()) of->ended_ms = shard_.reactor().now_ms();
}

void Link::ended_by_peer() {
  at_end_ = false;
  if (client_ && phase_ == Phase::kOpening) return connect_lost();
  if (phase_ == Phase::kLingering) return drop(close_cause_);
  // A FIN without a Close frame: no code, and nobody waits for one. What is owed is still sent.
  saw_end_ = true;
  finish(close_code_, {}, phase_ == Phase::kClosing ? close_cause_ : CloseCause::kPeer);
}

// The connection broke: nothing can be sent any more, except a TLS alert.
void Link::lost() {
  readable_ = false;
  if (client_ && phase_ == Phase::kOpening) return connect_lost();
  const bool alert = transport_.session() != nullptr && !transport_.session()->failure().empty();
  if (!alert || phase_ >= Phase::kFinishing) return drop(CloseCause::kPeer);
  log_event("tls failure", transport_.session()->failure());
  broken_ = true;
  finish(CloseCode::kAbnormal, {}, CloseCause::kTls);
}

void Link::shut_down(CloseCode code, CloseCause cause) {
  WS_DCHECK(shard_.current_link() == nullptr);
  shard_.set_current_link(this);
  if (phase_ != Phase::kOpening) {
    close_with(code, {}, cause);
  } else if (client_ || transport_.handshaking()) {
    drop(cause);
  } else {
    refuse(refuse_request(503));
  }
  settle();
  shard_.set_current_link(nullptr);
}

void Link::drop(CloseCause cause) {
  if (dead()) return;
  if (unsent() > 0) {
    transport_.socket().abort_on_close();
  } else {
    transport_.socket().limit_last_bytes();
  }
  // Who began to close is the cause, however abruptly the peer leaves then.
  const bool answered = phase_ == Phase::kClosing && cause == CloseCause::kPeer;
  if (phase_ < Phase::kFinishing) note_end();
  if (phase_ < Phase::kFinishing && !answered) close_cause_ = cause;
  phase_ = Phase::kDead;
  shard_.reactor().retire(id());
}

void Link::reap() {
  WS_DCHECK(dead());
  if (handlers_ == nullptr) return;
  shard_.counters().closed[static_cast<std::size_t>(close_cause_)].add(1);
  core::log(
      core::LogLevel::kDebug, "closed",
      {{"id", shard_.public_id(id()).packed()}, {"code", static_cast<std::uint16_t>(close_code_)}});
  if (!handlers_->on_close) return;
  const Close close{close_code_,
                    extra_ ? std::string_view(extra_->close_reason) : std::string_view(),
                    close_cause_};
  guard([&](Conn& conn) { handlers_->on_close(conn, close); });
}

void Link::run(const std::function<void(Conn&)>& task) {
  WS_DCHECK(shard_.current_link() == nullptr);
  if (phase_ != Phase::kOpen) return;
  shard_.set_current_link(this);
  guard([&](Conn& conn) { task(conn); });
  settle();
  shard_.set_current_link(nullptr);
}

void Link::call_on_drain() {
  if (phase_ != Phase::kOpen || !handlers_->on_drain) return;
  guard([&](Conn& conn) { handlers_->on_drain(conn); });
}

void Link::pause_reading(bool pause) {
  if (phase_ != Phase::kOpen || held_back_ == pause) return;
  held_back_ = pause;
  if (!pause) resume_reading();
}

const struct Request* Link::request() const {
  return opening_ ? &opening_->request : nullptr;
}

std::string_view Link::subprotocol() const {
  return extra_ ? std::string_view(extra_->subprotocol) : std::string_view();
}

void Link::make_ready() {
  if (ready_) return;
  ready_ = true;
  shard_.reactor().make_ready(id());
}

LinkExtra& Link::extra() {
  if (!extra_) extra_ = std::make_unique<LinkExtra>();
  return *extra_;
}

void Link::log_event(std::string_view event, std::string_view reason) {
  if (!core::log_enabled(core::LogLevel::kInfo)) return;
  core::log(core::LogLevel::kInfo, event,
            {{"peer", transport_.socket().peer().to_string()}, {"reason", reason}});
}

}  // namespace ws
