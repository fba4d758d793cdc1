#include "ws/link.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "core/check.h"
#include "core/log.h"
#include "ws/shard.h"

namespace ws {

using proto::Event;
using proto::Opcode;
using TransportState = net::Transport::State;

Link::Link(core::Id id, Shard& shard, net::Transport transport, IpCounts::Entry* ip, bool refuse)
    : shard_(shard),
      transport_(std::move(transport)),
      protocol_(shard.protocol_config()),
      ip_(ip),
      alive_ms_(static_cast<std::uint32_t>(shard.reactor().now_ms())) {
  timer_.owner = id;
  const Limits& limits = shard.limits();
  opening_.reset(
      new Opening{.parser = proto::RequestParser({.head_bytes_max = limits.request_head_bytes,
                                                  .target_bytes_max = limits.request_target_bytes,
                                                  .headers_max = limits.request_headers}),
                  .refuse = refuse});
  arm(limits.handshake_ms);
}

Link::~Link() {
  shard_.reactor().timers().cancel(timer_);
  if (ip_ != nullptr) shard_.common().ip_counts.remove(ip_);
  shard_.common().connections.fetch_sub(1, std::memory_order_relaxed);
}

void Link::on_wake(std::uint32_t wake) {
  if ((wake & core::kResume) != 0) ready_ = false;
  if ((wake & core::kFlush) != 0) dirty_ = false;
  if (dead()) return;
  shard_.set_current(this);
  shard_.messages_left() = may_decode() ? shard_.limits().link_messages_per_turn : 0;
  if ((wake & core::kHangup) != 0) hangup_ = true;
  if ((wake & (core::kReadable | core::kHangup)) != 0) readable_ = true;
  if ((wake & core::kWritable) != 0) {
    writable_ = true;
    drain_queue();
  }
  if ((wake & core::kTimer) != 0) on_timer();
  if (readable_ || (wake & core::kResume) != 0) read_input();
  settle();
  shard_.set_current(nullptr);
}

void Link::read_input() {
  if (undecoded_) decode_backlog();
  if (at_end_ && !undecoded_) return ended_by_peer();
  std::uint32_t bytes_left = shard_.limits().link_bytes_per_turn;
  while (readable_ && !dead() && !paused_) {
    // No edge will remind us of what a budget leaves behind.
    if (bytes_left == 0 || shard_.messages_left() == 0) return make_ready();
    const bool handshake = phase_ == Phase::kOpening && transport_.handshaking();
    if (handshake && !shard_.take_tls_handshake()) return make_ready();
    read_once(bytes_left);
  }
  if (undecoded_ && !dead() && !paused_) make_ready();
}

void Link::read_once(std::uint32_t& bytes_left) {
  if (phase_ >= Phase::kFinishing) return discard_input(bytes_left);
  core::Bytes direct;
  if (phase_ != Phase::kOpening) direct = protocol_.payload_space();
  direct = direct.first(std::min<std::size_t>(direct.size(), bytes_left));
  const net::Transport::Input input = transport_.read(direct, shard_.scratch());
  const std::size_t bytes = input.direct + input.bytes.size();
  if (bytes > 0) alive_ms_ = static_cast<std::uint32_t>(shard_.reactor().now_ms());
  if (input.direct > 0) protocol_.payload_received(input.direct);
  if (bytes > 0) take_input(input.bytes);
  bytes_left -= static_cast<std::uint32_t>(std::min<std::size_t>(bytes, bytes_left));
  after_read(input.state);
}

// A peer may be in the middle of writing a message when it is refused or answered: so much, and a
// little more, is read away so that no RST overtakes our last bytes. Nothing of it is kept.
void Link::discard_input(std::uint32_t& bytes_left) {
  constexpr std::uint64_t kSpareBytes = 64 * 1024;
  const net::Transport::Discarded discarded = transport_.discard(shard_.scratch());
  discarded_bytes_ += discarded.bytes;
  if (discarded_bytes_ > shard_.limits().message_bytes + kSpareBytes) return drop(close_cause_);
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
      return take_request(bytes);
    case Phase::kOpen:
    case Phase::kClosing:
      return decode(bytes);
    default:
      return;
  }
}

void Link::take_request(core::Bytes bytes) {
  const auto step = opening_->parser.feed(bytes);
  if (step.state == proto::RequestParser::State::kMore) return;
  if (step.state == proto::RequestParser::State::kRefused)
    return refuse(refuse_request(step.status));
  if (opening_->refuse || shard_.shutting_down()) return refuse(refuse_request(503));
  OpeningAnswer answer =
      answer_request(opening_->parser.head(), shard_.common().router, shard_.common().origins,
                     transport_.session() != nullptr, shard_.common().deflate);
  if (answer.status != 101) return refuse(std::move(answer));
  sink().append(
      {reinterpret_cast<const std::uint8_t*>(answer.response.data()), answer.response.size()});
  if (answer.deflate) {
    // A copy first: extra() may not be there yet, and only takeover needs it.
    std::unique_ptr<Compressor> own;
    protocol_ = proto::Protocol(shard_.compression().config_for(*answer.deflate, own));
    if (own) extra().compressor = std::move(own);
  }
  open(*answer.handlers);
  // Frames may follow the request in the same segment.
  take_input(bytes.subspan(step.consumed));
}

void Link::open(const Handlers& handlers) {
  opening_.reset();
  handlers_ = &handlers;
  phase_ = Phase::kOpen;
  arm(shard_.limits().ping_after_ms);
  if (handlers.on_open) guard([&](Conn& conn) { handlers.on_open(conn); });
}

void Link::refuse(OpeningAnswer answer) {
  log_event("request refused", answer.reason);
  sink().append(
      {reinterpret_cast<const std::uint8_t*>(answer.response.data()), answer.response.size()});
  finish(CloseCode::kAbnormal, answer.reason, CloseCause::kProtocol);
}

// The one place where handlers run.
template <class Callback>
void Link::guard(Callback&& callback) {
  Conn conn(*this);
  try {
    return callback(conn);
  } catch (const std::exception& exception) {
    core::log(core::LogLevel::kError, "handler threw", {{"what", exception.what()}});
  } catch (...) {
    core::log(core::LogLevel::kError, "handler threw", {{"what", "not a std::exception"}});
  }
  fail(CloseCode::kInternalError, "internal error", CloseCause::kHandlerThrew);
}

// Handles what was received, until it is used up, or a budget, or the peer's slowness in taking our
// answers, says stop.
void Link::decode(core::Bytes bytes) {
  protocol_.receive(bytes);
  protocol_.hold_pongs(!writable_);
  undecoded_ = false;
  std::uint32_t& messages_left = shard_.messages_left();
  core::Buffer& out = sink();
  const bool compressed = protocol_.config().deflate != nullptr;
  for (;;) {
    if (messages_left == 0 || paused_) {
      undecoded_ = true;
      if (!protocol_.unread().empty()) extra().backlog.append(protocol_.unread());
      break;
    }
    const Event event = protocol_.next(out);
    if (event.kind == Event::Kind::kNone) break;
    --messages_left;
    if (compressed) {
      shard_.spend_codec(event.payload.size());
      if (!may_decode()) messages_left = 0;
    }
    if (event.kind == Event::Kind::kMessage) {
      deliver(event.opcode, event.payload);
    } else {
      handle(event);
    }
  }
  note_assembly();
}

// Compressed messages can be a thousand times the bytes that a link's budget is about, so what the
// codecs may do in a turn is counted for all links together.
bool Link::may_decode() const {
  return protocol_.config().deflate == nullptr || !shard_.codec_spent();
}

void Link::decode_backlog() {
  core::Buffer backlog;  // taken out, since what stays undecoded is put back
  if (extra_) backlog = std::move(extra_->backlog);
  decode(backlog.bytes());
}

// Not inlined: the payload comes in registers. Copying it out of an event just written would stall
// (the two halves of a span are stored apart and loaded at once), for as long as the rest of this
// takes.
[[gnu::noinline]] void Link::deliver(Opcode opcode, core::ConstBytes payload) {
  assembling_ = false;
  if (!handlers_->on_message || phase_ != Phase::kOpen) return;
  const auto type = opcode == Opcode::kText ? MessageType::kText : MessageType::kBinary;
  const Message message{type, payload};
  shard_.set_received_view(protocol_.header_in_front() ? payload : core::ConstBytes());
  guard([&](Conn& conn) { handlers_->on_message(conn, message); });
  shard_.set_received_view({});
}

void Link::handle(const Event& event) {
  switch (event.kind) {
    case Event::Kind::kClosed: {
      const auto* text = reinterpret_cast<const char*>(event.payload.data());
      const CloseCause cause = phase_ == Phase::kClosing ? close_cause_ : CloseCause::kPeer;
      return finish(event.code, {text, event.payload.size()}, cause);
    }
    case Event::Kind::kFailed:
      log_event("protocol error", proto::describe(event.error));
      return finish(event.code, proto::describe(event.error), CloseCause::kProtocol);
    case Event::Kind::kPing:
    case Event::Kind::kPong:
      // What is torn from here on belongs to another frame.
      if (!protocol_.message_open()) assembling_ = false;
      return;
    case Event::Kind::kMessage:
    case Event::Kind::kNone:
      return;
  }
}

void Link::close(CloseCode code, std::string_view reason, CloseCause cause) {
  if (phase_ != Phase::kOpen) return;
  protocol_.close(sink(), code, reason);
  phase_ = Phase::kClosing;
  close_code_ = code;
  close_cause_ = cause;
  arm(shard_.limits().close_ms);
}

// Close without waiting for the peer's answer.
void Link::fail(CloseCode code, std::string_view reason, CloseCause cause) {
  if (phase_ >= Phase::kFinishing) return;
  protocol_.abort(sink(), code, reason);
  finish(code, reason, cause);
}

// From here on only output counts: settle() sends what is queued, then FIN.
void Link::finish(CloseCode code, std::string_view reason, CloseCause cause) {
  if (phase_ >= Phase::kFinishing) return;
  phase_ = Phase::kFinishing;
  opening_.reset();
  close_code_ = code;
  close_cause_ = cause;
  if (!reason.empty() && handlers_ != nullptr) extra().close_reason = reason;
  if (extra_) extra_->backlog.release();
  undecoded_ = paused_ = false;
  arm(shard_.limits().close_ms);
}

void Link::ended_by_peer() {
  at_end_ = false;
  if (phase_ == Phase::kLingering) return drop(close_cause_);
  // A FIN without a Close frame: no code, and nobody waits for one. What is owed is still sent.
  saw_end_ = true;
  finish(close_code_, {}, phase_ == Phase::kClosing ? close_cause_ : CloseCause::kPeer);
}

// The connection broke: nothing can be sent any more, except a TLS alert.
void Link::lost() {
  readable_ = false;
  const bool alert = transport_.session() != nullptr && !transport_.session()->failure().empty();
  if (!alert || phase_ >= Phase::kFinishing) return drop(CloseCause::kPeer);
  log_event("tls failure", transport_.session()->failure());
  finish(CloseCode::kAbnormal, {}, CloseCause::kTls);
}

void Link::shut_down(CloseCode code) {
  shard_.set_current(this);
  if (phase_ == Phase::kOpening) {
    if (transport_.handshaking()) {
      drop(CloseCause::kShutdown);
    } else {
      refuse(refuse_request(503));
    }
  } else {
    close(code, {}, CloseCause::kShutdown);
  }
  settle();
  shard_.set_current(nullptr);
}

void Link::drop(CloseCause cause) {
  if (dead()) return;
  if (unsent()) transport_.socket().abort_on_close();
  if (phase_ < Phase::kFinishing) close_cause_ = cause;
  phase_ = Phase::kDead;
  shard_.reactor().retire(id());
}

void Link::reap() {
  if (handlers_ == nullptr || !handlers_->on_close) return;
  const Close close{close_code_,
                    extra_ ? std::string_view(extra_->close_reason) : std::string_view(),
                    close_cause_};
  guard([&](Conn& conn) { handlers_->on_close(conn, close); });
}

void Link::make_ready() {
  if (ready_) return;
  ready_ = true;
  shard_.reactor().make_ready(id());
}

Link::Extra& Link::extra() {
  if (!extra_) extra_ = std::make_unique<Extra>();
  return *extra_;
}

void Link::log_event(std::string_view event, std::string_view reason) {
  if (!core::log_enabled(core::LogLevel::kInfo)) return;
  core::log(core::LogLevel::kInfo, event,
            {{"peer", transport_.socket().peer().to_string()}, {"reason", reason}});
}

core::Id Conn::id() const {
  return link_->id();
}

void Conn::close(CloseCode code, std::string_view reason) {
  link_->close(code, reason, CloseCause::kLocal);
}

std::string_view to_string(CloseCause cause) {
  switch (cause) {
    case CloseCause::kPeer:
      return "peer";
    case CloseCause::kLocal:
      return "local";
    case CloseCause::kProtocol:
      return "protocol";
    case CloseCause::kTimeout:
      return "timeout";
    case CloseCause::kSlowConsumer:
      return "slow consumer";
    case CloseCause::kTls:
      return "tls";
    case CloseCause::kShutdown:
      return "shutdown";
    case CloseCause::kHandlerThrew:
      return "handler threw";
  }
  return "";
}

}  // namespace ws
