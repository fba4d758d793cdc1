// Internal. A real wsd, started and ended by a test.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace ws::test {

// The program named by $WSD, else ./wsd, or another one that announces its listeners in the same
// way. Dies with its owner, and with the thread that made it.
class WsdProcess {
 public:
  // Arguments without the program's name. extra_env: "NAME=value". program: a path; "": wsd.
  explicit WsdProcess(const std::vector<std::string>& args,
                      const std::vector<std::string>& extra_env = {},
                      const std::string& program = {});
  ~WsdProcess();
  WsdProcess(const WsdProcess&) = delete;
  WsdProcess& operator=(const WsdProcess&) = delete;

  // Waits for `count` lines "listening on URL". false: it ended, or they did not come in time.
  bool wait_listening(std::size_t count, int ms = 10'000);
  // The real port of the first listener whose URL starts with `scheme` ("ws://"); 0: none.
  std::uint16_t port(const std::string& scheme) const;
  std::vector<std::string> urls() const;

  void signal(int number);
  // The exit code, or 128 + the signal that ended it; nullopt: still running after `ms`.
  std::optional<int> wait_exit(int ms);
  bool running();

  pid_t pid() const { return pid_; }
  std::string output() const;  // stdout and stderr so far, as they were written

 private:
  void collect(int fd);

  pid_t pid_ = -1;
  std::optional<int> exit_code_;
  mutable std::mutex mutex_;
  std::string output_;  // guarded by mutex_
  std::thread collector_;
};

}  // namespace ws::test
