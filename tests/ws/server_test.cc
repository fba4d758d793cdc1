// Starting and ending a server: listeners, threads, Unix sockets, certificates (ws/server.h).
#include "ws/server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/support/loopback.h"
#include "tests/support/raw_peer.h"
#include "tests/support/test_certs.h"
#include "tests/support/test_server.h"

namespace ws::test {
namespace {

using namespace std::chrono_literals;

ServerOptions listening(std::vector<std::string> urls) {
  return {.listen = std::move(urls), .tls = {}, .origins = {}, .threads = 1, .limits = {}};
}

ServerOptions with_certificate(std::string cert, std::string key) {
  ServerOptions options = listening({"ws://127.0.0.1:0", "wss://127.0.0.1:0"});
  options.tls.certificates.push_back({std::move(cert), std::move(key)});
  return options;
}

// Upgrades, and hears its echo. "" when all is well.
std::string converse(core::Fd fd, bool tls) {
  if (!fd) return "no connection";
  RawPeer peer(std::move(fd), tls);
  peer.upgrade();
  peer.queue(text("hello") + close(1000));
  const std::string wanted = server_frame(kText, "hello") + server_close(1000);
  return peer.exchange(wanted.size()) == wanted ? "" : "another answer";
}

// A port that nobody listens on at the moment.
std::uint16_t free_port() {
  return open_or_die(ip("127.0.0.1")).address().port();
}

// --- starting ---

#if !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)  // their memory is beyond limits
// Of this process. Who connects to a port that was closed may find somebody else there by now.
int listening_sockets() {
  int count = 0;
  for (int fd = 0, listens = 0; fd < 1024; ++fd) {
    socklen_t size = sizeof listens;
    if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0) count += listens;
  }
  return count;
}

// In a process of its own, with memory for the stacks of two threads and no more.
template <class Start>
[[noreturn]] void start_without_memory(Start start) {
  const int listening_before = listening_sockets();
  ServerOptions options = listening({"ws://127.0.0.1:0"});
  options.threads = 6;
  Server server(options);
  if (!server.listen() || listening_sockets() != listening_before + 6) ::_exit(1);
  pthread_attr_t attributes;
  std::size_t stack_bytes = 0;
  pthread_getattr_default_np(&attributes);
  pthread_attr_getstacksize(&attributes, &stack_bytes);
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const rlim_t bytes =
      pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) + 2 * stack_bytes + stack_bytes / 2;
  const rlimit tight = {.rlim_cur = bytes, .rlim_max = bytes};
  if (::setrlimit(RLIMIT_AS, &tight) != 0) ::_exit(2);
  const core::Result<core::Ok> done = start(server);
  if (done) ::_exit(3);
  done.error().print(stderr);
  const bool deaf = listening_sockets() == listening_before;
  server.wait();
  ::_exit(deaf ? 42 : 4);
}

TEST(ServerThreadsDeathTest, OneThatCannotStartIsAnErrorAndNothingIsLeft) {
  EXPECT_EXIT(start_without_memory([](Server& server) { return server.start(); }),
              testing::ExitedWithCode(42), "cannot start thread [23] of 6: Resource temporarily");
  EXPECT_EXIT(start_without_memory([](Server& server) { return server.run(); }),
              testing::ExitedWithCode(42), "cannot start thread [234] of 6: Resource temporarily");
}
#endif

TEST(Server, NamesItsUrlsInOrderWithTheRealPorts) {
  TestServer server(listening({"wss://127.0.0.1:0", "ws://localhost:0", "ws://[::1]:0"}), {});
  const std::vector<std::string>& urls = server.server().urls();
  ASSERT_EQ(urls.size(), 3U);
  EXPECT_TRUE(urls[0].starts_with("wss://127.0.0.1:")) << urls[0];
  EXPECT_TRUE(urls[1].starts_with("ws://localhost:")) << urls[1];
  EXPECT_TRUE(urls[2].starts_with("ws://[::1]:")) << urls[2];
  for (const std::string& url : urls) EXPECT_NE(port_of(url), 0) << url;
}

TEST(Server, ListensOnEveryAddress) {
  TestServer server(listening({"ws://*:0"}), {.on_open = {}, .on_message = echo, .on_close = {}});
  const std::uint16_t port = port_of(server.server().urls().at(0));
  EXPECT_EQ(converse(connect_tcp(port), false), "");
  EXPECT_EQ(converse(client_of(ip("::1", port)), false), "");
}

TEST(Server, MayBeDestroyedWithoutBeingStarted) {
  Server server(listening({"ws://127.0.0.1:0"}));
  server.route("/", {});
}

TEST(Server, MayBeStoppedWithoutBeingStarted) {
  Server server(listening({"ws://127.0.0.1:0"}));
  server.stop();
  server.wait();
  EXPECT_EQ(server.connections(), 0U);
}

TEST(Server, RunsOnTheCallingThreadUntilItIsStopped) {
  Server server(listening({"ws://127.0.0.1:0"}));
  std::thread::id handler_thread;
  server.route("/*", {.on_open = {},
                      .on_message =
                          [&](Conn& conn, const Message& message) {
                            handler_thread = std::this_thread::get_id();
                            conn.send(message);
                          },
                      .on_close = {}});
  ASSERT_TRUE(server.listen());
  const std::uint16_t port = port_of(server.urls().at(0));
  std::string spoken = "nothing";
  std::thread client([&] {
    spoken = converse(connect_tcp(port), false);
    server.stop();
  });
  EXPECT_TRUE(server.run());
  client.join();
  EXPECT_EQ(spoken, "");
  EXPECT_EQ(handler_thread, std::this_thread::get_id());
}

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC), 0);
    reader = core::Fd(ends[0]);
    writer = core::Fd(ends[1]);
  }
  core::Fd reader, writer;
};

TEST(Server, ReadsAWatchedDescriptorInTheLoop) {
  const Pipe pipe;
  Server server(listening({"ws://127.0.0.1:0"}));
  std::string got;
  server.watch(pipe.reader.get(), [&] {
    for (char byte; ::read(pipe.reader.get(), &byte, 1) == 1;) got.push_back(byte);
    if (got.size() == 2) server.stop();
    if (got.size() == 1) {
      ASSERT_EQ(::write(pipe.writer.get(), "b", 1), 1);
    }
  });
  ASSERT_EQ(::write(pipe.writer.get(), "a", 1), 1);
  EXPECT_TRUE(server.run());
  EXPECT_EQ(got, "ab");
}

TEST(Server, SurvivesAWatchCallbackThatThrows) {
  const Pipe pipe;
  Server server(listening({"ws://127.0.0.1:0"}));
  int calls = 0;
  server.watch(pipe.reader.get(), [&] {
    for (char byte; ::read(pipe.reader.get(), &byte, 1) == 1;) ++calls;
    if (calls == 2) return server.stop();
    EXPECT_EQ(::write(pipe.writer.get(), "b", 1), 1);
    throw std::runtime_error("thrown by a test");
  });
  ASSERT_EQ(::write(pipe.writer.get(), "a", 1), 1);
  EXPECT_TRUE(server.run());
  EXPECT_EQ(calls, 2);
}

// "errors: one line naming the listener, file or watched descriptor and the cure. Then nothing is
// bound."
TEST(Server, ADescriptorThatCannotBeWatchedIsAnError) {
  const Pipe pipe;
  const core::Fd file(::open("README.md", O_RDONLY | O_CLOEXEC));
  const core::Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const core::Fd folder(::open(".", O_RDONLY | O_CLOEXEC));
  int closed = -1;
  {
    const core::Fd gone(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    closed = gone.get();
  }
  struct {
    std::vector<int> watched;
    int os_errno;
  } const kBad[] = {{{file.get()}, EPERM},
                    {{null.get()}, EPERM},
                    {{pipe.reader.get(), closed}, EBADF},
                    {{folder.get()}, EPERM},
                    {{-1}, EBADF},
                    {{pipe.reader.get(), pipe.reader.get()}, EEXIST}};
  for (const auto& each : kBad) {
    const std::uint16_t port = free_port();
    Server server(listening({ws_url(port, "")}));
    for (const int fd : each.watched) server.watch(fd, [] {});
    EXPECT_EQ(server.check() ? true : false, each.os_errno == EPERM) << "what epoll alone knows";
    const auto started = server.start();
    ASSERT_FALSE(started);
    const std::string& message = started.error().message();
    EXPECT_EQ(started.error().os_errno(), each.os_errno) << message;
    EXPECT_NE(message.find("descriptor " + std::to_string(each.watched.back())), std::string::npos)
        << message;
    EXPECT_EQ(message.find('\n'), std::string::npos);
    EXPECT_FALSE(connect_tcp(port)) << "a listener is left";
  }
}

// What check() says against limits; "" when it takes them.
std::string fault_of(const std::function<void(Limits&)>& set) {
  ServerOptions options = listening({"ws://127.0.0.1:0"});
  set(options.limits);
  const auto good = Server(std::move(options)).check();
  return good ? "" : good.error().message();
}

// Nobody would be served, or half a message would ask for the next look at it at once, for ever.
TEST(Server, RefusesAZeroWithWhichNobodyWouldBeServed) {
  const auto expect_named = [](std::string_view name, const std::string& fault) {
    EXPECT_TRUE(fault.starts_with("limits: " + std::string(name) + " is 0"))
        << name << ": " << fault;
  };
  expect_named("message_bytes", fault_of([](Limits& limits) { limits.message_bytes = 0; }));
  const std::pair<std::string_view, std::uint32_t Limits::*> others[] = {
      {"message_fragments", &Limits::message_fragments},
      {"assembly_ms", &Limits::assembly_ms},
      {"handshake_ms", &Limits::handshake_ms},
      {"request_head_bytes", &Limits::request_head_bytes},
      {"request_target_bytes", &Limits::request_target_bytes},
      {"request_headers", &Limits::request_headers},
      {"response_head_bytes", &Limits::response_head_bytes},
      {"accepts_per_turn", &Limits::accepts_per_turn},
      {"tls_handshakes_per_turn", &Limits::tls_handshakes_per_turn},
      {"link_bytes_per_turn", &Limits::link_bytes_per_turn},
      {"link_messages_per_turn", &Limits::link_messages_per_turn},
      {"connections", &Limits::connections},
  };
  for (const auto& [name, limit] : others) {
    const auto set = [member = limit](Limits& limits) { limits.*member = 0; };
    expect_named(name, fault_of(set));
  }
}

TEST(Server, TakesAZeroThatHasAMeaning) {
  EXPECT_EQ(fault_of([](Limits& limits) {
              limits.assembly_bytes_per_s = limits.subscriptions = limits.publish_queue_bytes = 0;
              limits.queue_high_bytes = limits.queue_max_bytes = limits.connections_per_ip = 0;
              limits.ping_after_ms = limits.pong_wait_ms = limits.close_ms = 0;
              limits.linger_ms = limits.drain_ms = 0;
            }),
            "");
}

// Reading would never pause, and on_drain never come, before the connection is closed.
TEST(Server, RefusesAHighMarkAboveTheMaximum) {
  const std::string above =
      fault_of([](Limits& limits) { limits.queue_max_bytes = limits.queue_high_bytes - 1; });
  for (const char* part : {"queue_high_bytes", "queue_max_bytes", "raise"}) {
    EXPECT_NE(above.find(part), std::string::npos) << above;
  }
  EXPECT_EQ(fault_of([](Limits& limits) { limits.queue_max_bytes = limits.queue_high_bytes; }), "");
}

TEST(Server, APortInUseIsNamed) {
  const net::Listener holder = open_or_die(ip("127.0.0.1"));
  const std::string url = ws_url(holder.address().port(), "");
  Server server(listening({"ws://127.0.0.1:0", url}));
  const auto started = server.start();
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().message().find(url), std::string::npos) << started.error().message();
  EXPECT_EQ(started.error().message().find('\n'), std::string::npos);
  EXPECT_EQ(started.error().os_errno(), EADDRINUSE);
}

TEST(Server, TwoServersDoNotShareAPort) {
  TestServer server;
  Server second(listening({ws_url(server.port(false), "")}));
  EXPECT_FALSE(second.start());
}

// A handler that waits so long holds its thread up, but what it does with its own connection after
// that is as good as before.
TEST(Server, MayRunInAHandlerOfAnother) {
  TestServer outer(Limits{}, [](Conn& conn, const Message& message) {
    Server inner(listening({"ws://127.0.0.1:0"}));
    EXPECT_TRUE(inner.listen());  // from here on any thread may stop it
    std::thread stopper([&] {
      std::this_thread::sleep_for(50ms);
      inner.stop();
    });
    EXPECT_TRUE(inner.run());
    stopper.join();
    EXPECT_EQ(conn.send(message), SendStatus::kSent);
  });
  EXPECT_EQ(outer.serves(false), "");
}

// "errors: one line naming the listener or file and the cure. Then nothing runs."
TEST(Server, AFailedStartLeavesNothingBehind) {
  TestCerts directory;
  const std::string path = directory.path("wsd.sock");
  const std::uint16_t port = free_port();
  const net::Listener holder = open_or_die(ip("127.0.0.1"));
  const std::size_t descriptors = open_descriptors();
  Server server(
      listening({"ws+unix:" + path, ws_url(port, ""), ws_url(holder.address().port(), "")}));
  ASSERT_FALSE(server.start());
  EXPECT_FALSE(connect_tcp(port)) << "a listener is left";
  EXPECT_FALSE(connect_unix(path)) << "a listener is left";
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_TRUE(server.urls().empty());
}

TEST(Server, MayBeStartedOnceTheCauseIsGone) {
  std::optional<net::Listener> holder(open_or_die(ip("127.0.0.1")));
  const std::uint16_t port = holder->address().port();
  Server server(listening({"ws://127.0.0.1:0", ws_url(port, "")}));
  server.route("/*", {.on_open = {}, .on_message = echo, .on_close = {}});
  ASSERT_FALSE(server.start());
  holder.reset();
  ASSERT_TRUE(server.start());
  ASSERT_EQ(server.urls().size(), 2U);
  EXPECT_EQ(server.urls()[1], ws_url(port, ""));
  EXPECT_EQ(converse(connect_tcp(port), false), "");
}

TEST(Server, BadUrlsAndFilesAreRefusedByCheckAndByStart) {
  TestCerts certs;
  certs.make("one");
  certs.make("two");
  struct {
    ServerOptions options;
    std::string named;  // in the message
  } const kBad[] = {
      {listening({"http://127.0.0.1:0"}), "http://127.0.0.1:0"},
      {listening({"ws://example.com:80"}), "example.com"},
      {listening({"ws://127.0.0.1:99999"}), "99999"},
      {listening({"ws+unix:" + std::string(200, 'x')}), "xxx"},
      {with_certificate(certs.path("none.pem"), certs.key("one")), "none.pem"},
      {with_certificate(certs.cert("one"), certs.key("two")), "two.key"},
  };
  for (const auto& each : kBad) {
    Server server(each.options);
    const auto checked = server.check();
    ASSERT_FALSE(checked) << each.named;
    EXPECT_NE(checked.error().message().find(each.named), std::string::npos)
        << checked.error().message();
    const auto started = server.start();
    ASSERT_FALSE(started) << each.named;
    EXPECT_NE(started.error().message().find(each.named), std::string::npos)
        << started.error().message();
    EXPECT_EQ(started.error().message().find('\n'), std::string::npos);
  }
}

TEST(Server, CheckBindsNothing) {
  const std::uint16_t port = free_port();
  Server server(listening({ws_url(port, "")}));
  EXPECT_TRUE(server.check());
  EXPECT_FALSE(connect_tcp(port));
  EXPECT_TRUE(server.start()) << "and does not stand in the way";
}

// --- threads ---

class ServerThreads : public OverBothSchemes {};
INSTANTIATE_TEST_SUITE_P(Over, ServerThreads, testing::Bool(), scheme);

TEST_P(ServerThreads, SpreadConnectionsAndKeepEachOnOne) {
  std::mutex mutex;
  std::set<std::thread::id> all;
  std::map<std::string, std::set<std::thread::id>> of;  // by what the peer sends
  const Handlers handlers = {
      .on_open = {},
      .on_message =
          [&](Conn& conn, const Message& message) {
            const std::lock_guard lock(mutex);
            all.insert(std::this_thread::get_id());
            of[std::string(message.text())].insert(std::this_thread::get_id());
            conn.send(message);
          },
      .on_close = {}};
  TestServer server({.listen = {}, .tls = {}, .origins = {}, .threads = 3, .limits = {}}, handlers);
  constexpr int kPeers = 48;  // all on one of three threads: once in 3^47 runs
  std::vector<Peer> peers;
  for (int i = 0; i < kPeers; ++i) peers.push_back(server.peer(tls()));
  EXPECT_EQ(server.server().connections(), static_cast<std::size_t>(kPeers));
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < kPeers; ++i) {
      const std::string number = std::to_string(i);
      EXPECT_EQ(
          peers[static_cast<std::size_t>(i)].play(Script().sends(text(number)).gets_text(number)),
          "");
    }
  }
  for (Peer& peer : peers) EXPECT_EQ(peer.play(Script().bye()), "");
  peers.clear();
  EXPECT_TRUE(server.has_connections(0));
  server.stop_and_wait();
  EXPECT_GE(all.size(), 2U);
  for (const auto& [number, threads] : of) EXPECT_EQ(threads.size(), 1U) << number;
}

// --- Unix sockets ---

class ServerOnUnixSocket : public OverBothSchemes {
 protected:
  std::string url(const std::string& path) const {
    return (tls() ? "wss+unix:" : "ws+unix:") + path;
  }
};
INSTANTIATE_TEST_SUITE_P(Over, ServerOnUnixSocket, testing::Bool(), scheme);

TEST_P(ServerOnUnixSocket, ServesAndRemovesItsFile) {
  TestCerts directory;
  const std::string path = directory.path("wsd.sock");
  for (const unsigned threads : {1U, 3U}) {
    ServerOptions options = listening({url(path)});
    options.threads = threads;
    {
      Journal journal;
      TestServer server(options, journal.handlers());
      EXPECT_EQ(server.server().urls().at(0), url(path));
      for (int i = 0; i < 20; ++i) EXPECT_EQ(converse(connect_unix(path), tls()), "");
      EXPECT_EQ(journal.closings(20).size(), 20U);
      server.stop_and_wait();
      EXPECT_FALSE(std::filesystem::exists(path)) << threads;
    }
    EXPECT_FALSE(std::filesystem::exists(path)) << threads;
  }
}

// "per-IP limit": a Unix peer has no address.
TEST_P(ServerOnUnixSocket, IsNoAddressToCountBy) {
  TestCerts directory;
  const std::string path = directory.path("wsd.sock");
  ServerOptions options = listening({url(path)});
  options.limits.connections_per_ip = 1;
  TestServer server(options, {.on_open = {}, .on_message = echo, .on_close = {}});
  RawPeer one(connect_unix(path), tls());
  one.upgrade();
  EXPECT_EQ(converse(connect_unix(path), tls()), "");
}

TEST_P(ServerOnUnixSocket, AStaleFileIsReplacedALiveOneIsInUse) {
  TestCerts directory;
  const std::string path = directory.path("wsd.sock");
  {
    TestServer server(listening({url(path)}), {});
    Server second(listening({url(path)}));
    const auto started = second.start();
    ASSERT_FALSE(started);
    EXPECT_NE(started.error().message().find(path), std::string::npos);
    EXPECT_TRUE(connect_unix(path)) << "the first one lives on";
  }
  directory.write("wsd.sock", "somebody's file");
  Server third(listening({url(path)}));
  EXPECT_FALSE(third.start());
  EXPECT_EQ(TestCerts::read(path), "somebody's file");
}

// --- certificates ---

std::string common_name_at(std::uint16_t port) {
  const core::Fd fd = connect_tcp(port);
  TlsClient client;
  return fd && client.handshake(fd.get()) ? client.server_common_name() : "no handshake";
}

// Puts the certificate of `name` where the server looks for its own.
void install(const TestCerts& certs, const std::string& name) {
  certs.write("live.pem", TestCerts::read(certs.cert(name)));
  certs.write("live.key", TestCerts::read(certs.key(name)));
}

ServerOptions with_live_certificate(const TestCerts& certs) {
  return with_certificate(certs.path("live.pem"), certs.path("live.key"));
}

const Handlers kEcho = {.on_open = {}, .on_message = echo, .on_close = {}};

TEST(ServerCertificates, OneIsMadeWhenNoneIsGiven) {
  TestServer server;
  EXPECT_TRUE(server.server().certificate_self_signed());
  EXPECT_EQ(server.server().certificate_fingerprint().size(), 95U) << "32 pairs and 31 colons";
  TestServer plain(listening({"ws://127.0.0.1:0"}), {});
  EXPECT_EQ(plain.server().certificate_fingerprint(), "");
  EXPECT_FALSE(plain.server().certificate_self_signed());
  EXPECT_TRUE(plain.server().reload_tls()) << "nothing to do, nothing to fail";
}

TEST(ServerCertificates, AReloadServesTheNewOneAndKeepsOpenConnections) {
  TestCerts certs;
  certs.make("old");
  certs.make("new");
  install(certs, "old");
  TestServer server(with_live_certificate(certs), kEcho);
  const std::string fingerprint = server.server().certificate_fingerprint();
  EXPECT_FALSE(server.server().certificate_self_signed());
  EXPECT_EQ(common_name_at(server.port(true)), "old");
  Peer peer = server.peer(true);

  install(certs, "new");
  ASSERT_TRUE(server.server().reload_tls());
  EXPECT_NE(server.server().certificate_fingerprint(), fingerprint);
  EXPECT_TRUE(eventually([&] { return common_name_at(server.port(true)) == "new"; }));
  EXPECT_EQ(peer.play(Script().sends(text("still")).gets_text("still").bye()), "");
}

TEST(ServerCertificates, AFailedReloadKeepsTheOldOne) {
  TestCerts certs;
  certs.make("old");
  certs.make("new");
  install(certs, "old");
  TestServer server(with_live_certificate(certs), kEcho);
  const std::string fingerprint = server.server().certificate_fingerprint();

  certs.write("live.pem", TestCerts::read(certs.cert("new")));  // and the key is the old one's
  const auto mismatch = server.server().reload_tls();
  ASSERT_FALSE(mismatch);
  EXPECT_NE(mismatch.error().message().find("live.key"), std::string::npos)
      << mismatch.error().message();
  certs.write("live.pem", "this is no PEM");
  EXPECT_FALSE(server.server().reload_tls());
  std::filesystem::remove(certs.path("live.pem"));
  EXPECT_FALSE(server.server().reload_tls());
  EXPECT_EQ(server.server().certificate_fingerprint(), fingerprint);
  EXPECT_EQ(common_name_at(server.port(true)), "old");
  EXPECT_EQ(server.serves(true), "");
}

// P15: "0 failed handshakes on reload".
TEST(ServerCertificates, ReloadsUnderLoadFailNobody) {
  TestCerts certs;
  certs.make("odd");
  certs.make("even");
  install(certs, "even");
  ServerOptions options = with_live_certificate(certs);
  options.threads = 2;
  TestServer server(options, kEcho);
  std::atomic<bool> done = false;
  std::atomic<int> served = 0;
  std::vector<std::thread> clients;
  for (int i = 0; i < 2; ++i) {
    clients.emplace_back([&] {
      while (!done) {
        EXPECT_EQ(server.serves(true), "");
        ++served;
      }
    });
  }
  for (int i = 0; i < 40 || served < 20; ++i) {
    if (i % 4 == 3) {
      certs.write("live.pem", "broken");
      EXPECT_FALSE(server.server().reload_tls());
    }
    install(certs, i % 2 == 0 ? "odd" : "even");
    EXPECT_TRUE(server.server().reload_tls());
    std::this_thread::sleep_for(5ms);
  }
  done = true;
  for (std::thread& client : clients) client.join();
}

}  // namespace
}  // namespace ws::test
