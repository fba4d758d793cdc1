// The fault matrix of a client's connections: on_close exactly once for the on_open, with the right
// code and cause. In memory; resets and servers that say no are in client_test.cc and
// dials_test.cc.
#include <gtest/gtest.h>

#include <functional>
#include <ostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "ws/ws.h"

namespace ws {
namespace {

struct Fault {
  const char* name;
  int code;
  CloseCause cause;
  std::function<void(Conn&)> at_server;  // runs there once both are open
  std::function<void(Conn&)> at_client = {};
  const char* throws_in = "";
  std::uint32_t then_ms = 0;  // passes afterwards
};

void PrintTo(const Fault& fault, std::ostream* out) {
  *out << fault.name;
}

void do_nothing(Conn& /*conn*/) {}
void fall_asleep(Conn& conn) {
  conn.pause_reading();
}
void fill_the_queue(Conn& conn) {
  while (conn.send(std::string(1'000, 'x')) <= SendStatus::kQueued) {
  }
}
// Above the high mark, and below it again as soon as the server reads.
void pass_the_mark(Conn& conn) {
  while (conn.queued_bytes() <= 20'000) conn.send(std::string(1'000, 'x'));
}

class Guest {
 public:
  explicit Guest(const Fault& fault) : fault_(fault) {}

  Handlers handlers() {
    Handlers handlers{
        .on_open =
            [this](Conn& conn) {
              id = conn.id();
              ++opens;
              maybe_throw("open");
            },
        .on_message = [this](Conn&, const Message&) { maybe_throw("message"); },
        .on_ping = [this](Conn&, std::span<const std::uint8_t>) { maybe_throw("ping"); },
        .on_pong = [this](Conn&, std::span<const std::uint8_t>) { maybe_throw("pong"); },
        .on_drain = [this](Conn&) { maybe_throw("drain"); },
        .on_close =
            [this](Conn&, const Close& why) {
              ++closes;
              code = static_cast<int>(why.code);
              cause = why.cause;
              maybe_throw("close");
            }};
    if (throws_in("chunk"))
      handlers.on_chunk = [this](Conn&, const Chunk&) { maybe_throw("chunk"); };
    return handlers;
  }

  ConnId id;
  int opens = 0;
  int closes = 0;
  int code = 0;
  CloseCause cause{};

 private:
  bool throws_in(std::string_view handler) const { return fault_.throws_in == handler; }
  void maybe_throw(std::string_view handler) const {
    if (throws_in(handler)) throw std::runtime_error("on purpose");
  }

  const Fault& fault_;
};

class ClientFaults : public testing::TestWithParam<Fault> {};

TEST_P(ClientFaults, CloseOnceForTheOpen) {
  const Fault& fault = GetParam();
  Guest guest(fault);
  int server_closes = 0;
  {
    Loopback net(
        {.limits = {
             .message_bytes = 10'000, .queue_high_bytes = 20'000, .queue_max_bytes = 100'000}});
    net.set_pipe_bytes(5'000);
    ConnId server;
    net.route("/*", {.on_open = [&](Conn& conn) { server = conn.id(); },
                     .on_close = [&](Conn&, const Close&) { ++server_closes; }});
    ASSERT_TRUE(net.connect("ws://test/", {}, guest.handlers()));
    net.run();
    ASSERT_EQ(guest.opens, 1);
    net.post(server, fault.at_server);
    net.run();
    if (fault.at_client) net.post(guest.id, fault.at_client);
    net.run();
    if (fault.cause == CloseCause::kShutdown) net.stop();
    net.advance(fault.then_ms);
    EXPECT_EQ(guest.closes, 1);
    net.advance(100'000);
  }
  EXPECT_EQ(guest.opens, 1);
  EXPECT_EQ(guest.closes, 1);
  EXPECT_EQ(guest.code, fault.code);
  EXPECT_EQ(to_string(guest.cause), to_string(fault.cause));
  EXPECT_EQ(server_closes, 1);
}

const Fault kFaults[] = {
    {"ThePeerCloses", 4002, CloseCause::kPeer, [](Conn& conn) { conn.close(CloseCode{4002}); }},
    {"ItClosesItself", 4001, CloseCause::kLocal, do_nothing,
     [](Conn& conn) { conn.close(CloseCode{4001}); }},
    {"BothClose", 4001, CloseCause::kLocal, do_nothing,
     [](Conn& conn) {
       conn.close(CloseCode{4001});
       conn.close(CloseCode{4003});
     }},
    {"ThePeerSendsTooMuch", 1009, CloseCause::kProtocol,
     [](Conn& conn) { conn.send(std::string(10'001, 'x')); }},
    {"ThePeerIsSilent", 1008, CloseCause::kTimeout, fall_asleep, {}, "", 60'000},
    {"ThePeerDoesNotAnswerItsClose", 4001, CloseCause::kTimeout, fall_asleep,
     [](Conn& conn) { conn.close(CloseCode{4001}); }, "", 20'000},
    {"ThePeerIsSlow", 1013, CloseCause::kSlowConsumer, fall_asleep, fill_the_queue, "", 20'000},
    {"TheClientStops", 1001, CloseCause::kShutdown, do_nothing},
    {"TheClientStopsWithASilentPeer", 1001, CloseCause::kShutdown, fall_asleep, {}, "", 20'000},
    {"OnOpenThrows", 1011, CloseCause::kHandlerThrew, do_nothing, {}, "open"},
    {"OnMessageThrows",
     1011,
     CloseCause::kHandlerThrew,
     [](Conn& conn) { conn.send("go"); },
     {},
     "message"},
    {"OnChunkThrows",
     1011,
     CloseCause::kHandlerThrew,
     [](Conn& conn) { conn.send("go"); },
     {},
     "chunk"},
    {"OnPingThrows", 1011, CloseCause::kHandlerThrew, [](Conn& conn) { conn.ping(); }, {}, "ping"},
    {"OnPongThrows", 1011, CloseCause::kHandlerThrew, do_nothing, [](Conn& conn) { conn.ping(); },
     "pong"},
    {"OnDrainThrows", 1011, CloseCause::kHandlerThrew, do_nothing, pass_the_mark, "drain"},
    {"OnCloseThrows",
     4002,
     CloseCause::kPeer,
     [](Conn& conn) { conn.close(CloseCode{4002}); },
     {},
     "close"},
};

INSTANTIATE_TEST_SUITE_P(Each, ClientFaults, testing::ValuesIn(kFaults),
                         [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace ws
