// Public. A WebSocket server: listeners, threads, routes, topics.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "ws/conn.h"
#include "ws/handlers.h"
#include "ws/options.h"
#include "ws/stats.h"
#include "ws/topic.h"

namespace ws {

class Client;
struct Common;

// route() as often as needed, then run(); or start() and wait(). What is to come before listen()
// has no effect afterwards, and debug builds stop there.
class Server {
 public:
  // Without listeners it serves nobody; without routes it answers 404.
  explicit Server(ServerOptions options = {});
  ~Server();  // stop() and wait(): may take Limits::drain_ms
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // pattern: a path in which ":name" stands for one segment, whatever it is (Request::param), and a
  // trailing * for everything below. Of several that match, the one wins that is more exact at the
  // first segment where they differ: text, then ":name", then *; of equal ones the last. Before
  // listen(), which like check() refuses a pattern or an origin that is none.
  void route(std::string_view pattern, Handlers handlers);

  // What holds for the topics of that name, or of that beginning with a trailing *; the longest one
  // that fits. Others are kClose. Before listen().
  void topic(std::string_view pattern, TopicOptions options);

  // Looks at all that listen() refuses before it binds: options, routes, and the files and watched
  // descriptors they name. What only the system knows it does not tell: an address in use, a limit
  // of open files, a descriptor that epoll does not take.
  core::Result<core::Ok> check() const;

  // Calls `on_readable` on a thread of the server whenever `fd` becomes readable (edge-triggered:
  // read it until EAGAIN), for signals, pipes and timers of the program's own. Before listen(); it
  // stays open until the server has stopped. Once for each; listen() refuses files, which are
  // always readable.
  void watch(int fd, std::function<void()> on_readable);
  // From here on SIGINT or SIGTERM calls stop(), and the next one ends the process at once. For one
  // server of a process, as long as it lives; before listen(), which tells if that cannot be done.
  // Other threads need not care.
  void stop_on_signals();

  // Loads certificates and binds every listener; nobody is served yet.
  // errors: one line naming the listener, file or watched descriptor and the cure. Then nothing is
  // bound.
  core::Result<core::Ok> listen();
  // Once for each Server. Serves until stop() has run its course, on the calling thread and
  // ServerOptions::threads - 1 others. Calls listen() unless that was done, with its errors.
  // errors: also a thread that cannot be started; then the server has ended.
  core::Result<core::Ok> run();
  // The same, all on threads of its own: returns at once.
  core::Result<core::Ok> start();
  // Until start()'s threads have ended, or a run() that another thread has begun: after either the
  // server may be destroyed. Returns at once where neither was called. thread: any, but none of the
  // server's.
  void wait();

  // URLs with the real ports, in the order of ServerOptions::listen. After listen().
  const std::vector<std::string>& urls() const;
  // SHA-256 of the default certificate, as AA:BB:..., and whether we made it ourselves. Empty
  // without TLS.
  std::string certificate_fingerprint() const;
  bool certificate_self_signed() const;

  // thread: any, after listen(), for all below.

  // Stops accepting, sends Close to everyone, flushes, and ends what is left after deadline_ms.
  // Returns at once; the first call counts, and before listen() none does. Without arguments:
  // Limits::drain_ms, and 1001. code: as for Conn::close().
  void stop();
  void stop(std::uint32_t deadline_ms, CloseCode code = CloseCode::kGoingAway);

  // Runs `task` with the connection on its thread, soon, and in the order of the posts from one
  // thread. Nothing happens if it is not open then. What waits has no bound but the program's own.
  // false: it will not run, as the threads have ended, or never had such an id.
  bool post(ConnId id, std::function<void(Conn&)> task);

  // The decision of an on_upgrade that deferred it. Nothing happens if the client has gone, or the
  // answer was given already.
  void answer(ConnId id, Upgrade decision);

  // To every subscriber of `topic`, exactly once each, and in order for each publishing thread. It
  // is encoded once, and compressed once for all subscribers that agreed on the same parameters.
  // true: on its way to every thread; false: a thread is so far behind that
  // Limits::publish_queue_bytes wait for it, and its subscribers are left out (they are not counted
  // in TopicStats::dropped); or the message is above 1 GiB (kMessageBytesMost), and goes to nobody.
  bool publish(std::string_view topic, const Message& message, SendOptions options = {});
  // Of the topics that the pattern given to topic() rules; "*": of those that none does.
  TopicStats topic_stats(std::string_view pattern) const;

  // Loads the certificate files again. On any error the old ones stay. Open connections keep
  // theirs.
  core::Result<core::Ok> reload_tls();

  Stats stats() const;
  // Stats::connections without the rest.
  std::size_t connections() const;

 private:
  friend class Client;
  core::Result<core::Ok> listen_unless_done();
  core::Result<core::Ok> start_threads(std::size_t first_shard);
  Common& engine();
  bool runs() const;  // or has run: what is posted from here on runs, or is refused

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ws
