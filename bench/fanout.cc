// Fan-out: deliveries per second of server CPU. One connection publishes, many are subscribed; the
// next message goes out when everyone has the one before.
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <deque>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/args.h"
#include "bench/bare_fanout.h"
#include "bench/crowd.h"
#include "bench/frames.h"
#include "bench/process.h"
#include "bench/report.h"
#include "bench/ws_client.h"

namespace ws::bench {
namespace {

constexpr std::string_view kUsage =
    R"(fanout [options]: one publishes, many receive

  --url URL            the server, without a path (ws://127.0.0.1:9002). It publishes every message
                       received on /publish to all connections of /subscribe, uncompressed
  --server COMMAND     starts it, and ends it afterwards; else --server-pid PID of a running one
  --bare               in turn with an epoll loop of send() calls over as many sockets
  --subscribers N      (1000)
  --publishes N        in a round (100)
  --bytes SIZE         of a message (64)
  --depth N            messages under way at a time (1). With more, a server that puts several into
                       one call can pass the bare loop by far, which makes one call for each
  --rounds N           the median of them counts (5)
  --server-core N      where --server and --bare run; without it, anywhere
  --json               one line of JSON
)";

constexpr std::uint64_t kPatienceNs = 10'000'000'000;
constexpr std::size_t kAnyCore = CPU_SETSIZE;  // no core has this number

struct Options {
  std::string url, command;
  pid_t server_pid;
  bool bare, json;
  std::size_t subscribers, publishes, bytes, depth, rounds, server_core;
};

Options parse_options(int argc, char** argv) {
  Args args(argc, argv, kUsage);
  Options options{.url = args.text("--url", "ws://127.0.0.1:9002"),
                  .command = args.text("--server", ""),
                  .server_pid = static_cast<pid_t>(args.count("--server-pid", 0, INT_MAX)),
                  .bare = args.flag("--bare"),
                  .json = args.flag("--json"),
                  .subscribers = args.count("--subscribers", 1000),
                  .publishes = args.count("--publishes", 100),
                  .bytes = args.size("--bytes", 64),
                  .depth = args.count("--depth", 1),
                  .rounds = args.count("--rounds", 5),
                  .server_core = args.count("--server-core", kAnyCore, kAnyCore)};
  args.finish();
  if (options.command.empty() == (options.server_pid == 0)) {
    usage_error("give --server or --server-pid");
  }
  for (const std::size_t number :
       {options.subscribers, options.publishes, options.depth, options.rounds}) {
    if (number == 0) usage_error("every number starts at 1");
  }
  return options;
}

// A binary message in one frame (RFC 6455 s5.2); masked with zeros, the payload stays what it is.
std::vector<std::uint8_t> frame(std::size_t bytes, bool masked) {
  std::vector<std::uint8_t> out;
  append_header(out, kBinary, bytes, masked ? kMaskBit : 0);
  if (masked) out.insert(out.end(), 4, 0);
  for (std::size_t i = 0; i < bytes; ++i) out.push_back(static_cast<std::uint8_t>('a' + i % 26));
  return out;
}

// Processes started while it lives run on that core only.
class OnCore {
 public:
  explicit OnCore(std::size_t core) {
    sched_getaffinity(0, sizeof before_, &before_);
    if (core == kAnyCore) return;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0) {
      throw std::runtime_error("--server-core: there is no such core for this process");
    }
  }
  OnCore(const OnCore&) = delete;
  OnCore& operator=(const OnCore&) = delete;
  ~OnCore() { sched_setaffinity(0, sizeof before_, &before_); }

 private:
  cpu_set_t before_;
};

class ServerProcess {
 public:
  explicit ServerProcess(const std::string& command) : command_(command), pid_(fork()) {
    if (pid_ < 0) throw std::runtime_error("the server gets no process");
    if (pid_ > 0) return;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    const std::string line = "exec " + command;
    execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
    _exit(127);
  }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;
  ~ServerProcess() {
    if (pid_ == 0) return;
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }

  // Throws when it has ended.
  void check() {
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) != pid_) return;
    pid_ = 0;
    const std::string how = WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                                                : std::to_string(WEXITSTATUS(status));
    throw std::runtime_error("--server " + command_ + ": ended with " + how);
  }

 private:
  const std::string command_;
  pid_t pid_;  // 0: it has ended
};

// Everyone who is connected to one server. What comes to each is compared byte by byte.
class Audience {
 public:
  Audience(const std::string& url, const Options& options, pid_t server_pid)
      : options_(options),
        server_pid_(server_pid),
        delivered_(frame(options.bytes, false)),
        message_(frame(options.bytes, true)),
        epoll_fd_(epoll_create1(EPOLL_CLOEXEC)),
        publisher_(connected(parse_url(url + "/publish"), 0)) {
    const Url subscribe = parse_url(url + "/subscribe");
    // So much that from any place in a frame it goes on for a whole read.
    while (expected_.size() < delivered_.size() + scratch_.size()) {
      expected_.insert(expected_.end(), delivered_.begin(), delivered_.end());
    }
    watch(publisher_, EPOLLOUT, nullptr);
    for (std::size_t i = 0; i < options.subscribers; ++i) {
      Subscriber& added = subscribers_.emplace_back(connected(subscribe, i));
      watch(added.stream, EPOLLIN | EPOLLRDHUP, &added);
    }
    run(options.publishes / 10 + 1);  // what is set up at the first use is not counted
  }

  // returns: deliveries per second of the server's CPU time.
  double run(std::size_t publishes) {
    const std::uint64_t before = cpu_ns();
    const std::size_t each = options_.subscribers * delivered_.size();
    const std::size_t all = published_ + publishes;
    while (got_ < all * each) {
      // A message is through when its bytes have come to everyone: in sum, as no one gets more than
      // was published.
      while (published_ < all && published_ < got_ / each + options_.depth) publish();
      receive();
    }
    const std::uint64_t used_ns = cpu_ns() - before;
    if (used_ns == 0) {
      throw std::runtime_error(
          "its process used no CPU time: a script that starts the server is to exec it");
    }
    return static_cast<double>(publishes * options_.subscribers) * 1e9 /
           static_cast<double>(used_ns);
  }

 private:
  struct Subscriber {
    explicit Subscriber(Stream&& connected) : stream(std::move(connected)) {}
    Stream stream;
    std::size_t got = 0;  // bytes, of all that was published
  };

  void watch(const Stream& stream, std::uint32_t events, Subscriber* subscriber) const {
    epoll_event event{.events = events | EPOLLET, .data = {}};
    event.data.ptr = subscriber;
    if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, stream.fd(), &event) != 0) {
      throw std::runtime_error("epoll_ctl refused a connection");
    }
  }

  static Stream connected(const Url& url, std::size_t number) {
    Stream stream(url, source_address(url, number));
    stream.upgrade(url);
    stream.set_nonblocking();
    return stream;
  }

  std::uint64_t cpu_ns() const {
    const auto time = cpu_time_ns(server_pid_);
    if (!time) throw std::runtime_error("the server is gone");
    return *time;
  }

  void publish() {
    ++published_;
    std::span<const std::uint8_t> left(message_);
    while (!left.empty()) {
      const IoResult sent = publisher_.write(left);
      if (sent.state == Io::kEnded) throw std::runtime_error("the publisher was closed");
      left = left.subspan(sent.bytes);
      // A server may take no more before it is rid of what it has.
      if (sent.state == Io::kBlocked) receive();
    }
  }

  void receive() {
    std::array<epoll_event, 1024> events;
    const std::uint64_t end_ns = now_ns() + kPatienceNs;
    int count = 0;
    while (count <= 0) {
      if (now_ns() > end_ns) throw std::runtime_error("messages do not arrive");
      count = epoll_wait(epoll_fd_, events.data(), static_cast<int>(events.size()), 100);
    }
    for (int i = 0; i < count; ++i) {
      auto* const subscriber =
          static_cast<Subscriber*>(events[static_cast<std::size_t>(i)].data.ptr);
      if (subscriber == nullptr) {
        publisher_.flush();
      } else {
        read_all(*subscriber);
      }
    }
  }

  void read_all(Subscriber& subscriber) {
    for (IoResult got{.state = Io::kOk}; got.state == Io::kOk;) {
      got = subscriber.stream.read(scratch_);
      if (got.state == Io::kEnded) throw std::runtime_error("a subscriber was closed");
      const std::size_t at = subscriber.got % delivered_.size();
      if (std::memcmp(scratch_.data(), expected_.data() + at, got.bytes) != 0) {
        throw std::runtime_error("a subscriber got something else than what was published");
      }
      subscriber.got += got.bytes;
      got_ += got.bytes;
      if (got.bytes < scratch_.size() && !subscriber.stream.tls()) got.state = Io::kBlocked;
    }
    if (subscriber.got > published_ * delivered_.size()) {
      throw std::runtime_error("a subscriber got more messages than were published");
    }
  }

  const Options& options_;
  pid_t server_pid_;
  std::vector<std::uint8_t> delivered_;
  std::vector<std::uint8_t> message_;
  std::vector<std::uint8_t> expected_;
  std::size_t published_ = 0;
  std::size_t got_ = 0;  // bytes, by all subscribers
  int epoll_fd_;
  Stream publisher_;
  std::deque<Subscriber> subscribers_;
  std::vector<std::uint8_t> scratch_ = std::vector<std::uint8_t>(64 * 1024);
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void await(const std::string& url, std::optional<ServerProcess>& server) {
  const std::uint64_t end_ns = now_ns() + kPatienceNs;
  while (true) {
    try {
      const Stream there(parse_url(url), {});
      return;
    } catch (const std::runtime_error&) {
      if (server) server->check();
      if (now_ns() > end_ns) throw;
      usleep(20'000);
    }
  }
}

void measure(const Options& options) {
  raise_descriptor_limit(2 * options.subscribers + 64);
  std::optional<ServerProcess> server;
  std::optional<BareServer> bare;
  {
    const OnCore core(options.server_core);
    if (!options.command.empty()) server.emplace(options.command);
    if (options.bare) {
      const std::vector<std::uint8_t> sent = frame(options.bytes, false);
      bare = start_bare_server(frame(options.bytes, true).size(), {sent.begin(), sent.end()});
    }
  }
  await(options.url, server);
  const pid_t pid = server ? server->pid() : options.server_pid;
  Audience audience(options.url, options, pid);
  std::optional<Audience> bare_audience;
  if (bare) {
    bare_audience.emplace("ws://127.0.0.1:" + std::to_string(bare->port), options, bare->pid);
  }
  std::vector<double> rates;
  std::vector<double> bare_rates;
  std::vector<double> ratios;
  for (std::size_t i = 0; i < options.rounds; ++i) {
    rates.push_back(audience.run(options.publishes));
    if (!bare) continue;
    bare_rates.push_back(bare_audience->run(options.publishes));
    ratios.push_back(rates.back() / bare_rates.back());
  }
  Report report;
  const char* const unit = "deliveries per second of its CPU time";
  report.number("messages_per_cpu_second", "server", median(rates), 0, unit);
  if (bare) {
    report.number("bare_messages_per_cpu_second", "bare", median(bare_rates), 0, unit);
    report.number("ratio", "ratio", median(ratios), 2, "of the bare loop");
    report.number("ratio_min", "ratio", std::ranges::min(ratios), 2, "at least");
    report.number("ratio_max", "ratio", std::ranges::max(ratios), 2, "at most");
  }
  options.json ? report.print_json() : report.print_text();
}

}  // namespace
}  // namespace ws::bench

int main(int argc, char** argv) {
  try {
    ws::bench::measure(ws::bench::parse_options(argc, argv));
  } catch (const std::exception& error) {
    ws::bench::die(error.what());
  }
}
