// Who waits for a server, and where it may end (ws/server.h). Of most use under TSan.
#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/fd.h"
#include "tests/support/test_server.h"
#include "ws/ws.h"

namespace ws::test {
namespace {

using namespace std::chrono_literals;

ServerOptions listening(unsigned threads) {
  return {.listen = {"ws://127.0.0.1:0"}, .threads = threads};
}

// "Until start()'s threads have ended, or a run() that another thread has begun: after either the
// server may be destroyed."
TEST(Server, WaitAndTheDestructorWaitForARunOnAnotherThread) {
  for (const unsigned threads : {1U, 2U}) {
    for (int i = 0; i < 20; ++i) {
      std::atomic<bool> closed = false;
      auto server = std::make_unique<Server>(listening(threads));
      server->route("/*", {.on_close = [&](Conn&, const Close&) {
                      std::this_thread::sleep_for(5ms);
                      closed = true;
                    }});
      ASSERT_TRUE(server->listen());
      std::thread runner([raw = server.get()] { EXPECT_TRUE(raw->run()); });
      auto conn = ws::connect(server->urls().at(0));
      EXPECT_TRUE(conn);
      server->stop();
      if (i % 2 == 0) {
        server->wait();
        EXPECT_TRUE(closed);
      }
      server.reset();
      EXPECT_TRUE(closed);
      runner.join();
    }
  }
}

// ws/ws.h, Mistakes: "Two stop both [builds]: [...] ending a Server or Client in a handler of its
// own."
TEST(ServerDeathTest, MayNotEndInAHandlerOfItsOwn) {
  const auto end_inside = [] {
    const core::Fd event(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
    auto server = std::make_unique<Server>(listening(1));
    server->watch(event.get(), [&] { server.reset(); });
    (void)server->run();
  };
  EXPECT_DEATH(end_inside(), "check failed");
}

TEST(Server, MayBeWaitedForFromManyThreads) {
  for (const bool in_run : {false, true}) {
    Server server(listening(3));
    ASSERT_TRUE(server.listen());
    std::vector<std::thread> all;
    if (in_run) {
      all.emplace_back([&] { EXPECT_TRUE(server.run()); });
    } else {
      ASSERT_TRUE(server.start());
    }
    for (int i = 0; i < 4; ++i) all.emplace_back([&] { server.wait(); });
    server.stop();
    for (std::thread& thread : all) thread.join();
  }
}

}  // namespace
}  // namespace ws::test
