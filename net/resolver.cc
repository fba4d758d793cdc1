#include "net/resolver.h"

#include <netdb.h>
#include <pthread.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <list>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "core/check.h"

namespace ws::net {
namespace {

bool same(const Address& a, const Address& b) {
  return a.size() == b.size() && std::memcmp(a.get(), b.get(), a.size()) == 0;
}

core::Error not_found(const std::string& host, int why, int os_errno) {
  const std::string reason =
      why == EAI_SYSTEM ? std::generic_category().message(os_errno) : ::gai_strerror(why);
  return core::Error(host + ": no address found (" + reason +
                         "); check the name, and that this machine's name servers answer",
                     why == EAI_SYSTEM ? os_errno : 0);
}

// What needs no look-up; nothing for a name.
std::optional<Addresses> answer_at_once(const std::string& host, std::uint16_t port) {
  // The resolver would stop at a zero byte and find some other name.
  if (host.empty() || host.find('\0') != std::string::npos || host == "*") {
    return core::Error("\"" + host + "\": not a host; write a name, or an IPv4 or IPv6 address");
  }
  auto literal = Address::from_ip(host, port);
  if (!literal) return std::nullopt;
  std::vector<Address> found{*literal};
  // RFC 6761 section 6.3: name resolution libraries "SHOULD always return the IP loopback address
  // for address queries". Ours binds 127.0.0.1; others may have chosen ::1.
  if (host == "localhost") found.push_back(Address::from_ip("::1", port).value());
  return found;
}

// A thread that no signal chooses: those are for the program's own threads.
// false: the system has none left.
bool start_thread(std::function<void()> work) {
  sigset_t all, before;
  ::sigfillset(&all);
  WS_CHECK(::pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
  bool started = true;
  try {
    std::thread(std::move(work)).detach();
  } catch (const std::system_error&) {
    started = false;
  }
  WS_CHECK(::pthread_sigmask(SIG_SETMASK, &before, nullptr) == 0);
  return started;
}

}  // namespace

Addresses look_up(const std::string& host, std::uint16_t port) {
  addrinfo wanted{};
  wanted.ai_family = AF_UNSPEC;
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_ADDRCONFIG;  // no IPv6 addresses for a machine that has none
  addrinfo* list = nullptr;
  const int why = ::getaddrinfo(host.c_str(), nullptr, &wanted, &list);
  if (why != 0) return not_found(host, why, errno);
  std::vector<Address> found;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    Address address = Address::from_sockaddr(entry->ai_addr, entry->ai_addrlen);
    if (address.family() != AF_INET && address.family() != AF_INET6) continue;
    address.set_port(port);
    const auto equal = [&](const Address& earlier) { return same(earlier, address); };
    if (std::none_of(found.begin(), found.end(), equal)) found.push_back(address);
  }
  ::freeaddrinfo(list);
  if (found.empty()) return not_found(host, EAI_NODATA, 0);
  return found;
}

struct Resolver::State {
  struct Request {
    std::string host;
    std::uint16_t port;
    Done done;
  };

  explicit State(LookUp wanted) : look_up(std::move(wanted)) {}
  static void work(const std::shared_ptr<State>& state);
  // Looks up and tells the first of `waiting`. in and out: locked.
  void serve_one(std::unique_lock<std::mutex>& lock);

  const LookUp look_up;
  std::mutex mutex;              // guards all below; not held while a look-up or a `done` runs
  std::condition_variable told;  // `telling` fell to 0
  // One look-up for each connection somebody wants: the limit is theirs.
  std::list<Request> waiting;
  std::list<Request> running;
  std::size_t threads = 0;
  std::size_t telling = 0;  // calls of `done` that run
  bool alive = true;        // the Resolver is
};

void Resolver::State::serve_one(std::unique_lock<std::mutex>& lock) {
  running.splice(running.begin(), waiting, waiting.begin());
  const auto request = running.begin();
  const std::string host = request->host;  // the destructor may take the request away
  const std::uint16_t port = request->port;
  lock.unlock();
  Addresses found = look_up(host, port);
  lock.lock();
  if (!alive) return;
  std::list<Request> finished;
  finished.splice(finished.begin(), running, request);
  ++telling;
  lock.unlock();
  finished.front().done(std::move(found));
  finished.clear();  // what `done` holds goes before the destructor returns, too
  lock.lock();
  if (--telling == 0) told.notify_all();
}

void Resolver::State::work(const std::shared_ptr<State>& state) {
  std::unique_lock lock(state->mutex);
  while (!state->waiting.empty()) state->serve_one(lock);
  --state->threads;
}

Resolver::Resolver(LookUp look_up) : state_(std::make_shared<State>(std::move(look_up))) {}

Resolver::~Resolver() {
  std::list<State::Request> forgotten;  // destroyed unlocked: what they hold is not ours to know
  std::unique_lock lock(state_->mutex);
  state_->alive = false;
  forgotten.splice(forgotten.end(), state_->waiting);
  forgotten.splice(forgotten.end(), state_->running);
  state_->told.wait(lock, [&] { return state_->telling == 0; });
  lock.unlock();
}

void Resolver::resolve(std::string host, std::uint16_t port, Done done) {
  if (auto known = answer_at_once(host, port)) return done(std::move(*known));
  std::unique_lock lock(state_->mutex);
  state_->waiting.push_back({std::move(host), port, std::move(done)});
  if (state_->threads == kThreadsMax) return;
  if (start_thread([state = state_] { State::work(state); })) {
    ++state_->threads;
    return;
  }
  if (state_->threads > 0) return;  // one of them will come to it
  const State::Request refused = std::move(state_->waiting.front());
  state_->waiting.clear();
  lock.unlock();
  refused.done(core::Error(refused.host +
                           ": cannot be looked up, as no thread can be started; raise the limit of "
                           "processes (ulimit -u)"));
}

}  // namespace ws::net
