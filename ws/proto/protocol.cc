#include "ws/proto/protocol.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/check.h"
#include "core/endian.h"

namespace ws::proto {

namespace {

// The largest spare that so many bytes received may take out of the pool. What a peer announces
// does not count: it would keep the memory, and send nothing. The factor lets the first 64 KiB of a
// message of 1 MiB find room for all of it, which saves copying them.
std::size_t room_for(std::size_t received) {
  return 16 * received + 4096;
}

}  // namespace

Event Protocol::next(core::Bytes& in, core::Buffer& out) {
  if (between_messages()) {
    if (const auto message = take_whole_message(in, config_->message_bytes_max)) {
      return {
          .kind = Event::Kind::kMessage, .opcode = message->opcode, .payload = message->payload};
    }
  }
  if (message_delivered_) {
    config_->pool->give(message_);
    message_delivered_ = false;
  }
  if (carry_spent_) {
    carry_.reset();
    carry_spent_ = false;
  }
  while (state_ != State::kEnded) {
    Event event;
    if (state_ == State::kPayload) {
      const bool received = !in.empty() || direct_waits();
      if (!received && frame_bytes_left_ > 0) return {};
      event = gather_payload(in);
    } else {
      if (in.empty()) return {};
      const Start start = take_start(in);
      if (start.step.error == Error::kNone && !start.complete) return {};
      event = start.step.error != Error::kNone ? Event{.error = start.step.error}
              : is_control(start.step.header.opcode)
                  ? control_event(start.step.header, start.control_payload, out)
                  : begin_data_frame(start.step.header, in);
    }
    if (event.error != Error::kNone) event = fail(event, out);
    const bool frame_done = state_ == State::kHeader;
    if (event.kind == Event::Kind::kNone && frame_done) event.kind = Event::Kind::kProgress;
    if (state_ == State::kEnded) in = {};
    if (event.kind != Event::Kind::kNone) return event;
  }
  in = {};  // 5.5.1: what follows a Close frame is ignored
  return {};
}

// A frame's header, and a control frame's payload with it, from received bytes; what is torn goes
// to the carry.
Protocol::Start Protocol::take_start(core::Bytes& in) {
  if (carry_) return take_start_from_carry(in);
  Start start;
  start.step = decode_header(in, config_->self.role, config_->rsv_claimed);
  if (start.step.error != Error::kNone) return start;
  const FrameHeader& header = start.step.header;
  const std::size_t control_bytes =
      is_control(header.opcode) ? static_cast<std::size_t>(header.payload_bytes) : 0;
  if (start.step.whole && in.size() >= start.step.bytes + control_bytes) {
    start.control_payload = in.subspan(start.step.bytes, control_bytes);
    in = in.subspan(start.step.bytes + control_bytes);
    start.complete = true;
    return start;
  }
  carry_ = std::make_unique<Carry>();
  WS_CHECK(in.size() <= carry_->bytes.size());
  carry_->size = in.size();
  std::copy(in.begin(), in.end(), carry_->bytes.begin());
  in = {};
  return start;
}

Protocol::Start Protocol::take_start_from_carry(core::Bytes& in) {
  for (;;) {
    Start start;
    start.step = decode_header({carry_->bytes.data(), carry_->size}, config_->self.role,
                               config_->rsv_claimed);
    if (start.step.error != Error::kNone) return start;
    const FrameHeader& header = start.step.header;
    std::size_t wanted = start.step.bytes;
    if (start.step.whole && is_control(header.opcode)) {
      wanted += static_cast<std::size_t>(header.payload_bytes);
    }
    if (start.step.whole && carry_->size == wanted) {
      start.control_payload = {carry_->bytes.data() + start.step.bytes, wanted - start.step.bytes};
      start.complete = true;
      return start;
    }
    if (in.empty()) return start;
    WS_CHECK(carry_->size <= wanted);
    WS_CHECK(wanted <= carry_->bytes.size());
    const std::size_t count = std::min(wanted - carry_->size, in.size());
    std::memcpy(carry_->bytes.data() + carry_->size, in.data(), count);
    carry_->size += count;
    in = in.subspan(count);
  }
}

// The limit holds for the message. Data that does not shrink grows: by a 25th with zlib's smallest
// memLevel, whose blocks are short.
std::uint64_t Protocol::payload_bytes_max(bool marked) const {
  const std::uint64_t bytes = config_->message_bytes_max;
  return marked ? std::min<std::uint64_t>(bytes + bytes / 16 + 64, kMessageBytesMost) : bytes;
}

Error Protocol::judge_data_frame(const FrameHeader& header) const {
  const bool continuation = header.opcode == Opcode::kContinuation;
  if (continuation && !message_open_) return Error::kStrayContinuation;
  // 5.4: "The fragments of one message MUST NOT be interleaved between the fragments of another
  // message".
  if (!continuation && message_open_) return Error::kInterleavedMessage;
  if (close_written_ || config_->chunks) return Error::kNone;  // it needs no room
  const bool marked = (continuation ? message_rsv_ : header.rsv) != 0;
  WS_CHECK(message_.size() <= payload_bytes_max(marked));
  if (header.payload_bytes > payload_bytes_max(marked) - message_.size()) {
    return Error::kMessageTooBig;
  }
  if (message_open_ && fragments_ == config_->message_fragments_max)
    return Error::kTooManyFragments;
  return Error::kNone;
}

Event Protocol::begin_data_frame(const FrameHeader& header, core::Bytes& in) {
  WS_DCHECK(frame_bytes_left_ == 0);
  header_torn_ = carry_ != nullptr;
  carry_.reset();
  if (const Error error = judge_data_frame(header); error != Error::kNone) return {.error = error};
  const bool first = header.opcode != Opcode::kContinuation;
  if (first) {
    message_opcode_ = header.opcode;
    message_rsv_ = header.rsv;
    if (header.fin && header.payload_bytes <= in.size()) return deliver_whole_frame(header, in);
    utf8_.reset();
    fragments_ = direct_bytes_ = 0;
    chunk_begun_ = false;
    const bool gathers = !close_written_ && !config_->chunks;
    if (gathers) message_ = config_->pool->take(room_for(in.size()));
  }
  ++fragments_;
  message_open_ = true;
  frame_fin_ = header.fin;
  frame_bytes_left_ = header.payload_bytes;
  mask_key_ = header.mask_key;
  state_ = State::kPayload;
  return {};
}

// The common case: a message of one frame, all of it here. No copy.
Event Protocol::deliver_whole_frame(const FrameHeader& header, core::Bytes& in) {
  const core::Bytes payload = in.first(static_cast<std::size_t>(header.payload_bytes));
  in = in.subspan(payload.size());
  if (close_written_) return {};
  if (from_client()) apply_mask(payload, header.mask_key);
  message_opcode_ = header.opcode;
  if (header.rsv != 0) return deliver_decoded(payload);
  if (header.opcode == Opcode::kText && !valid_utf8(payload)) return {.error = Error::kInvalidUtf8};
  return {.kind = Event::Kind::kMessage, .opcode = header.opcode, .payload = payload};
}

// What marked the message last on the way out is undone first.
Event Protocol::deliver_decoded(core::ConstBytes marked) {
  WS_DCHECK(message_rsv_ != 0);
  // Headers of blocks take time and may produce nothing.
  constexpr std::size_t kWorkOfInputByte = 8;
  core::Buffer decoded;
  std::size_t work = 0;
  std::uint8_t rsv = message_rsv_;
  for (std::size_t i = config_->extension_count; i-- > 0 && rsv != 0;) {
    const AgreedExtension& agreed = config_->extensions[i];
    if ((rsv & agreed.rsv) == 0) continue;
    rsv &= static_cast<std::uint8_t>(~agreed.rsv);
    core::Buffer out = config_->pool->take(room_for(marked.size()));
    const Error error = decode(*agreed.extension, marked, out, rsv == 0);
    work += std::max(out.size(), kWorkOfInputByte * marked.size());
    config_->pool->give(decoded);
    decoded = std::move(out);
    marked = decoded.bytes();
    if (error == Error::kNone) continue;
    config_->pool->give(decoded);
    return {.error = error, .decoded_bytes = work};
  }
  WS_CHECK(rsv == 0);  // decode_header() lets only claimed bits pass
  message_ = std::move(decoded);
  message_delivered_ = true;
  return {.kind = Event::Kind::kMessage,
          .opcode = message_opcode_,
          .payload = message_.bytes(),
          .decoded_bytes = work};
}

// One extension's part of it. is_final: `out` becomes the message; its text is validated, and its
// limit checked, while it is produced.
Error Protocol::decode(ws::Extension& extension, core::ConstBytes in, core::Buffer& out,
                       bool is_final) {
  constexpr std::size_t kShareBytes = 64 * 1024;  // still in the cache when it is validated
  using Status = ws::Extension::Status;
  const bool text = is_final && message_opcode_ == Opcode::kText;
  const auto limit = static_cast<std::size_t>(payload_bytes_max(!is_final));
  utf8_.reset();
  extension.begin_decode(in);
  for (;;) {
    const std::size_t seen = out.size();
    const Status status = extension.decode(out, limit, kShareBytes);
    if (text && !utf8_.feed(out.bytes().subspan(seen))) return Error::kInvalidUtf8;
    if (status == Status::kTooBig || out.size() > limit) return Error::kMessageTooBig;
    if (status == Status::kBad) return Error::kUndecodable;
    if (status == Status::kMore) continue;
    return text && !utf8_.complete() ? Error::kInvalidUtf8 : Error::kNone;
  }
}

Event Protocol::gather_payload(core::Bytes& in) {
  if (config_->chunks) return next_chunk(in);
  std::size_t count = std::exchange(direct_bytes_, 0);
  if (count == 0) {
    count = static_cast<std::size_t>(std::min<std::uint64_t>(frame_bytes_left_, in.size()));
    if (!close_written_ && count > 0) {
      make_room(count);
      message_.append(in.first(count));
    }
    in = in.subspan(count);
  }
  WS_CHECK(count <= frame_bytes_left_);
  frame_bytes_left_ -= count;
  if (!close_written_ && !accept_piece(message_.bytes().last(count))) {
    return {.error = Error::kInvalidUtf8};
  }
  return frame_bytes_left_ == 0 ? finish_data_frame() : Event{};
}

// Nothing is gathered: a piece is a view into received bytes, as large as they are.
Event Protocol::next_chunk(core::Bytes& in) {
  const auto count =
      static_cast<std::size_t>(std::min<std::uint64_t>(frame_bytes_left_, in.size()));
  const core::Bytes piece = in.first(count);
  in = in.subspan(count);
  frame_bytes_left_ -= count;
  direct_bytes_ += static_cast<std::uint32_t>(count);
  if (!close_written_ && !accept_piece(piece)) return {.error = Error::kInvalidUtf8};
  const bool frame_done = frame_bytes_left_ == 0;
  if (frame_done) state_ = State::kHeader;
  const bool last = frame_done && frame_fin_;
  if (last) {
    message_open_ = false;
    direct_bytes_ = 0;  // what may be torn from here on is another message
  }
  if (close_written_) return {};
  if (last && message_opcode_ == Opcode::kText && !utf8_.complete()) {
    return {.error = Error::kInvalidUtf8};
  }
  if (count == 0 && !last) return {};
  const bool first = !chunk_begun_;
  chunk_begun_ = true;
  return {.kind = Event::Kind::kChunk,
          .opcode = message_opcode_,
          .first = first,
          .last = last,
          .payload = piece};
}

// Like the growth of any buffer, but through the pool: both the memory taken and the memory left
// are warm.
void Protocol::make_room(std::size_t count) {
  if (message_.capacity() - message_.size() >= count) return;
  std::uint64_t wanted = 2 * message_.size();
  // No more than the message will be, where that is known.
  if (frame_fin_) wanted = std::min(wanted, message_.size() + frame_bytes_left_);
  wanted = std::max<std::uint64_t>(wanted, message_.size() + count);
  core::Buffer bigger = config_->pool->take(room_for(message_.size() + count));
  bigger.prepare(static_cast<std::size_t>(wanted));
  bigger.append(message_.bytes());
  config_->pool->give(message_);
  message_ = std::move(bigger);
}

// Unmasks and validates payload just gathered, while it is warm.
bool Protocol::accept_piece(core::Bytes piece) {
  if (from_client()) {
    apply_mask(piece, mask_key_);
    mask_key_ = mask_key_.advanced(piece.size());
  }
  return message_opcode_ != Opcode::kText || message_rsv_ != 0 || utf8_.feed(piece);
}

core::Buffer Protocol::take_message(core::ConstBytes payload) {
  const bool held =
      message_delivered_ && payload.data() == message_.data() && payload.size() == message_.size();
  return held ? std::move(message_) : core::Buffer{};
}

core::Bytes Protocol::payload_space() {
  if (state_ != State::kPayload || close_written_ || config_->chunks || direct_waits()) return {};
  constexpr std::size_t kWorthwhile = 4096;
  WS_DCHECK(message_open_);
  if (frame_bytes_left_ < kWorthwhile) return {};
  const auto wanted =
      std::min<std::uint64_t>(frame_bytes_left_, std::max(kWorthwhile, message_.size()));
  make_room(static_cast<std::size_t>(wanted));
  const core::Bytes room = message_.prepare(static_cast<std::size_t>(wanted));
  return room.first(
      static_cast<std::size_t>(std::min<std::uint64_t>(room.size(), frame_bytes_left_)));
}

void Protocol::payload_received(std::size_t count) {
  WS_CHECK(count <= frame_bytes_left_);
  WS_CHECK(!close_written_);
  message_.commit(count);
  direct_bytes_ = static_cast<std::uint32_t>(count);
}

Event Protocol::finish_data_frame() {
  WS_DCHECK(message_open_);
  state_ = State::kHeader;
  if (!frame_fin_) return {};
  message_open_ = false;
  if (close_written_) return {};
  if (message_rsv_ != 0) {
    core::Buffer marked = std::move(message_);
    Event event = deliver_decoded(marked.bytes());
    config_->pool->give(marked);
    return event;
  }
  // 8.1: text "MUST" be whole UTF-8; a message may not end inside a character.
  if (message_opcode_ == Opcode::kText && !utf8_.complete()) return {.error = Error::kInvalidUtf8};
  message_delivered_ = true;
  return {.kind = Event::Kind::kMessage, .opcode = message_opcode_, .payload = message_.bytes()};
}

Event Protocol::control_event(const FrameHeader& header, core::Bytes payload, core::Buffer& out) {
  carry_spent_ = carry_ != nullptr;  // the event may show bytes in it
  if (from_client()) apply_mask(payload, header.mask_key);
  switch (header.opcode) {
    case Opcode::kPing:
      answer_ping(payload, out);
      return {.kind = Event::Kind::kPing, .opcode = Opcode::kPing, .payload = payload};
    case Opcode::kPong:
      return {.kind = Event::Kind::kPong, .opcode = Opcode::kPong, .payload = payload};
    default:
      return close_event(payload, out);
  }
}

// 5.5.2: "Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response, unless it
// already received a Close frame." After our own Close nothing follows it.
void Protocol::answer_ping(core::ConstBytes payload, core::Buffer& out) {
  if (close_written_) return;
  if (!pongs_held_) {
    held_pong_.reset();  // this one is newer and answers for it
    return encode_frame(out, config_->self, Opcode::kPong, payload);
  }
  if (!held_pong_) held_pong_ = std::make_unique<HeldPong>();
  WS_CHECK(payload.size() <= held_pong_->bytes.size());
  held_pong_->size = payload.size();
  std::copy(payload.begin(), payload.end(), held_pong_->bytes.begin());
}

void Protocol::release_pong(core::Buffer& out) {
  if (!held_pong_) return;
  if (!close_written_) {
    encode_frame(out, config_->self, Opcode::kPong, {held_pong_->bytes.data(), held_pong_->size});
  }
  held_pong_.reset();
}

Event Protocol::close_event(core::ConstBytes body, core::Buffer& out) {
  Event event{.kind = Event::Kind::kClosed, .opcode = Opcode::kClose};
  // 5.5.1: "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer".
  if (body.size() == 1) return {.error = Error::kBadCloseBody};
  if (!body.empty()) {
    const auto code = core::load_be<std::uint16_t>(body.data());
    if (!is_valid_close_code(code)) return {.error = Error::kBadCloseBody};
    event.code = static_cast<CloseCode>(code);
    event.payload = body.subspan(2);
    if (!valid_utf8(event.payload)) return {.error = Error::kInvalidUtf8};
  }
  // "When sending a Close frame in response, the endpoint typically echos the status code it
  // received."
  close(out, event.code, {});
  end();
  return event;
}

void Protocol::close(core::Buffer& out, CloseCode code, std::string_view reason) {
  if (close_written_) return;
  close_written_ = true;
  encode_close(out, config_->self, code, reason);
  // What was gathered of a message will not be delivered any more.
  if (!message_delivered_) config_->pool->give(message_);
}

void Protocol::abort(core::Buffer& out, CloseCode code, std::string_view reason) {
  close(out, code, reason);
  end();
}

void Protocol::end() {
  state_ = State::kEnded;
}

Event Protocol::fail(const Event& event, core::Buffer& out) {
  const CloseCode code = close_code(event.error);
  abort(out, code, describe(event.error));
  return {.kind = Event::Kind::kFailed,
          .error = event.error,
          .code = code,
          .decoded_bytes = event.decoded_bytes};
}

}  // namespace ws::proto
