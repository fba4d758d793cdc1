// Prices for whoever wants them, always the newest: market_data [URL [PRICES_PER_SECOND]]; then
// connect to URL/prices/SYMBOL, with ACME, GLOBEX or INITECH.
#include <ws/ws.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>
#include <thread>

namespace {

constexpr std::array<const char*, 3> kSymbols = {"ACME", "GLOBEX", "INITECH"};

// The exchange: one new price of each symbol per tick.
void quote(const std::stop_token& stop, ws::Server& server, std::chrono::nanoseconds tick) {
  std::mt19937 random(std::random_device{}());
  std::uniform_int_distribution<int> step(-5, 5);
  std::array<int, kSymbols.size()> cents{};
  cents.fill(10'000);
  auto next = std::chrono::steady_clock::now();
  for (std::uint64_t number = 1; !stop.stop_requested(); ++number) {
    for (std::size_t i = 0; i < kSymbols.size(); ++i) {
      cents[i] += step(random);
      // From any thread, whatever threads the subscribers are on.
      server.publish(std::string("price/") + kSymbols[i],
                     "{\"number\":" + std::to_string(number) + ",\"symbol\":\"" + kSymbols[i] +
                         "\",\"cents\":" + std::to_string(cents[i]) + "}");
    }
    std::this_thread::sleep_until(next += tick);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int per_second = argc > 2 ? std::atoi(argv[2]) : 100;
  if (per_second < 1) return std::cerr << "PRICES_PER_SECOND is 1 or more\n", 2;
  ws::Server server({.listen = {argc > 1 ? argv[1] : "ws://127.0.0.1:8080"}});

  // An old price is worth nothing: for a slow subscriber one price of each symbol waits, the last.
  server.topic("price/*", {.slow_consumer = ws::SlowConsumer::kKeepLatest});
  server.route("/prices/:symbol", {.on_open = [](ws::Conn& conn) {
                 conn.subscribe("price/" + std::string(conn.request().param("symbol")));
               }});

  server.stop_on_signals();
  if (auto done = server.listen(); !done) return done.error().print(stderr), 1;
  std::cout << "listening on " << server.urls()[0] << std::endl;
  {
    const std::jthread exchange([&](const std::stop_token& stop) {
      quote(stop, server, std::chrono::nanoseconds(std::chrono::seconds(1)) / per_second);
    });
    if (!server.run()) return 1;
  }
  const ws::TopicStats stats = server.topic_stats("price/*");
  std::cout << stats.published << " published, " << stats.delivered << " delivered, "
            << stats.dropped << " dropped" << std::endl;
}
