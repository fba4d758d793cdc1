#include "ws/shard.h"

#include <utility>

#include "core/check.h"
#include "core/log.h"

namespace ws {

namespace {

// Beyond the limit this many are still let in, to be told 503 in proper form; what is above is
// closed at accept.
constexpr std::size_t kRefusalsMax = 32;
// At a stop: enough to empty a backlog of 4096, and no more for peers who go on connecting.
constexpr int kFarewellRounds = 64;
// Spare buffers that nobody needed for so long are freed.
constexpr std::uint32_t kTrimMs = 1000;

}  // namespace

Shard::Shard(Common& common) : common_(common), reactor_(this, &Shard::dispatch) {
  protocol_config_.self = {.role = proto::Role::kServer};
  protocol_config_.message_bytes_max = common.limits.message_bytes;
  protocol_config_.message_fragments_max = common.limits.message_fragments;
  protocol_config_.pool = &scratch_.pool;
  if (common.deflate.mode != DeflateMode::kOff) {
    compression_ = std::make_unique<Compression>(protocol_config_, common.deflate);
  }
  drain_timer_.owner = id_of(Kind::kTimer, 0);
  trim_timer_.owner = id_of(Kind::kTimer, 1);
}

Shard::~Shard() {
  reactor_.timers().cancel(drain_timer_);
  reactor_.timers().cancel(trim_timer_);
}

core::Result<core::Ok> Shard::add_listener(net::Listener listener, bool tls) {
  WS_CHECK(!tls || tls_);
  const core::Id id = id_of(Kind::kListener, listeners_.size());
  const int fd = listener.fd();
  const bool added =
      listener.address().is_unix() ? reactor_.add_shared(fd, id) : reactor_.add(fd, id);
  if (!added) return core::Error("epoll refuses the listener " + listener.address().to_string());
  listeners_.push_back(std::make_unique<Listening>(std::move(listener), tls));
  listeners_.back()->retry.owner = id;
  return core::Ok{};
}

core::Result<core::Ok> Shard::watch(int fd, std::function<void()> on_readable) {
  if (!reactor_.add(fd, id_of(Kind::kWatch, watches_.size()))) {
    return core::Error("epoll refuses a watched descriptor: no memory or watch is left for it");
  }
  watches_.push_back(std::move(on_readable));
  return core::Ok{};
}

void Shard::run() {
  reactor_.run();
}

void Shard::dispatch(void* self, core::Id id, std::uint32_t wake) {
  static_cast<Shard*>(self)->on_wake(id, wake);
}

void Shard::on_wake(core::Id id, std::uint32_t wake) {
  const std::uint32_t number = id.index & ((1u << kKindShift) - 1);
  switch (static_cast<Kind>(id.index >> kKindShift)) {
    case Kind::kLink: {
      Link* link = links_.find(id);
      if (link == nullptr) return;
      if ((wake & core::kReap) != 0) {
        link->reap();
        links_.erase(id);
        return end_if_empty();
      }
      link->on_wake(wake);
      if (scratch_.pool.holds_memory() && !trim_timer_.armed()) {
        reactor_.timers().arm(trim_timer_, reactor_.now_ms() + kTrimMs);
      }
      return;
    }
    case Kind::kListener:
      return serve_listener(*listeners_[number], wake);
    case Kind::kWatch:
      return watches_[number]();
    case Kind::kTimer:
      return on_timer(id);
  }
}

void Shard::on_timer(core::Id id) {
  if (id == trim_timer_.owner) {
    scratch_.pool.trim();
    if (scratch_.pool.holds_memory()) {
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
  const std::size_t count = common_.connections.fetch_add(1, std::memory_order_relaxed) + 1;
  bool refuse = count > limits().connections || shutting_down_;
  if (count > limits().connections) {
    core::log(core::LogLevel::kWarn, "connection limit reached");
  }
  if (count > limits().connections + kRefusalsMax) {
    common_.connections.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  IpCounts::Entry* ip = nullptr;
  if (const std::string key =
          limits().connections_per_ip > 0 ? accepted.peer.ip_key() : std::string();
      !key.empty()) {
    bool over_limit = false;
    ip = common_.ip_counts.add(key, limits().connections_per_ip, over_limit);
    refuse |= over_limit;
  }
  std::unique_ptr<tls::Session> session;
  if (listening.tls) session = std::make_unique<tls::Session>(*tls_);
  const int fd = accepted.socket.fd();
  Link& link = links_.emplace(*this, net::Transport(std::move(accepted.socket), std::move(session)),
                              ip, refuse);
  if (!reactor_.add(fd, link.id())) {
    core::log(core::LogLevel::kWarn, "connection refused: epoll has no room");
    links_.erase(link.id());
  }
}

void Shard::shut_down(CloseCode code) {
  if (std::exchange(shutting_down_, true)) return;
  reactor_.timers().arm(drain_timer_, reactor_.now_ms() + limits().drain_ms);
  for (const auto& listening : listeners_) {
    // Who connected before the stop is told so; closing the socket now would reset them.
    for (int round = 0; round < kFarewellRounds && !accept_from(*listening); ++round) {
    }
    reactor_.timers().cancel(listening->retry);
    listening->listener.close();
  }
  links_.for_each([code](Link& link, core::Id) { link.shut_down(code); });
  end_if_empty();
}

void Shard::end_if_empty() {
  if (shutting_down_ && links_.size() == 0) reactor_.stop();
}

}  // namespace ws
