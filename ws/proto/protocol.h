// Public. One WebSocket connection as a pure state machine: bytes in, events and answer bytes
// out.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include "core/buffer.h"
#include "core/buffer_pool.h"
#include "ws/proto/close_code.h"
#include "ws/proto/encoder.h"
#include "ws/proto/error.h"
#include "ws/proto/extension.h"
#include "ws/proto/frame.h"
#include "ws/proto/utf8.h"

namespace ws::proto {

class PermessageDeflate;

struct Event {
  enum class Kind : std::uint8_t {
    kNone,      // all that was received is used up
    kProgress,  // a frame was used up that says nothing yet, or nothing any more: a fragment of a
                // message, a message after our Close. For who counts the work of a peer
    kMessage,   // opcode says text (valid UTF-8) or binary
    kChunk,     // ProtocolConfig::chunks: a piece of a message that is not here as a whole
    kPing,      // already answered
    kPong,
    kClosed,  // the peer's Close, already answered: flush, then close TCP. code, payload = reason
    kFailed,  // the peer broke a rule; a Close frame with `code` is written: flush, then close TCP
  };
  Kind kind = Kind::kNone;
  Opcode opcode = Opcode::kContinuation;
  bool first = false;  // kChunk: of the message
  bool last = false;
  Error error = Error::kNone;
  CloseCode code = CloseCode::kNoStatus;
  core::ConstBytes payload{};  // valid until the next call of next()
  // What extensions had to do for it: bytes they produced, or 8 for each that they read.
  std::size_t decoded_bytes = 0;
};

// RFC 6455 9.1: extensions in the order of the server's answer, "the extensions listed first [...]
// are applied first" to what is sent, and last to what is received. At most one for each RSV bit.
struct AgreedExtension {
  ws::Extension* extension = nullptr;
  std::uint8_t rsv = 0;
};

// What connections share: those of one thread and role, and of the same extensions where those
// keep nothing of a connection.
struct ProtocolConfig {
  Sender self;
  std::uint64_t message_bytes_max = 0;
  std::uint32_t message_fragments_max = 0;
  core::BufferPool* pool = nullptr;
  std::array<AgreedExtension, 3> extensions{};
  std::uint8_t extension_count = 0;
  std::uint8_t rsv_claimed = 0;  // the bits of all of them
  // Messages come in pieces, as they arrive; their limits do not hold, and no extension is agreed
  // on.
  bool chunks = false;
  // permessage-deflate, if it is among them.
  PermessageDeflate* deflate = nullptr;

  void add(ws::Extension& extension, RsvBit bit) {
    extensions[extension_count++] = {&extension, static_cast<std::uint8_t>(bit)};
    rsv_claimed |= static_cast<std::uint8_t>(bit);
  }
};

// Both roles. No I/O, no clock. Everything it answers (pongs, the closing handshake, the Close of a
// failure) goes to the `out` it is given, in order with what the caller writes there between
// events, so whatever was owed precedes a failure's Close frame.
//
//   while ((event = protocol.next(bytes, out)).kind != Event::Kind::kNone) handle(event);
//
// Memory while idle: none beyond the object. thread: one.
class Protocol {
 public:
  explicit Protocol(const ProtocolConfig& config) : config_(&config) {}
  const ProtocolConfig& config() const { return *config_; }

  // The next event in received bytes, split anywhere; kNone when all are used up. They are unmasked
  // in place and taken off the front of `in`; a caller that stops early keeps the rest for later. A
  // whole unfragmented frame is a view into them, valid as long as they are; anything else is
  // gathered in a buffer that grows with the bytes received, never with a length announced.
  // cost: no allocation for whole frames.
  Event next(core::Bytes& in, core::Buffer& out);

  // A server's, and nothing is left of what came before: take_whole_message() then finds the same
  // as next(), for a loop that shall lose no time.
  bool between_messages() const {
    return state_ == State::kHeader && !message_open_ && !message_delivered_ && !close_written_ &&
           !carry_ && from_client();
  }

  // Inside a large data frame, when all that was received is used up: where its next bytes can be
  // received without a copy, else empty. Of fresh memory at most as much again as was received of
  // the message, or 4 KiB; a spare of the pool may have more. Afterwards call payload_received()
  // and then next().
  core::Bytes payload_space();
  void payload_received(std::size_t count);

  // The memory of the message just delivered, for a caller that needs its bytes beyond the next
  // call. Empty when `payload` is not all of it or is a view into received bytes.
  core::Buffer take_message(core::ConstBytes payload);

  // The message just delivered lies in received bytes, right behind its frame's header. Not so when
  // it was gathered, inflated, or its header was torn by a read.
  bool header_in_front() const { return !message_delivered_ && !header_torn_; }

  // Starts the closing handshake: writes Close. Messages that still come are dropped; the peer's
  // Close ends it. No effect once a Close was written.
  void close(core::Buffer& out, CloseCode code, std::string_view reason);
  // Close without a handshake: writes Close unless one was written, and ignores everything that
  // comes.
  void abort(core::Buffer& out, CloseCode code, std::string_view reason);

  // While the peer does not take our output, only the newest ping is remembered: RFC 6455 5.5.3 "an
  // endpoint MAY elect to send a Pong frame for only the most recently processed Ping frame."
  void hold_pongs(bool hold) { pongs_held_ = hold; }
  // Writes the pong held back, if there is one.
  void release_pong(core::Buffer& out);

  // Between the first byte of a message and its last; for assembly deadlines.
  bool mid_message() const { return state_ == State::kPayload || message_open_ || carry_; }
  // A fragment came and its last one has not.
  bool message_open() const { return message_open_; }
  // Bytes of it so far, modulo 2^32.
  std::uint32_t flowed_bytes() const {
    return config_->chunks ? direct_bytes_ : static_cast<std::uint32_t>(message_.size());
  }

 private:
  enum class State : std::uint8_t { kHeader, kPayload, kEnded };

  // Start of a frame that a read tore apart: a header, or a whole control frame.
  struct Carry {
    std::size_t size = 0;
    std::array<std::uint8_t, kFrameHeaderBytesMax + kControlPayloadBytesMax> bytes;
  };
  struct HeldPong {
    std::size_t size;
    std::array<std::uint8_t, kControlPayloadBytesMax> bytes;
  };
  // A frame's first bytes: its header and, for a control frame, its payload.
  struct Start {
    HeaderStep step;
    core::Bytes control_payload;
    bool complete = false;
  };

  Start take_start(core::Bytes& in);
  Start take_start_from_carry(core::Bytes& in);
  Event begin_data_frame(const FrameHeader& header, core::Bytes& in);
  std::uint64_t payload_bytes_max(bool marked) const;
  Error judge_data_frame(const FrameHeader& header) const;
  Event deliver_whole_frame(const FrameHeader& header, core::Bytes& in);
  Event deliver_decoded(core::ConstBytes marked);
  Error decode(ws::Extension& extension, core::ConstBytes in, core::Buffer& out, bool is_final);
  Event gather_payload(core::Bytes& in);
  Event next_chunk(core::Bytes& in);
  void make_room(std::size_t count);
  bool accept_piece(core::Bytes piece);
  Event finish_data_frame();
  Event control_event(const FrameHeader& header, core::Bytes payload, core::Buffer& out);
  Event close_event(core::ConstBytes body, core::Buffer& out);
  void answer_ping(core::ConstBytes payload, core::Buffer& out);
  Event fail(const Event& event, core::Buffer& out);
  void end();
  bool from_client() const { return config_->self.role == Role::kServer; }
  bool direct_waits() const { return direct_bytes_ != 0 && !config_->chunks; }

  const ProtocolConfig* config_;
  std::unique_ptr<Carry> carry_;
  std::unique_ptr<HeldPong> held_pong_;
  core::Buffer message_;                // payload of the open message, gathered
  std::uint64_t frame_bytes_left_ = 0;  // of the data frame in progress
  MaskKey mask_key_;                    // for the next byte of it
  // Received into payload_space(), not yet looked at; with chunks, bytes of the open message,
  // modulo 2^32.
  std::uint32_t direct_bytes_ = 0;
  std::uint32_t fragments_ = 0;  // of the open message
  Utf8Validator utf8_;
  Opcode message_opcode_ = Opcode::kBinary;
  // One byte, so that the hot path tests it at once.
  State state_ : 2 = State::kHeader;
  bool carry_spent_ : 1 = false;        // the event just given may show it
  bool message_open_ : 1 = false;       // a fragment without FIN came
  bool chunk_begun_ : 1 = false;        // a piece of the open message was handed out
  bool header_torn_ : 1 = false;        // the last data frame's came through the carry
  bool message_delivered_ : 1 = false;  // message_ is still seen by the caller
  bool close_written_ : 1 = false;
  bool pongs_held_ : 1 = false;
  bool frame_fin_ = false;        // of the data frame in progress
  std::uint8_t message_rsv_ = 0;  // the open message came with these bits
};

}  // namespace ws::proto
