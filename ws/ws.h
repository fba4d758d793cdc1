// Public. The one header to include: servers that speak WebSocket (RFC 6455) over ws:// and wss://.
//
//   ws::Server server({.listen = {"ws://127.0.0.1:8080"}});
//   server.route("/echo", {.on_message = [](ws::Conn& c, ws::Message m) { c.send(m); }});
//   auto done = server.run();
//   if (!done) done.error().print(stderr);
//
// Threads: a connection lives on one thread and its handlers run there. Server::stop, reload_tls
// and connections may be called from anywhere; everything else belongs to the handler's thread.
#pragma once

#include "ws/conn.h"
#include "ws/message.h"
#include "ws/options.h"
#include "ws/server.h"
