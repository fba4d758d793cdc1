#include "ws/loopback.h"

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "ws/dial.h"
#include "ws/opening.h"
#include "ws/shard.h"

namespace ws {
namespace {

// Of a TCP connection on one machine, about.
constexpr std::size_t kPipeBytes = 256 * 1024;

// Where all slots of a timer wheel begin: from the same place two runs fire in the same order.
constexpr std::uint64_t kClockStep = std::uint64_t{1} << 30;

}  // namespace

struct Loopback::State {
  core::Result<core::Ok> check() const;

  core::Result<core::Ok> fault = core::Ok{};  // of a route
  Common common;
  std::shared_ptr<ClientCommon> client = std::make_shared<ClientCommon>();
  std::unique_ptr<Shard> shard;  // both ends of every connection live here
  std::uint64_t now_ms = 0;
  std::uint64_t dials = 0;
};

// As Server::check(): without it the engine would meet what it takes for granted.
core::Result<core::Ok> Loopback::State::check() const {
  if (!fault) return fault;
  if (auto good = check_origins(common.origins); !good) return good;
  if (auto good = check_extensions(common.extensions); !good) return good;
  if (auto good = check_limits(common.limits, common.deflate); !good) return good;
  return check_limits(common.limits, client->options.deflate);
}

Loopback::Loopback(ServerOptions server, ClientOptions client) : state_(std::make_unique<State>()) {
  Common& common = state_->common;
  common.limits = server.limits;
  common.deflate = server.deflate;
  common.extensions = std::move(server.extensions);
  common.origins = std::move(server.origins);
  state_->client->options = std::move(client);
  state_->shard = Shard::make(common, 0).value();
  common.shards.push_back(state_->shard.get());
  state_->shard->set_memory_pipes(kPipeBytes);
  state_->now_ms = (state_->shard->reactor().now_ms() / kClockStep + 1) * kClockStep;
}

Loopback::~Loopback() {
  state_->shard->post(
      [shard = state_->shard.get()] { shard->shut_down(CloseCode::kGoingAway, 0); });
  run();
  // Where stop() came before, its deadline counts.
  advance(std::max(state_->common.limits.drain_ms, 1U));
}

void Loopback::route(std::string_view pattern, Handlers handlers) {
  auto added = add_route(state_->common.router, pattern, std::move(handlers));
  if (!added) state_->fault = added;
}

void Loopback::topic(std::string_view pattern, TopicOptions options) {
  state_->common.topic_rules.add(pattern, options);
}

bool Loopback::post(ConnId id, std::function<void(Conn&)> task) {
  return state_->common.post(id, std::move(task));
}

void Loopback::answer(ConnId id, Upgrade decision) {
  state_->common.answer(id, std::move(decision));
}

bool Loopback::publish(std::string_view topic, const Message& message, SendOptions options) {
  return state_->common.publish(topic, message, options);
}

TopicStats Loopback::topic_stats(std::string_view pattern) const {
  return state_->common.topic_rules.stats(pattern);
}

Stats Loopback::stats() const {
  return state_->common.stats();
}

void Loopback::stop(CloseCode code) {
  state_->shard->post(
      [shard = state_->shard.get(), code] { shard->shut_down(code, shard->limits().drain_ms); });
}

core::Result<core::Ok> Loopback::connect(std::string_view url, ConnectOptions options,
                                         Handlers handlers) {
  auto target = proto::parse_connect_url(url);
  if (!target) return target.error();
  if (target->tls) return core::Error("there is no TLS in memory: use ws://");
  if (auto good = check_connect(options); !good) return good;
  if (auto good = state_->check(); !good) return good;
  state_->shard->post([shard = state_->shard.get(),
                       request = DialRequest{.number = ++state_->dials,
                                             .owner = 0,
                                             .left = {},
                                             .client = state_->client,
                                             .url = std::move(*target),
                                             .options = std::move(options),
                                             .handlers = std::move(handlers)}]() mutable {
    shard->dials().start(std::move(request));
  });
  return core::Ok{};
}

void Loopback::run() {
  WS_CHECK(Shard::current() != state_->shard.get());  // run() or advance() in a handler
  state_->shard->run_in_memory(state_->now_ms);
}

void Loopback::advance(std::uint32_t ms) {
  const std::uint64_t until_ms = state_->now_ms + ms;
  run();
  while (state_->now_ms < until_ms) {
    const std::uint64_t next_ms = state_->shard->reactor().timers().next_wake_ms();
    state_->now_ms = std::clamp(next_ms, state_->now_ms + 1, until_ms);
    run();
  }
}

void Loopback::set_pipe_bytes(std::size_t bytes) {
  state_->shard->set_memory_pipes(std::max<std::size_t>(bytes, 1));
}

}  // namespace ws
