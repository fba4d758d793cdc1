// wsd: the WebSocket daemon. Flags in, signals handled, the rest is the library's.
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdio>
#include <utility>
#include <vector>

#include "core/fd.h"
#include "core/log.h"
#include "tls/crypto.h"
#include "ws/daemon/flags.h"
#include "ws/ws.h"

namespace {

using ws::daemon::Settings;

enum ExitCode { kFine = 0, kCouldNotStart = 1, kBadUsage = 2, kForced = 3 };

int complain(const ws::core::Error& error, ExitCode code) {
  std::fprintf(stderr, "wsd: %s\n", error.message().c_str());
  return code;
}

// A descriptor that reads SIGTERM, SIGINT and SIGHUP, which reach no thread from now on.
int open_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
}

void reload(ws::Server& server) {
  if (auto done = server.reload_tls(); !done) {
    ws::core::log(ws::core::LogLevel::kError, "reload failed, the old certificates stay",
                  {{"reason", done.error().message()}});
  } else {
    ws::core::log(ws::core::LogLevel::kInfo, "certificates reloaded");
  }
}

// From here on a signal ends the process at once, also where no loop runs any more or one is stuck.
void force_at_next_signal() {
  struct sigaction force {};
  force.sa_handler = [](int) { _exit(kForced); };
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT}) {
    sigaction(signal, &force, nullptr);
    sigaddset(&signals, signal);
  }
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

void handle_signals(ws::Server& server, int fd) {
  for (signalfd_siginfo info; read(fd, &info, sizeof info) == sizeof info;) {
    if (info.ssi_signo == SIGHUP) {
      reload(server);
    } else {
      force_at_next_signal();
      server.stop();
      ws::core::log(ws::core::LogLevel::kInfo, "stopping", {{"connections", server.connections()}});
    }
  }
}

void announce(const ws::Server& server) {
  for (const std::string& url : server.urls()) std::printf("listening on %s\n", url.c_str());
  const std::string fingerprint = server.certificate_fingerprint();
  if (!fingerprint.empty()) {
    std::printf("certificate %sSHA-256 %s\n",
                server.certificate_self_signed() ? "(self-signed) " : "", fingerprint.c_str());
  }
  std::fflush(stdout);
}

int serve(const Settings& settings) {
  ws::Server server(settings.server);
  for (const std::string& path : settings.echo_paths) {
    ws::Handlers echo{
        .on_message = [](ws::Conn& conn, const ws::Message& message) { conn.send(message); },
        .keep_request = false};
    // It has nothing to give away: without a list, any page may connect.
    if (settings.server.origins.empty()) echo.origins = {"*"};
    server.route(path, std::move(echo));
  }
  if (settings.action == Settings::Action::kTestConfig) {
    if (auto done = server.check(); !done) return complain(done.error(), kCouldNotStart);
    std::puts("the configuration is fine");
    return kFine;
  }
  const ws::core::Fd signals(open_signals());
  server.watch(signals.get(), [&] { handle_signals(server, signals.get()); });
  if (auto listening = server.listen(); !listening) {
    return complain(listening.error(), kCouldNotStart);
  }
  announce(server);
  if (!server.certificate_fingerprint().empty() && ws::tls::allocates_by_announcement()) {
    ws::core::log(ws::core::LogLevel::kWarn,
                  "this OpenSSL may allocate what a peer announces; 3.0.21 mends it",
                  {{"version", ws::tls::library_version()}});
  }
  if (auto served = server.run(); !served) return complain(served.error(), kCouldNotStart);
  return kFine;
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  auto settings = ws::daemon::read_settings(arguments);
  if (!settings) return complain(settings.error(), kBadUsage);
  ws::core::set_log(settings->log_level, settings->log_format);
  switch (settings->action) {
    case Settings::Action::kHelp:
      std::fputs(ws::daemon::help_text().c_str(), stdout);
      return kFine;
    case Settings::Action::kVersion:
      std::printf("wsd %s, %s\n", ws::kVersion.data(), ws::tls::library_version().c_str());
      return kFine;
    case Settings::Action::kServe:
    case Settings::Action::kTestConfig:
      return serve(*settings);
  }
}
