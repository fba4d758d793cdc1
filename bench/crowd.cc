#include "bench/crowd.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <system_error>

#include "bench/process.h"

namespace ws::bench {
namespace {

constexpr int kOpeners = 16;
constexpr int kPollMs = 20;
constexpr std::uint64_t kSipIntervalNs = kPollMs * 1'000'000;
constexpr double kSipBytesMax = 32 * 1024 * 1024;
// What a slow reader keeps due: more than the sockets on the way hold, so that the server is full.
constexpr double kBacklogBytes = 16 * 1024 * 1024;

}  // namespace

std::string source_address(const Url& url, std::uint64_t connection) {
  if (!url.host.starts_with("127.")) return {};
  return "127.0.0." + std::to_string(1 + connection / kConnectionsPerAddress);
}

Crowd::Crowd(const CrowdPlan& plan)
    : plan_(plan),
      client_plan_(plan.client),
      epoll_fd_(epoll_create1(EPOLL_CLOEXEC)),
      scratch_(16 * 1024) {
  client_plan_.engine = &engine_;
}

Crowd::~Crowd() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
  for (Member& member : members_) {
    if (!member.over) member.client.say_goodbye();
  }
  ::close(epoll_fd_);
}

void Crowd::add(std::uint64_t number) {
  const bool slow = number >= plan_.idle;
  try {
    EchoClient client(client_plan_, source_address(*plan_.client.url, number));
    const std::lock_guard lock(mutex_);
    Member& member = members_.emplace_back(std::move(client), slow);
    epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {}};
    event.data.ptr = &member;
    if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, member.client.fd(), &event) != 0) {
      throw std::runtime_error("epoll_ctl refused a connection");
    }
  } catch (const std::runtime_error& error) {
    const std::lock_guard lock(mutex_);
    if (failure_.empty()) {
      failure_ = std::string(slow ? "slow" : "idle") + " connection " + std::to_string(number + 1) +
                 ": " + error.what();
    }
    next_ = plan_.idle + plan_.slow;
  }
}

// One after the other, each would wait for the server's turn and for the scheduler's.
void Crowd::open() {
  const std::uint64_t all = plan_.idle + plan_.slow;
  std::atomic<int> opening = kOpeners;
  std::vector<std::thread> openers;
  for (int i = 0; i < kOpeners; ++i) {
    try {
      openers.emplace_back([&] {
        for (std::uint64_t number = next_++; number < all; number = next_++) add(number);
        --opening;
      });
    } catch (const std::system_error&) {
      if (openers.empty()) throw;
      --opening;  // those that there are do it
    }
  }
  while (opening > 0) poll(1);
  for (std::thread& opener : openers) opener.join();
  if (!failure_.empty()) throw std::runtime_error(failure_);
  if (lost_ > 0) throw std::runtime_error("the server ended idle connections");
}

void Crowd::start() {
  thread_ = std::thread([this] { serve(); });
}

void Crowd::serve() {
  const auto backlog =
      static_cast<std::uint64_t>(kBacklogBytes /
                                 std::max(plan_.client.traffic->mean_payload_bytes, 1.0)) +
      1;
  for (Member& member : members_) {
    if (member.slow && !member.over) feed(member, backlog);
  }
  double allowance = 0;  // bytes that each slow reader may still read, less than one among them
  std::uint64_t last_ns = now_ns();
  while (!stop_) {
    poll(kPollMs);
    const std::uint64_t now = now_ns();
    if (now - last_ns < kSipIntervalNs) continue;
    allowance +=
        static_cast<double>(plan_.slow_bytes_per_s) * static_cast<double>(now - last_ns) / 1e9;
    last_ns = now;
    sip_.resize(static_cast<std::size_t>(std::min(allowance, kSipBytesMax)));
    allowance -= static_cast<double>(sip_.size());
    if (!sip_.empty()) read_slowly();
  }
}

void Crowd::poll(int timeout_ms) {
  epoll_event events[256];
  const int n = epoll_wait(epoll_fd_, events, std::size(events), timeout_ms);
  for (int i = 0; i < n; ++i) {
    Member& member = *static_cast<Member*>(events[i].data.ptr);
    if (member.over) continue;
    const bool hangup = (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    std::uint64_t replies = 0;
    // A slow reader only writes here; that it was hung up on shows when it does.
    const bool well = (member.slow && (events[i].events & EPOLLERR) == 0) ||
                      member.client.receive(scratch_, hangup, replies);
    if (!well || !member.client.flush()) lose(member);
  }
}

void Crowd::read_slowly() {
  for (Member& member : members_) {
    if (!member.slow || member.over) continue;
    std::uint64_t replies = 0;
    if (!member.client.receive(sip_, false, replies, 1)) {
      lose(member);
    } else if (replies > 0) {
      feed(member, replies);
    }
  }
}

void Crowd::feed(Member& member, std::uint64_t replies) {
  member.client.owe(replies);
  if (!member.client.flush()) lose(member);
}

void Crowd::lose(Member& member) {
  member.over = true;
  ++lost_;
  epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, member.client.fd(), nullptr);
}

}  // namespace ws::bench
