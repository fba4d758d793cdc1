// Stays connected, whatever happens to the server: client [URL]
#include <signal.h>
#include <ws/ws.h>

#include <iostream>

int main(int argc, char** argv) {
  // Before the client starts its thread, which inherits that: main() waits for these signals.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  ws::Client client;
  const ws::ConnectOptions options{
      .reconnect = {.first_ms = 100, .max_ms = 10'000},
      .on_failure =
          [](const ws::ConnectFailure& failure) {
            std::cout << failure.reason;
            if (failure.retry_in_ms > 0) std::cout << ": again in " << failure.retry_in_ms << " ms";
            std::cout << std::endl;
          },
  };
  const ws::Handlers handlers{
      .on_open =
          [](ws::Conn& conn) {
            std::cout << "connected to " << conn.peer() << std::endl;
            conn.send("hello");
          },
      .on_message =
          [](ws::Conn&, const ws::Message& message) {
            std::cout << "received " << message.text() << std::endl;
          },
      .on_close =
          [](ws::Conn&, const ws::Close& why) {
            std::cout << "closed with " << static_cast<int>(why.code) << ": "
                      << to_string(why.cause) << std::endl;
          },
  };
  const auto begun = client.connect(argc > 1 ? argv[1] : "ws://127.0.0.1:8080", options, handlers);
  if (!begun) return begun.error().print(stderr), 1;

  int signal = 0;
  sigwait(&signals, &signal);
}  // closes with 1001, and waits for the server's answer
