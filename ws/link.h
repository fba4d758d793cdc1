// Internal. One peer, from accept to the closing of its socket.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/buffer.h"
#include "core/id.h"
#include "core/timer_wheel.h"
#include "net/transport.h"
#include "ws/compression.h"
#include "ws/conn.h"
#include "ws/ip_counts.h"
#include "ws/opening.h"
#include "ws/proto/http_parser.h"
#include "ws/proto/protocol.h"

namespace ws {

class Shard;

// Owned by its shard's slab; lives and dies on that thread. An idle one holds no memory beyond
// itself, so its size is the price of a connection (README).
class Link {
 public:
  // ip: its place in the per-address counts, null when they are off. refuse: a limit is reached,
  // answer 503.
  Link(core::Id id, Shard& shard, net::Transport transport, IpCounts::Entry* ip, bool refuse);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // The reactor's reasons (core::Wake bits).
  void on_wake(std::uint32_t wake);
  // Last act before the slot is freed: on_close.
  void reap();
  // The server stops: Close to an open peer, 503 to one that is still asking.
  void shut_down(CloseCode code);
  // Ends it at once, with RST if anything is unsent.
  void drop(CloseCause cause);

  // What Conn offers.
  SendStatus send(proto::Opcode opcode, core::ConstBytes payload, SendOptions options);
  void close(CloseCode code, std::string_view reason, CloseCause cause);
  core::Id id() const { return timer_.owner; }
  int fd() { return transport_.socket().fd(); }

 private:
  // A link only moves down this list.
  enum class Phase : std::uint8_t {
    kOpening,    // TLS and HTTP
    kOpen,       // messages
    kClosing,    // our Close is out, the peer's is awaited
    kFinishing,  // nothing more to say: what is queued goes out, then FIN; input is thrown away
    kLingering,  // FIN is out; input is thrown away until the peer's FIN, so that no RST overtakes
                 // our last bytes
    kDead,       // waits for the reap
  };
  struct Opening {
    proto::RequestParser parser;
    bool refuse;
  };
  // What only a slow, busy or leaving peer needs.
  struct Extra {
    core::Buffer queue;    // output the socket did not take
    core::Buffer backlog;  // input received and not decoded when a budget ran out
    std::string close_reason;
    std::unique_ptr<Compressor> compressor;  // where contexts are taken over
  };

  // link.cc: input and phases
  void read_input();
  void read_once(std::uint32_t& bytes_left);
  void after_read(net::Transport::State state);
  void take_input(core::Bytes bytes);
  void take_request(core::Bytes bytes);
  void discard_input(std::uint32_t& bytes_left);
  void decode(core::Bytes bytes);
  void decode_backlog();
  bool may_decode() const;
  void deliver(proto::Opcode opcode, core::ConstBytes payload);
  void handle(const proto::Event& event);
  void open(const Handlers& handlers);
  void refuse(OpeningAnswer answer);
  template <class Callback>
  void guard(Callback&& callback);
  void fail(CloseCode code, std::string_view reason, CloseCause cause);
  void finish(CloseCode code, std::string_view reason, CloseCause cause);
  void ended_by_peer();
  void lost();

  // link_output.cc: what goes out
  core::Buffer& sink();
  std::size_t write_parts(std::span<const iovec> parts);
  void flush_outbox();
  void keep_unsent(std::span<const iovec> parts, std::size_t count);
  void note_queued();
  SendStatus send_frame(proto::Opcode opcode, core::ConstBytes payload, bool rsv1);
  SendStatus send_direct(proto::Opcode opcode, core::ConstBytes payload, bool rsv1);
  core::Buffer& queue();
  void drain_queue();
  void settle();
  void finish_output();
  bool unsent() const { return queued_bytes() > 0 || transport_.pending(); }
  std::size_t queued_bytes() const { return extra_ ? extra_->queue.size() : 0; }

  // link_timer.cc: deadlines
  void arm(std::uint32_t in_ms);
  void on_timer();
  std::uint32_t check_keep_alive();
  std::uint32_t check_assembly();
  void note_assembly();

  bool dead() const { return phase_ == Phase::kDead; }
  void make_ready();
  Extra& extra();
  void log_event(std::string_view event, std::string_view reason);

  Shard& shard_;
  net::Transport transport_;
  core::TimerNode timer_;
  proto::Protocol protocol_;
  std::unique_ptr<Opening> opening_;
  std::unique_ptr<Extra> extra_;
  const Handlers* handlers_ = nullptr;  // of the route, once open
  IpCounts::Entry* ip_;
  // Milliseconds of the reactor's clock, low 32 bits: compared by subtraction.
  std::uint32_t alive_ms_;  // the peer last sent bytes, or took queued ones
  std::uint32_t ping_ms_ = 0;
  std::uint32_t assembly_ms_ = 0;      // start of the window in which enough bytes must flow
  std::uint32_t assembly_bytes_ = 0;   // of the message at that start
  std::uint64_t discarded_bytes_ = 0;  // since the end of the conversation
  CloseCode close_code_ = CloseCode::kAbnormal;
  CloseCause close_cause_ = CloseCause::kPeer;
  Phase phase_ = Phase::kOpening;
  bool readable_ : 1 = false;    // an edge came and EAGAIN has not followed yet
  bool writable_ : 1 = true;     // no EAGAIN since the last edge
  bool hangup_ : 1 = false;      // the peer's FIN or a reset is in the socket: read up to it
  bool ready_ : 1 = false;       // in the reactor's ready list
  bool dirty_ : 1 = false;       // in its dirty list
  bool paused_ : 1 = false;      // the queue passed the high mark and is not below the low mark yet
  bool undecoded_ : 1 = false;   // decoding stopped early
  bool at_end_ : 1 = false;      // the peer's end was read while it was
  bool saw_end_ : 1 = false;     // and has been acted on: no need to linger
  bool pinged_ : 1 = false;      // our ping awaits any byte
  bool assembling_ : 1 = false;  // a message is half here
};

// Plus 8 of the slab: what an idle ws:// connection costs (README).
static_assert(sizeof(Link) <= 216);

}  // namespace ws
