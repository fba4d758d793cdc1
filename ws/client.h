// Public. WebSocket clients: many connections on a thread of their own, or one at a time, blocking.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "ws/conn.h"
#include "ws/handlers.h"
#include "ws/options.h"
#include "ws/stats.h"

namespace ws {

class Server;

// What connect() began, through all its reconnects.
using DialId = std::uint64_t;

// thread: any, for everything here.
class Client {
 public:
  // On a thread of its own, started by the first connect().
  explicit Client(ClientOptions options = {});
  // On the threads of a server, which outlives this and listens before the first connect(): on the
  // calling one if it is one of them, else in turn.
  explicit Client(Server& server, ClientOptions options = {});
  // stop(), and waits for it: may take Limits::drain_ms, and no handler runs afterwards. Where its
  // server does not run yet nothing has begun: on_failure is called from here, at once. Not in a
  // handler that runs on its threads.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Begins to connect: ws://, wss://, ws+unix:PATH, wss+unix:PATH, these two with :/TARGET behind
  // the path where it is not "/". Names are looked up off the loop, and a name's addresses tried
  // one after the other, not at once (no RFC 8305), until one connects: each in its part of the
  // time that is left, of many in 2 s. All of it, TLS and HTTP included, has Limits::handshake_ms.
  // Redirects are not followed. Then on_open, or options.on_failure, neither from within this call.
  // errors, before anything is sent: a URL, header, subprotocol, extension, limit, key or CA file
  // that is no good; the client or its server has stopped, or the server does not listen yet; no
  // thread can be started, or no descriptor was left for its loop when the client was made.
  // cost: the first wss:// reads the trusted authorities, and calls on other threads wait for that.
  core::Result<DialId> connect(std::string_view url, ConnectOptions options, Handlers handlers);
  // Ends it, with Close 1000 if it is open, else by options.on_failure, and its reconnects. Nothing
  // happens if it has ended.
  void cancel(DialId id);

  // As Server::post().
  bool post(ConnId id, std::function<void(Conn&)> task);
  // Close to all, and options.on_failure for what is not open; returns at once. No new connections
  // from here on.
  void stop(CloseCode code = CloseCode::kGoingAway);

  Stats stats() const;  // on a server's threads they are the server's

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// A message that owns its bytes.
struct OwnedMessage {
  MessageType type = MessageType::kBinary;
  std::vector<std::uint8_t> bytes;

  std::string_view text() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  operator Message() const { return {type, bytes}; }  // a view of it, to send
};

// One connection for scripts and tests: every call waits. Not for handlers: a loop that waits
// serves nobody (debug builds stop there). thread: any, one at a time.
class BlockingConn {
 public:
  BlockingConn(BlockingConn&&) noexcept;
  BlockingConn& operator=(BlockingConn&&) noexcept;
  ~BlockingConn();  // close()

  // Waits while the queue is above its high mark. errors: the connection has ended, and why.
  core::Result<core::Ok> send(const Message& message);
  // The next message. nullopt: none came in time. errors: the connection has ended, and why; what
  // came before the end is received first. Messages not yet received make the peer wait.
  core::Result<std::optional<OwnedMessage>> receive(std::uint32_t timeout_ms);
  // The closing handshake, until it is done: a peer that does not answer may take Limits::close_ms,
  // one that does not close the TCP connection Limits::linger_ms more (5 s and 2 s).
  void close(CloseCode code = CloseCode::kNormal, std::string_view reason = {});

  std::string_view subprotocol() const;

 private:
  friend core::Result<BlockingConn> connect(std::string_view, ConnectOptions, ClientOptions);
  struct State;
  explicit BlockingConn(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Waits until the connection is open. errors: why it is not. (options.reconnect has no effect.)
core::Result<BlockingConn> connect(std::string_view url, ConnectOptions options = {},
                                   ClientOptions client_options = {});

}  // namespace ws
