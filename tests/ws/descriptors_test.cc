// No descriptor is left: "What an operating system [...] can refuse is a Result" (ws.h).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdlib>
#include <functional>
#include <string>

#include "ws/ws.h"

namespace ws {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kAsan = true;
#elif defined(__clang__)
constexpr bool kAsan = __has_feature(address_sanitizer);
#else
constexpr bool kAsan = false;
#endif

constexpr char kCure[] = "Too many open files; raise the limit of open files \\(ulimit -n\\)";

// In a process of its own, which cannot open anything any more. Returns what it was told.
void without_descriptors(const std::function<Result<Ok>()>& work) {
  const rlimit few{100, 100};
  if (::setrlimit(RLIMIT_NOFILE, &few) != 0) std::exit(2);
  while (::open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0) {
  }
  const Result<Ok> done = work();
  if (!done) done.error().print(stderr);
  std::_Exit(done ? 3 : 0);  // a leak checker at exit would want descriptors, too
}

class Descriptors : public testing::Test {
 protected:
  void SetUp() override {
    if (kAsan)
      GTEST_SKIP() << "UBSan, which comes with it, asks pipe(2) what memory it may look at";
    testing::FLAGS_gtest_death_test_style = "threadsafe";
  }
};

TEST_F(Descriptors, NoneIsLeftForAServer) {
  EXPECT_EXIT(without_descriptors([] {
                Server server({.listen = {"ws://127.0.0.1:0"}, .threads = 1});
                return server.listen();
              }),
              testing::ExitedWithCode(0), kCure);
}

TEST_F(Descriptors, NoneIsLeftForItsSignals) {
  EXPECT_EXIT(without_descriptors([] {
                Server server({.threads = 1});
                server.stop_on_signals();
                return server.check();
              }),
              testing::ExitedWithCode(0), kCure);
}

TEST_F(Descriptors, NoneIsLeftForAClient) {
  EXPECT_EXIT(without_descriptors([]() -> Result<Ok> {
                Client client;
                auto dial = client.connect("ws://127.0.0.1:1/", {}, {});
                client.post({}, [](Conn&) {});
                client.stop();
                if (!dial) return dial.error();
                return Ok{};
              }),
              testing::ExitedWithCode(0), kCure);
}

}  // namespace
}  // namespace ws
