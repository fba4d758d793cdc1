// Internal. One reactor thread with its listeners and links.
#pragma once

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
#include "ws/compression.h"
#include "ws/ip_counts.h"
#include "ws/link.h"
#include "ws/proto/protocol.h"
#include "ws/router.h"

namespace ws {

// What all shards of a server share. Constant while they run, but for the two counters.
struct Common {
  Limits limits;
  DeflateOptions deflate;
  std::vector<std::string> origins;
  Router router;
  std::atomic<std::size_t> connections{0};
  IpCounts ip_counts;
};

// thread: everything but post() belongs to the thread in run(), or to the one that sets it up
// before that.
class Shard {
 public:
  explicit Shard(Common& common);
  ~Shard();

  // Before run(). tls: serve wss with the context.
  core::Result<core::Ok> add_listener(net::Listener listener, bool tls);
  // Before run(). on_readable: called in the loop, at each edge.
  core::Result<core::Ok> watch(int fd, std::function<void()> on_readable);
  void set_tls(tls::Context context) { tls_ = std::move(context); }

  void run();
  void post(core::Task task) { reactor_.post(std::move(task)); }  // thread: any
  // Listeners are drained and closed, peers told; run() returns when the last one is gone or after
  // drain_ms.
  void shut_down(CloseCode code);

  // For its links.
  core::Reactor& reactor() { return reactor_; }
  net::Scratch& scratch() { return scratch_; }
  Common& common() { return common_; }
  const Limits& limits() const { return common_.limits; }
  const proto::ProtocolConfig& protocol_config() const { return protocol_config_; }
  // For connections that agreed on compression.
  Compression& compression() { return *compression_; }
  // Output of the link whose event is being handled, until the end of that event.
  core::Buffer& outbox() { return outbox_; }
  const Link* current() const { return current_; }
  void set_current(const Link* link) { current_ = link; }
  // The message being handled, when it is a view into received bytes: its frame's header is in
  // front of it.
  void set_received_view(core::ConstBytes payload) { received_view_ = payload; }
  bool is_received_view(core::ConstBytes payload) const {
    return payload.data() == received_view_.data() && payload.size() == received_view_.size();
  }
  // Messages the current event may still handle.
  std::uint32_t& messages_left() { return messages_left_; }
  // Bytes that were inflated or compressed in this turn; and whether that was enough.
  void spend_codec(std::size_t bytes) { codec_bytes_.in(reactor_.turn()) += bytes; }
  bool codec_spent() { return codec_bytes_.in(reactor_.turn()) >= kCodecBytesPerTurn; }
  // One of the TLS handshakes this turn may advance; false: none is left.
  bool take_tls_handshake() {
    return handshakes_.in(reactor_.turn())++ < limits().tls_handshakes_per_turn;
  }
  bool shutting_down() const { return shutting_down_; }

 private:
  // 5 to 10 ms of work.
  static constexpr std::size_t kCodecBytesPerTurn = 2 * 1024 * 1024;

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

  // What an id stands for, in the two highest bits of its index: 0 is a link.
  enum class Kind : std::uint32_t { kLink, kListener, kWatch, kTimer };
  static constexpr int kKindShift = 30;
  static core::Id id_of(Kind kind, std::size_t number) {
    return {static_cast<std::uint32_t>(kind) << kKindShift | static_cast<std::uint32_t>(number), 1};
  }
  struct Listening {
    net::Listener listener;
    bool tls;
    core::TimerNode retry;
    bool ready = false;  // in the reactor's ready list
  };

  static void dispatch(void* self, core::Id id, std::uint32_t wake);
  void on_wake(core::Id id, std::uint32_t wake);
  void on_timer(core::Id id);
  void serve_listener(Listening& listening, std::uint32_t wake);
  bool accept_from(Listening& listening);
  void admit(Listening& listening, net::Listener::Accepted accepted);
  void end_if_empty();

  Common& common_;
  core::Reactor reactor_;
  net::Scratch scratch_;
  core::Buffer outbox_;
  proto::ProtocolConfig protocol_config_;
  std::unique_ptr<Compression> compression_;  // null: off
  std::optional<tls::Context> tls_;
  std::vector<std::unique_ptr<Listening>> listeners_;
  std::vector<std::function<void()>> watches_;
  core::Slab<Link> links_;
  core::TimerNode drain_timer_;
  core::TimerNode trim_timer_;  // armed while the pool has spares
  const Link* current_ = nullptr;
  core::ConstBytes received_view_;
  std::uint32_t messages_left_ = 0;
  TurnCount codec_bytes_;
  TurnCount handshakes_;
  bool shutting_down_ = false;
};

}  // namespace ws
