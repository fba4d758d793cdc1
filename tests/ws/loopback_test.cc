// Server and clients in memory: every deadline by the virtual clock, without any real waiting.
#include "ws/loopback.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "ws/ws.h"

namespace ws::test {
namespace {

// What happened, in order, with the virtual time of it; "S" is the server's side, "C" a client's.
struct LoopbackScene {
  explicit LoopbackScene(ServerOptions server_options = {}, ClientOptions client_options = {})
      : net(std::move(server_options), std::move(client_options)) {}

  void note(const std::string& what) { log += std::to_string(now) + ":" + what + " "; }
  Handlers handlers(const std::string& side, ConnId* id = nullptr) {
    return {
        .on_open =
            [this, side, id](Conn& conn) {
              if (id != nullptr) *id = conn.id();
              note(side + "open");
            },
        .on_message = [this, side](Conn&, const Message& m) { note(side + std::string(m.text())); },
        .on_ping = [this, side](Conn&, auto) { note(side + "ping"); },
        .on_pong = [this, side](Conn&, auto) { note(side + "pong"); },
        .on_close =
            [this, side](Conn&, const Close& why) {
              note(side + "close" + std::to_string(static_cast<int>(why.code)) + "/" +
                   std::string(to_string(why.cause)));
            }};
  }
  // Both ends of a connection that is open.
  void open() {
    net.route("/*", handlers("S", &served));
    ASSERT_TRUE(net.connect("ws://test/", {}, handlers("C", &client)));
    net.run();
    ASSERT_EQ(log, "0:Sopen 0:Copen ");
    log.clear();
  }
  void advance(std::uint32_t ms) {
    for (std::uint32_t left = ms; left > 0;) {
      const std::uint32_t step = std::min(left, 10U);
      now += step;
      net.advance(step);
      left -= step;
    }
  }

  std::uint32_t now = 0;
  std::string log;
  ConnId served, client;
  Loopback net;  // last, so destroyed first: it calls the handlers above
};

// --- the whole engine ---

TEST(Loopback, NothingHappensOutsideRun) {
  LoopbackScene scene;
  scene.net.route("/", scene.handlers("S"));
  ASSERT_TRUE(scene.net.connect("ws://test/", {}, scene.handlers("C")));
  EXPECT_EQ(scene.log, "");
  scene.net.run();
  EXPECT_EQ(scene.log, "0:Sopen 0:Copen ");
}

TEST(Loopback, RoutesRequestsMessagesAndClose) {
  Loopback net;
  std::string log;
  net.route("/chat/:room", {.on_upgrade =
                                [&](const ws::Request& request) {
                                  log += std::string(request.param("room")) + "?" +
                                         std::string(request.query) + " " +
                                         std::string(request.header("X-Who")) + " ";
                                  return Upgrade(Accept{.subprotocol = "b"});
                                },
                            .on_message = [](Conn& conn, const Message& m) { conn.send(m); },
                            .on_close =
                                [&](Conn&, const Close& why) {
                                  log += "S" + std::to_string(static_cast<int>(why.code)) +
                                         std::string(why.reason) + " ";
                                }});
  ASSERT_TRUE(net.connect("ws://anything/chat/7?x=1",
                          {.subprotocols = {"a", "b"}, .headers = {{"X-Who", "me"}}},
                          {.on_open =
                               [&](Conn& conn) {
                                 log += std::string(conn.subprotocol()) + " ";
                                 conn.send("hello");
                               },
                           .on_message =
                               [&](Conn& conn, const Message& m) {
                                 log += std::string(m.text()) + " ";
                                 conn.close(static_cast<CloseCode>(4000), "bye");
                               },
                           .on_close =
                               [&](Conn&, const Close& why) {
                                 log += "C" + std::to_string(static_cast<int>(why.code)) + " ";
                               }}));
  net.run();
  EXPECT_TRUE(log.starts_with("7?x=1 me b hello ")) << log;
  EXPECT_NE(log.find("S4000bye "), std::string::npos) << log;
  EXPECT_NE(log.find("C4000 "), std::string::npos) << log;
  EXPECT_EQ(log.size(), 32U) << log;
  EXPECT_EQ(net.stats().opened, 2U);
  EXPECT_EQ(net.stats().connections, 0U);
}

TEST(Loopback, RefusesWhatAClientRefuses) {
  Loopback net;
  EXPECT_FALSE(net.connect("http://test/", {}, {}));
  EXPECT_FALSE(net.connect("wss://test/", {}, {})) << "there is no TLS in memory";
  EXPECT_FALSE(net.connect("ws://test/", {.subprotocols = {"a b"}}, {}));
  EXPECT_FALSE(net.connect("ws://test/", {.headers = {{"Host", "x"}}}, {}));
  EXPECT_FALSE(net.connect("ws://test/", {.extensions = {nullptr}}, {}));
}

TEST(Loopback, AnUpgradeCanBeDeferredAndItsDeadlineApplies) {
  LoopbackScene scene;
  std::vector<ConnId> asked;
  scene.net.route("/", {.on_upgrade =
                            [&](const ws::Request& request) {
                              asked.push_back(request.id);
                              return Upgrade(Defer{});
                            },
                        .on_open = [&](Conn&) { scene.note("Sopen"); }});
  const auto failed = [&](const ConnectFailure& why) {
    scene.note("failed" + std::to_string(why.status));
  };
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(scene.net.connect("ws://test/", {.on_failure = failed}, scene.handlers("C")));
  }
  scene.net.run();
  ASSERT_EQ(asked.size(), 2U);
  scene.net.answer(asked[0], Accept{});
  scene.net.run();
  EXPECT_EQ(scene.log, "0:Sopen 0:Copen ");
  scene.log.clear();
  scene.advance(9990);
  EXPECT_EQ(scene.log, "");
  scene.advance(10);
  // Both ends have the same deadline.
  EXPECT_TRUE(scene.log == "10000:failed503 " || scene.log == "10000:failed0 ") << scene.log;
  scene.net.answer(asked[1], Accept{});
  scene.net.run();
}

TEST(Loopback, PublishesToSubscribers) {
  LoopbackScene scene;
  scene.net.topic("news", {.slow_consumer = SlowConsumer::kDropNewest});
  scene.net.route("/", {.on_open = [](Conn& conn) { conn.subscribe("news"); }});
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(scene.net.connect("ws://test/", {}, scene.handlers("C" + std::to_string(i))));
  }
  scene.net.run();
  scene.log.clear();
  EXPECT_TRUE(scene.net.publish("news", "x"));
  EXPECT_EQ(scene.log, "");
  scene.net.run();
  EXPECT_EQ(scene.log, "0:C0x 0:C1x 0:C2x ");
  EXPECT_EQ(scene.net.topic_stats("news").delivered, 3U);
}

TEST(Loopback, CompressesAsAgreed) {
  ServerOptions server;
  server.deflate.mode = DeflateMode::kTakeover;
  ClientOptions client;
  client.deflate.mode = DeflateMode::kTakeover;
  Loopback net(server, client);
  std::size_t got = 0;
  const std::string text(100'000, 'x');
  net.route("/", {.on_message = [](Conn& conn, const Message& m) { conn.send(m); }});
  ASSERT_TRUE(net.connect("ws://test/", {},
                          {.on_open = [&](Conn& conn) { conn.send(text); },
                           .on_message = [&](Conn&, const Message& m) { got = m.bytes.size(); }}));
  net.run();
  EXPECT_EQ(got, text.size());
  EXPECT_LT(net.stats().bytes_sent, 5000U);
}

// --- time ---

TEST(Loopback, PingsAfter30SecondsOfSilence) {
  LoopbackScene scene;
  scene.open();
  scene.advance(29'990);
  EXPECT_EQ(scene.log, "");
  scene.advance(10);
  EXPECT_NE(scene.log.find("30000:Sping"), std::string::npos) << scene.log;
  EXPECT_NE(scene.log.find("30000:Cpong"), std::string::npos) << scene.log;
  scene.log.clear();
  scene.advance(3'600'000);
  EXPECT_EQ(scene.log.find("close"), std::string::npos) << "an hour of keep-alive";
  EXPECT_GT(std::count(scene.log.begin(), scene.log.end(), ' '), 200);
}

// "0: a ping every pong_wait_ms; UINT32_MAX: no keep-alive".
TEST(Loopback, KeepAliveHasItsExtremes) {
  LoopbackScene eager({.limits = {.ping_after_ms = 0, .pong_wait_ms = 1000}});
  eager.net.route("/*", eager.handlers("S"));
  ASSERT_TRUE(eager.net.connect("ws://test/", {}, eager.handlers("C")));
  eager.advance(3500);
  std::size_t pings = 0;
  for (auto at = eager.log.find("Cping"); at != std::string::npos;
       at = eager.log.find("Cping", at + 1)) {
    ++pings;
  }
  EXPECT_GE(pings, 3U) << eager.log;
  EXPECT_LE(pings, 5U) << eager.log;
  LoopbackScene never({.limits = {.ping_after_ms = UINT32_MAX}});
  never.open();
  for (int day = 0; day < 40; ++day) never.net.advance(24U * 3'600'000);
  EXPECT_EQ(never.log, "");
}

// A peer whose end is not heard: its client pauses, and so answers nothing.
TEST(Loopback, WhoDoesNotAnswerIsClosedAfter50Seconds) {
  LoopbackScene scene;
  scene.open();
  scene.net.post(scene.client, [](Conn& conn) { conn.pause_reading(); });
  scene.advance(50'000);
  EXPECT_EQ(scene.log, "");
  // Its Close is out; then it has 2 seconds to end TCP.
  scene.advance(2000);
  EXPECT_EQ(scene.log, "52000:Sclose1008/timeout ");
}

TEST(Loopback, AClosingHandshakeHas5Seconds) {
  LoopbackScene scene;
  scene.open();
  scene.net.post(scene.client, [](Conn& conn) { conn.pause_reading(); });
  scene.net.post(scene.served, [](Conn& conn) { conn.close(); });
  scene.advance(4990);
  EXPECT_EQ(scene.log, "");
  // Then 2 more for the peer's FIN.
  scene.advance(2020);
  EXPECT_NE(scene.log.find("Sclose1000/timeout"), std::string::npos) << scene.log;
}

TEST(Loopback, AMessageHas30SecondsUnlessItFlows) {
  LoopbackScene scene;
  scene.open();
  scene.net.post(scene.client, [](Conn& conn) {
    conn.begin(MessageType::kText);
    conn.append("never whole");
  });
  scene.advance(29'990);
  EXPECT_EQ(scene.log.find("close"), std::string::npos) << scene.log;
  scene.advance(20);
  EXPECT_NE(scene.log.find("Sclose1008/timeout"), std::string::npos) << scene.log;
  EXPECT_NE(scene.log.find("Cclose1008/peer"), std::string::npos) << scene.log;
}

TEST(Loopback, AnOpeningHas10Seconds) {
  LoopbackScene scene;
  scene.net.route("/", {.on_upgrade = [](const ws::Request&) { return Upgrade(Defer{}); }});
  ASSERT_TRUE(scene.net.connect(
      "ws://test/", {.on_failure = [&](const ConnectFailure&) { scene.note("failed"); }}, {}));
  scene.advance(20'000);
  EXPECT_EQ(scene.log, "10000:failed ");
}

TEST(Loopback, ADayPassesInNoTime) {
  const auto start = std::chrono::steady_clock::now();
  LoopbackScene scene;
  scene.open();
  scene.net.advance(24 * 3600 * 1000);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  EXPECT_EQ(scene.log.find("close"), std::string::npos);
}

TEST(Loopback, TimePassesOnlyByAdvance) {
  LoopbackScene scene({.limits = {.ping_after_ms = 5}}, {.limits = {.ping_after_ms = 5}});
  scene.open();
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  scene.net.run();
  EXPECT_EQ(scene.log, "");
  scene.advance(10);
  EXPECT_NE(scene.log, "");
}

// --- slow consumers ---

TEST(Loopback, ASmallPipeMakesSlowConsumers) {
  LoopbackScene scene;
  scene.net.set_pipe_bytes(1000);
  scene.open();
  std::vector<SendStatus> sent;
  scene.net.post(scene.client, [](Conn& conn) { conn.pause_reading(); });
  scene.net.run();
  scene.net.post(scene.served, [&](Conn& conn) {
    for (int i = 0; i < 3; ++i) sent.push_back(conn.send(std::string(100'000, 'x')));
    EXPECT_GT(conn.queued_bytes(), 300'000U - 1000U);
  });
  scene.net.run();
  ASSERT_EQ(sent.size(), 3U);
  EXPECT_EQ(sent[2], SendStatus::kQueued);
  EXPECT_EQ(scene.log, "");
  scene.net.post(scene.client, [](Conn& conn) { conn.resume_reading(); });
  scene.net.run();
  EXPECT_EQ(std::count(scene.log.begin(), scene.log.end(), 'C'), 3);
}

// As over TCP: a reset is told to who writes, too, not only to who reads.
TEST(Loopback, WhoDoesNotReadLearnsAtOnceThatNobodyTakesItsOutput) {
  Limits limits;
  limits.message_bytes = 1000;
  LoopbackScene scene({.limits = limits});
  scene.net.set_pipe_bytes(1000);
  scene.open();
  // Too large a message: the client refuses it, reads away so much of it, and is gone.
  scene.net.post(scene.served, [](Conn& conn) {
    conn.pause_reading();
    conn.send(std::string(2'000'000, 'x'));
  });
  scene.net.run();
  EXPECT_NE(scene.log.find("0:Cclose1009/protocol"), std::string::npos) << scene.log;
  EXPECT_NE(scene.log.find("0:Sclose1006/peer"), std::string::npos) << scene.log;
}

TEST(Loopback, APipeOfOneByteCarriesEverythingStill) {
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{7}}) {
    Loopback net;
    net.set_pipe_bytes(bytes);
    std::size_t got = 0;
    net.route("/", {.on_message = [](Conn& conn, const Message& m) { conn.send(m); }});
    ASSERT_TRUE(net.connect("ws://test/", {},
                            {.on_open = [&](Conn& conn) { conn.send(std::string(5000, 'x')); },
                             .on_message =
                                 [&](Conn& conn, const Message& m) {
                                   got = m.bytes.size();
                                   conn.close();
                                 }}));
    net.run();
    EXPECT_EQ(got, 5000U) << bytes;
    EXPECT_EQ(net.stats().connections, 0U);
  }
}

// --- ends ---

TEST(Loopback, ItsEndGivesOnCloseToEverybody) {
  std::string log;
  {
    Loopback net;
    const auto closes = [&](const char* side) {
      return Handlers{.on_close = [&log, side](Conn&, const Close&) { log += side; }};
    };
    net.route("/", closes("S"));
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(net.connect("ws://test/", {}, closes("C")));
    net.run();
    ASSERT_TRUE(net.connect("ws://test/", {}, closes("never opened")));
  }
  EXPECT_EQ(std::count(log.begin(), log.end(), 'S'), 3);
  EXPECT_EQ(std::count(log.begin(), log.end(), 'C'), 3);
  EXPECT_EQ(log.size(), 6U);
}

TEST(Loopback, ItsEndWaitsForNobodyWhoIsStuck) {
  for (const bool stop_first : {false, true}) {
    std::string log;
    {
      Loopback net;
      net.set_pipe_bytes(100);
      ConnId served;
      net.route("/", {.on_open =
                          [&](Conn& conn) {
                            served = conn.id();
                            conn.send(std::string(50'000, 'x'));
                          },
                      .on_close = [&](Conn&, const Close&) { log += 'S'; }});
      ASSERT_TRUE(
          net.connect("ws://test/", {},
                      {.on_open = [](Conn& conn) { conn.pause_reading(); },
                       .on_message = [](Conn& conn, const Message&) { conn.pause_reading(); },
                       .on_close = [&](Conn&, const Close&) { log += 'C'; }}));
      net.run();
      if (stop_first) net.stop();
      if (stop_first) net.run();
    }
    std::sort(log.begin(), log.end());
    EXPECT_EQ(log, "CS") << stop_first;
  }
}

TEST(Loopback, WhatItWasGivenGoesWithIt) {
  auto token = std::make_shared<int>(1);
  {
    Loopback net;
    net.route("/", {.on_open = [token](Conn&) {}});
    ASSERT_TRUE(net.connect("ws://test/", {}, {.on_open = [token](Conn&) {}}));
    net.run();
    ASSERT_TRUE(net.connect("ws://test/", {}, {.on_open = [token](Conn&) {}}));  // never run
    net.post(ConnId{}, [token](Conn&) {});
  }
  EXPECT_EQ(token.use_count(), 1);
}

TEST(Loopback, StopClosesBothSidesOnce) {
  LoopbackScene scene;
  scene.open();
  scene.net.stop(static_cast<CloseCode>(4002));
  scene.net.run();
  EXPECT_EQ(std::count(scene.log.begin(), scene.log.end(), ' '), 2) << scene.log;
  EXPECT_NE(scene.log.find("Sclose4002/shutdown"), std::string::npos) << scene.log;
  EXPECT_NE(scene.log.find("Cclose4002/shutdown"), std::string::npos) << scene.log;
}

// --- several of them ---

TEST(Loopback, TwoLiveSideBySideAndInsideEachOther) {
  Loopback outer, inner;
  std::string log;
  inner.route("/", {.on_message = [](Conn& conn, const Message& m) { conn.send(m); }});
  outer.route("/", {.on_message = [&](Conn& conn, const Message& m) {
                ASSERT_TRUE(inner.connect("ws://inner/", {},
                                          {.on_open = [&](Conn& c) { c.send(m); },
                                           .on_message =
                                               [&](Conn& c, const Message& echoed) {
                                                 log += "i" + std::string(echoed.text()) + " ";
                                                 c.close();
                                               }}));
                inner.run();
                conn.send(m);
              }});
  const auto client = [&](const char* text) {
    return Handlers{
        .on_open = [text](Conn& conn) { conn.send(text); },
        .on_message = [&](Conn&, const Message& m) { log += "o" + std::string(m.text()) + " "; }};
  };
  ASSERT_TRUE(outer.connect("ws://outer/", {}, client("1")));
  ASSERT_TRUE(outer.connect("ws://outer/", {}, client("2")));
  outer.run();
  EXPECT_EQ(log.size(), 12U) << log;
  for (const char* part : {"i1 ", "i2 ", "o1 ", "o2 "}) {
    EXPECT_NE(log.find(part), std::string::npos) << log;
  }
}

TEST(Loopback, IsMadeForEachThreadThatWantsOne) {
  std::vector<std::thread> threads;
  std::vector<std::size_t> got(4);
  for (std::size_t t = 0; t < got.size(); ++t) {
    threads.emplace_back([&, t] {
      Loopback net;
      net.route("/", {.on_message = [](Conn& conn, const Message& m) { conn.send(m); }});
      for (int i = 0; i < 50; ++i) {
        EXPECT_TRUE(net.connect("ws://test/", {},
                                {.on_open = [](Conn& conn) { conn.send("x"); },
                                 .on_message =
                                     [&](Conn& conn, const Message&) {
                                       ++got[t];
                                       conn.close();
                                     }}));
      }
      net.run();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(got, std::vector<std::size_t>(4, 50));
}

// --- the same again ---

std::string long_story() {
  LoopbackScene scene;
  scene.net.set_pipe_bytes(300);
  scene.net.route("/*", [&] {
    Handlers handlers = scene.handlers("S");
    handlers.on_message = [&scene](Conn& conn, const Message& m) {
      scene.note("S" + std::to_string(m.bytes.size()));
      conn.send(m);
      if (m.bytes.size() == 700) conn.close(static_cast<CloseCode>(4100));
    };
    return handlers;
  }());
  std::vector<ConnId> ids(5);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    EXPECT_TRUE(scene.net.connect("ws://test/" + std::to_string(i), {},
                                  scene.handlers("C" + std::to_string(i) + ".", &ids[i])));
    scene.advance(1000);
  }
  for (int round = 0; round < 20; ++round) {
    scene.advance(7777);
    const ConnId id = ids[static_cast<std::size_t>(round) % ids.size()];
    scene.net.post(id, [round](Conn& conn) {
      conn.send(std::string(static_cast<std::size_t>(round) * 100, 'x'));
    });
  }
  scene.advance(120'000);
  scene.net.stop();
  scene.advance(20'000);
  return scene.log;
}

TEST(Loopback, TwoRunsTellTheSameStory) {
  const std::string story = long_story();
  EXPECT_GT(story.size(), 1000U);
  std::this_thread::sleep_for(std::chrono::milliseconds(37));  // the real clock does not count
  EXPECT_EQ(long_story(), story);
}

// What a program may not set is an error of connect(), as it is of a server's listen().
TEST(Loopback, OptionsThatCannotBeAreErrors) {
  Limits no_messages;
  no_messages.link_messages_per_turn = 0;
  const std::vector<std::shared_ptr<const ExtensionType>> null_extension(1);
  const DeflateOptions wide{.mode = DeflateMode::kOn, .window_bits = 16};
  EXPECT_FALSE(Loopback({.limits = no_messages}).connect("ws://x/", {}, {}));
  EXPECT_FALSE(Loopback({}, {.deflate = wide}).connect("ws://x/", {}, {}));
  EXPECT_FALSE(ws::Client({.deflate = wide}).connect("ws://127.0.0.1:1/", {}, {}));
  EXPECT_FALSE(Server({.extensions = null_extension}).check());
  EXPECT_FALSE(Loopback({.extensions = null_extension}).connect("ws://x/", {}, {}));
  EXPECT_FALSE(Loopback({.deflate = wide}).connect("ws://x/", {}, {}));
  const auto no_origin = Loopback({.origins = {"example.com"}}).connect("ws://x/", {}, {});
  ASSERT_FALSE(no_origin);
  EXPECT_NE(no_origin.error().message().find("example.com"), std::string::npos);
}

TEST(Loopback, RoutesThatCannotBeAreErrors) {
  for (const char* pattern : {"chat", "", "/*/more", "/:"}) {
    Loopback net;
    net.route(pattern, {});
    net.route("/good", {});
    const auto begun = net.connect("ws://x/good", {}, {});
    ASSERT_FALSE(begun) << pattern;
    EXPECT_NE(begun.error().message().find('"' + std::string(pattern) + '"'), std::string::npos)
        << begun.error().message();
  }
  Loopback net;
  net.route("/", {.origins = {"https://example.com/path"}});
  EXPECT_FALSE(net.connect("ws://x/", {}, {}));
}

// "Go on sending while queued_bytes() is at most Limits::queue_high_bytes, then wait for on_drain":
// whoever does that into an echo gets everything back. Were both ends to stop reading while they
// wait to write, neither would ever write again.
TEST(Loopback, PumpingIntoAnEchoComesToAnEnd) {
  constexpr std::size_t kTotalBytes = 40 << 20;  // more than a queue's maximum
  for (const bool client_pumps : {true, false}) {
    for (const std::size_t bytes : {100U, 16'384U}) {
      Loopback net;
      std::size_t left = kTotalBytes / bytes;
      std::size_t got = 0;
      const auto pump = [&](Conn& conn) {
        const std::string message(bytes, 'x');
        for (; left > 0 && conn.queued_bytes() <= Limits().queue_high_bytes; --left) {
          ASSERT_LE(conn.send(message), SendStatus::kQueued);
        }
      };
      Handlers pumps{.on_open = pump,
                     .on_message = [&](Conn&, const Message& m) { got += m.bytes.size(); },
                     .on_drain = pump};
      Handlers echoes{.on_message = [](Conn& conn, const Message& m) { conn.send(m); }};
      net.route("/*", client_pumps ? echoes : pumps);
      ASSERT_TRUE(net.connect("ws://test/", {}, client_pumps ? pumps : echoes));
      net.run();
      EXPECT_EQ(got, kTotalBytes / bytes * bytes) << client_pumps << ' ' << bytes;
    }
  }
}

}  // namespace
}  // namespace ws::test
