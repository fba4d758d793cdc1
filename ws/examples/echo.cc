// Sends every message back: echo [URL]
#include <ws/ws.h>
#include <iostream>

int main(int argc, char** argv) {
  ws::Server server({.listen = {argc > 1 ? argv[1] : "ws://127.0.0.1:8080"}});
  server.route("/*", {.on_message = [](ws::Conn& conn, const ws::Message& m) { conn.send(m); }});
  server.stop_on_signals();
  if (auto done = server.listen(); !done) return done.error().print(stderr), 1;
  std::cout << "listening on " << server.urls()[0] << std::endl;
  return server.run() ? 0 : 1;
}
