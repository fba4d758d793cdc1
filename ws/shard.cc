#include "ws/shard.h"

#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/check.h"
#include "core/log.h"
#include "core/thrown.h"

namespace ws {

namespace {

// Beyond the limit this many are still let in, to be told 503 in proper form; what is above is
// closed at accept.
constexpr std::size_t kRefusalsMax = 32;
// At a stop: enough to empty a backlog of 4096, and no more for peers who go on connecting.
constexpr int kFarewellRounds = 64;
// Spare buffers that nobody needed for so long are freed; a large outbox is, that often.
constexpr std::uint32_t kTrimMs = 1000;
// Ids as programs know them: kind in the 3 highest bits of the index, then 8 of the shard's number,
// then the slot or other number. On the shard itself those 8 are 0.
constexpr int kKindShift = 29;
constexpr int kShardShift = 21;
constexpr std::uint32_t kNumberMask = (1U << kShardShift) - 1;
static_assert(Shard::kShardsMax == 1U << (kKindShift - kShardShift));
static_assert(Dials::kDialsMax == std::size_t{kNumberMask} + 1);

// One large message in fragments makes the outbox as large.
bool outbox_is_large(Shard& shard) {
  return shard.outbox().capacity() > 4 * Shard::kOutboxBytes;
}

bool holds_spares(Shard& shard) {
  return shard.scratch().pool.holds_memory() || outbox_is_large(shard);
}

}  // namespace

core::Result<core::Ok> check_limits(const Limits& limits, const DeflateOptions& deflate) {
  if (limits.message_bytes > kMessageBytesMost) {
    return core::Error("limits: message_bytes is at most 1 GiB");
  }
  if (limits.queue_max_bytes > kMessageBytesMost) {
    return core::Error("limits: queue_max_bytes is at most 1 GiB");
  }
  const std::pair<std::string_view, std::uint64_t> positive[] = {
      {"message_bytes", limits.message_bytes},
      {"message_fragments", limits.message_fragments},
      {"assembly_ms", limits.assembly_ms},
      {"handshake_ms", limits.handshake_ms},
      {"request_head_bytes", limits.request_head_bytes},
      {"request_target_bytes", limits.request_target_bytes},
      {"request_headers", limits.request_headers},
      {"response_head_bytes", limits.response_head_bytes},
      {"accepts_per_turn", limits.accepts_per_turn},
      {"tls_handshakes_per_turn", limits.tls_handshakes_per_turn},
      {"link_bytes_per_turn", limits.link_bytes_per_turn},
      {"link_messages_per_turn", limits.link_messages_per_turn},
      {"connections", limits.connections}};
  for (const auto& [name, value] : positive) {
    if (value != 0) continue;
    return core::Error("limits: " + std::string(name) +
                       " is 0, and nobody would be served: give more, or leave it out");
  }
  if (limits.queue_high_bytes > limits.queue_max_bytes) {
    return core::Error("limits: queue_high_bytes (" + std::to_string(limits.queue_high_bytes) +
                       ") is above queue_max_bytes (" + std::to_string(limits.queue_max_bytes) +
                       "): lower the first or raise the second");
  }
  if (deflate.window_bits < deflate::kWindowBitsMin ||
      deflate.window_bits > deflate::kWindowBitsMax) {
    return core::Error("deflate: window_bits is 8 to 15");
  }
  return core::Ok{};
}

Stats Common::stats() const {
  Stats stats;
  stats.connections = connections.load(std::memory_order_relaxed);
  for (const Shard* shard : shards) shard->counters().add_to(stats);
  return stats;
}

Shard* Common::shard_of(ConnId id) const {
  const std::size_t number = Shard::number_of(id);
  return number < shards.size() ? shards[number] : nullptr;
}

std::shared_ptr<Publication> Common::publication(std::string_view topic, const Message& message,
                                                 SendOptions options) const {
  if (proto::is_too_large(message.bytes.size(), options.frame_bytes)) return nullptr;
  topic_rules.rule_for(topic).published.fetch_add(1, std::memory_order_relaxed);
  return std::make_shared<Publication>(topic, message, options);
}

bool Common::post(ConnId id, std::function<void(Conn&)> task) const {
  Shard* const shard = shard_of(id);
  return shard != nullptr &&
         shard->post([shard, id, task = std::move(task)] { shard->run_on(id, task); });
}

void Common::answer(ConnId id, Upgrade decision) const {
  Shard* const shard = shard_of(id);
  if (shard == nullptr) return;
  shard->post([shard, id, decision = std::move(decision)]() mutable {
    shard->answer(id, std::move(decision));
  });
}

// From one of our threads the order of what it publishes is kept by starting with its own shard.
bool Common::publish(std::string_view topic, const Message& message, SendOptions options) const {
  Shard* const own = Shard::current();
  if (own != nullptr && &own->common() == this)
    return own->publish(topic, message, options, nullptr);
  const auto shared = publication(topic, message, options);
  if (!shared) return false;
  bool taken = true;
  for (Shard* const shard : shards) taken &= shard->take(shared);
  return taken;
}

core::Result<std::unique_ptr<Shard>> Shard::make(Common& common, std::size_t number) {
  try {
    return std::unique_ptr<Shard>(new Shard(common, number));
  } catch (const std::system_error& error) {
    return core::Error("cannot make an event loop: " + error.code().message() +
                           "; raise the limit of open files (ulimit -n)",
                       error.code().value());
  }
}

Shard::Shard(Common& common, std::size_t number)
    : common_(common),
      number_(number),
      reactor_(this, &Shard::dispatch),
      outbox_bytes_max_(std::min<std::size_t>(kOutboxBytes, common.limits.queue_max_bytes)),
      topics_(common.topic_rules),
      dials_(*this) {
  for (const proto::Role role : {proto::Role::kServer, proto::Role::kClient}) {
    for (const bool chunks : {false, true}) {
      proto::ProtocolConfig& config = protocol_configs_[static_cast<std::size_t>(role)][chunks];
      config.self = {.role = role, .keys = &mask_keys_};
      config.message_bytes_max = common.limits.message_bytes;
      config.message_fragments_max = common.limits.message_fragments;
      config.pool = &scratch_.pool;
      config.chunks = chunks;
    }
  }
  drain_timer_.owner = id_of(Kind::kTimer, 0);
  trim_timer_.owner = id_of(Kind::kTimer, 1);
}

Shard::~Shard() {
  reactor_.timers().cancel(drain_timer_);
  reactor_.timers().cancel(trim_timer_);
}

core::Id Shard::id_of(Kind kind, std::size_t number) {
  WS_CHECK(number <= kNumberMask);
  return {static_cast<std::uint32_t>(kind) << kKindShift | static_cast<std::uint32_t>(number), 1};
}

ConnId Shard::public_id(core::Id id) const {
  WS_DCHECK(id.index <= kNumberMask);
  return {id.index | static_cast<std::uint32_t>(number_) << kShardShift, id.generation};
}

std::size_t Shard::number_of(ConnId id) {
  return id.index >> kShardShift;
}

core::Result<core::Ok> Shard::add_listener(net::Listener listener, bool tls) {
  WS_CHECK(!tls || tls_);
  const core::Id id = id_of(Kind::kListener, listeners_.size());
  const int fd = listener.fd();
  const bool added =
      listener.address().is_unix() ? reactor_.add_shared(fd, id) : reactor_.add(fd, id);
  if (!added) return core::Error("epoll refuses the listener " + listener.address().to_string());
  listeners_.push_back(std::make_unique<Listening>(
      Listening{.listener = std::move(listener), .tls = tls, .retry = {}}));
  listeners_.back()->retry.owner = id;
  return core::Ok{};
}

core::Result<core::Ok> Shard::watch(int fd, std::function<void()> on_readable) {
  if (!reactor_.add(fd, id_of(Kind::kWatch, watches_.size()))) {
    const int why = errno;
    return core::Error(
        "cannot watch descriptor " + std::to_string(fd) +
            (why == EPERM ? ": epoll takes pipes, sockets, terminals, timers and the "
                            "like, not files; read it without watch()"
                          : ": no memory or watch is left for it"),
        why);
  }
  watches_.push_back(std::move(on_readable));
  return core::Ok{};
}

void Shard::run() {
  Shard* const before = std::exchange(current_, this);  // a handler may run another server
  reactor_.run();
  reactor_.close_mailbox();
  current_ = before;
}

void Shard::run_in_memory(std::uint64_t now_ms) {
  Shard* const before = std::exchange(current_, this);
  do {
    reactor_.turn_at(now_ms);
    for (auto edge = net::MemorySockets::take_edge(this); edge.wake != 0;
         edge = net::MemorySockets::take_edge(this)) {
      on_wake(edge.id, edge.wake);
    }
  } while (reactor_.has_work());
  current_ = before;
}

void Shard::dispatch(void* self, core::Id id, std::uint32_t wake) {
  static_cast<Shard*>(self)->on_wake(id, wake);
}

void Shard::on_wake(core::Id id, std::uint32_t wake) {
  const std::uint32_t number = id.index & kNumberMask;
  switch (static_cast<Kind>(id.index >> kKindShift)) {
    case Kind::kLink:
      return wake_link(id, wake);
    case Kind::kListener:
      return serve_listener(*listeners_[number], wake);
    case Kind::kWatch:
      // Its first event may be about writing alone.
      if ((wake & core::kReadable) != 0) {
        (void)core::guarded("on_readable threw", watches_[number]);
      }
      return;
    case Kind::kTimer:
      return on_timer(id);
    case Kind::kDial:
      return dials_.on_retry({number, id.generation});
  }
}

void Shard::wake_link(core::Id id, std::uint32_t wake) {
  WS_DCHECK(current() == this);
  Link* const link = links_.find(id);
  if (link == nullptr) return;
  if ((wake & core::kReap) != 0) {
    Dial* const dial = link->dial();
    link->reap();
    links_.erase(id);
    if (dial != nullptr) dials_.link_ended(*dial);
    return end_if_empty();
  }
  link->on_wake(wake);
  if (holds_spares(*this) && !trim_timer_.armed()) {
    reactor_.timers().arm(trim_timer_, reactor_.now_ms() + kTrimMs);
  }
}

void Shard::on_timer(core::Id id) {
  if (id == trim_timer_.owner) {
    scratch_.pool.trim();
    // Between the events of links it is empty.
    if (outbox_is_large(*this)) outbox_.release();
    if (holds_spares(*this)) {
      reactor_.timers().arm(trim_timer_, reactor_.now_ms() + kTrimMs);
    }
  } else {
    links_.for_each([](Link& link, core::Id) { link.drop(CloseCause::kShutdown); });
  }
}

void Shard::serve_listener(Listening& listening, std::uint32_t wake) {
  if ((wake & core::kResume) != 0) listening.ready = false;
  if (shutting_down_ || listening.ready) return;
  if (accept_from(listening)) return;
  listening.ready = true;
  reactor_.make_ready(listening.retry.owner);
}

// true: nobody waits any more, or nobody can be taken.
bool Shard::accept_from(Listening& listening) {
  using State = net::Listener::Accepted::State;
  for (std::uint32_t i = 0; i < limits().accepts_per_turn; ++i) {
    net::Listener::Accepted accepted = listening.listener.accept();
    switch (accepted.state) {
      case State::kNone:
        return true;
      case State::kOk:
        admit(listening, std::move(accepted));
        break;
      case State::kRefused:
        core::log(core::LogLevel::kWarn, "connection refused: no descriptor left");
        break;
      case State::kBackOff:
        core::log(core::LogLevel::kWarn, "accept backs off: no descriptor or memory left");
        reactor_.timers().arm(listening.retry, reactor_.now_ms() + net::Listener::kBackOffMs);
        return true;
    }
  }
  return false;
}

void Shard::admit(Listening& listening, net::Listener::Accepted accepted) {
  WS_DCHECK(current() == this);
  const std::size_t others = common_.connections.fetch_add(1, std::memory_order_relaxed);
  bool refuse = others >= limits().connections;
  if (refuse) core::log(core::LogLevel::kWarn, "connection limit reached");
  const bool full = common_.refused.load(std::memory_order_relaxed) >= kRefusalsMax;
  if ((refuse && full) || !has_room_for_link()) {
    common_.connections.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  std::unique_ptr<tls::Session> session;
  if (listening.tls) session = std::make_unique<tls::Session>(*tls_);
  counters_.accepted.add(1);
  Link& link =
      links_.emplace(*this, net::Transport(std::move(accepted.socket), std::move(session)));
  if (const std::uint32_t max = limits().connections_per_ip; max > 0) {
    if (const std::string key = accepted.peer.ip_key(); !key.empty()) {
      const IpCounts::Place place = common_.ip_counts.add(public_id(link.id()), key, max);
      const bool over = place == IpCounts::Place::kRefused;
      if (place == IpCounts::Place::kNone || (over && full)) return links_.erase(link.id());
      refuse |= over;
    }
  }
  if (refuse) link.turn_away();
  if (!watch_socket(link.socket(), link.id())) {
    core::log(core::LogLevel::kWarn, "connection refused: epoll has no room");
    links_.erase(link.id());
  }
}

bool Shard::has_room_for_link() const {
  return links_.size() <= kNumberMask;
}

bool Shard::watch_socket(const net::Socket& socket, core::Id id) {
  if (socket.memory() == 0) return reactor_.add(socket.fd(), id);
  net::MemorySockets::watch(socket.memory(), this, id);
  return true;
}

Link& Shard::add_client(Dial& dial) {
  common_.connections.fetch_add(1, std::memory_order_relaxed);
  counters_.accepted.add(1);
  return links_.emplace(*this, dial);
}

void Shard::connect_to(core::Id link, net::Addresses addresses) {
  if (Link* const found = links_.find(link)) found->connect_to(std::move(addresses));
}

void Shard::connect_in_memory(core::Id link) {
  const auto [ours, theirs] = net::MemorySockets::connect(memory_pipe_bytes_);
  common_.connections.fetch_add(1, std::memory_order_relaxed);
  counters_.accepted.add(1);
  Link& served = links_.emplace(*this, net::Transport(net::Socket(theirs), nullptr));
  watch_socket(served.socket(), served.id());
  links_.find(link)->connect_by(net::Socket(ours));
}

bool Shard::close_link(core::Id link, CloseCode code, CloseCause cause) {
  Link* const found = links_.find(link);
  if (found != nullptr) found->shut_down(code, cause);
  return found != nullptr;
}

void Shard::drop_link(core::Id link, CloseCause cause) {
  if (Link* const found = links_.find(link)) found->drop(cause);
}

proto::DeflateEngine& Shard::deflate_engine() {
  if (!deflate_engine_) deflate_engine_ = std::make_unique<proto::DeflateEngine>();
  return *deflate_engine_;
}

Agreements& Shard::agreements() {
  if (!agreements_) {
    agreements_ = std::make_unique<Agreements>(protocol_config(proto::Role::kServer, false),
                                               deflate_engine());
  }
  return *agreements_;
}

void Shard::run_on(ConnId id, const std::function<void(Conn&)>& task) {
  if (Link* const link = links_.find({id.index & kNumberMask, id.generation})) link->run(task);
}

void Shard::answer(ConnId id, Upgrade decision) {
  Link* const link = links_.find({id.index & kNumberMask, id.generation});
  if (link != nullptr) link->answer(std::move(decision));
}

bool Shard::publish(std::string_view topic, const Message& message, SendOptions options,
                    const Link* except) {
  WS_DCHECK(current() == this);
  const auto publication = common_.publication(topic, message, options);
  if (!publication) return false;
  topics_.deliver(*publication, except, reactor_.turn());
  bool taken = true;
  for (Shard* const shard : common_.shards) {
    if (shard != this) taken &= shard->take(publication);
  }
  return taken;
}

bool Shard::take(const std::shared_ptr<Publication>& publication) {
  const std::size_t bytes = publication->size();
  const std::size_t waiting = publications_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  if (waiting >= limits().publish_queue_bytes) {
    publications_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
    return false;
  }
  const bool posted = post([this, publication, bytes] {
    publications_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
    topics_.deliver(*publication, nullptr, reactor_.turn());
  });
  if (!posted) publications_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  return posted;
}

void Shard::shut_down(CloseCode code, std::uint32_t drain_ms) {
  if (std::exchange(shutting_down_, true)) return;
  reactor_.timers().arm(drain_timer_, reactor_.now_ms() + drain_ms);
  for (const auto& listening : listeners_) {
    // Who connected before the stop is told so; closing the socket now would reset them.
    for (int round = 0; round < kFarewellRounds && !accept_from(*listening); ++round) {
    }
    reactor_.timers().cancel(listening->retry);
    listening->listener.close();
  }
  dials_.cancel_all(0, code);
  links_.for_each([code](Link& link, core::Id) { link.shut_down(code, CloseCause::kShutdown); });
  end_if_empty();
}

void Shard::end_if_empty() {
  if (shutting_down_ && links_.size() == 0) reactor_.stop();
}

}  // namespace ws
