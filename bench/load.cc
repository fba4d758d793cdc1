// WebSocket load generator: keeps a fixed number of messages in flight on every connection and
// measures what the server makes of it.  Closed loop: each reply is answered with the next message.
#include <sys/epoll.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "bench/args.h"
#include "bench/echo_client.h"
#include "bench/histogram.h"
#include "bench/process.h"

namespace ws::bench {
namespace {

constexpr std::string_view kUsage =
    R"(load --url URL [options]: measures an echo server

  --url URL            ws://HOST:PORT/PATH or wss://...; with --tcp also tcp://HOST:PORT
  --connections N      open connections (1)
  --depth N            messages in flight per connection (1)
  --size SIZE          payload bytes, suffixes k and m (64)
  --text | --binary    opcode of the messages (binary)
  --duration SECONDS   measured time (5)
  --warmup SECONDS     time before it (1)
  --threads N          generator threads (1)
  --server-pid PID     also print the CPU time the server spends
  --tcp                no WebSocket: a plain TCP echo, sent the very bytes of the frames
  --verify             compare every payload, not only the first ones of each connection
  --json               one line of JSON
)";

struct Options {
  std::string url;
  std::uint64_t connections, depth, threads, server_pid;
  MessagePlan plan;
  double duration_s, warmup_s;
  bool json;
};

Options parse_options(int argc, char** argv) {
  Args args(argc, argv, kUsage);
  Options options{.url = args.text("--url", ""),
                  .connections = args.size("--connections", 1),
                  .depth = args.size("--depth", 1),
                  .threads = args.size("--threads", 1),
                  .server_pid = args.size("--server-pid", 0),
                  .plan = {.bytes = args.size("--size", 64),
                           .text = args.flag("--text"),
                           .raw = args.flag("--tcp"),
                           .verify_all = args.flag("--verify")},
                  .duration_s = args.seconds("--duration", 5),
                  .warmup_s = args.seconds("--warmup", 1),
                  .json = args.flag("--json")};
  (void)args.flag("--binary");
  args.finish();
  if (options.url.empty()) throw std::runtime_error("--url is missing");
  if (options.connections == 0 || options.depth == 0 || options.threads == 0) {
    throw std::runtime_error("--connections, --depth and --threads start at 1");
  }
  options.plan.pipelined = options.depth;
  return options;
}

enum class Phase { kWarmup, kMeasure, kDrain };

// What the main thread and the workers tell each other.
class Run {
 public:
  [[nodiscard]] Phase phase() const { return phase_.load(std::memory_order_relaxed); }
  void enter(Phase phase) { phase_.store(phase, std::memory_order_relaxed); }

  void fail(const std::string& reason) {
    const std::lock_guard lock(mutex_);
    if (failure_.empty()) failure_ = reason;
    changed_.notify_one();
  }

  // Sleeps, but no longer than until the first failure.
  void sleep(double seconds) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::duration<double>(seconds),
                      [this] { return !failure_.empty(); });
  }

  [[nodiscard]] std::string failure() {
    const std::lock_guard lock(mutex_);
    return failure_;
  }

 private:
  std::atomic<Phase> phase_ = Phase::kWarmup;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string failure_;
};

// One thread's share of the connections.
class Worker {
 public:
  Worker(Run& run, std::uint64_t depth)
      : run_(run),
        depth_(depth),
        epoll_fd_(epoll_create1(EPOLL_CLOEXEC)),
        scratch_(kScratchBytes) {}
  ~Worker() { ::close(epoll_fd_); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void connect(const Url& url, const Traffic& traffic);
  void run();

  [[nodiscard]] std::uint64_t messages() const { return messages_.load(std::memory_order_relaxed); }
  [[nodiscard]] const Histogram& latency() const { return latency_; }

 private:
  // The largest single read; a server's whole answer to a pipeline of small messages fits.
  static constexpr std::size_t kScratchBytes = 256 * 1024;
  static constexpr std::uint64_t kDrainNs = 1'000'000'000;
  static constexpr int kPhasePollMs = 20;

  struct Connection {
    Connection(const Url& url, const Traffic& traffic, std::uint64_t depth)
        : client(url, traffic, ""), sent_ns(depth) {}
    EchoClient client;
    std::vector<std::uint64_t> sent_ns;  // ring: when each message in flight was handed over
    std::size_t oldest = 0;
  };

  bool start(Connection& connection, std::uint64_t messages, std::uint64_t now);
  void on_event(const epoll_event& event);
  bool serve(Connection& connection, bool hangup);
  void settle(Connection& connection, std::uint64_t replies, std::uint64_t now);

  Run& run_;
  const std::uint64_t depth_;
  int epoll_fd_;
  std::deque<Connection> connections_;
  std::vector<std::uint8_t> scratch_;
  std::uint64_t in_flight_ = 0;
  std::atomic<std::uint64_t> messages_ = 0;
  Histogram latency_;
  bool failed_ = false;
};

void Worker::connect(const Url& url, const Traffic& traffic) {
  Connection& connection = connections_.emplace_back(url, traffic, depth_);
  epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {}};
  event.data.ptr = &connection;
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, connection.client.fd(), &event) != 0) {
    throw std::runtime_error("epoll_ctl refused a connection");
  }
}

void Worker::run() {
  for (Connection& connection : connections_) {
    if (!start(connection, depth_, now_ns())) break;
  }
  std::uint64_t drain_until = UINT64_MAX;
  std::vector<epoll_event> events(256);
  while (!failed_) {
    if (run_.phase() == Phase::kDrain) {
      if (drain_until == UINT64_MAX) drain_until = now_ns() + kDrainNs;
      if (in_flight_ == 0 || now_ns() > drain_until) break;
    }
    const int n =
        epoll_wait(epoll_fd_, events.data(), static_cast<int>(events.size()), kPhasePollMs);
    for (int i = 0; i < n && !failed_; ++i) on_event(events[static_cast<std::size_t>(i)]);
  }
  for (Connection& connection : connections_) connection.client.say_goodbye();
}

bool Worker::start(Connection& connection, std::uint64_t messages, std::uint64_t now) {
  // In flight before these: the ring's other entries, from `oldest` on.
  const std::uint64_t before = connection.client.in_flight();
  for (std::uint64_t i = 0; i < messages; ++i) {
    connection.sent_ns[(connection.oldest + before + i) % depth_] = now;
  }
  in_flight_ += messages;
  connection.client.owe(messages);
  return connection.client.flush();
}

void Worker::on_event(const epoll_event& event) {
  Connection& connection = *static_cast<Connection*>(event.data.ptr);
  const bool hangup = (event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  if (serve(connection, hangup)) return;
  failed_ = true;
  run_.fail(connection.client.error());
}

bool Worker::serve(Connection& connection, bool hangup) {
  std::uint64_t replies = 0;
  if (!connection.client.receive(scratch_, hangup, replies)) return false;
  if (replies == 0) return connection.client.flush();
  const std::uint64_t now = now_ns();
  settle(connection, replies, now);
  return run_.phase() == Phase::kDrain ? connection.client.flush()
                                       : start(connection, replies, now);
}

void Worker::settle(Connection& connection, std::uint64_t replies, std::uint64_t now) {
  const bool measuring = run_.phase() == Phase::kMeasure;
  for (std::uint64_t i = 0; i < replies; ++i) {
    if (measuring) latency_.add(now - connection.sent_ns[connection.oldest]);
    connection.oldest = connection.oldest + 1 == depth_ ? 0 : connection.oldest + 1;
  }
  in_flight_ -= replies;
  messages_.store(messages() + replies, std::memory_order_relaxed);
}

// Counters at one end of the measured time.
struct Snapshot {
  std::uint64_t time_ns, messages, generator_cpu_ns, server_cpu_ns;
};

struct Report {
  double seconds, messages, mb, generator_cpu_s, server_cpu_s;
  Histogram latency;
};

Snapshot take_snapshot(const std::deque<Worker>& workers, std::uint64_t server_pid) {
  Snapshot snapshot{now_ns(), 0, cpu_time_ns(getpid()).value_or(0), 0};
  if (server_pid != 0) {
    snapshot.server_cpu_ns = cpu_time_ns(static_cast<pid_t>(server_pid)).value_or(0);
  }
  for (const Worker& worker : workers) snapshot.messages += worker.messages();
  return snapshot;
}

Report make_report(const Snapshot& from, const Snapshot& to, std::uint64_t message_bytes,
                   const std::deque<Worker>& workers) {
  const auto messages = static_cast<double>(to.messages - from.messages);
  Report report{
      .seconds = static_cast<double>(to.time_ns - from.time_ns) / 1e9,
      .messages = messages,
      .mb = messages * static_cast<double>(message_bytes) / 1e6,
      .generator_cpu_s = static_cast<double>(to.generator_cpu_ns - from.generator_cpu_ns) / 1e9,
      .server_cpu_s = static_cast<double>(to.server_cpu_ns - from.server_cpu_ns) / 1e9,
      .latency = {}};
  for (const Worker& worker : workers) report.latency.merge(worker.latency());
  return report;
}

struct NamedPercentile {
  const char* name;
  double fraction;
};
constexpr NamedPercentile kPercentiles[] = {
    {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}};

double microseconds(std::uint64_t ns) {
  return static_cast<double>(ns) / 1e3;
}

void print_text(const Report& report, bool with_server) {
  std::printf("messages/s      %.0f\n", report.messages / report.seconds);
  std::printf("MB/s            %.1f of payload each way\n", report.mb / report.seconds);
  std::printf("latency us     ");
  for (const auto& [name, fraction] : kPercentiles) {
    std::printf(" %s %.1f", name, microseconds(report.latency.percentile(fraction)));
  }
  std::printf(" max %.1f\n", microseconds(report.latency.max()));
  std::printf("generator busy  %.0f %%\n", 100 * report.generator_cpu_s / report.seconds);
  if (!with_server) return;
  std::printf("server busy     %.0f %%\n", 100 * report.server_cpu_s / report.seconds);
  std::printf("server CPU      %.3f us per message, %.0f messages per CPU second\n",
              1e6 * report.server_cpu_s / report.messages, report.messages / report.server_cpu_s);
}

void print_json(const Report& report, bool with_server) {
  std::printf(
      "{\"seconds\":%.3f,\"messages\":%.0f,\"messages_per_second\":%.1f,\"mb_per_second\":%.2f",
      report.seconds, report.messages, report.messages / report.seconds,
      report.mb / report.seconds);
  for (const auto& [name, fraction] : kPercentiles) {
    std::printf(",\"latency_us_%s\":%.1f", name, microseconds(report.latency.percentile(fraction)));
  }
  std::printf(",\"latency_us_max\":%.1f,\"generator_busy\":%.3f",
              microseconds(report.latency.max()), report.generator_cpu_s / report.seconds);
  if (with_server) {
    std::printf(
        ",\"server_busy\":%.3f,\"server_cpu_us_per_message\":%.4f"
        ",\"messages_per_cpu_second\":%.1f",
        report.server_cpu_s / report.seconds, 1e6 * report.server_cpu_s / report.messages,
        report.messages / report.server_cpu_s);
  }
  std::printf("}\n");
}

// The workers run from here to the end of the drain.  returns: the counters around the measured
// time.
std::pair<Snapshot, Snapshot> measure(Run& run, std::deque<Worker>& workers,
                                      const Options& options) {
  std::vector<std::thread> threads;
  for (Worker& worker : workers) threads.emplace_back([&worker] { worker.run(); });
  run.sleep(options.warmup_s);
  run.enter(Phase::kMeasure);
  const Snapshot from = take_snapshot(workers, options.server_pid);
  run.sleep(options.duration_s);
  const Snapshot to = take_snapshot(workers, options.server_pid);
  run.enter(Phase::kDrain);
  for (std::thread& thread : threads) thread.join();
  return {from, to};
}

int run_load(const Options& options) {
  raise_descriptor_limit(options.connections + options.threads + 16);  // 16: stdio, the rest
  if (options.server_pid != 0 && !cpu_time_ns(static_cast<pid_t>(options.server_pid))) {
    throw std::runtime_error("--server-pid " + std::to_string(options.server_pid) +
                             ": no such process");
  }
  const Url url = parse_url(options.url);
  const Traffic traffic = make_traffic(options.plan);
  Run run;
  std::deque<Worker> workers;
  for (std::uint64_t i = 0; i < options.threads; ++i) workers.emplace_back(run, options.depth);
  for (std::uint64_t i = 0; i < options.connections; ++i) {
    workers[i % options.threads].connect(url, traffic);
  }

  const std::uint64_t start_ns = now_ns();
  const auto [from, to] = measure(run, workers, options);
  const std::string failure = run.failure();
  if (!failure.empty()) {
    const double seconds = static_cast<double>(to.time_ns - start_ns) / 1e9;
    die(failure + "; stopped after " + std::to_string(to.messages) + " messages in " +
        std::to_string(seconds) + " s");
  }
  const Report report = make_report(from, to, options.plan.bytes, workers);
  if (report.messages == 0) die("no message came back in the measured time");
  const bool with_server = options.server_pid != 0;
  options.json ? print_json(report, with_server) : print_text(report, with_server);
  return 0;
}

}  // namespace
}  // namespace ws::bench

int main(int argc, char** argv) {
  try {
    return ws::bench::run_load(ws::bench::parse_options(argc, argv));
  } catch (const std::runtime_error& error) {
    ws::bench::die(error.what());
  }
}
