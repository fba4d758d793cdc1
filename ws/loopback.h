// Public. Server and clients in memory: for a program's tests of its handlers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "core/result.h"
#include "ws/conn.h"
#include "ws/handlers.h"
#include "ws/options.h"
#include "ws/stats.h"
#include "ws/topic.h"

namespace ws {

// Connections without sockets, threads and waiting: the whole engine, but its clock stands still
// until advance(), and nothing happens outside run() and advance(). What crosses from one side to
// the other is bytes of the protocol. No TLS, no listeners; ServerOptions::threads does not count,
// nor ClientOptions::limits: both sides have the server's. Not for an object with static storage:
// its memory sockets are thread_local, and go first.
//
//   ws::Loopback net;
//   net.route("/chat/*", handlers_under_test);
//   net.connect("ws://test/chat/1", {}, {.on_open = ..., .on_message = ...});
//   net.run();
//   net.advance(30'000);  // 30 s later: the keep-alive ping has gone both ways
//
// thread: one, which handlers run on.
class Loopback {
 public:
  // Needs three descriptors, and ends the process where there are none.
  explicit Loopback(ServerOptions server = {}, ClientOptions client = {});
  ~Loopback();  // whoever is open gets on_close first
  Loopback(const Loopback&) = delete;
  Loopback& operator=(const Loopback&) = delete;

  // As Server's. Routes and topics before the first connect(), whose error is what Server::check()
  // would say about them and the options.
  void route(std::string_view pattern, Handlers handlers);
  void topic(std::string_view pattern, TopicOptions options);
  bool post(ConnId id, std::function<void(Conn&)> task);
  void answer(ConnId id, Upgrade decision);
  bool publish(std::string_view topic, const Message& message, SendOptions options = {});
  TopicStats topic_stats(std::string_view pattern) const;
  Stats stats() const;  // both sides
  void stop(CloseCode code = CloseCode::kGoingAway);

  // As Client::connect(), to the routes above; any ws:// host will do.
  core::Result<core::Ok> connect(std::string_view url, ConnectOptions options, Handlers handlers);

  // Until nothing moves any more.
  void run();
  // Lets so much time pass, in steps to whatever is due next, and runs.
  void advance(std::uint32_t ms);

  // How many bytes each direction of a connection made from here on holds that its reader has not
  // taken: a small one makes slow consumers.
  void set_pipe_bytes(std::size_t bytes);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ws
