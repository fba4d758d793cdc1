// Sends each line of its input to everybody: tail -f LOG | publisher_thread [URL]; ends with its
// input.
#include <ws/ws.h>

#include <iostream>
#include <span>
#include <string>

int main(int argc, char** argv) {
  ws::Server server({.listen = {argc > 1 ? argv[1] : "ws://127.0.0.1:8080"}});
  server.route("/*", {.on_open = [](ws::Conn& conn) { conn.subscribe("lines"); }});

  // start() serves on threads of its own, so that this one may block.
  if (auto done = server.start(); !done) return done.error().print(stderr), 1;
  std::cout << "listening on " << server.urls()[0] << std::endl;

  for (std::string line; std::getline(std::cin, line);) {
    // Text has to be UTF-8; what came from outside goes out as bytes.
    server.publish("lines", std::as_bytes(std::span(line)));
  }
  server.stop();
  server.wait();
}
