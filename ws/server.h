// Public. A WebSocket server: listeners, threads, routes.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "ws/conn.h"
#include "ws/options.h"

namespace ws {

// route() as often as needed, then start(), then wait() (or run() for both).
class Server {
 public:
  // Without listeners it serves nobody; without routes it answers 404.
  explicit Server(ServerOptions options);
  ~Server();  // stop() and wait(): may take Limits::drain_ms
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // pattern: an exact path, or one with a trailing * for everything below. An exact match wins,
  // then the longest prefix. Not after start().
  void route(std::string_view pattern, Handlers handlers);

  // Looks at everything start() would refuse, the files it names included, but binds nothing.
  core::Result<core::Ok> check() const;

  // Loads certificates, binds every listener, starts the threads.
  // errors: one line naming the listener or file and the cure. Then nothing runs.
  core::Result<core::Ok> start();
  // URLs with the real ports, in the order of ServerOptions::listen. After start().
  const std::vector<std::string>& urls() const;
  // SHA-256 of the default certificate, as AA:BB:..., and whether we made it ourselves. Empty
  // without TLS.
  std::string certificate_fingerprint() const;
  bool certificate_self_signed() const;

  // Stops accepting, sends Close (1001 by default) to everyone, flushes, and ends what is left at
  // Limits::drain_ms. thread: any, once start() has returned; returns at once; the first call
  // counts.
  void stop(CloseCode code = CloseCode::kGoingAway);
  // Until stop() has run its course. thread: one.
  void wait();
  core::Result<core::Ok> run();  // start() and wait()

  // Loads the certificate files again. On any error the old ones stay. Open connections keep
  // theirs. thread: any, after start().
  core::Result<core::Ok> reload_tls();

  // Open connections, over all threads. thread: any.
  std::size_t connections() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ws
