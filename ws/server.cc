#include "ws/server.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

#include "core/check.h"
#include "core/fd.h"
#include "core/log.h"
#include "net/listener.h"
#include "tls/context.h"
#include "tls/crypto.h"
#include "ws/opening.h"
#include "ws/proto/url.h"
#include "ws/shard.h"

namespace ws {

namespace {

// Descriptors that are no connection: standard streams, files being read, and room to take 32
// connections and say no.
constexpr std::uint32_t kSpareDescriptors = 64;
// Of each thread: epoll, eventfd and timerfd; of each of its listeners: the socket and its spare.
std::uint32_t reserved_descriptors(std::uint32_t threads, std::size_t listeners) {
  return kSpareDescriptors + threads * (3 + 2 * static_cast<std::uint32_t>(listeners));
}

std::uint32_t raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<std::uint32_t>(std::min<rlim_t>(limit.rlim_cur, UINT32_MAX));
}

// An eventfd of the server that stop_on_signals() was called for, -1 when there is none.
std::atomic<int> stop_event{-1};

void handle_stop_signals(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGINT, SIGTERM}) ::sigaction(signal, &action, nullptr);
}

// Only calls that are async-signal-safe (signal-safety(7)), on whatever thread this is.
void on_stop_signal(int) {
  const int errno_before = errno;
  handle_stop_signals(SIG_DFL);
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(stop_event.load(), &one, sizeof one);
  errno = errno_before;
}

struct Endpoint {
  std::string text;  // as given
  proto::ListenUrl url;
  net::Address address;
};

core::Result<std::vector<Endpoint>> endpoints_of(const ServerOptions& options) {
  std::vector<Endpoint> endpoints;
  for (const std::string& text : options.listen) {
    auto url = proto::parse_listen_url(text);
    if (!url) return url.error();
    auto address = url->unix_path.empty() ? net::Address::from_ip(url->host, url->port)
                                          : net::Address::from_path(url->unix_path);
    if (!address) return core::Error(text + ": " + address.error().message());
    endpoints.push_back({text, *url, *address});
  }
  return endpoints;
}

// A wrong certificate is an error also where no wss listener would use it.
bool wants_tls(const ServerOptions& options, const std::vector<Endpoint>& endpoints) {
  return !options.tls.certificates.empty() ||
         std::any_of(endpoints.begin(), endpoints.end(),
                     [](const Endpoint& e) { return e.url.tls; });
}

core::Result<core::Ok> check_options(const ServerOptions& options) {
  if (options.threads > Shard::kShardsMax) return core::Error("threads: at most 256");
  if (auto done = check_origins(options.origins); !done) return done;
  if (auto done = check_extensions(options.extensions); !done) return done;
  return check_limits(options.limits, options.deflate);
}

}  // namespace

// The threads that serve: those we started, and the one that is in Server::run(). thread: any.
// Not in the anonymous namespace: g++ warns of State, which has one, in a unit of several files.
class Crew {
 public:
  // From here on wait() waits for leave() as well.
  void enter() {
    const std::lock_guard lock(mutex_);
    in_run_ = true;
  }
  void leave() {
    const std::lock_guard lock(mutex_);
    join();
    in_run_ = false;
    left_.notify_all();
  }
  // One of its own for each; throws std::system_error as std::thread does. How many have one
  // already is started().
  void start(const std::vector<std::unique_ptr<Shard>>& shards, std::size_t first) {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = first; i < shards.size(); ++i) {
      threads_.emplace_back(&Shard::run, shards[i].get());
    }
  }
  std::size_t started() const {
    const std::lock_guard lock(mutex_);
    return threads_.size();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    left_.wait(lock, [this] { return !in_run_; });
    join();
  }

 private:
  // Locked, so that each is joined once and everybody returns after that.
  void join() {
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

  mutable std::mutex mutex_;
  std::condition_variable left_;
  bool in_run_ = false;
  std::vector<std::thread> threads_;
};

struct Server::State {
  ServerOptions options;
  core::Result<core::Ok> fault = core::Ok{};  // of route() or stop_on_signals()
  std::vector<std::pair<int, std::function<void()>>> watched;
  core::Fd stop_event;  // of stop_on_signals()
  Common common;
  std::vector<std::unique_ptr<Shard>> shards;  // once listening
  // run() has its share: who waited for its end may end the server before it has returned.
  const std::shared_ptr<Crew> crew = std::make_shared<Crew>();
  std::atomic<bool> running = false;
  std::vector<std::string> urls;
  std::mutex files_mutex;
  std::vector<std::unique_ptr<net::Listener>> unix_listeners;  // one of each, to remove its file

  mutable std::mutex tls_mutex;
  std::optional<tls::Context> tls;  // guarded by tls_mutex once threads run

  core::Result<core::Ok> fit_descriptors(std::uint32_t thread_count, std::size_t listeners);
  core::Result<core::Ok> open_listeners(std::vector<Endpoint>& endpoints);
  core::Result<core::Ok> listen(Endpoint& endpoint);
  core::Result<core::Ok> check_watched() const;
  // false: too late for route(), topic(), watch().
  bool sets_up() const {
    if (shards.empty()) return true;
    WS_MISUSE("route(), topic(), watch() and stop_on_signals() come before listen()");
    return false;
  }
  bool serves_this_thread() const {
    return std::find(common.shards.begin(), common.shards.end(), Shard::current()) !=
           common.shards.end();
  }
  void forget_listeners() {
    common.shards.clear();
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
  tls::begin();
  state_->options = std::move(options);
}

Server::~Server() {
  if (state_->stop_event) {
    handle_stop_signals(SIG_DFL);
    stop_event.store(-1);
  }
  // In one of its own handlers it would wait for itself.
  WS_CHECK(!state_->serves_this_thread());
  stop();
  wait();
}

void Server::route(std::string_view pattern, Handlers handlers) {
  if (!state_->sets_up()) return;
  auto added = add_route(state_->common.router, pattern, std::move(handlers));
  if (!added) state_->fault = added;
}

void Server::topic(std::string_view pattern, TopicOptions options) {
  if (!state_->sets_up()) return;
  state_->common.topic_rules.add(pattern, options);
}

core::Result<core::Ok> Server::check() const {
  if (!state_->fault) return state_->fault;
  if (auto done = check_options(state_->options); !done) return done;
  if (auto done = state_->check_watched(); !done) return done;
  auto endpoints = endpoints_of(state_->options);
  if (!endpoints) return endpoints.error();
  if (!wants_tls(state_->options, *endpoints)) return core::Ok{};
  auto context = tls::Context::make_server(state_->options.tls);
  return context ? core::Result<core::Ok>(core::Ok{}) : context.error();
}

void Server::watch(int fd, std::function<void()> on_readable) {
  if (!state_->sets_up()) return;
  state_->watched.emplace_back(fd, std::move(on_readable));
}

void Server::stop_on_signals() {
  if (!state_->sets_up()) return;
  core::Fd& event = state_->stop_event;
  event = core::Fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!event) {
    const int why = errno;
    state_->fault = core::Error("stop_on_signals(): " + std::generic_category().message(why) +
                                    "; raise the limit of open files (ulimit -n)",
                                why);
    return;
  }
  watch(event.get(), [this] {
    std::uint64_t count = 0;
    if (::read(state_->stop_event.get(), &count, sizeof count) == sizeof count) stop();
  });
  WS_CHECK(stop_event.exchange(event.get()) < 0);  // of one server only
  handle_stop_signals(on_stop_signal);
}

core::Result<core::Ok> Server::listen() {
  State& state = *state_;
  if (!state.shards.empty()) {
    WS_MISUSE("Server::listen() a second time");
    return core::Error("the server listens already");
  }
  if (!state.fault) return state.fault;
  if (auto done = check_options(state.options); !done) return done;
  if (auto done = state.check_watched(); !done) return done;
  auto endpoints = endpoints_of(state.options);
  if (!endpoints) return endpoints.error();
  unsigned threads = state.options.threads;
  if (threads == 0) {
    constexpr unsigned kMost = Shard::kShardsMax;
    threads = std::clamp(std::thread::hardware_concurrency(), 1u, kMost);
  }
  if (auto done = state.fit_descriptors(threads, endpoints->size()); !done) return done;
  state.common.origins = state.options.origins;
  state.common.deflate = state.options.deflate;
  state.common.extensions = state.options.extensions;
  if (wants_tls(state.options, *endpoints)) {
    auto context = tls::Context::make_server(state.options.tls);
    if (!context) return context.error();
    state.tls = *context;
  }
  for (unsigned i = 0; i < threads; ++i) {
    auto shard = Shard::make(state.common, i);
    if (!shard) {
      state.forget_listeners();
      return shard.error();
    }
    state.shards.push_back(std::move(*shard));
    state.common.shards.push_back(state.shards.back().get());
    if (state.tls) state.shards.back()->set_tls(*state.tls);
  }
  auto opened = state.open_listeners(*endpoints);
  if (!opened) state.forget_listeners();
  return opened;
}

core::Result<core::Ok> Server::State::open_listeners(std::vector<Endpoint>& endpoints) {
  for (Endpoint& endpoint : endpoints) {
    if (auto done = listen(endpoint); !done) return done;
  }
  for (const auto& [fd, on_readable] : watched) {
    if (auto done = shards[0]->watch(fd, on_readable); !done) return done;
  }
  return core::Ok{};
}

// Before anything is opened: a number that is free now would be ours then.
core::Result<core::Ok> Server::State::check_watched() const {
  std::set<int> seen;
  for (const auto& [fd, on_readable] : watched) {
    const std::string which = "cannot watch descriptor " + std::to_string(fd);
    if (::fcntl(fd, F_GETFD) < 0) {
      return core::Error(which + ": it is not open: open it before, close it after", EBADF);
    }
    if (!seen.insert(fd).second) {
      return core::Error(which + " twice: call both functions from one", EEXIST);
    }
  }
  return core::Ok{};
}

// Raises the process's limit as far as it may, and lowers ours to what is left of it for
// connections.
core::Result<core::Ok> Server::State::fit_descriptors(std::uint32_t thread_count,
                                                      std::size_t listeners) {
  common.limits = options.limits;
  const std::uint32_t have = raise_descriptor_limit();
  const std::uint32_t reserved = reserved_descriptors(thread_count, listeners);
  if (have <= reserved) {
    return core::Error("the limit of open files is " + std::to_string(have) + ", too low for " +
                       std::to_string(thread_count) + " threads: raise it (ulimit -n) above " +
                       std::to_string(reserved));
  }
  if (common.limits.connections <= have - reserved) return core::Ok{};
  common.limits.connections = have - reserved;
  core::log(core::LogLevel::kWarn,
            "fewer connections than asked for: the limit of open files is low",
            {{"connections", common.limits.connections}, {"open_files", have}});
  return core::Ok{};
}

core::Result<core::Ok> Server::State::listen(Endpoint& endpoint) {
  proto::ListenUrl& url = endpoint.url;
  auto first = net::Listener::open(endpoint.address);
  const std::string& text = endpoint.text;
  if (!first) return core::Error(text + ": " + first.error().message(), first.error().os_errno());
  if (url.unix_path.empty()) url.port = first->address().port();
  urls.push_back(url.to_string());
  if (!url.unix_path.empty()) {
    auto keeper = first->share();
    if (!keeper) return keeper.error();
    unix_listeners.push_back(std::make_unique<net::Listener>(std::move(*keeper)));
  }
  for (std::size_t i = 1; i < shards.size(); ++i) {
    auto sibling = first->share();
    if (!sibling) return core::Error(text + ": " + sibling.error().message());
    if (auto done = shards[i]->add_listener(std::move(*sibling), url.tls); !done) return done;
  }
  return shards[0]->add_listener(std::move(*first), url.tls);
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

void Server::stop() {
  stop(state_->options.limits.drain_ms);
}

void Server::stop(std::uint32_t deadline_ms, CloseCode code) {
  {
    // The kept socket of a Unix listener would go on taking connections that nobody serves.
    const std::lock_guard lock(state_->files_mutex);
    state_->remove_unix_files();
  }
  for (const auto& shard : state_->shards) {
    shard->post(
        [target = shard.get(), deadline_ms, code] { target->shut_down(code, deadline_ms); });
  }
}

bool Server::post(ConnId id, std::function<void(Conn&)> task) {
  return state_->common.post(id, std::move(task));
}

void Server::answer(ConnId id, Upgrade decision) {
  state_->common.answer(id, std::move(decision));
}

Common& Server::engine() {
  return state_->common;
}

bool Server::runs() const {
  return state_->running;
}

bool Server::publish(std::string_view topic, const Message& message, SendOptions options) {
  return state_->common.publish(topic, message, options);
}

TopicStats Server::topic_stats(std::string_view pattern) const {
  return state_->common.topic_rules.stats(pattern);
}

core::Result<core::Ok> Server::listen_unless_done() {
  if (state_->running) {
    WS_MISUSE("Server::run() or start() a second time");
    return core::Error("the server has been started before: a Server runs once");
  }
  if (state_->shards.empty()) {
    if (auto done = listen(); !done) return done;
  }
  state_->running = true;
  return core::Ok{};
}

// errors: a thread cannot be started. Then nobody is served, and the server has ended.
core::Result<core::Ok> Server::start_threads(std::size_t first_shard) {
  const auto& shards = state_->shards;
  try {
    state_->crew->start(shards, first_shard);
  } catch (const std::system_error& error) {
    stop(0);
    // Those without a thread close their listeners on this one.
    const std::size_t failed = first_shard + state_->crew->started();
    for (std::size_t i = 0; i < shards.size(); ++i) {
      if (i < first_shard || i >= failed) shards[i]->run();
    }
    return core::Error("cannot start thread " + std::to_string(failed + 1) + " of " +
                           std::to_string(shards.size()) + ": " + error.code().message() +
                           "; use fewer threads, or raise the limit (ulimit -u)",
                       error.code().value());
  }
  return core::Ok{};
}

core::Result<core::Ok> Server::start() {
  if (auto done = listen_unless_done(); !done) return done;
  if (auto done = start_threads(0); !done) {
    state_->crew->wait();
    return done;
  }
  return core::Ok{};
}

void Server::wait() {
  if (state_->serves_this_thread()) {
    WS_MISUSE("Server::wait() in a handler would wait for itself; call stop() there");
    return;
  }
  state_->crew->wait();
}

core::Result<core::Ok> Server::run() {
  if (auto done = listen_unless_done(); !done) return done;
  const std::shared_ptr<Crew> crew = state_->crew;
  crew->enter();
  auto done = start_threads(1);
  if (done) state_->shards[0]->run();
  crew->leave();
  // From here on there may be no server any more.
  return done;
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

Stats Server::stats() const {
  return state_->common.stats();
}

std::size_t Server::connections() const {
  return state_->common.connections.load(std::memory_order_relaxed);
}

}  // namespace ws
