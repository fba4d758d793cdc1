#include "ws/client.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "core/check.h"
#include "tls/crypto.h"
#include "ws/dial.h"
#include "ws/server.h"
#include "ws/shard.h"

namespace ws {
namespace {

// Unique over all clients: they share the shards of a server.
std::uint64_t next_number() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

// A request on its way to a loop. The loop begins it; or the end of the client comes first, where
// the loop does not run yet; or the end of the loop.
// Not in the anonymous namespace: g++ warns of State, which has one, in a unit of several files.
class Posted {
 public:
  explicit Posted(DialRequest request) : request_(std::move(request)) {}
  // Nothing: the other one has it.
  std::optional<DialRequest> take() {
    if (taken_.test_and_set()) return std::nullopt;
    return std::move(request_);
  }
  // Unless the other one has it.
  void refuse() {
    const std::optional<DialRequest> request = take();
    if (!request) return;
    tell_failure(request->options,
                 {.reason = "not tried: the client or its server is being stopped"});
  }
  // The loop is done with it, as connect() is: true for the later of them, which is to tell that
  // nobody has taken it. on_failure is not for connect(), which returns that as an error.
  bool second_to_leave() { return left_.test_and_set(); }

 private:
  std::atomic_flag taken_, left_;
  DialRequest request_;
};

// What the loop has of it, in a task that it runs or, having ended, destroys.
class PostedTask {
 public:
  PostedTask(Shard& shard, std::shared_ptr<Posted> posted)
      : shard_(shard), posted_(std::move(posted)) {}
  PostedTask(PostedTask&&) = default;
  ~PostedTask() {
    if (posted_ && posted_->second_to_leave()) posted_->refuse();
  }
  void operator()() {
    if (auto request = posted_->take()) shard_.dials().start(std::move(*request));
  }

 private:
  Shard& shard_;
  std::shared_ptr<Posted> posted_;
};

core::Result<core::Ok> check_connect(const ConnectOptions& options) {
  if (auto good = proto::check_client_request(options.subprotocols, options.headers); !good) {
    return good;
  }
  return check_extensions(options.extensions);
}

struct Client::State {
  core::Result<std::shared_ptr<const ClientCommon>> common_for(bool tls);
  core::Result<core::Ok> start_thread();
  Shard& choose_shard();
  void drop_unbegun();
  void wait_for_end();

  ClientOptions options;
  core::Result<core::Ok> fault = core::Ok{};  // of the constructor
  const std::uint64_t number = next_number();
  const std::shared_ptr<DialsLeft> dials_left = std::make_shared<DialsLeft>();
  const Server* server = nullptr;  // null: we have a thread of our own
  Common* engine = nullptr;        // whose shards serve us: a server's, or our own
  // Without a server, and constant from the start, as every thread may read it:
  Common own_engine;
  std::unique_ptr<Shard> own_shard;
  std::mutex mutex;                            // guards all below
  std::shared_ptr<const ClientCommon> common;  // a new one once TLS is needed
  std::size_t next_shard = 0;
  bool stopped = false;
  std::vector<std::shared_ptr<Posted>> unbegun;  // by a server that did not run yet
  std::thread thread;                            // of own_shard, once there is something to do
};

core::Result<std::shared_ptr<const ClientCommon>> Client::State::common_for(bool tls) {
  if (common && (common->tls || !tls)) return common;
  auto fresh = std::make_shared<ClientCommon>();
  fresh->options = options;
  if (tls) {
    auto context = tls::Context::make_client(options.tls);
    if (!context) return context.error();
    fresh->tls = std::move(*context);
  }
  common = std::move(fresh);
  return common;
}

core::Result<core::Ok> Client::State::start_thread() {
  if (!own_shard || thread.joinable()) return core::Ok{};
  try {
    thread = std::thread(&Shard::run, own_shard.get());
  } catch (const std::system_error& error) {
    return core::Error("cannot start the client's thread: " + error.code().message() +
                           "; raise the limit of processes (ulimit -u)",
                       error.code().value());
  }
  return core::Ok{};
}

// The calling one if it is one of them, else each in turn.
Shard& Client::State::choose_shard() {
  for (Shard* const shard : engine->shards) {
    if (shard == Shard::current()) return *shard;
  }
  return *engine->shards[next_shard++ % engine->shards.size()];
}

// Nobody else is going to tell what became of it while the program still listens.
void Client::State::drop_unbegun() {
  for (const std::shared_ptr<Posted>& posted : std::exchange(unbegun, {})) posted->refuse();
}

// On a server's threads others have their connections too: ours are ended one by one.
void Client::State::wait_for_end() {
  const std::uint32_t drain_ms = engine->limits.drain_ms;
  if (dials_left->wait_for_none(drain_ms)) return;
  for (Shard* const shard : engine->shards) {
    shard->post([shard, owner = number] { shard->dials().drop_all(owner); });
  }
  // Not without end, as the program's own handlers may hold the threads up.
  dials_left->wait_for_none(drain_ms);
}

Client::Client(ClientOptions options) : state_(std::make_unique<State>()) {
  tls::begin();
  State& state = *state_;
  state.options = std::move(options);
  state.engine = &state.own_engine;
  state.own_engine.limits = state.options.limits;
  auto shard = Shard::make(state.own_engine, 0);
  if (!shard) {
    state.fault = shard.error();
    return;
  }
  state.own_shard = std::move(*shard);
  state.own_engine.shards.push_back(state.own_shard.get());
}

Client::Client(Server& server, ClientOptions options) : state_(std::make_unique<State>()) {
  state_->options = std::move(options);
  state_->server = &server;
  state_->engine = &server.engine();
}

Client::~Client() {
  stop();
  // In one of its own handlers it would wait for itself.
  for (Shard* const shard : state_->engine->shards) WS_CHECK(shard != Shard::current());
  if (state_->server != nullptr) {
    if (!state_->server->runs()) state_->drop_unbegun();
    state_->wait_for_end();
  }
  if (state_->thread.joinable()) state_->thread.join();
}

core::Result<DialId> Client::connect(std::string_view url, ConnectOptions options,
                                     Handlers handlers) {
  if (!state_->fault) return state_->fault.error();
  auto target = proto::parse_connect_url(url);
  if (!target) return target.error();
  if (auto good = check_connect(options); !good) return good.error();
  const ClientOptions& common_options = state_->options;
  if (auto good = check_limits(common_options.limits, common_options.deflate); !good) {
    return good.error();
  }
  const std::lock_guard lock(state_->mutex);
  if (state_->stopped) return core::Error("the client has been stopped: make a new one");
  auto common = state_->common_for(target->tls);
  if (!common) return common.error();
  if (state_->engine->shards.empty()) {
    return core::Error("the server of this client does not listen yet: call listen() first");
  }
  if (auto started = state_->start_thread(); !started) return started.error();
  Shard& shard = state_->choose_shard();
  const DialId number = next_number();
  const auto posted = std::make_shared<Posted>(DialRequest{.number = number,
                                                           .owner = state_->number,
                                                           .left = DialToken(state_->dials_left),
                                                           .client = *common,
                                                           .url = std::move(*target),
                                                           .options = std::move(options),
                                                           .handlers = std::move(handlers)});
  shard.post(PostedTask(shard, posted));
  if (posted->second_to_leave() && posted->take()) {
    return core::Error("the server of this client has stopped");
  }
  if (state_->server == nullptr || state_->server->runs()) {
    state_->unbegun.clear();
  } else {
    state_->unbegun.push_back(posted);
  }
  return number;
}

void Client::cancel(DialId id) {
  for (Shard* const shard : state_->engine->shards) {
    shard->post([shard, id] { shard->dials().cancel(id); });
  }
}

bool Client::post(ConnId id, std::function<void(Conn&)> task) {
  return state_->engine->post(id, std::move(task));
}

void Client::stop(CloseCode code) {
  const std::lock_guard lock(state_->mutex);
  if (std::exchange(state_->stopped, true)) return;
  const bool own = state_->own_shard != nullptr;
  const std::uint32_t drain_ms = state_->engine->limits.drain_ms;
  for (Shard* const shard : state_->engine->shards) {
    shard->post([shard, own, owner = state_->number, code, drain_ms] {
      if (own) return shard->shut_down(code, drain_ms);
      shard->dials().cancel_all(owner, code);
    });
  }
}

Stats Client::stats() const {
  return state_->engine->stats();
}

}  // namespace ws
