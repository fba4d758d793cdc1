// Internal. One reactor thread with its listeners and links.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/buffer.h"
#include "core/limits.h"
#include "core/reactor.h"
#include "core/slab.h"
#include "net/listener.h"
#include "net/transport.h"
#include "tls/context.h"
#include "ws/counters.h"
#include "ws/dials.h"
#include "ws/extensions.h"
#include "ws/ip_counts.h"
#include "ws/link.h"
#include "ws/proto/protocol.h"
#include "ws/router.h"
#include "ws/topics.h"

namespace ws {

class Shard;

// errors: one line naming the limit that a program may not set so.
core::Result<core::Ok> check_limits(const Limits& limits, const DeflateOptions& deflate);

// What all shards of a server share. Constant while they run, but for the counters.
struct Common {
  Limits limits;
  DeflateOptions deflate;
  std::vector<std::shared_ptr<const ExtensionType>> extensions;
  std::vector<std::string> origins;
  Router router;
  TopicRules topic_rules;
  std::vector<Shard*> shards;
  std::atomic<std::size_t> connections{0}, refused{0};  // refused: told 503, and not gone yet
  IpCounts ip_counts;

  // What Server, Client and Loopback offer. thread: any.
  Stats stats() const;
  bool post(ConnId id, std::function<void(Conn&)> task) const;
  void answer(ConnId id, Upgrade decision) const;
  std::shared_ptr<Publication> publication(std::string_view topic, const Message& message,
                                           SendOptions options) const;  // null: too large
  bool publish(std::string_view topic, const Message& message, SendOptions options) const;

 private:
  Shard* shard_of(ConnId id) const;  // null: the id is of none
};

// thread: what is not marked otherwise belongs to the thread in run(), or to the one that sets it
// up before that.
class Shard {
 public:
  // The caller adds it to common.shards, there. errors: no descriptor is left for its loop.
  static core::Result<std::unique_ptr<Shard>> make(Common& common, std::size_t number);
  ~Shard();
  static constexpr std::size_t kShardsMax = 256;

  // Before run(). tls: serve wss with the context.
  core::Result<core::Ok> add_listener(net::Listener listener, bool tls);
  // Before run(). on_readable: called in the loop, at each edge.
  core::Result<core::Ok> watch(int fd, std::function<void()> on_readable);
  void set_tls(tls::Context context) { tls_ = std::move(context); }

  void run();
  // thread: any. false: run() has ended, and the task was destroyed.
  bool post(core::Task task) { return reactor_.post(std::move(task)); }
  // Listeners are drained and closed, peers told; run() returns when the last one is gone or after
  // drain_ms.
  void shut_down(CloseCode code, std::uint32_t drain_ms);
  // The one whose thread this is; null: none.
  static Shard* current() { return current_; }
  // Instead of run(), without sockets: all that can happen at that time.
  void run_in_memory(std::uint64_t now_ms);
  void set_memory_pipes(std::size_t bytes) { memory_pipe_bytes_ = bytes; }

  // An id as programs know it says which shard it belongs to.
  ConnId public_id(core::Id id) const;
  static std::size_t number_of(ConnId id);
  void run_on(ConnId id, const std::function<void(Conn&)>& task);
  void answer(ConnId id, Upgrade decision);

  // To this shard's subscribers but `except`, at once, and to the others' through their mailboxes.
  bool publish(std::string_view topic, const Message& message, SendOptions options,
               const Link* except);
  // Delivers it in the mailbox step. thread: any. false: too much waits here already.
  bool take(const std::shared_ptr<Publication>& publication);

  // For Dials.
  Dials& dials() { return dials_; }
  Link& add_client(Dial& dial);
  void connect_to(core::Id link, net::Addresses addresses);
  bool connects_in_memory() const { return memory_pipe_bytes_ > 0; }
  void connect_in_memory(core::Id link);
  // What the timer of a dial's pause is to name.
  static core::Id timer_id_of(const Dial& dial) {
    return {id_of(Kind::kDial, dial.id.index).index, dial.id.generation};
  }
  // false: there is no such link.
  bool close_link(core::Id link, CloseCode code, CloseCause cause);
  void drop_link(core::Id link, CloseCause cause);

  // For its links.
  core::Reactor& reactor() { return reactor_; }
  net::Scratch& scratch() { return scratch_; }
  Common& common() { return common_; }
  Counters& counters() { return counters_; }
  const Counters& counters() const { return counters_; }
  Topics& topics() { return topics_; }
  const Limits& limits() const { return common_.limits; }
  bool watch_socket(const net::Socket& socket, core::Id id);
  bool has_room_for_link() const;  // false: 2 million, as many as an id can name
  const proto::ProtocolConfig& protocol_config(proto::Role role, bool chunks) const {
    return protocol_configs_[static_cast<std::size_t>(role)][chunks ? 1 : 0];
  }
  proto::DeflateEngine& deflate_engine();
  Agreements& agreements();  // of connections to us, on extensions
  // Output of the link whose event is being handled, until the end of that event; or until it is so
  // much: its bytes are still in the cache then, and fill four TLS records. Never more than a queue
  // may hold.
  static constexpr std::size_t kOutboxBytes = 64 * 1024;
  std::size_t outbox_bytes_max() const { return outbox_bytes_max_; }
  core::Buffer& outbox() { return outbox_; }
  const Link* current_link() const { return current_link_; }
  void set_current_link(const Link* link) { current_link_ = link; }
  // The message being handled, when it is a view into received bytes: its frame's header is in
  // front of it.
  void set_received_view(core::ConstBytes payload) { received_view_ = payload; }
  bool is_received_view(core::ConstBytes payload) const {
    return payload.data() == received_view_.data() && payload.size() == received_view_.size();
  }
  // Messages the current event may still handle.
  std::uint32_t& messages_left() { return messages_left_; }
  // Event::decoded_bytes, and bytes compressed, of this turn; and whether that was enough.
  void spend_codec(std::size_t bytes) { codec_bytes_.in(reactor_.turn()) += bytes; }
  bool codec_spent() { return codec_bytes_.in(reactor_.turn()) >= kCodecBytesPerTurn; }
  // One of the TLS handshakes this turn may advance; false: none is left.
  bool take_tls_handshake() {
    return handshakes_.in(reactor_.turn())++ < limits().tls_handshakes_per_turn;
  }
  bool shutting_down() const { return shutting_down_; }

 private:
  static constexpr std::size_t kCodecBytesPerTurn = 2 * 1024 * 1024;  // 5 to 10 ms of work
  Shard(Common& common, std::size_t number);
  // Starts from 0 in each turn of the reactor.
  class TurnCount {
   public:
    std::size_t& in(std::uint64_t turn) {
      if (std::exchange(turn_, turn) != turn) count_ = 0;
      return count_;
    }

   private:
    std::uint64_t turn_ = 0;
    std::size_t count_ = 0;
  };

  // What an id stands for, in the highest bits of its index: 0 is a link.
  enum class Kind : std::uint32_t { kLink, kListener, kWatch, kTimer, kDial };
  struct Listening {
    net::Listener listener;
    bool tls;
    core::TimerNode retry;
    bool ready = false;  // in the reactor's ready list
  };

  static core::Id id_of(Kind kind, std::size_t number);
  static void dispatch(void* self, core::Id id, std::uint32_t wake);
  void on_wake(core::Id id, std::uint32_t wake);
  void wake_link(core::Id id, std::uint32_t wake);
  void on_timer(core::Id id);
  void serve_listener(Listening& listening, std::uint32_t wake);
  bool accept_from(Listening& listening);
  void admit(Listening& listening, net::Listener::Accepted accepted);
  void end_if_empty();

  static constinit inline thread_local Shard* current_ = nullptr;

  Common& common_;
  const std::size_t number_;
  core::Reactor reactor_;
  net::Scratch scratch_;
  core::Buffer outbox_;
  const std::size_t outbox_bytes_max_;
  Counters counters_;
  proto::MaskKeys mask_keys_;
  std::array<std::array<proto::ProtocolConfig, 2>, 2> protocol_configs_;  // by role, and chunks
  std::unique_ptr<proto::DeflateEngine> deflate_engine_;                  // once needed
  std::unique_ptr<Agreements> agreements_;                                // once needed
  std::optional<tls::Context> tls_;
  std::vector<std::unique_ptr<Listening>> listeners_;
  std::vector<std::function<void()>> watches_;
  Topics topics_;
  std::atomic<std::size_t> publications_bytes_{0};  // on their way here
  Dials dials_;
  core::Slab<Link> links_;
  core::TimerNode drain_timer_;
  core::TimerNode trim_timer_;  // armed while the pool has spares, or the outbox is large
  const Link* current_link_ = nullptr;
  core::ConstBytes received_view_;
  std::uint32_t messages_left_ = 0;
  std::size_t memory_pipe_bytes_ = 0;
  TurnCount codec_bytes_;
  TurnCount handshakes_;
  bool shutting_down_ = false;
};

}  // namespace ws
