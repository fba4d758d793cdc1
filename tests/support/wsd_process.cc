#include "tests/support/wsd_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>

namespace ws::test {
namespace {

constexpr std::string_view kListening = "listening on ";

// Calls `done` every few milliseconds until it holds or the time is over.
template <typename Condition>
bool poll_until(int ms, Condition done) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
  while (!done()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (std::string& string : strings) out.push_back(string.data());
  out.push_back(nullptr);
  return out;
}

std::vector<std::string> environment(const std::vector<std::string>& extra) {
  std::vector<std::string> out = extra;  // first, so that they win
  for (char** entry = environ; *entry != nullptr; ++entry) out.emplace_back(*entry);
  return out;
}

}  // namespace

WsdProcess::WsdProcess(const std::vector<std::string>& args,
                       const std::vector<std::string>& extra_env, const std::string& program) {
  const char* const wsd = std::getenv("WSD");
  std::vector<std::string> words = {!program.empty() ? program : wsd != nullptr ? wsd : "./wsd"};
  words.insert(words.end(), args.begin(), args.end());
  std::vector<std::string> variables = environment(extra_env);
  // Everything the child needs is made before the fork: after it, in a program with threads, only
  // async-signal-safe calls are allowed.
  const std::vector<char*> argv = pointers(words);
  const std::vector<char*> envp = pointers(variables);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return;
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::signal(SIGPIPE, SIG_DFL);
    ::dup2(ends[1], STDOUT_FILENO);
    ::dup2(ends[1], STDERR_FILENO);
    ::execve(argv[0], argv.data(), envp.data());
    constexpr std::string_view kFailed = "cannot start it: build it, or name wsd in $WSD\n";
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kFailed.data(), kFailed.size());
    ::_exit(127);
  }
  ::close(ends[1]);
  collector_ = std::thread([this, fd = ends[0]] { collect(fd); });
}

WsdProcess::~WsdProcess() {
  if (running()) {
    ::kill(pid_, SIGKILL);
    wait_exit(10'000);
  }
  if (collector_.joinable()) collector_.join();
}

void WsdProcess::collect(int fd) {
  char buffer[4096];
  for (;;) {
    const ssize_t count = ::read(fd, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    const std::lock_guard lock(mutex_);
    output_.append(buffer, static_cast<std::size_t>(count));
  }
  ::close(fd);
}

std::string WsdProcess::output() const {
  const std::lock_guard lock(mutex_);
  return output_;
}

std::vector<std::string> WsdProcess::urls() const {
  const std::string text = output();
  std::vector<std::string> out;
  for (std::size_t at = text.find(kListening); at != std::string::npos;
       at = text.find(kListening, at)) {
    at += kListening.size();
    const std::size_t end = text.find_first_of(" \"\r\n", at);
    if (end == std::string::npos) break;  // the line is not whole yet
    out.push_back(text.substr(at, end - at));
  }
  return out;
}

bool WsdProcess::wait_listening(std::size_t count, int ms) {
  poll_until(ms, [&] { return urls().size() >= count || !running(); });
  return urls().size() >= count && running();
}

std::uint16_t WsdProcess::port(const std::string& scheme) const {
  for (const std::string& url : urls()) {
    const std::size_t colon = url.rfind(':');
    if (!url.starts_with(scheme) || colon == std::string::npos) continue;
    std::uint16_t port = 0;
    std::from_chars(url.data() + colon + 1, url.data() + url.size(), port);
    return port;
  }
  return 0;
}

void WsdProcess::signal(int number) {
  if (running()) ::kill(pid_, number);
}

bool WsdProcess::running() {
  return !wait_exit(0).has_value();
}

std::optional<int> WsdProcess::wait_exit(int ms) {
  if (pid_ < 0) return 127;
  poll_until(ms, [this] {
    int status = 0;
    if (!exit_code_ && ::waitpid(pid_, &status, WNOHANG) == pid_) {
      exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    return exit_code_.has_value();
  });
  return exit_code_;
}

}  // namespace ws::test
