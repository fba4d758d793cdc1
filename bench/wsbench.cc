// wsbench: load for a WebSocket echo server, and what the server makes of it.
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <deque>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "bench/args.h"
#include "bench/churn.h"
#include "bench/crowd.h"
#include "bench/echo_load.h"
#include "bench/process.h"
#include "bench/report.h"
#include "bench/run.h"

namespace ws::bench {
namespace {

constexpr std::string_view kUsage =
    R"(wsbench --url URL [options]: load for an echo server; compares every reply

Of bytes, k and m are 1024 and 1024 * 1024; of all else 1000 and 1000 * 1000.

  --url URL             ws://HOST:PORT/PATH or wss://...; tcp:// and tls:// for a server that sends
                        back plain bytes (bench/limit): it gets the very bytes of the frames;
                        TLS offers AES-128-GCM only, so that all servers are measured with it
 load
  --connections N       active connections (1)
  --depth N             closed loop: messages in flight on each, a reply brings the next one (1)
  --rate N              open loop instead: so many messages per second over all connections; latency
                        counts from when each was due, so that a stall is seen by all it delays
  --size LIST           payload bytes: 64, 16k, 1m, or a mix SIZE:WEIGHT,SIZE:WEIGHT,... (64)
  --text | --binary     opcode of the messages (binary)
  --content KIND        random, ascii, utf8 (1 to 4 bytes a letter) or json (random; with --text
                        ascii; with --deflate json)
  --deflate MODE        permessage-deflate: on (each message for itself) or takeover (off)
  --threads N           generator threads (1)
 burden
  --idle N              connections that do nothing but answer pings; tells what one costs in memory
  --slow N              connections that send all the time and read little
  --slow-rate SIZE      bytes per second that each of them reads; 0 for none (1k)
 connections, instead of messages
  --churn N             N at a time are opened, upgraded and closed, again and again; with tls://
                        only the handshake, with tcp:// only accept
  --resume              TLS handshakes offer to resume a session
 time
  --duration SECONDS    measured time (5)
  --warmup SECONDS      time before it (1)
  --messages N          ends after so many messages, measured from the first one on
  --settle SECONDS      of --idle: silence before the server's memory is read (1)
 results
  --server-pid PID      also tell the server's CPU time and memory
  --server-threads N    its event loops, for judging whether it is busy or the generator (1)
  --json                one line of JSON
)";

constexpr std::uint64_t kRateMax = 10'000'000;      // more than threads can send
constexpr std::uint64_t kInFlightMax = 10'000'000;  // 8 bytes each

struct Options {
  Url url;
  LoadPlan load;
  MessagePlan plan;
  std::uint64_t idle, slow, slow_rate, churn, server_threads;
  pid_t server_pid;
  bool resume, json;
  double duration_s, warmup_s, settle_s;
};

Deflate parse_deflate(const std::string& mode) {
  if (mode == "off") return Deflate::kOff;
  if (mode == "on") return Deflate::kOn;
  if (mode == "takeover") return Deflate::kTakeover;
  usage_error("--deflate " + mode + ": must be on, takeover or off");
}

Content parse_content(const std::string& kind) {
  if (kind == "random") return Content::kRandom;
  if (kind == "ascii") return Content::kAscii;
  if (kind == "utf8") return Content::kUtf8;
  if (kind == "json") return Content::kJson;
  usage_error("--content " + kind + ": must be random, ascii, utf8 or json");
}

// What would have to be ignored, whatever its value.
void refuse_contradictions(const Args& args) {
  const auto not_with = [&](const char* option, std::initializer_list<const char*> others) {
    for (const char* const other : others) {
      if (args.has(option) && args.has(other)) {
        usage_error(std::string(option) + ": not with " + other);
      }
    }
  };
  not_with("--text", {"--binary"});
  not_with("--messages", {"--duration", "--warmup", "--rate"});
  not_with("--churn", {"--connections", "--depth", "--rate", "--size", "--text", "--binary",
                       "--content", "--deflate", "--threads", "--idle", "--slow", "--messages"});
  const auto only_with = [&](const char* option, const char* other) {
    if (args.has(option) && !args.has(other)) usage_error(std::string(option) + " is of " + other);
  };
  only_with("--slow-rate", "--slow");
  only_with("--settle", "--idle");
  only_with("--server-threads", "--server-pid");
}

void check(const Options& options, bool deflate) {
  const LoadPlan& load = options.load;
  if (load.connections == 0 || load.depth == 0 || load.threads == 0 ||
      options.server_threads == 0) {
    usage_error("--connections, --depth, --threads and --server-threads start at 1");
  }
  if (load.depth > kInFlightMax / load.connections) {
    usage_error("--depth: at most " + std::to_string(kInFlightMax) +
                " in flight on all connections");
  }
  if (load.threads > load.connections && options.churn == 0) {
    usage_error("--threads: more than --connections");
  }
  if (deflate && options.url.raw) usage_error("--deflate: not with tcp:// and tls://");
  if (load.rate > 0 && load.depth > 1)
    usage_error("--depth is of the closed loop: not with --rate");
  if (options.plan.text && options.plan.content == Content::kRandom) {
    usage_error("--content random is no text: not with --text");
  }
  if (options.resume && (options.churn == 0 || !options.url.tls)) {
    usage_error("--resume is of --churn over wss:// or tls://");
  }
  if (options.server_pid != 0 && !cpu_time_ns(options.server_pid)) {
    usage_error("--server-pid " + std::to_string(options.server_pid) + ": no such process");
  }
}

Options parse_options(int argc, char** argv) {
  Args args(argc, argv, kUsage);
  refuse_contradictions(args);
  const std::string url = args.text("--url", "");
  const bool text = args.flag("--text");
  (void)args.flag("--binary");
  const Deflate deflate = parse_deflate(args.text("--deflate", "off"));
  const char* const content = deflate != Deflate::kOff ? "json" : text ? "ascii" : "random";
  Options options{.url = {},
                  .load = {.client = {.url = nullptr, .traffic = nullptr, .deflate = deflate},
                           .connections = args.count("--connections", 1),
                           .threads = args.count("--threads", 1),
                           .depth = args.count("--depth", 1),
                           .rate = static_cast<double>(args.count("--rate", 0, kRateMax)),
                           .messages = args.count("--messages", 0)},
                  .plan = {.sizes = parse_sizes(args.text("--size", "64")),
                           .text = text,
                           .deflate = deflate != Deflate::kOff,
                           .content = parse_content(args.text("--content", content))},
                  .idle = args.count("--idle", 0),
                  .slow = args.count("--slow", 0),
                  .slow_rate = args.size("--slow-rate", 1024),
                  .churn = args.count("--churn", 0),
                  .server_threads = args.count("--server-threads", 1),
                  .server_pid = static_cast<pid_t>(args.count("--server-pid", 0, INT_MAX)),
                  .resume = args.flag("--resume"),
                  .json = args.flag("--json"),
                  .duration_s = args.seconds("--duration", 5),
                  .warmup_s = args.seconds("--warmup", 1),
                  .settle_s = args.seconds("--settle", 1)};
  args.finish();
  if (url.empty()) usage_error("--url is missing");
  options.url = parse_url(url);
  options.plan.raw = options.url.raw;
  options.plan.pipelined = options.load.depth;
  check(options, deflate != Deflate::kOff);
  return options;
}

// Counters at one end of the measured time.
struct Snapshot {
  std::uint64_t time_ns, count, generator_cpu_ns, spun_ns, server_cpu_ns;
};

// What was measured between two of them.
struct Measured {
  double seconds, count, generator_cpu_s, generator_wait_s, server_cpu_s;
};

using Count = std::function<std::uint64_t()>;

template <class Worker>
std::uint64_t total(const std::deque<Worker>& workers, std::uint64_t (Worker::*of)() const) {
  std::uint64_t sum = 0;
  for (const Worker& worker : workers) sum += (worker.*of)();
  return sum;
}

template <class Worker>
Histogram merged(const std::deque<Worker>& workers, const Histogram& (Worker::*of)() const) {
  Histogram all;
  for (const Worker& worker : workers) all.merge((worker.*of)());
  return all;
}

std::string server_gone(const Options& options) {
  return "--server-pid " + std::to_string(options.server_pid) + ": the server is gone";
}

double server_memory(const Options& options) {
  const auto bytes = resident_bytes(options.server_pid);
  if (!bytes) throw std::runtime_error(server_gone(options));
  return static_cast<double>(*bytes);
}

Snapshot take_snapshot(const Options& options, Run& run, std::vector<std::thread>& threads,
                       const Count& count) {
  Snapshot taken{.time_ns = now_ns(),
                 .count = count(),
                 .generator_cpu_ns = 0,
                 .spun_ns = run.spun_ns(),
                 .server_cpu_ns = 0};
  // Not of the whole process: the crowd's thread would make the generator look busy.
  for (std::thread& thread : threads) {
    taken.generator_cpu_ns += thread_cpu_ns(thread.native_handle());
  }
  if (options.server_pid == 0) return taken;
  const auto server_cpu_ns = cpu_time_ns(options.server_pid);
  if (!server_cpu_ns) run.fail(server_gone(options));
  taken.server_cpu_ns = server_cpu_ns.value_or(0);
  return taken;
}

// One line that is written over and over, where there is somebody to look at it.
class Progress {
 public:
  Progress(Count count, const char* what)
      : count_(std::move(count)), what_(what), shown_(isatty(STDERR_FILENO) == 1) {}
  ~Progress() {
    if (shown_) std::fputs("\r\033[K", stderr);
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void tick(const char* phase) {
    if (!shown_) return;
    const std::uint64_t count = count_();
    const std::uint64_t time_ns = now_ns();
    const double seconds = static_cast<double>(time_ns - last_ns_) / 1e9;
    std::fprintf(stderr, "\r\033[K%5.1f s  %s  %.0f %s/s",
                 static_cast<double>(time_ns - start_ns_) / 1e9, phase,
                 static_cast<double>(count - last_count_) / seconds, what_);
    std::fflush(stderr);
    last_ns_ = time_ns;
    last_count_ = count;
  }

 private:
  const Count count_;
  const char* const what_;
  const bool shown_;
  const std::uint64_t start_ns_ = now_ns();
  std::uint64_t last_ns_ = start_ns_;
  std::uint64_t last_count_ = 0;
};

// Fails a run of which nothing comes back: it would never end, or tell of nothing.
class Patience {
 public:
  Patience(Run& run, const Count& count) : run_(run), count_(count) {}

  // Counts calls, twice a second, and not the time: this process may have been stopped itself.
  void tick() {
    const std::uint64_t count = count_();
    quiet_ticks_ = count == last_count_ ? quiet_ticks_ + 1 : 0;
    last_count_ = count;
    if (quiet_ticks_ == kQuietTicksMax)
      run_.fail("nothing came back for 10 s: the server does not answer");
  }

 private:
  static constexpr int kQuietTicksMax = 20;

  Run& run_;
  const Count& count_;
  int quiet_ticks_ = 0;
  std::uint64_t last_count_ = 0;
};

template <class Worker>
void start_threads(Run& run, std::deque<Worker>& workers, std::vector<std::thread>& threads) {
  for (Worker& worker : workers) {
    const auto work = [&] {
      run.enlist();
      try {
        worker.work();
      } catch (const std::exception& error) {
        run.fail(error.what());
      }
      run.done();
    };
    try {
      threads.emplace_back(work);
    } catch (const std::system_error&) {
      run.fail("no more than " + std::to_string(threads.size()) +
               " threads can be started: raise `ulimit -u`, or ask for fewer");
      return;
    }
  }
}

// Runs the workers from here to the end of the drain.
template <class Worker>
Measured measure(const Options& options, Run& run, std::deque<Worker>& workers, const Count& count,
                 const char* what) {
  const bool counted = options.load.messages > 0;  // then the workers end by themselves
  Progress progress(count, what);
  Patience patience(run, count);
  const auto sleep = [&](double seconds, const char* phase) {
    run.sleep(seconds, workers.size(), [&] {
      progress.tick(phase);
      patience.tick();
    });
  };
  // Read before and, with the drain, after the measured time: it takes long enough to delay
  // messages.
  std::uint64_t waited_ns = 0;
  if (counted) run.enter(Phase::kMeasure);
  std::vector<std::thread> threads;
  Snapshot from = take_snapshot(options, run, threads, count);
  start_threads(run, workers, threads);
  if (!counted) {
    sleep(options.warmup_s, "warming up");
    waited_ns = cpu_wait_ns(run.threads());
    run.enter(Phase::kMeasure);
    from = take_snapshot(options, run, threads, count);
  }
  sleep(counted ? 1e6 : options.duration_s, "measuring");
  const Snapshot to = take_snapshot(options, run, threads, count);
  run.enter(Phase::kDrain);
  run.sleep(1e6, workers.size(), [] {});
  waited_ns = cpu_wait_ns(run.threads()) - waited_ns;
  run.dismiss();
  for (std::thread& thread : threads) thread.join();
  const auto seconds = [](std::uint64_t a, std::uint64_t b) {
    return static_cast<double>(b - a) / 1e9;
  };
  const double worked_s =
      seconds(from.generator_cpu_ns, to.generator_cpu_ns) - seconds(from.spun_ns, to.spun_ns);
  const Measured measured{.seconds = seconds(from.time_ns, to.time_ns),
                          .count = static_cast<double>(to.count - from.count),
                          .generator_cpu_s = std::max(worked_s, 0.0),
                          .generator_wait_s = seconds(0, waited_ns),
                          .server_cpu_s = seconds(from.server_cpu_ns, to.server_cpu_ns)};
  if (const std::string failure = run.failure(); !failure.empty()) {
    throw std::runtime_error(failure + "; stopped after " + std::to_string(to.count) + ' ' + what);
  }
  if (measured.count == 0) {
    throw std::runtime_error(std::string("no ") + what + " came back in the measured time");
  }
  return measured;
}

// Whether the generator had no time left: all of its cores' used, or each thread always running or
// waiting for a core, as it looks idle while somebody else has it.
bool generator_busy(const Measured& measured, std::uint64_t threads) {
  const auto workers = static_cast<double>(threads);
  const double of_cores =
      measured.generator_cpu_s / std::min(workers, static_cast<double>(usable_cores()));
  const double of_threads = (measured.generator_cpu_s + measured.generator_wait_s) / workers;
  return std::max(of_cores, of_threads) >= 0.95 * measured.seconds;
}

bool server_busy(const Options& options, const Measured& measured) {
  return options.server_pid != 0 &&
         measured.server_cpu_s >=
             0.9 * measured.seconds * static_cast<double>(options.server_threads);
}

void report_rate(Report& report, const Options& options, const Measured& measured, const char* what,
                 const char* one) {
  const std::string many(what);
  report.number("seconds", "measured", measured.seconds, 3, "s");
  report.number(many, "measured", measured.count, 0, what);
  report.number(many + "_per_second", "throughput", measured.count / measured.seconds, 1,
                many + "/s");
  report.number("generator_busy", "generator busy", measured.generator_cpu_s / measured.seconds, 3,
                "of a core");
  report.number("generator_waiting", "generator busy", measured.generator_wait_s / measured.seconds,
                3, "waiting for one");
  if (options.server_pid == 0) return;
  report.number("server_busy", "server busy", measured.server_cpu_s / measured.seconds, 3,
                "of a core");
  report.number(std::string("server_cpu_us_per_") + one, "server CPU",
                1e6 * measured.server_cpu_s / measured.count, 4, std::string("us per ") + one);
  report.number(many + "_per_cpu_second", "server CPU", measured.count / measured.server_cpu_s, 1,
                many + " per CPU second");
}

// What the figures tell about, if not about a server that did all it was asked.
void report_bottleneck(Report& report, const Options& options, const Measured& measured,
                       std::uint64_t threads, bool sent_late) {
  const char* bottleneck = "none known";
  const char* line = nullptr;
  // A server that keeps up may owe a message to each connection at the end.
  const double wanted =
      0.98 * options.load.rate * measured.seconds - static_cast<double>(options.load.connections);
  const bool open_loop = options.load.rate > 0;
  const bool kept_up = !open_loop || measured.count >= wanted;
  const bool busy = generator_busy(measured, threads);
  if (sent_late) {
    bottleneck = "generator";
    line =
        "the generator sent late, which is most of the p99.9 of latency: lower --rate, or give it "
        "a core of its own";
  } else if (open_loop && kept_up && busy) {
    bottleneck = "generator";
    line = "the generator had no time left: replies may have waited for it; lower --rate";
  } else if (busy && options.server_pid == 0) {
    bottleneck = "generator or server";
    line = "the generator was at its limit; --server-pid tells whether the server was, too";
  } else if (busy && !server_busy(options, measured)) {
    bottleneck = "generator";
    line =
        "the generator was the bottleneck: the server could have done more; only its CPU time "
        "per unit counts";
  } else if (!kept_up) {
    bottleneck = "server";
    line = "the server did not keep up with --rate; latency tells of the backlog";
  }
  report.word("bottleneck", "bottleneck", bottleneck);
  if (line != nullptr) std::fprintf(stderr, "wsbench: %s\n", line);
}

void report_lateness(Report& report, const Histogram& lateness) {
  const auto add = [&](const std::string& name, std::uint64_t ns) {
    report.number("sent_late_us_" + name, "sent late us", static_cast<double>(ns) / 1e3, 1, name);
  };
  add("p99", lateness.percentile(0.99));
  add("p99.9", lateness.percentile(0.999));
  add("max", lateness.max());
}

void report_memory(Report& report, const Options& options) {
  if (options.server_pid == 0) return;
  report.number("server_rss_bytes", "server memory", server_memory(options), 0, "bytes at the end");
}

// Opens the crowd; tells what one idle connection costs.
void add_crowd(Report& report, const Options& options, Crowd& crowd) {
  const auto memory = [&] {
    std::this_thread::sleep_for(std::chrono::duration<double>(options.settle_s));
    return server_memory(options);
  };
  const bool weighed = options.server_pid != 0 && options.idle > 0;
  const double before = weighed ? memory() : 0;
  crowd.open();
  if (weighed) {
    // The slow ones have done nothing yet: they weigh as much as the idle ones.
    report.number("idle_bytes_per_connection", "idle connections",
                  (memory() - before) / static_cast<double>(options.idle + options.slow), 1,
                  "bytes of server each");
  }
  crowd.start();
}

// One message each way, so that what the server sets up once is not counted for the idle ones.
void echo_once(Options options, const ClientPlan& client) {
  options.load = {.client = client, .messages = 1};
  Run run;
  std::deque<EchoWorker> workers;
  workers.emplace_back(run, options.load, 0).connect();
  const Count count = [&] { return total(workers, &EchoWorker::messages); };
  (void)measure(options, run, workers, count, "messages");
}

Report run_echo(const Options& options) {
  const Traffic traffic = make_traffic(options.plan);
  LoadPlan plan = options.load;
  plan.client.url = &options.url;
  plan.client.traffic = &traffic;
  Report report;
  Run run;
  std::deque<EchoWorker> workers;
  for (std::uint64_t i = 0; i < plan.threads; ++i) workers.emplace_back(run, plan, i);
  for (std::uint64_t i = 0; i < plan.connections; ++i) workers[i % plan.threads].connect();
  std::optional<Crowd> crowd;
  if (options.idle + options.slow > 0) {
    echo_once(options, plan.client);
    crowd.emplace(CrowdPlan{.client = plan.client,
                            .idle = options.idle,
                            .slow = options.slow,
                            .slow_bytes_per_s = options.slow_rate});
    add_crowd(report, options, *crowd);
  }
  const Count count = [&] { return total(workers, &EchoWorker::messages); };
  const Measured measured = measure(options, run, workers, count, "messages");
  const std::uint64_t unanswered = total(workers, &EchoWorker::unanswered);
  report_rate(report, options, measured, "messages", "message");
  report.number("mb_per_second", "payload each way",
                measured.count * traffic.mean_payload_bytes / 1e6 / measured.seconds, 2, "MB/s");
  const Histogram latency = merged(workers, &EchoWorker::latency);
  report.latency(latency);
  // Open loop: a message's latency counts from when it was due.
  const Histogram lateness = merged(workers, &EchoWorker::lateness);
  if (plan.rate > 0) report_lateness(report, lateness);
  if (plan.rate > 0 || unanswered > 0) {
    report.number("unanswered", "unanswered", static_cast<double>(unanswered), 0, "messages");
  }
  if (crowd) {
    report.number("lost", "idle or slow ones", static_cast<double>(crowd->lost()), 0,
                  "ended by the server");
  }
  report_memory(report, options);
  // The bound: half of a latency that is the generator's own tells nothing of the server.
  const bool sent_late = 2 * lateness.percentile(0.999) > latency.percentile(0.999);
  report_bottleneck(report, options, measured, plan.threads, sent_late);
  return report;
}

Report run_churn(const Options& options) {
  Run run;
  std::deque<ChurnWorker> workers;
  for (std::uint64_t i = 0; i < options.churn; ++i) {
    workers.emplace_back(run, options.url, options.resume, i);
  }
  const Count count = [&] { return total(workers, &ChurnWorker::connections); };
  const Measured measured = measure(options, run, workers, count, "connections");
  Report report;
  report_rate(report, options, measured, "connections", "connection");
  report.latency(merged(workers, &ChurnWorker::latency));
  if (options.resume) {
    const auto resumed = static_cast<double>(total(workers, &ChurnWorker::resumed));
    const auto all = static_cast<double>(total(workers, &ChurnWorker::connections));
    report.number("resumed", "resumed", resumed / all, 3, "of all handshakes");
  }
  report_memory(report, options);
  report_bottleneck(report, options, measured, options.churn, false);
  return report;
}

int run_wsbench(const Options& options) {
  // 64: stdio, the epoll sets, the first echo.
  raise_descriptor_limit(options.load.connections + options.idle + options.slow + options.churn +
                         options.load.threads + 64);
  const Report report = options.churn > 0 ? run_churn(options) : run_echo(options);
  options.json ? report.print_json() : report.print_text();
  return 0;
}

}  // namespace
}  // namespace ws::bench

int main(int argc, char** argv) {
  try {
    return ws::bench::run_wsbench(ws::bench::parse_options(argc, argv));
  } catch (const std::exception& error) {
    ws::bench::die(error.what());
  }
}
