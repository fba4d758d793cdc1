#include "bench/echo_load.h"

#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include "bench/process.h"

namespace ws::bench {
namespace {

// The largest single read; a server's whole answer to a pipeline of small messages fits.
constexpr std::size_t kScratchBytes = 256 * 1024;
constexpr std::uint64_t kDrainNs = 1'000'000'000;
constexpr std::uint64_t kPhasePollNs = 20'000'000;
// To sleep and be woken by a timer takes longer than this, in a virtual machine above all, and is
// the larger part of what a message costs the generator.
constexpr std::uint64_t kSpinNs = 50'000;

}  // namespace

void SendTimes::grow() {
  std::vector<std::uint64_t> larger(2 * ring_.size());
  for (std::size_t i = 0; i < count_; ++i) larger[i] = ring_[(first_ + i) & (ring_.size() - 1)];
  ring_ = std::move(larger);
  first_ = 0;
}

EchoWorker::EchoWorker(Run& run, const LoadPlan& plan, std::uint64_t index)
    : run_(run),
      plan_(plan),
      client_plan_(plan.client),
      epoll_fd_(epoll_create1(EPOLL_CLOEXEC)),
      // Else it would be another thread's time, or the server's.
      may_spin_(plan.threads <= usable_cores() &&
                plan.threads < static_cast<std::uint64_t>(get_nprocs())),
      scratch_(kScratchBytes) {
  client_plan_.engine = &engine_;
  if (plan.messages > 0) {
    unsent_ = plan.messages / plan.threads + (index < plan.messages % plan.threads ? 1 : 0);
  }
  if (!open_loop()) return;
  // The threads take turns, so that all together keep one even beat.
  interval_ns_ = 1e9 * static_cast<double>(plan.threads) / plan.rate;
  due_ns_ = interval_ns_ * static_cast<double>(index) / static_cast<double>(plan.threads);
}

EchoWorker::~EchoWorker() {
  ::close(epoll_fd_);
}

void EchoWorker::connect() {
  Connection& connection = connections_.emplace_back(client_plan_);
  epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {}};
  event.data.ptr = &connection;
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, connection.client.fd(), &event) != 0) {
    throw std::runtime_error("epoll_ctl refused a connection");
  }
}

void EchoWorker::work() {
  prctl(PR_SET_TIMERSLACK, 1UL);  // else the kernel wakes us 50 us late
  const std::uint64_t start_ns = now_ns();
  if (open_loop()) {
    due_ns_ += static_cast<double>(start_ns);
  } else {
    for (Connection& connection : connections_) {
      if (!start(connection, plan_.depth, now_ns())) fail(connection);
    }
  }
  std::uint64_t drain_until = UINT64_MAX;
  while (!failed_) {
    const bool draining = run_.phase() == Phase::kDrain;
    if (draining && drain_until == UINT64_MAX) {
      // Whoever was delayed at the end of the measured time still owes what was due in it.
      if (open_loop()) send_what_is_due(run_.measured_to_ns());
      drain_until = now_ns() + kDrainNs;
    }
    if (in_flight_ == 0 && (draining || unsent_ == 0)) break;
    if (draining && now_ns() > drain_until) break;
    std::uint64_t until_ns = now_ns() + kPhasePollNs;
    if (open_loop() && !draining) {
      send_what_is_due(now_ns());
      until_ns = std::min(until_ns, static_cast<std::uint64_t>(due_ns_));
    }
    wait_and_serve(until_ns);
  }
  count_unanswered();
  for (Connection& connection : connections_) connection.client.say_goodbye();
}

void EchoWorker::wait_and_serve(std::uint64_t until_ns) {
  epoll_event events[256];
  const std::uint64_t now = now_ns();
  const std::uint64_t left_ns = until_ns > now ? until_ns - now : 0;
  const bool spin = may_spin_ && left_ns < kSpinNs;
  const timespec timeout{.tv_sec = 0,
                         .tv_nsec = spin ? 0 : static_cast<long>(left_ns)};  // below a second
  const int n = epoll_pwait2(epoll_fd_, events, std::size(events), &timeout, nullptr);
  if (spin && n == 0 && left_ns > 0) run_.add_spun(now_ns() - now);
  for (int i = 0; i < n && !failed_; ++i) {
    Connection& connection = *static_cast<Connection*>(events[i].data.ptr);
    const bool hangup = (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (!serve(connection, hangup)) fail(connection);
  }
}

void EchoWorker::send_what_is_due(std::uint64_t until_ns) {
  const std::uint64_t now = now_ns();
  for (; due_ns_ <= static_cast<double>(until_ns); due_ns_ += interval_ns_) {
    Connection& connection = connections_[next_connection_];
    next_connection_ = next_connection_ + 1 == connections_.size() ? 0 : next_connection_ + 1;
    const auto due_ns = static_cast<std::uint64_t>(due_ns_);
    connection.sent_ns.push(due_ns);
    if (measured(due_ns)) lateness_.add(now - due_ns);
    connection.client.owe(1);
    ++in_flight_;
    if (!connection.touched) touched_.push_back(&connection);
    connection.touched = true;
  }
  for (Connection* connection : touched_) {
    connection->touched = false;
    if (!connection->client.flush()) fail(*connection);
  }
  touched_.clear();
}

bool EchoWorker::start(Connection& connection, std::uint64_t messages, std::uint64_t now) {
  messages = std::min(messages, unsent_);
  unsent_ -= unsent_ == UINT64_MAX ? 0 : messages;
  for (std::uint64_t i = 0; i < messages; ++i) connection.sent_ns.push(now);
  in_flight_ += messages;
  connection.client.owe(messages);
  return connection.client.flush();
}

bool EchoWorker::serve(Connection& connection, bool hangup) {
  std::uint64_t replies = 0;
  if (!connection.client.receive(scratch_, hangup, replies)) return false;
  if (replies == 0) return connection.client.flush();
  const std::uint64_t now = now_ns();
  settle(connection, replies, now);
  const bool more = !open_loop() && run_.phase() != Phase::kDrain;
  return more ? start(connection, replies, now) : connection.client.flush();
}

void EchoWorker::settle(Connection& connection, std::uint64_t replies, std::uint64_t now) {
  for (std::uint64_t i = 0; i < replies; ++i) {
    const std::uint64_t sent_ns = connection.sent_ns.pop();
    if (measured(open_loop() ? sent_ns : now)) latency_.add(now - sent_ns);
  }
  in_flight_ -= replies;
  messages_.store(messages() + replies, std::memory_order_relaxed);
}

bool EchoWorker::measured(std::uint64_t due_ns) const {
  return due_ns >= run_.measured_from_ns() && due_ns < run_.measured_to_ns();
}

// In the open loop a message that never came back waited at least until now: left out, the worst
// ones would not count.
void EchoWorker::count_unanswered() {
  const std::uint64_t now = now_ns();
  for (Connection& connection : connections_) {
    while (!connection.sent_ns.empty()) {
      const std::uint64_t due_ns = connection.sent_ns.pop();
      if (open_loop() && !measured(due_ns)) continue;
      if (open_loop()) latency_.add(now - due_ns);
      ++unanswered_;
    }
  }
}

void EchoWorker::fail(const Connection& connection) {
  failed_ = true;
  run_.fail(connection.client.error());
}

}  // namespace ws::bench
