// Pages and health checks on the port of the WebSocket: health [URL]; then open it in a browser.
#include <ws/ws.h>

#include <iostream>
#include <string>

namespace {

constexpr const char* kPage = R"(<!doctype html>
<title>echo</title>
<input id="text" placeholder="type, then Enter" autofocus>
<pre id="log"></pre>
<script>
  const socket = new WebSocket(`ws://${location.host}/echo`);
  socket.onmessage = (message) => { log.textContent += message.data + "\n"; };
  text.onchange = () => { socket.send(text.value); text.value = ""; };
</script>
)";

}  // namespace

int main(int argc, char** argv) {
  ws::Server server({.listen = {argc > 1 ? argv[1] : "ws://127.0.0.1:8080"}});

  server.route("/echo", {.on_message = [](ws::Conn& conn, const ws::Message& message) {
                 conn.send(message);
               }});
  server.route("/", {.on_http = [](const ws::Request&) {
                 return ws::Response{.body = kPage,
                                     .headers = {{"Content-Type", "text/html; charset=utf-8"}}};
               }});
  server.route("/health", {.on_http = [&server](const ws::Request&) {
                 const ws::Stats stats = server.stats();
                 return ws::Response{
                     .body = "{\"status\":\"ok\",\"opened\":" + std::to_string(stats.opened) +
                             ",\"messages\":" + std::to_string(stats.messages_received) + "}\n",
                     .headers = {{"Content-Type", "application/json"}}};
               }});

  server.stop_on_signals();
  if (auto done = server.listen(); !done) return done.error().print(stderr), 1;
  std::cout << "listening on " << server.urls()[0] << std::endl;
  return server.run() ? 0 : 1;
}
