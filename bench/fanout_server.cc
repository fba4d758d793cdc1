// The server that fanout measures by default: every message received on /publish is published to
// all connections of /subscribe.
#include <cstdio>
#include <stdexcept>
#include <string>

#include "bench/args.h"
#include "ws/ws.h"

namespace ws::bench {
namespace {

constexpr std::string_view kUsage =
    R"(fanout_server [options]: publishes what comes in on /publish to all of /subscribe

  --listen URL         ws://HOST:PORT or wss://HOST:PORT (ws://127.0.0.1:9002)
  --threads N          (1)
)";

void serve(int argc, char** argv) {
  Args args(argc, argv, kUsage);
  ServerOptions options{.listen = {args.text("--listen", "ws://127.0.0.1:9002")},
                        .threads = static_cast<unsigned>(args.count("--threads", 1, 1024)),
                        .limits = {.connections = 100'000}};
  args.finish();
  Server server(std::move(options));
  server.route("/subscribe", {.on_open = [](Conn& conn) { conn.subscribe("all"); }});
  server.route("/publish", {.on_message = [&](Conn&, const Message& message) {
                 server.publish("all", message);
               }});
  if (auto done = server.run(); !done) throw std::runtime_error(done.error().message());
}

}  // namespace
}  // namespace ws::bench

int main(int argc, char** argv) {
  try {
    ws::bench::serve(argc, argv);
  } catch (const std::exception& error) {
    ws::bench::die(error.what());
  }
}
