#include "ws/server.h"

#include <sys/resource.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "core/check.h"
#include "net/listener.h"
#include "tls/context.h"
#include "ws/proto/url.h"
#include "ws/shard.h"

namespace ws {

namespace {

// Descriptors that are no connection: listeners, epoll, eventfds, logs, and room to accept one and
// say no.
constexpr std::uint32_t kReservedDescriptors = 64;

std::uint32_t raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<std::uint32_t>(std::min<rlim_t>(limit.rlim_cur, UINT32_MAX));
}

core::Result<net::Address> address_of(const proto::ListenUrl& url) {
  return url.unix_path.empty() ? net::Address::from_ip(url.host, url.port)
                               : net::Address::from_path(url.unix_path);
}

}  // namespace

struct Server::State {
  ServerOptions options;
  Common common;
  std::vector<std::unique_ptr<Shard>> shards;
  std::vector<std::thread> threads;
  std::vector<std::string> urls;
  std::vector<std::unique_ptr<net::Listener>> unix_listeners;  // one of each, to remove its file

  mutable std::mutex tls_mutex;
  std::optional<tls::Context> tls;  // guarded by tls_mutex once threads run

  core::Result<core::Ok> listen(const std::string& text);
  void forget_listeners() {
    shards.clear();
    remove_unix_files();
    urls.clear();
    tls.reset();
  }
  void remove_unix_files() {
    for (const auto& listener : unix_listeners) listener->remove_path();
    unix_listeners.clear();
  }
};

Server::Server(ServerOptions options) : state_(std::make_unique<State>()) {
  state_->options = std::move(options);
}

Server::~Server() {
  stop();
  wait();
}

void Server::route(std::string_view pattern, Handlers handlers) {
  WS_CHECK(state_->threads.empty());
  state_->common.router.add(pattern, std::move(handlers));
}

core::Result<core::Ok> Server::check() const {
  for (const std::string& text : state_->options.listen) {
    auto url = proto::parse_listen_url(text);
    if (!url) return url.error();
    if (auto address = address_of(*url); !address) {
      return core::Error(text + ": " + address.error().message());
    }
  }
  if (auto context = tls::Context::make_server(state_->options.tls); !context)
    return context.error();
  return core::Ok{};
}

core::Result<core::Ok> Server::start() {
  State& state = *state_;
  WS_CHECK(state.threads.empty());
  state.common.limits = state.options.limits;
  state.common.origins = state.options.origins;
  std::uint32_t& connections = state.common.limits.connections;
  const std::uint32_t descriptors = raise_descriptor_limit();
  connections = std::min(connections, descriptors > 2 * kReservedDescriptors
                                          ? descriptors - kReservedDescriptors
                                          : descriptors / 2);

  unsigned threads = state.options.threads;
  if (threads == 0) threads = std::max(1u, std::thread::hardware_concurrency());
  for (unsigned i = 0; i < threads; ++i)
    state.shards.push_back(std::make_unique<Shard>(state.common));
  for (const std::string& url : state.options.listen) {
    if (auto done = state.listen(url); !done) {
      state.forget_listeners();
      return done;
    }
  }
  for (const auto& shard : state.shards) state.threads.emplace_back(&Shard::run, shard.get());
  return core::Ok{};
}

core::Result<core::Ok> Server::State::listen(const std::string& text) {
  auto url = proto::parse_listen_url(text);
  if (!url) return url.error();
  auto address = address_of(*url);
  if (!address) return core::Error(text + ": " + address.error().message());
  if (url->tls && !tls) {
    auto context = tls::Context::make_server(options.tls);
    if (!context) return context.error();
    tls = *context;
    for (const auto& shard : shards) shard->set_tls(*tls);
  }
  auto first = net::Listener::open(*address);
  if (!first) return core::Error(text + ": " + first.error().message(), first.error().os_errno());
  if (url->unix_path.empty()) url->port = first->address().port();
  urls.push_back(url->to_string());
  if (!url->unix_path.empty()) {
    auto keeper = first->share();
    if (!keeper) return keeper.error();
    unix_listeners.push_back(std::make_unique<net::Listener>(std::move(*keeper)));
  }
  for (std::size_t i = 1; i < shards.size(); ++i) {
    auto sibling = first->share();
    if (!sibling) return core::Error(text + ": " + sibling.error().message());
    if (auto done = shards[i]->add_listener(std::move(*sibling), url->tls); !done) return done;
  }
  return shards[0]->add_listener(std::move(*first), url->tls);
}

const std::vector<std::string>& Server::urls() const {
  return state_->urls;
}

std::string Server::certificate_fingerprint() const {
  const std::lock_guard lock(state_->tls_mutex);
  return state_->tls ? state_->tls->fingerprint() : std::string();
}

bool Server::certificate_self_signed() const {
  const std::lock_guard lock(state_->tls_mutex);
  return state_->tls && state_->tls->self_signed();
}

void Server::stop(CloseCode code) {
  for (const auto& shard : state_->shards) {
    shard->post([target = shard.get(), code] { target->shut_down(code); });
  }
}

void Server::wait() {
  for (std::thread& thread : state_->threads) {
    if (thread.joinable()) thread.join();
  }
  state_->remove_unix_files();
}

core::Result<core::Ok> Server::run() {
  if (auto started = start(); !started) return started;
  wait();
  return core::Ok{};
}

core::Result<core::Ok> Server::reload_tls() {
  const std::lock_guard lock(state_->tls_mutex);
  if (!state_->tls) return core::Ok{};
  auto context = tls::Context::reload_server(state_->options.tls, *state_->tls);
  if (!context) return context.error();
  state_->tls = *context;
  for (const auto& shard : state_->shards) {
    shard->post([target = shard.get(), fresh = tls::Context(*context)]() mutable {
      target->set_tls(std::move(fresh));
    });
  }
  return core::Ok{};
}

std::size_t Server::connections() const {
  return state_->common.connections.load(std::memory_order_relaxed);
}

}  // namespace ws
