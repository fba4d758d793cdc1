// Internal. One peer, from accept or connect to the closing of its socket.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/buffer.h"
#include "core/id.h"
#include "core/timer_wheel.h"
#include "net/transport.h"
#include "ws/conn.h"
#include "ws/handlers.h"
#include "ws/link_extra.h"
#include "ws/proto/protocol.h"
#include "ws/topics.h"

namespace ws {

class Shard;

// Owned by its shard's slab; lives and dies on that thread. An idle one holds no memory beyond
// itself, so its size is the price of a connection (README). It is its own Conn, so that a Conn&
// kept too long can be told from a live one.
class Link : public Conn {
 public:
  Link(core::Id id, Shard& shard, net::Transport transport);  // a server's
  // A client's: waits for connect_to(). dial: outlives it.
  Link(core::Id id, Shard& shard, Dial& dial);
  ~Link();

  void on_wake(std::uint32_t wake);  // the reactor's reasons (core::Wake bits)
  void reap();                       // last act before the slot is freed: on_close
  // The program stops: Close to an open peer, 503 to one still asking. Not from its own handlers.
  void shut_down(CloseCode code, CloseCause cause);
  void drop(CloseCause cause);  // ends it at once, with RST if anything is unsent
  void run(const std::function<void(Conn&)>& task);  // of a post()
  void turn_away();               // a limit is reached: its request is answered 503
  void answer(Upgrade decision);  // link_open.cc: what on_upgrade deferred

  // link_connect.cc: the client's opening.
  void connect_to(core::Result<std::vector<net::Address>> addresses);
  void connect_by(net::Socket socket);  // one that is connected
  Dial* dial() { return extra_ ? extra_->dial : nullptr; }

  // What Conn offers; conn.cc says when it may be used.
  SendStatus send_message(proto::Opcode opcode, core::ConstBytes payload, SendOptions options);
  SendStatus stream_frame(proto::FrameMarks marks, core::ConstBytes payload);
  SendStatus send_ping(core::ConstBytes payload);
  void close_with(CloseCode code, std::string_view reason, CloseCause cause);
  bool is_open() const { return phase_ == Phase::kOpen; }
  bool is_streaming() const { return streaming_; }
  std::size_t queued() const;
  void pause_reading(bool pause);
  std::vector<Subscription>& subscriptions() { return extra().subscriptions; }
  UserData& user_data() { return extra().data; }
  const struct Request* request() const;
  std::string_view subprotocol() const;
  core::Id id() const { return timer_.owner; }
  Shard& shard() const { return shard_; }
  net::Socket& socket() { return transport_.socket(); }

  // For Topics. at_once: do not gather for the end of the turn. false: dropped, or not open.
  bool take_publication(Publication& publication, const Topic& topic, bool at_once);
  void moved_in_topic(std::size_t subscription, std::size_t place) {
    extra_->subscriptions[subscription].place = place;
  }

  // From here on a payload goes out from where it lies: copying it costs more than a system call.
  static constexpr std::size_t kDirectBytes = 16 * 1024;

 private:
  // A link only moves down this list.
  enum class Phase : std::uint8_t {
    kOpening,    // TCP, TLS and HTTP
    kOpen,       // messages
    kClosing,    // our Close is out, the peer's is awaited
    kFinishing,  // nothing more to say: what is queued goes out, then FIN; input is thrown away
    kLingering,  // FIN is out; input is thrown away until the peer's FIN (finish_output() says why)
    kDead,       // waits for the reap
  };
  // link.cc: input and phases
  void read_input();
  void read_once(std::uint32_t& bytes_left);
  void after_read(net::Transport::State state);
  void take_input(core::Bytes bytes);
  void discard_input(std::uint32_t& bytes_left);
  core::Bytes decode(core::Bytes bytes);
  void decode_backlog();
  bool may_decode() const;
  bool reads() const { return !paused_ && !held_back_; }
  void deliver_whole_messages(core::Bytes& bytes);
  void call_on_message(proto::Opcode opcode, core::ConstBytes payload, bool header_in_front);
  void deliver_chunk(const proto::Event& event);
  void handle(const proto::Event& event);
  void call_on_drain();
  void open(const Handlers& handlers);
  template <class Callback>
  void guard(Callback&& callback);
  void fail(CloseCode code, std::string_view reason, CloseCause cause);
  void finish(CloseCode code, std::string_view reason, CloseCause cause);
  void ended_by_peer();
  void note_end();
  void lost();

  // link_open.cc
  void take_request(core::Bytes bytes);
  void serve_page();
  void ask_program();
  void decide(Upgrade decision);
  void accept(Accept answer);
  void settle_request(bool keep);
  void describe_request();
  void answer_http(int status, std::string_view body, std::span<const HeaderField> headers);
  void refuse_answer(const core::Error& why);
  void refuse(Judgement answer);

  // link_connect.cc
  void try_next_address(std::string last_error);
  void on_connect_event();
  void send_request();
  void take_response(core::Bytes bytes);
  core::Result<core::Ok> accept_response();
  void connect_lost();
  void connect_timed_out();
  void connect_failed(std::string reason, int status = 0);
  void arm_for_connecting(std::size_t attempts);

  // link_output.cc: what goes out
  core::Buffer& sink();
  core::Buffer& data_sink();
  bool sends_at_once(core::ConstBytes payload, SendOptions options);
  SendStatus send_any(proto::Opcode opcode, core::ConstBytes payload, SendOptions options);
  net::Transport::Push push() const;
  std::size_t write_parts(std::span<const iovec> parts);
  void flush_outbox();
  void keep_unsent(std::span<const iovec> parts, std::size_t count);
  void note_queued();
  std::size_t staged() const;
  bool has_room(std::size_t payload_bytes, std::size_t frame_bytes);
  SendStatus send_encoded(proto::Opcode opcode, std::uint8_t rsv, core::ConstBytes payload,
                          std::size_t frame_bytes);
  SendStatus send_direct(proto::Opcode opcode, std::uint8_t rsv, core::ConstBytes payload);
  bool admit_publication(const Topic& topic, bool shares);
  std::size_t drop_oldest(const Topic& topic, std::size_t bytes);
  void flush_later();
  void queue_outbox();
  void share(core::SharedBytes frames, const Topic& topic, bool at_once);
  core::Buffer& own_queue();
  void flush_when_large();
  void note_taken(std::size_t bytes);
  void drain_queue();
  void settle();
  void finish_output();
  void write_failed();
  void discard_queue();
  std::size_t unsent() const { return queued_bytes() + transport_.pending(); }
  // What is said now goes behind older bytes. What TLS has ready, and nobody refused, goes along.
  bool waits() const { return queued_bytes() > 0 || (!writable_ && transport_.pending() > 0); }
  std::size_t queued_bytes() const { return extra_ ? extra_->queue.size() : 0; }

  // link_timer.cc: deadlines
  void arm(std::uint32_t in_ms);
  void on_timer();
  void on_opening_timer();
  void begin_window();
  bool peer_takes();
  std::uint32_t check_keep_alive();
  std::uint32_t check_assembly();
  void note_assembly();
  void resume_reading();

  bool dead() const { return phase_ == Phase::kDead; }
  void make_ready();
  LinkExtra& extra();
  void log_event(std::string_view event, std::string_view reason);

  Shard& shard_;
  net::Transport transport_;
  core::TimerNode timer_;
  proto::Protocol protocol_;
  std::unique_ptr<LinkOpening> opening_;
  std::unique_ptr<LinkExtra> extra_;
  const Handlers* handlers_ = nullptr;  // of the route or dial, once open
  // Milliseconds of the reactor's clock, low 32 bits: compared by subtraction.
  std::uint32_t alive_ms_;  // the peer last sent bytes, or took queued ones
  std::uint32_t ping_ms_ = 0;
  // A time in which enough must flow: check_assembly() while open, peer_takes() from our Close on.
  std::uint32_t window_ms_ = 0;      // its start
  std::uint32_t window_bytes_ = 0;   // flowed_bytes() then; in_flight() then, and written since
  std::uint32_t counted_bytes_ = 0;  // in flight at the ping; discarded since the end (below 2 GiB)
  CloseCode close_code_ = CloseCode::kAbnormal;
  CloseCause close_cause_ = CloseCause::kPeer;
  Phase phase_ = Phase::kOpening;
  bool client_ : 1 = false;
  bool plain_ : 1 = false;      // a server's, without extensions
  bool streaming_ : 1 = false;  // between begin() and end()
  bool turned_away_ : 1 = false;
  bool readable_ : 1 = false;    // an edge came, and no EAGAIN or short read since
  bool writable_ : 1 = true;     // no EAGAIN since the last edge
  bool hangup_ : 1 = false;      // the peer's FIN or a reset is in the socket: read up to it
  bool broken_ : 1 = false;      // nothing more can be sent but what TLS has sealed
  bool ready_ : 1 = false;       // in the reactor's ready list
  bool dirty_ : 1 = false;       // in its dirty list
  bool paused_ : 1 = false;      // the queue passed the high mark and is not below the low mark yet
  bool drain_due_ : 1 = false;   // likewise, together with what waits for end()
  bool held_back_ : 1 = false;   // pause_reading(), or a deferred upgrade
  bool undecoded_ : 1 = false;   // decoding stopped early
  bool at_end_ : 1 = false;      // the peer's end was read while it was
  bool saw_end_ : 1 = false;     // and has been acted on: no need to linger
  bool pinged_ : 1 = false;      // our ping awaits any byte
  bool assembling_ : 1 = false;  // a message is half here
};

// Plus 8 of the slab: what an idle ws:// connection costs (README).
static_assert(sizeof(Link) <= 192);

}  // namespace ws
