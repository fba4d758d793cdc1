// A client for programs without a loop of their own: handlers on the client's thread fill an inbox,
// the calls wait for them.
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>

#include "core/check.h"
#include "ws/client.h"
#include "ws/shard.h"

namespace ws {
namespace {

// Above it the peer has to wait.
constexpr std::size_t kInboxBytes = 1024 * 1024;

// An empty message needs memory as well.
std::size_t cost(const OwnedMessage& message) {
  return sizeof(OwnedMessage) + message.bytes.size();
}

// A loop's thread that waited here would serve nobody, and perhaps wait for itself.
bool may_wait() {
  if (Shard::current() == nullptr) return true;
  WS_MISUSE("a BlockingConn waits in a handler; use ws::Client there");
  return false;
}

core::Error in_a_handler() {
  return core::Error("a handler may not wait: use ws::Client there");
}

core::Error moved_from() {
  return core::Error("there is no connection: this BlockingConn was moved from");
}

}  // namespace

struct BlockingConn::State {
  explicit State(ClientOptions options)
      : queue_high_bytes(options.limits.queue_high_bytes), client(std::move(options)) {}

  Handlers handlers();
  void note_end(std::string why);
  // Runs `task` on the client's thread and waits for it. false: the connection has ended.
  bool run(std::unique_lock<std::mutex>& lock, std::function<void(Conn&)> task);
  core::Error end_error() const { return core::Error("the connection has ended: " + end_reason); }

  const std::size_t queue_high_bytes;
  std::mutex mutex;  // guards all below but client
  std::condition_variable changed;
  std::deque<OwnedMessage> inbox;
  std::size_t inbox_bytes = 0;
  ConnId id;
  std::string subprotocol;
  std::string end_reason;
  std::uint64_t tasks_done = 0;
  std::uint64_t tasks_posted = 0;
  bool open = false;
  bool ended = false;
  bool reading_paused = false;
  bool queue_full = false;
  Client client;  // last, so destroyed first: its handlers use the rest
};

void BlockingConn::State::note_end(std::string why) {
  const std::lock_guard lock(mutex);
  end_reason = std::move(why);
  ended = true;
  changed.notify_all();
}

Handlers BlockingConn::State::handlers() {
  return {.on_open =
              [this](Conn& conn) {
                const std::lock_guard lock(mutex);
                id = conn.id();
                subprotocol = conn.subprotocol();
                open = true;
                changed.notify_all();
              },
          .on_message =
              [this](Conn& conn, const Message& message) {
                const std::lock_guard lock(mutex);
                inbox.push_back({message.type, {message.bytes.begin(), message.bytes.end()}});
                inbox_bytes += cost(inbox.back());
                reading_paused = inbox_bytes > kInboxBytes;
                if (reading_paused) conn.pause_reading();
                changed.notify_all();
              },
          .on_drain =
              [this](Conn&) {
                const std::lock_guard lock(mutex);
                queue_full = false;
                changed.notify_all();
              },
          .on_close =
              [this](Conn&, const Close& why) {
                note_end("code " + std::to_string(static_cast<int>(why.code)) +
                         (why.reason.empty() ? "" : " (" + std::string(why.reason) + ")") + ", " +
                         std::string(to_string(why.cause)));
              }};
}

bool BlockingConn::State::run(std::unique_lock<std::mutex>& lock, std::function<void(Conn&)> task) {
  const std::uint64_t number = ++tasks_posted;
  client.post(id, [this, task = std::move(task)](Conn& conn) {
    task(conn);
    const std::lock_guard guard(mutex);
    ++tasks_done;
    changed.notify_all();
  });
  changed.wait(lock, [&] { return ended || tasks_done >= number; });
  return tasks_done >= number;
}

core::Result<BlockingConn> connect(std::string_view url, ConnectOptions options,
                                   ClientOptions client_options) {
  if (!may_wait()) return in_a_handler();
  auto state = std::make_unique<BlockingConn::State>(std::move(client_options));
  options.reconnect = {};
  options.on_failure = [raw = state.get(),
                        tell = std::move(options.on_failure)](const ConnectFailure& why) {
    raw->note_end(why.reason);
    if (tell) tell(why);
  };
  auto dialled = state->client.connect(url, std::move(options), state->handlers());
  if (!dialled) return dialled.error();
  std::unique_lock lock(state->mutex);
  state->changed.wait(lock, [&] { return state->open || state->ended; });
  if (!state->open) return core::Error(std::string(url) + ": " + state->end_reason);
  lock.unlock();
  return BlockingConn(std::move(state));
}

BlockingConn::BlockingConn(std::unique_ptr<State> state) : state_(std::move(state)) {}
BlockingConn::BlockingConn(BlockingConn&&) noexcept = default;

BlockingConn& BlockingConn::operator=(BlockingConn&& other) noexcept {
  if (this == &other) return *this;
  close();
  state_ = std::move(other.state_);
  return *this;
}

BlockingConn::~BlockingConn() {
  close();
}

core::Result<core::Ok> BlockingConn::send(const Message& message) {
  if (!may_wait()) return in_a_handler();
  if (!state_) return moved_from();
  State& state = *state_;
  std::unique_lock lock(state.mutex);
  state.changed.wait(lock, [&] { return state.ended || !state.queue_full; });
  if (state.ended) return state.end_error();
  SendStatus status = SendStatus::kClosed;
  const bool ran = state.run(lock, [&](Conn& conn) {
    status = conn.send(message);
    // What this sent leaves the thread's outbox when the task is over; only what is left of it
    // counts, and on_drain tells when that has gone.
    const std::lock_guard guard(state.mutex);
    state.queue_full = conn.queued_bytes() > state.queue_high_bytes;
  });
  if (ran && status <= SendStatus::kQueued) return core::Ok{};
  state.changed.wait(lock, [&] { return state.ended; });  // only then there is a reason
  return state.end_error();
}

core::Result<std::optional<OwnedMessage>> BlockingConn::receive(std::uint32_t timeout_ms) {
  if (!may_wait()) return in_a_handler();
  if (!state_) return moved_from();
  State& state = *state_;
  std::unique_lock lock(state.mutex);
  state.changed.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                         [&] { return state.ended || !state.inbox.empty(); });
  if (state.inbox.empty()) {
    if (state.ended) return state.end_error();
    return std::optional<OwnedMessage>();
  }
  std::optional<OwnedMessage> message(std::move(state.inbox.front()));
  state.inbox.pop_front();
  state.inbox_bytes -= cost(*message);
  if (state.reading_paused && state.inbox_bytes <= kInboxBytes / 2) {
    state.reading_paused = false;
    state.client.post(state.id, [](Conn& conn) { conn.resume_reading(); });
  }
  return message;
}

void BlockingConn::close(CloseCode code, std::string_view reason) {
  if (!state_ || !may_wait()) return;
  std::unique_lock lock(state_->mutex);
  if (state_->ended) return;
  state_->client.post(state_->id,
                      [code, text = std::string(reason)](Conn& conn) { conn.close(code, text); });
  state_->changed.wait(lock, [&] { return state_->ended; });
}

std::string_view BlockingConn::subprotocol() const {
  return state_ ? std::string_view(state_->subprotocol) : std::string_view();
}

}  // namespace ws
