// Upgrades that are decided later: Defer and Server::answer() (ws/request.h, ws/server.h).
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/support/raw_peer.h"
#include "tests/support/test_server.h"
#include "tests/support/tls_client.h"

namespace ws::test {
namespace {

// The ids of those who wait for an answer, from the server's threads to the test's.
class Waiting {
 public:
  void add(ConnId id) {
    const std::lock_guard lock(mutex_);
    ids_.push_back(id);
    changed_.notify_one();
  }
  ConnId next() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(20), [&] { return !ids_.empty(); })) {
      ADD_FAILURE() << "nobody asks";
      return {};
    }
    const ConnId id = ids_.front();
    ids_.pop_front();
    return id;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<ConnId> ids_;
};

class DeferredUpgrade : public OverBothSchemes {
 protected:
  // A server that defers everything but /now.
  std::unique_ptr<TestServer> make(const Limits& limits = {}, unsigned threads = 1) {
    Handlers handlers = journal.handlers();
    handlers.on_upgrade = [this](const ws::Request& request) -> Upgrade {
      if (request.path == "/now") return Accept{};
      waiting.add(request.id);
      return Defer{};
    };
    return std::make_unique<TestServer>(ServerOptions{.threads = threads, .limits = limits},
                                        handlers);
  }
  // A client that has asked.
  static std::unique_ptr<Stream> ask(const TestServer& server, bool tls,
                                     const std::string& behind = {}) {
    auto stream = server.connect(tls);
    EXPECT_TRUE(stream != nullptr && stream->write(Request().str() + behind));
    return stream;
  }

  Journal journal;
  Waiting waiting;
};
INSTANTIATE_TEST_SUITE_P(Over, DeferredUpgrade, testing::Bool(), scheme);

TEST_P(DeferredUpgrade, IsAnsweredFromAnotherThread) {
  const auto server = make();
  const auto stream = ask(*server, tls());
  const ConnId id = waiting.next();
  Client client(*stream);
  EXPECT_EQ(client.play(Script().silent(50)), "") << "before the answer";
  server->server().answer(id, Accept{.headers = {{"X-Late", "1"}}});
  Answer answer;
  EXPECT_EQ(client.read_answer(answer, 20'000), "");
  EXPECT_EQ(answer.status, 101);
  EXPECT_EQ(answer.header("X-Late"), "1");
  EXPECT_EQ(client.play(Script().sends(text("hi")).gets_text("hi").bye()), "");
  stream->half_close();
  const auto closings = journal.closings(1);
  ASSERT_EQ(closings.size(), 1U);
  EXPECT_EQ(closings[0].id, id.packed()) << "the id stays";
  EXPECT_EQ(journal.order(id.packed()), "omc");
}

TEST_P(DeferredUpgrade, ServesWhatFollowedTheRequestBehindThe101) {
  const auto server = make();
  const auto stream = ask(*server, tls(), text("one") + ping("p") + first(kBinary, "tw"));
  server->server().answer(waiting.next(), Accept{});
  EXPECT_EQ(Client(*stream).play(Script()
                                     .upgraded()
                                     .gets_text("one")
                                     .gets_pong("p")
                                     .sends(last("o"))
                                     .gets_binary("two")
                                     .bye()),
            "");
}

// More than a read takes, sent while the program thinks.
TEST_P(DeferredUpgrade, LosesNothingOfAMegabyteSentEarly) {
  const auto server = make();
  RawPeer peer(connect_tcp(server->port(tls())), tls());
  peer.queue(Request().str());
  peer.push(20'000);
  const ConnId id = waiting.next();
  std::string wanted;
  for (int i = 0; i < 100; ++i) {
    const std::string payload(10'000, static_cast<char>('a' + i % 26));
    peer.queue(binary(payload));
    wanted += server_frame(kBinary, payload);
  }
  peer.push(50);
  EXPECT_EQ(journal.messages(), 0U);
  server->server().answer(id, Accept{});
  std::string got;
  while (got.find("\r\n\r\n") == std::string::npos) got += peer.exchange(1);
  const std::size_t head = got.find("\r\n\r\n") + 4;
  got += peer.exchange(wanted.size() - (got.size() - head));
  EXPECT_TRUE(got.starts_with("HTTP/1.1 101 "));
  EXPECT_TRUE(got.substr(head) == wanted);
}

TEST_P(DeferredUpgrade, MayBeRejected) {
  const auto server = make();
  const auto stream = ask(*server, tls(), text("early"));
  server->server().answer(waiting.next(), Reject{.status = 401, .body = "no"});
  Client client(*stream);
  Answer answer;
  EXPECT_EQ(client.read_answer(answer, 20'000), "");
  EXPECT_EQ(answer.status, 401);
  EXPECT_EQ(answer.body, "no");
  EXPECT_EQ(client.read_end(20'000), "");
  stream->half_close();
  EXPECT_TRUE(server->has_connections(0));
  EXPECT_EQ(journal.opens(), 0U);
}

TEST_P(DeferredUpgrade, CannotSayWhatCannotBeSentEither) {
  const auto server = make();
  const auto stream = ask(*server, tls());
  server->server().answer(waiting.next(), Accept{.headers = {{"X", "a\r\nEvil: 1"}}});
  EXPECT_EQ(Client(*stream).play(Script().refused(500)), "");
}

TEST_P(DeferredUpgrade, OnlyTheFirstAnswerCounts) {
  const auto server = make();
  const auto accepted = ask(*server, tls());
  const ConnId id = waiting.next();
  server->server().answer(id, Accept{});
  server->server().answer(id, Reject{});
  server->server().answer(id, Accept{});
  Client client(*accepted);
  EXPECT_EQ(client.play(Script().upgraded().sends(text("x")).gets_text("x")), "");
  server->server().answer(id, Reject{});
  EXPECT_EQ(client.play(Script().sends(text("y")).gets_text("y").bye()), "");

  const auto rejected = ask(*server, tls());
  const ConnId other = waiting.next();
  server->server().answer(other, Reject{.status = 404});
  server->server().answer(other, Accept{});
  EXPECT_EQ(Client(*rejected).play(Script().refused(404)), "");
  EXPECT_EQ(journal.opens(), 1U);
}

TEST_P(DeferredUpgrade, MayBeDeferredAgain) {
  const auto server = make();
  const auto stream = ask(*server, tls());
  const ConnId id = waiting.next();
  server->server().answer(id, Defer{});
  server->server().answer(id, Accept{});
  EXPECT_EQ(Client(*stream).play(Script().upgraded().bye()), "");
}

TEST_P(DeferredUpgrade, AnAnswerToOneWhoHasGoneIsHarmless) {
  const auto server = make();
  const auto data = std::make_shared<int>(1);
  for (const bool politely : {true, false}) {
    auto stream = ask(*server, tls());
    const ConnId id = waiting.next();
    if (politely) {
      stream.reset();
    } else {
      stream->reset();
    }
    EXPECT_TRUE(server->has_connections(0)) << "nobody waits for those who have gone";
    server->server().answer(id, Accept{.data = data});
  }
  // The next to come has the same slot, but not the same id.
  const auto next = ask(*server, tls());
  const ConnId id = waiting.next();
  EXPECT_TRUE(eventually([&] { return data.use_count() == 1; })) << "the answer is gone with them";
  EXPECT_EQ(journal.opens(), 0U);
  server->server().answer(ConnId{}, Accept{});
  server->server().answer(ConnId{0xffffffff, 7}, Accept{});
  server->server().answer(id, Accept{});
  EXPECT_EQ(Client(*next).play(Script().upgraded().bye()), "");
}

// RFC 8446 6.1: after a close_notify "any data received after a closure alert has been received
// MUST be ignored"; here it comes with the request, and no FIN does.
TEST(DeferredUpgradeOverTls, ACloseNotifyWithTheRequestIsAnEndToo) {
  Limits limits;
  limits.handshake_ms = 60'000;  // not the deadline's doing
  for (const std::string& behind : {std::string(), text("x")}) {
    TestServer server(Handlers{.on_upgrade = [](const ws::Request&) { return Upgrade(Defer{}); }},
                      limits);
    const core::Fd fd = connect_tcp(server.port(true));
    TlsClient client;
    ASSERT_TRUE(fd && client.handshake(fd.get()));
    (void)client.take();
    client.write(Request().str() + behind);
    client.close_notify();
    const std::string all = client.take();
    ASSERT_EQ(::send(fd.get(), all.data(), all.size(), 0), static_cast<ssize_t>(all.size()));
    EXPECT_TRUE(server.has_connections(0)) << behind.size();
  }
}

TEST_P(DeferredUpgrade, MayBeAnsweredBeforeTheHookReturns) {
  TestServer* self = nullptr;
  Handlers handlers;
  handlers.on_upgrade = [&](const ws::Request& request) -> Upgrade {
    self->server().answer(request.id, Accept{.headers = {{"X-Soon", "1"}}});
    return Defer{};
  };
  TestServer server(handlers);
  self = &server;
  Peer peer = server.peer(tls());
  EXPECT_EQ(peer.play(Script().bye()), "");
}

// "If it has not when Limits::handshake_ms are over since the connection was accepted, the answer
// is 503."
TEST_P(DeferredUpgrade, IsA503AtTheDeadline) {
  Limits limits;
  limits.handshake_ms = 400;
  const auto server = make(limits);
  const auto start = std::chrono::steady_clock::now();
  const auto stream = ask(*server, tls());
  Client client(*stream);
  const ConnId id = waiting.next();
  Answer answer;
  EXPECT_EQ(client.read_answer(answer, 20'000), "");
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(350));
  EXPECT_EQ(answer.status, 503);
  EXPECT_TRUE(answer.header("Retry-After").has_value());
  server->server().answer(id, Accept{});
  EXPECT_EQ(client.read_end(20'000), "");
  EXPECT_EQ(journal.opens(), 0U);
}

TEST_P(DeferredUpgrade, HoldsNobodyElseUp) {
  const auto server = make();
  const auto stream = ask(*server, tls());
  const ConnId id = waiting.next();
  const auto other = server->connect(tls());
  ASSERT_NE(other, nullptr);
  Request now;
  now.line = "GET /now HTTP/1.1";
  EXPECT_EQ(Client(*other).play(
                Script().sends(now.str()).upgraded().sends(text("x")).gets_text("x").bye()),
            "");
  server->server().answer(id, Accept{});
  EXPECT_EQ(Client(*stream).play(Script().upgraded().bye()), "");
}

TEST_P(DeferredUpgrade, IsA503WhenTheServerStops) {
  const auto server = make();
  const auto stream = ask(*server, tls());
  const ConnId id = waiting.next();
  server->server().stop();
  server->server().answer(id, Accept{});
  Client client(*stream);
  Answer answer;
  EXPECT_EQ(client.read_answer(answer, 20'000), "");
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(client.read_end(20'000), "");
  stream->half_close();
  server->server().wait();
  server->server().answer(id, Accept{});
  EXPECT_EQ(journal.opens(), 0U);
}

TEST_P(DeferredUpgrade, MayBeAnsweredFromFourThreadsAtOnce) {
  const auto server = make({}, 2);
  constexpr int kPeers = 40;
  std::vector<std::thread> answering;
  std::atomic<int> answered = 0;
  for (int i = 0; i < 4; ++i) {
    answering.emplace_back([&] {
      while (answered.fetch_add(1) < kPeers) {
        const ConnId id = waiting.next();
        if (id.index % 3 == 0) {
          server->server().answer(id, Reject{});
        } else {
          server->server().answer(id, Accept{});
        }
        server->server().answer(id, Accept{});
      }
    });
  }
  std::vector<std::unique_ptr<Stream>> streams;
  for (int i = 0; i < kPeers; ++i) streams.push_back(ask(*server, tls()));
  std::size_t opened = 0;
  for (const auto& stream : streams) {
    Answer answer;
    EXPECT_EQ(Client(*stream).read_answer(answer, 20'000), "");
    EXPECT_TRUE(answer.status == 101 || answer.status == 403) << answer.status;
    if (answer.status == 101) ++opened;
  }
  for (std::thread& thread : answering) thread.join();
  streams.clear();
  EXPECT_TRUE(server->has_connections(0));
  EXPECT_EQ(journal.opens(), opened);
  EXPECT_EQ(journal.closings(opened).size(), opened);
}

}  // namespace
}  // namespace ws::test
