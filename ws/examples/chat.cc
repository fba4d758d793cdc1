// Rooms in which everybody reads everybody: chat [URL]; then connect to URL/ROOM/NAME.
#include <ws/ws.h>

#include <iostream>
#include <string>
#include <string_view>

namespace {

// A topic reaches its subscribers on every thread of the server.
std::string topic_of(const ws::Conn& conn) {
  return "room/" + std::string(conn.request().param("room"));
}

std::string name_of(const ws::Conn& conn) {
  return std::string(conn.request().param("name"));
}

}  // namespace

int main(int argc, char** argv) {
  ws::Server server({.listen = {argc > 1 ? argv[1] : "ws://127.0.0.1:8080"}});

  // Who is too slow for a room misses what was said meanwhile, and stays.
  server.topic("room/*", {.slow_consumer = ws::SlowConsumer::kDropNewest});

  server.route("/:room/:name",
               {.on_open =
                    [&server](ws::Conn& conn) {
                      conn.subscribe(topic_of(conn));
                      server.publish(topic_of(conn), "* " + name_of(conn) + " is here");
                    },
                .on_message =
                    [&server](ws::Conn& conn, const ws::Message& message) {
                      const std::string text = name_of(conn) + ": " + std::string(message.text());
                      server.publish(topic_of(conn), text);
                    },
                .on_close =
                    [&server](ws::Conn& conn, const ws::Close&) {
                      server.publish(topic_of(conn), "* " + name_of(conn) + " has gone");
                    }});

  server.stop_on_signals();
  if (auto done = server.listen(); !done) return done.error().print(stderr), 1;
  std::cout << "listening on " << server.urls()[0] << std::endl;
  return server.run() ? 0 : 1;
}
