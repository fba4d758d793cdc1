// Topics: rules, subscriptions, who gets a message and in which order.
#include "ws/topics.h"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <string>
#include <string_view>

#include "tests/conformance/conformance.h"
#include "tests/support/hall.h"
#include "tests/support/raw_peer.h"
#include "tests/support/test_server.h"

namespace ws::test {
namespace {

using Guest = Hall::Guest;

TEST(TopicRules, ExactThenLongestPrefixThenAll) {
  TopicRules rules;
  for (const char* pattern : {"a*", "abc", "abc*", "ab*"}) rules.add(pattern, {});
  const auto rule_of = [&](std::string_view topic) { return rules.rule_for(topic).pattern; };
  EXPECT_EQ(rule_of("abc"), "abc");
  EXPECT_EQ(rule_of("abcd"), "abc*");
  EXPECT_EQ(rule_of("abd"), "ab*");
  EXPECT_EQ(rule_of("ab"), "ab*") << "nothing may follow the prefix";
  EXPECT_EQ(rule_of("a"), "a*");
  EXPECT_EQ(rule_of("b"), "*");
  EXPECT_EQ(rule_of("ABC"), "*");
  EXPECT_EQ(rule_of(""), "*");
}

TEST(TopicRules, ThoseWithoutARuleClose) {
  const TopicRules rules;
  EXPECT_EQ(rules.rule_for("any").options.slow_consumer, SlowConsumer::kClose);
}

TEST(TopicRules, ALaterOneReplacesAnEqualOne) {
  TopicRules rules;
  for (const char* pattern : {"a", "a*", "*"}) {
    rules.add(pattern, {.slow_consumer = SlowConsumer::kDropNewest});
    rules.add(pattern, {.slow_consumer = SlowConsumer::kKeepLatest, .waiting_bytes = 7});
  }
  for (const char* topic : {"a", "ab", "b"}) {
    EXPECT_EQ(rules.rule_for(topic).options.slow_consumer, SlowConsumer::kKeepLatest) << topic;
    EXPECT_EQ(rules.rule_for(topic).options.waiting_bytes, 7u) << topic;
  }
}

TEST(Topics, CountByRule) {
  Hall hall;
  hall.net.topic("news/*", {});
  hall.net.topic("news/local", {});
  Guest& a = hall.join("news/world");
  hall.join("news/world");
  hall.join("news/local");
  hall.join("weather");
  hall.publish("news/world", "1");
  hall.publish("news/nobody", "2");
  hall.publish("news/local", "3");
  hall.publish("weather", "4");
  hall.publish("weather", "5");
  const TopicStats world = hall.net.topic_stats("news/*");
  EXPECT_EQ(world.subscriptions, 2u);
  EXPECT_EQ(world.published, 2u);
  EXPECT_EQ(world.delivered, 2u);
  const TopicStats local = hall.net.topic_stats("news/local");
  EXPECT_EQ(local.subscriptions, 1u);
  EXPECT_EQ(local.published, 1u);
  EXPECT_EQ(local.delivered, 1u);
  const TopicStats others = hall.net.topic_stats("*");
  EXPECT_EQ(others.subscriptions, 1u);
  EXPECT_EQ(others.published, 2u);
  EXPECT_EQ(others.delivered, 2u);
  EXPECT_EQ(others.dropped + others.closed + world.dropped + world.closed, 0u);
  EXPECT_EQ(hall.net.topic_stats("weather").published, 0u) << "no pattern given to topic()";
  EXPECT_EQ(a.got, Strings{"1"});
}

TEST(Topics, SubscribingTwiceIsOnce) {
  Hall hall;
  Guest& guest = hall.join("t");
  hall.on(guest.id, [](Conn& conn) { EXPECT_TRUE(conn.subscribe("t")); });
  EXPECT_EQ(hall.net.topic_stats("*").subscriptions, 1u);
  hall.publish("t", "once");
  EXPECT_EQ(guest.got, Strings{"once"});
  hall.on(guest.id, [](Conn& conn) {
    EXPECT_TRUE(conn.unsubscribe("t"));
    EXPECT_FALSE(conn.unsubscribe("t"));
    EXPECT_FALSE(conn.unsubscribe("never"));
  });
  hall.publish("t", "again");
  EXPECT_EQ(guest.got, Strings{"once"});
  EXPECT_EQ(hall.net.topic_stats("*").subscriptions, 0u);
}

// Ten connections in ten topics, which leave one after another in an order that is different every
// time; after each step every topic reaches exactly those who are in it.
TEST(Topics, AreLeftInAnyOrder) {
  constexpr std::size_t kMany = 10;
  Hall hall;
  std::vector<Guest*> guests;
  std::array<std::array<bool, kMany>, kMany> in{};  // guest, topic
  for (std::size_t g = 0; g < kMany; ++g) guests.push_back(&hall.join(""));
  const auto change = [&](std::size_t g, std::size_t t) {
    const std::string topic = "t" + std::to_string(t);
    hall.on(guests[g]->id, [&](Conn& conn) {
      EXPECT_TRUE(in[g][t] ? conn.unsubscribe(topic) : conn.subscribe(topic));
    });
    in[g][t] = !in[g][t];
  };
  const auto check = [&] {
    std::size_t all = 0;
    for (std::size_t t = 0; t < kMany; ++t) {
      hall.publish("t" + std::to_string(t), std::to_string(t));
    }
    for (std::size_t g = 0; g < kMany; ++g) {
      Strings wanted;
      for (std::size_t t = 0; t < kMany; ++t) {
        if (in[g][t]) wanted.push_back(std::to_string(t));
      }
      all += wanted.size();
      ASSERT_EQ(std::exchange(guests[g]->got, {}), wanted) << g;
    }
    ASSERT_EQ(hall.net.topic_stats("*").subscriptions, all);
  };
  for (std::size_t i = 0; i < kMany * kMany; ++i) change(i % kMany, i / kMany);
  check();
  for (std::size_t i = 0; i < kMany * kMany; ++i) {
    const std::size_t at = i * 37 % (kMany * kMany);  // 37 and 100 have no common divisor
    change(at % kMany, at / kMany);
    if (i % 7 == 0) check();
  }
  check();
  for (std::size_t i = 0; i < kMany * kMany; i += 3) change(i % kMany, i / kMany);
  // Some end with all of theirs.
  for (const std::size_t g : {std::size_t{0}, kMany - 1, kMany / 2}) {
    hall.on(guests[g]->client, [](Conn& conn) { conn.close(); });
    hall.net.advance(5000);
    EXPECT_EQ(guests[g]->closed, CloseCode::kNormal);
    in[g] = {};
    check();
  }
}

TEST(Topics, AConnectionHasItsLimitOfThem) {
  Hall hall({.limits = {.subscriptions = 3}});
  Guest& guest = hall.join("1");
  hall.on(guest.id, [](Conn& conn) {
    EXPECT_TRUE(conn.subscribe("2"));
    EXPECT_TRUE(conn.subscribe("3"));
    EXPECT_FALSE(conn.subscribe("4"));
    EXPECT_TRUE(conn.subscribe("2")) << "it has that one";
    EXPECT_TRUE(conn.unsubscribe("1"));
    EXPECT_TRUE(conn.subscribe("4"));
    EXPECT_FALSE(conn.subscribe("1"));
  });
  for (const char* topic : {"1", "2", "3", "4"}) hall.publish(topic, topic);
  EXPECT_EQ(guest.got, (Strings{"2", "3", "4"}));
}

TEST(Topics, NothingIsSubscribedToByTheClosed) {
  Hall hall;
  Guest& guest = hall.join("");
  hall.on(guest.id, [](Conn& conn) {
    conn.close();
    EXPECT_FALSE(conn.subscribe("t"));
  });
  EXPECT_EQ(hall.net.topic_stats("*").subscriptions, 0u);
}

TEST(Topics, ConnPublishReachesAllButItself) {
  Hall hall;
  Guest& publisher = hall.join("t");
  Guest& other = hall.join("t");
  Guest& stranger = hall.join("u");
  hall.on(publisher.id, [&](Conn& conn) {
    EXPECT_TRUE(conn.publish("t", "not to me"));
    EXPECT_TRUE(hall.net.publish("t", "to all"));
    EXPECT_TRUE(conn.publish("u", "from outside"));
  });
  EXPECT_EQ(publisher.got, Strings{"to all"});
  EXPECT_EQ(other.got, (Strings{"not to me", "to all"}));
  EXPECT_EQ(stranger.got, Strings{"from outside"});
  EXPECT_EQ(hall.net.topic_stats("*").published, 3u);
  EXPECT_EQ(hall.net.topic_stats("*").delivered, 4u);
}

// Whatever the callback, and whether or not the connection of it can receive.
TEST(Topics, CanBePublishedToFromEveryHandler) {
  Hall hall;
  hall.serve({.on_upgrade = [&](const ws::Request&) -> Upgrade {
                hall.net.publish("log", "upgrade");
                return Accept{};
              },
              .on_open = [&](Conn& conn) { conn.publish("log", "open"); },
              .on_message = [&](Conn& conn, const Message&) { conn.publish("log", "message"); },
              .on_ping = [](Conn& conn, auto) { conn.publish("log", "ping"); },
              .on_close =
                  [&](Conn& conn, const Close&) {
                    conn.publish("log", "close");
                    hall.net.publish("log", "closed");
                  }});
  Guest& log = hall.join("log");
  log.got.clear();
  Guest& guest = hall.join("");
  hall.on(guest.client, [](Conn& conn) { conn.send("hello"); });
  hall.on(guest.client, [](Conn& conn) { conn.ping(); });
  hall.on(guest.client, [](Conn& conn) { conn.close(); });
  hall.net.advance(10);
  EXPECT_EQ(log.got, (Strings{"upgrade", "open", "message", "ping", "close", "closed"}));
}

TEST(Topics, KeepTheOrderOfAThreadHoweverItPublishes) {
  Hall hall;
  Guest& speaker = hall.join("t");
  Guest& listener = hall.join("t");
  Strings to_listener;
  Strings to_speaker;
  for (int turn = 0; turn < 3; ++turn) {
    hall.on(speaker.id, [&](Conn& conn) {
      for (int i = 0; i < 300; ++i) {
        const std::string message = std::to_string(turn) + "." + std::to_string(i);
        switch (i % 3) {
          case 0:
            hall.net.publish("t", message);
            break;
          case 1:
            conn.publish("t", message);
            break;
          default:
            conn.send(message);
        }
        if (i % 3 != 1) to_speaker.push_back(message);
        if (i % 3 != 2) to_listener.push_back(message);
      }
    });
  }
  EXPECT_EQ(speaker.got, to_speaker);
  EXPECT_EQ(listener.got, to_listener);
}

// RFC 6455 5.4: "The fragments of one message MUST NOT be interleaved between the fragments of
// another message".
TEST(Topics, WaitForTheEndOfAStreamedMessage) {
  for (const bool asleep : {false, true}) {
    Hall hall;
    hall.net.set_pipe_bytes(200);
    Guest& guest = asleep ? hall.join_asleep("t") : hall.join("t");
    const std::string part(150, 'x');
    hall.publish("t", "before");
    hall.on(guest.id, [&](Conn& conn) {
      conn.begin(MessageType::kText);
      hall.net.publish("t", "at its beginning");
      conn.append(part);
    });
    hall.publish("t", "within");
    hall.on(guest.id, [&](Conn& conn) {
      conn.send("sent");
      conn.ping("p");
      conn.append(part);
    });
    hall.publish("t", "within, later");
    hall.on(guest.id, [](Conn& conn) { conn.end(); });
    hall.publish("t", "after");
    hall.reads(guest);
    EXPECT_EQ(guest.got, (Strings{"before", "ping:p", part + part, "at its beginning", "within",
                                  "sent", "within, later", "after"}));
    EXPECT_EQ(hall.net.topic_stats("*").delivered, 5u);
  }
}

// A handler that publishes without end to its own connection must not gather it all.
TEST(Topics, ABurstToOneselfIsSentAsItGrows) {
  Hall hall({.limits = {.queue_high_bytes = 4096, .queue_max_bytes = 64 * 1024}});
  hall.net.topic("newest", {.slow_consumer = SlowConsumer::kDropNewest});
  hall.net.set_pipe_bytes(1'000'000);
  Guest& closed = hall.join("t");
  Guest& guest = hall.join("newest");
  const std::string kilobyte(1024, 'k');
  hall.on(guest.id, [&](Conn&) {
    for (int i = 0; i < 800; ++i) hall.net.publish("newest", kilobyte);
  });
  EXPECT_EQ(guest.got.size(), 800u);
  hall.on(closed.id, [&](Conn&) {
    for (int i = 0; i < 800; ++i) hall.net.publish("t", kilobyte);
  });
  EXPECT_EQ(closed.got.size(), 800u);
  EXPECT_FALSE(closed.closed);
}

TEST(Topics, AServerFarBehindSaysSo) {
  Hall hall({.limits = {.publish_queue_bytes = 20'000}});
  Guest& guest = hall.join("t");
  const std::string message(1'000, 'm');
  std::size_t accepted = 0;
  while (accepted < 1'000 && hall.net.publish("t", message)) ++accepted;
  EXPECT_GE(accepted, 10u);
  EXPECT_LE(accepted, 20u);
  EXPECT_FALSE(hall.net.publish("t", message));
  hall.net.run();
  EXPECT_EQ(guest.got.size(), accepted);
  EXPECT_TRUE(hall.net.publish("t", "again"));
  hall.net.run();
  EXPECT_EQ(guest.got.back(), "again");
  EXPECT_EQ(hall.net.topic_stats("*").delivered, accepted + 1);
}

// What a waiting message costs is more than its bytes: a limit that counts only those would let
// empty ones fill the memory.
TEST(Topics, EmptyMessagesAreNotFreeWhileTheyWait) {
  Hall hall({.limits = {.publish_queue_bytes = 64 * 1024}});
  hall.join("t");
  std::size_t accepted = 0;
  while (accepted < 100'000 && hall.net.publish("t", "")) ++accepted;
  EXPECT_LT(accepted * sizeof(Publication), 128u * 1024);
}

// "false: a thread is so far behind": nobody is behind here.
TEST(Topics, OneMessageMayBeLargerThanTheQueue) {
  Hall hall({.limits = {.publish_queue_bytes = 1'000}});
  Guest& guest = hall.join("t");
  hall.publish("t", std::string(5'000, 'x'));
  EXPECT_EQ(guest.got.size(), 1u);
}

TEST(Topics, FramesAreAsLongAsAsked) {
  TestServer server(Handlers{.on_open = [](Conn& conn) { conn.subscribe("t"); }});
  RawPeer peer(connect_tcp(server.port(false)), false);
  peer.upgrade();
  ASSERT_TRUE(eventually([&] { return server.server().topic_stats("*").subscriptions == 1; }));
  server.server().publish("t", "abcdefgh", {.frame_bytes = 3});
  server.server().publish("t", "abcdef", {.frame_bytes = 6});
  server.server().publish("t", "", {.frame_bytes = 6});
  const std::string wanted = std::string("\x01\x03") + "abc" + std::string("\x00\x03", 2) + "def" +
                             "\x80\x02gh" + server_frame(kText, "abcdef") + server_frame(kText, "");
  EXPECT_EQ(peer.exchange(wanted.size()), wanted);
}

TEST(Topics, BinaryStaysBinary) {
  TestServer server(Handlers{.on_open = [](Conn& conn) { conn.subscribe("t"); }});
  RawPeer peer(connect_tcp(server.port(false)), false);
  peer.upgrade();
  ASSERT_TRUE(eventually([&] { return server.server().topic_stats("*").subscriptions == 1; }));
  server.server().publish("t", binary_message("\xff"));
  EXPECT_EQ(peer.exchange(3), server_frame(kBinary, "\xff"));
}

}  // namespace
}  // namespace ws::test
