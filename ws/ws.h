// Public. The one header to include: WebSocket (RFC 6455) servers and clients.
//
//   ws::Server server({.listen = {"ws://127.0.0.1:8080"}});
//   server.route("/echo", {.on_message = [](ws::Conn& c, ws::Message m) { c.send(m); }});
//   auto done = server.run();
//   if (!done) done.error().print(stderr);
//
// The contract:
//
// Threads. A connection lives and dies on one thread, and its handlers run there, one at a time.
//   On that thread: everything of the Conn& that a handler is given.
//   From anywhere:  Server::post, answer, publish, stop, reload_tls, what counts; all of Client.
//   Before listen():  route, topic, watch, stop_on_signals.
//   From another thread, a connection is its ConnId: server.post(id, [](ws::Conn& c) { ... }).
// Lifetimes. Conn&, Message, Chunk, Request, Close: until the callback returns. A ConnId for ever:
//   once its connection is gone it names nothing, and what is done with it has no effect.
// Sending. Never blocks. Any number of sends, in order, each message whole or not at all. The bytes
//   need to outlive the call only. SendStatus says whether the peer keeps up; above the high mark
//   a server lets its input wait, below the low mark on_drain is called, at the maximum it is
//   closed (1013).
// Closing. on_close exactly once for every on_open, with the code, the reason and the cause. No
//   call runs a handler from within: close() only begins what on_close ends.
// Errors. What an operating system, a configuration or a network can refuse is a Result. Nothing
//   throws; what a handler throws is caught, logged, and closes its connection with 1011.
// Log. What no result can carry is a line on stderr: set_log(ws::LogLevel::kOff) mutes that, and
//   set_log_fd() moves it (core/log.h).
// Mistakes. Debug builds (make VARIANT=debug) stop and name them with the cure: a Conn used on
//   another thread or after its end, waiting inside a handler, text that is not UTF-8. Release
//   builds answer kClosed, false or an Error, or do nothing. Two stop both: Conn::data<T>(), which
//   has to return an object, and ending a Server or Client in a handler of its own.
#pragma once

#include "core/log.h"
#include "ws/client.h"
#include "ws/conn.h"
#include "ws/handlers.h"
#include "ws/loopback.h"
#include "ws/message.h"
#include "ws/options.h"
#include "ws/request.h"
#include "ws/server.h"
#include "ws/stats.h"
#include "ws/topic.h"
#include "ws/version.h"
