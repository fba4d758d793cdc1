// What may be called from anywhere, called from everywhere at once. Of most use under TSan.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/support/raw_peer.h"
#include "tests/support/test_server.h"

namespace ws::test {
namespace {

using namespace std::chrono_literals;

// Ids of connections, most of them long gone.
class Ids {
 public:
  void add(ConnId id) {
    const std::lock_guard lock(mutex_);
    ids_[next_++ % ids_.size()] = id;
  }
  ConnId any(std::size_t at) const {
    const std::lock_guard lock(mutex_);
    return ids_[at % ids_.size()];
  }

 private:
  mutable std::mutex mutex_;
  std::array<ConnId, 64> ids_{};
  std::size_t next_ = 0;
};

struct Seen {
  std::atomic<std::uint64_t> opened = 0;
  std::atomic<std::uint64_t> closed = 0;
  std::atomic<std::uint64_t> messages = 0;
  std::atomic<std::uint64_t> tasks = 0;
  Ids open;
  Ids deferred;
};

Handlers handlers_for(Seen& seen) {
  return {.on_upgrade = [&](const ws::Request& request) -> Upgrade {
            if (request.path != "/later") return Accept{};
            seen.deferred.add(request.id);
            return Defer{};
          },
          .on_open =
              [&](Conn& conn) {
                ++seen.opened;
                seen.open.add(conn.id());
                conn.subscribe("t");
                conn.publish("t", "someone came");
              },
          .on_message =
              [&](Conn& conn, const Message& message) {
                ++seen.messages;
                conn.publish("t", message);
                conn.send(message);
              },
          .on_close =
              [&](Conn& conn, const Close&) {
                ++seen.closed;
                conn.publish("t", "someone left");
              }};
}

// Everything a Server offers to any thread, until `done`.
void hammer(Server& server, Seen& seen, unsigned seed, const std::atomic<bool>& done) {
  std::mt19937 random(seed);
  while (!done) {
    const ConnId id = seen.open.any(random());
    switch (random() % 64) {
      case 0:
        EXPECT_TRUE(server.reload_tls());
        break;
      case 1:
        server.post(id, [](Conn& conn) { conn.close(); });
        break;
      case 2:
        server.post(id, [](Conn& conn) { conn.unsubscribe("t"); });
        break;
      case 3:
        server.publish("t", std::string(5'000, 'x'));
        break;
      default:
        server.publish("t", "small");
        server.post(id, [&seen](Conn& conn) {
          ++seen.tasks;
          conn.send("posted");
        });
        server.answer(seen.deferred.any(random()), Accept{});
        EXPECT_LE(server.stats().opened, server.stats().accepted);
        EXPECT_LE(server.topic_stats("*").subscriptions, 10'000u);
        EXPECT_LE(server.connections(), 10'000u);
        std::this_thread::sleep_for(200us);
    }
  }
}

// Connections that come and go: closed in order, torn, refused by nobody.
void churn(TestServer& server, bool tls, const std::atomic<bool>& done) {
  for (int i = 0; !done; ++i) {
    RawPeer peer(connect_tcp(server.port(tls)), tls);
    try {
      peer.upgrade();
    } catch (const std::runtime_error&) {
      EXPECT_TRUE(done) << "turned away though the server runs";
      return;
    }
    peer.queue(text("hello"));
    peer.push(1000);
    peer.read(5);
    switch (i % 3) {
      case 0:
        peer.reset();
        break;
      case 1:
        peer.queue(close(1000));
        peer.push(1000);
        break;
      default:
        peer.half_close();
    }
  }
}

TEST(Threads, CallEverythingWhileConnectionsComeAndGo) {
  Seen seen;
  ServerOptions options{.listen = {"ws://127.0.0.1:0", "wss://127.0.0.1:0"},
                        .threads = 4,
                        .limits = {.drain_ms = 1'000}};
  TestServer server(std::move(options), handlers_for(seen));
  std::atomic<bool> done = false;
  std::atomic<std::uint64_t> client_opened = 0;
  std::atomic<std::uint64_t> client_closed = 0;
  {
    ClientOptions client_options;
    client_options.tls.verify = false;
    ws::Client client(client_options);
    for (int i = 0; i < 24; ++i) {
      const std::string url = server.server().urls()[static_cast<std::size_t>(i % 2)];
      ConnectOptions connecting{.reconnect = {.first_ms = 1, .max_ms = 20}};
      Handlers handlers{.on_open =
                            [&](Conn& conn) {
                              ++client_opened;
                              conn.send("hello");
                            },
                        .on_close = [&](Conn&, const Close&) { ++client_closed; }};
      ASSERT_TRUE(client.connect(url + (i % 3 == 0 ? "/later" : "/now"), std::move(connecting),
                                 std::move(handlers)));
    }
    std::vector<std::thread> threads;
    threads.emplace_back(churn, std::ref(server), false, std::cref(done));
    threads.emplace_back(churn, std::ref(server), true, std::cref(done));
    for (unsigned i = 0; i < 4; ++i) {
      threads.emplace_back([&, i] {
        hammer(server.server(), seen, i, done);
        server.server().stop();
        server.server().publish("t", "after the stop");
        server.server().post(seen.open.any(i), [](Conn& conn) { conn.send("too late"); });
      });
    }
    std::this_thread::sleep_for(1s);
    done = true;
    for (std::thread& thread : threads) thread.join();
    server.server().wait();
  }
  EXPECT_GT(seen.opened, 24u);
  EXPECT_GT(seen.messages, 0u);
  EXPECT_GT(seen.tasks, 0u);
  EXPECT_EQ(seen.closed, seen.opened);
  EXPECT_EQ(client_closed, client_opened);
  EXPECT_EQ(server.server().topic_stats("*").subscriptions, 0u);
  EXPECT_EQ(server.server().connections(), 0u);
}

}  // namespace
}  // namespace ws::test
