// Internal. Looks host names up away from the event loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/result.h"
#include "net/address.h"

namespace ws::net {

// At least one, in the order to try them in; for a stream socket.
using Addresses = core::Result<std::vector<Address>>;

// What getaddrinfo(3) finds, in its order (RFC 6724), without duplicates. Blocks, for as long as
// the system's time-outs let it.
// errors: one line naming the host and the cure.
Addresses look_up(const std::string& host, std::uint16_t port);

// Runs look-ups on threads that come with the work and go with it. thread: any, but for the
// destructor: the last call, and not from a `done`.
class Resolver {
 public:
  // A slow name server holds one thread per name; with this many, other names wait.
  static constexpr std::size_t kThreadsMax = 4;
  using LookUp = std::function<Addresses(const std::string& host, std::uint16_t port)>;
  using Done = std::function<void(Addresses)>;

  explicit Resolver(LookUp look_up = net::look_up);
  // Forgets what has not been answered: waits for a `done` that runs, not for a look-up, which
  // nothing can interrupt. Its thread ends by itself and touches nothing but what it owns.
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Finds the addresses of `host`: a name, an IPv4 or IPv6 literal (without brackets), or
  // "localhost" (127.0.0.1, then ::1). `done` is called exactly once unless the Resolver goes
  // before: inside this call for literals, localhost and what is no host name, else on a thread of
  // ours. It must be short and may not throw.
  void resolve(std::string host, std::uint16_t port, Done done);

 private:
  struct State;
  std::shared_ptr<State> state_;  // with every thread
};

}  // namespace ws::net
