// Idle WebSocket connections: how much memory one costs the server, and what a crowd of them does
// to the latency of an active one.
#include <sys/epoll.h>

#include <cstdio>
#include <deque>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/args.h"
#include "bench/echo_client.h"
#include "bench/histogram.h"
#include "bench/process.h"

namespace ws::bench {
namespace {

constexpr std::string_view kUsage =
    R"(idle --url URL --server-pid PID [options]: memory of idle connections

  --url URL                ws://HOST:PORT/PATH or wss://...
  --server-pid PID         whose resident memory is read
  --connections N          idle connections (10000)
  --settle SECONDS         silence before each reading of the memory (2)
  --active                 ping-pong 64-byte messages on one more connection, first alone, then
                           among the idle ones
  --active-seconds SECONDS how long each time (3)
  --json                   one line of JSON
)";

constexpr std::uint64_t kActiveBytes = 64;

// A source address serves this many connections: well below the 28,232 ports of Linux's default
// range, since the ports of an earlier run may still be in TIME_WAIT.
constexpr std::uint64_t kConnectionsPerAddress = 8'000;

constexpr std::uint64_t kPatienceNs = 5'000'000'000;

class Crowd {
 public:
  Crowd(const Url& url, const Traffic& traffic)
      : url_(url),
        traffic_(traffic),
        epoll_fd_(epoll_create1(EPOLL_CLOEXEC)),
        events_(1024),
        scratch_(16 * 1024) {}  // only pings and single small echoes arrive

  EchoClient& add() {
    const std::uint64_t address = clients_.size() / kConnectionsPerAddress;
    const bool loopback = url_.host.starts_with("127.");
    EchoClient& client = clients_.emplace_back(
        url_, traffic_, loopback ? "127.0.0." + std::to_string(1 + address) : std::string());
    epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {}};
    event.data.ptr = &client;
    if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, client.fd(), &event) != 0) {
      throw std::runtime_error("epoll_ctl refused a connection");
    }
    return client;
  }

  // Opens `count` more, answering the pings of those that are open already.
  void add_idle(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      try {
        add();
        poll(0);
      } catch (const std::runtime_error& error) {
        throw std::runtime_error("idle connection " + std::to_string(i + 1) + ": " + error.what());
      }
    }
  }

  // Answers pings for as long as this; with `active` also keeps one message in flight on it.
  // returns: how long each of its messages took.
  Histogram run(double seconds, EchoClient* active) {
    Histogram latency;
    const std::uint64_t end_ns = now_ns() + static_cast<std::uint64_t>(seconds * 1e9);
    std::uint64_t sent_ns = now_ns();
    if (active != nullptr) send_one(*active);
    for (std::uint64_t now = sent_ns; now < end_ns; now = now_ns()) {
      poll(static_cast<int>((end_ns - now) / 1'000'000 + 1));
      if (active == nullptr || active->in_flight() > 0) continue;
      const std::uint64_t answered_ns = now_ns();
      latency.add(answered_ns - sent_ns);
      sent_ns = answered_ns;
      send_one(*active);
    }
    const std::uint64_t patience_ns = now_ns() + kPatienceNs;
    while (active != nullptr && active->in_flight() > 0) {
      poll(100);
      if (now_ns() > patience_ns) throw std::runtime_error("the active connection got no answer");
    }
    return latency;
  }

  void say_goodbye() {
    for (EchoClient& client : clients_) client.say_goodbye();
  }

 private:
  void poll(int timeout_ms) {
    const int n =
        epoll_wait(epoll_fd_, events_.data(), static_cast<int>(events_.size()), timeout_ms);
    for (int i = 0; i < n; ++i) {
      const epoll_event& event = events_[static_cast<std::size_t>(i)];
      EchoClient& client = *static_cast<EchoClient*>(event.data.ptr);
      const bool hangup = (event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
      std::uint64_t replies = 0;
      if (!client.receive(scratch_, hangup, replies) || !client.flush()) {
        throw std::runtime_error("lost a connection: " + client.error());
      }
    }
  }

  static void send_one(EchoClient& client) {
    client.owe(1);
    if (!client.flush()) throw std::runtime_error("lost the active connection: " + client.error());
  }

  const Url& url_;
  const Traffic& traffic_;
  int epoll_fd_;
  std::vector<epoll_event> events_;
  std::vector<std::uint8_t> scratch_;
  std::deque<EchoClient> clients_;
};

struct Options {
  Url url;
  std::uint64_t server_pid, connections;
  double settle_s, active_s;  // active_s: 0 = no active connection wanted
  bool json;
};

struct Report {
  std::uint64_t rss_before, rss_after;
  Histogram alone, among;  // latency of the active connection
};

Options parse_options(int argc, char** argv) {
  Args args(argc, argv, kUsage);
  const bool active = args.flag("--active");
  const double active_s = args.seconds("--active-seconds", 3);
  Options options{.url = parse_url(args.text("--url", "")),
                  .server_pid = args.size("--server-pid", 0),
                  .connections = args.size("--connections", 10'000),
                  .settle_s = args.seconds("--settle", 2),
                  .active_s = active ? active_s : 0,
                  .json = args.flag("--json")};
  args.finish();
  if (options.connections == 0) throw std::runtime_error("--connections starts at 1");
  return options;
}

std::uint64_t server_memory(std::uint64_t pid) {
  const auto bytes = resident_bytes(static_cast<pid_t>(pid));
  if (!bytes) throw std::runtime_error("--server-pid " + std::to_string(pid) + ": no such process");
  return *bytes;
}

Report run_idle(const Options& options) {
  (void)server_memory(options.server_pid);           // a wrong PID shows before the work
  raise_descriptor_limit(options.connections + 16);  // 16: stdio, epoll, the active connection
  const Traffic traffic = make_traffic({.bytes = kActiveBytes});
  Crowd crowd(options.url, traffic);
  Report report;
  // At least one echo first, so that what the server sets up once is not counted as the idle ones'.
  EchoClient& active = crowd.add();
  report.alone = crowd.run(options.active_s, &active);
  crowd.run(options.settle_s, nullptr);
  report.rss_before = server_memory(options.server_pid);
  crowd.add_idle(options.connections);
  crowd.run(options.settle_s, nullptr);
  report.rss_after = server_memory(options.server_pid);
  if (options.active_s > 0) report.among = crowd.run(options.active_s, &active);
  crowd.say_goodbye();
  return report;
}

double bytes_each(const Options& options, const Report& report) {
  return (static_cast<double>(report.rss_after) - static_cast<double>(report.rss_before)) /
         static_cast<double>(options.connections);
}

double percentile_us(const Histogram& latency, double fraction) {
  return static_cast<double>(latency.percentile(fraction)) / 1e3;
}

void print_text(const Options& options, const Report& report) {
  std::printf("idle connections   %lu\n", options.connections);
  std::printf("RSS before         %lu bytes\n", report.rss_before);
  std::printf("RSS after          %lu bytes\n", report.rss_after);
  std::printf("each               %.1f bytes\n", bytes_each(options, report));
  if (options.active_s <= 0) return;
  std::printf("active alone       p50 %.1f us, p99 %.1f us\n", percentile_us(report.alone, 0.5),
              percentile_us(report.alone, 0.99));
  std::printf("active among them  p50 %.1f us, p99 %.1f us\n", percentile_us(report.among, 0.5),
              percentile_us(report.among, 0.99));
}

void print_json(const Options& options, const Report& report) {
  std::printf(
      "{\"connections\":%lu,\"rss_before\":%lu,\"rss_after\":%lu,"
      "\"bytes_per_connection\":%.1f",
      options.connections, report.rss_before, report.rss_after, bytes_each(options, report));
  if (options.active_s > 0) {
    std::printf(
        ",\"alone_us_p50\":%.1f,\"alone_us_p99\":%.1f,\"among_us_p50\":%.1f,"
        "\"among_us_p99\":%.1f",
        percentile_us(report.alone, 0.5), percentile_us(report.alone, 0.99),
        percentile_us(report.among, 0.5), percentile_us(report.among, 0.99));
  }
  std::printf("}\n");
}

}  // namespace
}  // namespace ws::bench

int main(int argc, char** argv) {
  try {
    const ws::bench::Options options = ws::bench::parse_options(argc, argv);
    const ws::bench::Report report = ws::bench::run_idle(options);
    options.json ? ws::bench::print_json(options, report) : ws::bench::print_text(options, report);
  } catch (const std::runtime_error& error) {
    ws::bench::die(error.what());
  }
}
