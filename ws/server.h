// Public. A WebSocket server: listeners, threads, routes.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "ws/conn.h"
#include "ws/options.h"

namespace ws {

// route() as often as needed, then run(); or start() and wait().
class Server {
 public:
  // Without listeners it serves nobody; without routes it answers 404.
  explicit Server(ServerOptions options);
  ~Server();  // stop() and wait(): may take Limits::drain_ms
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // pattern: an exact path, or one with a trailing * for everything below. An exact match wins,
  // then the longest prefix. Before listen().
  void route(std::string_view pattern, Handlers handlers);

  // Looks at everything listen() would refuse, the files it names included, but binds nothing.
  core::Result<core::Ok> check() const;

  // Calls `on_readable` on a thread of the server whenever `fd` becomes readable (edge-triggered:
  // read it until EAGAIN), for signals, pipes and timers of the program's own. Before listen(); it
  // stays open until the server has stopped.
  void watch(int fd, std::function<void()> on_readable);

  // Loads certificates and binds every listener; nobody is served yet.
  // errors: one line naming the listener or file and the cure. Then nothing is bound.
  core::Result<core::Ok> listen();
  // Serves until stop() has run its course, on the calling thread and ServerOptions::threads - 1
  // others. Calls listen() unless that was done, with its errors.
  core::Result<core::Ok> run();
  // The same, all on threads of its own: returns at once, and wait() waits. thread: one.
  core::Result<core::Ok> start();
  void wait();

  // URLs with the real ports, in the order of ServerOptions::listen. After listen().
  const std::vector<std::string>& urls() const;
  // SHA-256 of the default certificate, as AA:BB:..., and whether we made it ourselves. Empty
  // without TLS.
  std::string certificate_fingerprint() const;
  bool certificate_self_signed() const;

  // Stops accepting, sends Close (1001 by default) to everyone, flushes, and ends what is left at
  // Limits::drain_ms. thread: any, after listen(); returns at once; the first call counts.
  void stop(CloseCode code = CloseCode::kGoingAway);

  // Loads the certificate files again. On any error the old ones stay. Open connections keep
  // theirs. thread: any, after listen().
  core::Result<core::Ok> reload_tls();

  // Open connections, over all threads. thread: any.
  std::size_t connections() const;

 private:
  core::Result<core::Ok> listen_unless_done();

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ws
