// What handlers see and may do: each callback once, causes and codes of every end, sends around a
// close, exceptions (ws/conn.h; row E9).
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/support/raw_peer.h"
#include "tests/support/test_server.h"

namespace ws::test {
namespace {

class ServerLifecycle : public OverBothSchemes {};
INSTANTIATE_TEST_SUITE_P(Over, ServerLifecycle, testing::Bool(), scheme);

void tell(Conn& conn, std::string_view what) {
  conn.send(what);
}

// The only closing there is, once everything has settled.
Journal::Closing only_closing(TestServer& server) {
  const std::vector<Journal::Closing> all = server.journal().closings(1);
  if (all.empty()) {
    ADD_FAILURE() << "on_close was not called";
    return {};
  }
  EXPECT_TRUE(server.has_connections(0));
  EXPECT_EQ(server.journal().closings(1).size(), 1U);
  return all.front();
}

void expect_end(TestServer& server, CloseCode code, CloseCause cause) {
  const Journal::Closing closing = only_closing(server);
  EXPECT_EQ(static_cast<int>(closing.code), static_cast<int>(code));
  EXPECT_EQ(to_string(closing.cause), to_string(cause));
}

// --- each callback once, in order ---

TEST_P(ServerLifecycle, CallsBackOnceInOrderOnOneThread) {
  std::mutex mutex;
  std::vector<std::thread::id> threads;
  Journal journal;
  Handlers handlers = journal.handlers();
  const auto note_thread = [&] {
    const std::lock_guard lock(mutex);
    threads.push_back(std::this_thread::get_id());
  };
  handlers.on_open = [&, next = handlers.on_open](Conn& conn) { note_thread(), next(conn); };
  handlers.on_close = [&, next = handlers.on_close](Conn& conn, const Close& why) {
    note_thread(), next(conn, why);
  };
  TestServer server(handlers);
  {
    Peer peer = server.peer(tls());
    EXPECT_EQ(peer.play(Script()
                            .sends(text("a") + binary("b") + ping("p"))
                            .gets_text("a")
                            .gets_binary("b")
                            .gets_pong("p")
                            .sends(close(1000, "bye"))
                            .closed(1000)),
              "");
  }
  const auto closings = journal.closings(1);
  ASSERT_EQ(closings.size(), 1U);
  EXPECT_TRUE(server.has_connections(0));
  server.stop_and_wait();
  EXPECT_EQ(journal.order(closings[0].id), "ommc");
  EXPECT_EQ(journal.closings(1).size(), 1U);
  ASSERT_EQ(threads.size(), 2U);
  EXPECT_EQ(threads[0], threads[1]);
  EXPECT_NE(threads[0], std::this_thread::get_id());
}

TEST_P(ServerLifecycle, TellsTextFromBinary) {
  std::mutex mutex;
  std::string seen;
  TestServer server({}, [&](Conn& conn, const Message& message) {
    const std::lock_guard lock(mutex);
    seen += message.type == MessageType::kText ? "t:" : "b:";
    seen += message.text();
    seen += ' ';
    conn.send(message);
  });
  Peer peer = server.peer(tls());
  EXPECT_EQ(peer.play(Script()
                          .sends(text("\xc3\xa9") + binary("\xff") + text("") + first(kBinary, "x"))
                          .sends(last("y"))
                          .gets_text("\xc3\xa9")
                          .gets_binary("\xff")
                          .gets_text("")
                          .gets_binary("xy")
                          .bye()),
            "");
  const std::lock_guard lock(mutex);
  EXPECT_EQ(seen, "t:\xc3\xa9 b:\xff t: b:xy ");
}

// "frames that arrive in the same segment as the request are served after the 101".
TEST_P(ServerLifecycle, ServesWhatCameWithTheRequest) {
  TestServer server;
  const auto stream = server.connect(tls());
  ASSERT_NE(stream, nullptr);
  EXPECT_EQ(Client(*stream).play(Script()
                                     .sends(Request().str() + text("early") + close(1000))
                                     .upgraded()
                                     .gets_text("early")
                                     .closed(1000)),
            "");
  stream->half_close();
  EXPECT_EQ(server.journal().order(only_closing(server).id), "omc");
}

TEST_P(ServerLifecycle, NobodyHearsOfAConnectionThatNeverOpened) {
  TestServer server;
  for (const Request& request : {Request().without("Host"), Request().without("Upgrade")}) {
    const auto stream = server.connect(tls());
    ASSERT_NE(stream, nullptr);
    Client client(*stream);
    Answer answer;
    ASSERT_TRUE(stream->write(request.str()));
    EXPECT_EQ(client.read_answer(answer, 20'000), "");
    EXPECT_NE(answer.status, 101);
  }
  {
    const auto half = server.connect(tls());
    ASSERT_NE(half, nullptr);
    ASSERT_TRUE(half->write("GET / HTTP/1.1\r\n"));
    half->reset();
    const auto silent = Stream::open(server.port(tls()), tls());
    ASSERT_NE(silent, nullptr);
  }
  EXPECT_TRUE(server.has_connections(0));
  EXPECT_EQ(server.serves(tls()), "");
  EXPECT_EQ(server.journal().closings(1).size(), 1U);
  EXPECT_EQ(server.journal().opens(), 1U);
}

TEST_P(ServerLifecycle, ServesARouteWithoutHandlers) {
  TestServer server(Handlers{});
  Peer peer = server.peer(tls());
  EXPECT_EQ(peer.play(Script().sends(text("into the void") + ping("p")).gets_pong("p").bye()), "");
}

TEST_P(ServerLifecycle, GivesEveryConnectionAnIdOfItsOwn) {
  TestServer server;
  for (int i = 0; i < 5; ++i) EXPECT_EQ(server.serves(tls()), "");
  const auto closings = server.journal().closings(5);
  ASSERT_EQ(closings.size(), 5U);
  for (const Journal::Closing& closing : closings) {
    EXPECT_EQ(server.journal().order(closing.id), "omc") << "an id that was used twice";
  }
}

// --- every way to end ---

TEST_P(ServerLifecycle, SaysHowThePeerClosed) {
  struct {
    std::string sent;
    int answer;
    CloseCode code;
    std::string reason;
  } const kCloses[] = {
      {close(1000, "bye"), 1000, CloseCode::kNormal, "bye"},
      {close(1001), 1001, CloseCode::kGoingAway, ""},
      {close(4999, std::string(123, 'r')), 4999, CloseCode{4999}, std::string(123, 'r')},
      {close_raw(""), 0, CloseCode::kNoStatus, ""},
  };
  for (const auto& each : kCloses) {
    TestServer server;
    Peer peer = server.peer(tls());
    EXPECT_EQ(peer.play(Script().sends(each.sent).closed(each.answer)), "");
    peer.stream->half_close();
    expect_end(server, each.code, CloseCause::kPeer);
    EXPECT_EQ(server.journal().closings(1).at(0).reason, each.reason);
  }
}

TEST_P(ServerLifecycle, AnEndWithoutCloseIs1006) {
  const std::function<void(Peer&)> ends[] = {
      [](Peer& peer) { peer.stream->half_close(); },
      [](Peer& peer) { peer.stream->reset(); },
      [](Peer& peer) {
        peer.stream->write(first(kText, "half a message"));
        peer.stream->half_close();
      },
      [](Peer& peer) {
        peer.stream->write(text("cut off").substr(0, 9));
        peer.stream->reset();
      },
  };
  for (const auto& end : ends) {
    TestServer server;
    Peer peer = server.peer(tls());
    end(peer);
    expect_end(server, CloseCode::kAbnormal, CloseCause::kPeer);
  }
}

TEST_P(ServerLifecycle, APeerThatOnlyFinishesWritingGetsFin) {
  TestServer server;
  Peer peer = server.peer(tls());
  ASSERT_TRUE(peer.stream->write(text("last words")));
  peer.stream->half_close();
  EXPECT_EQ(peer.play(Script().gets_text("last words").eof()), "");
  expect_end(server, CloseCode::kAbnormal, CloseCause::kPeer);
}

TEST_P(ServerLifecycle, ViolationsAreTheProtocols) {
  struct {
    std::string sent;
    int code;
  } const kViolations[] = {
      {frame({.masked = false}, "x"), 1002},
      {text("\xff"), 1007},
      {header({.announced = kLimits.message_bytes + 1}), 1009},
  };
  for (const auto& each : kViolations) {
    TestServer server;
    {
      Peer peer = server.peer(tls());
      EXPECT_EQ(peer.play(Script().sends(each.sent).fails(each.code)), "");
    }
    expect_end(server, static_cast<CloseCode>(each.code), CloseCause::kProtocol);
  }
}

// Row T7: "treat as abnormal close 1006 for the app".
TEST(ServerLifecycleOverTls, AFinWithoutCloseNotifyIs1006) {
  TestServer server;
  Peer peer = server.peer(true);
  peer.stream->fin();
  EXPECT_EQ(static_cast<int>(only_closing(server).code), 1006);
}

TEST(ServerLifecycleOverTls, BrokenTlsIsTlsFault) {
  TestServer server;
  RawPeer peer(connect_tcp(server.port(true)), true);
  peer.upgrade();
  ASSERT_TRUE(peer.send_raw("this is no TLS record, and never will be one"));
  peer.half_close();
  expect_end(server, CloseCode::kAbnormal, CloseCause::kTls);
  EXPECT_EQ(server.serves(true), "");
}

// tcp(7): a read stops at urgent data, though more has come; no edge tells of that again.
TEST(ServerLifecycleOverTcp, UrgentDataHoldsNothingUp) {
  std::promise<void> go;
  TestServer server({}, [&](Conn& conn, const Message& message) {
    if (message.text() == "wait") go.get_future().wait();
    conn.send(message);
  });
  RawPeer peer(connect_tcp(server.port(false)), false);
  peer.upgrade();
  ASSERT_TRUE(peer.send_raw(text("wait")));
  ASSERT_TRUE(eventually([&] { return server.journal().messages() == 1; }));
  ASSERT_TRUE(peer.send_raw(text("one")));
  ASSERT_EQ(::send(peer.fd(), "!", 1, MSG_OOB), 1);
  ASSERT_TRUE(peer.send_raw(text("two")));
  go.set_value();
  std::string owed = server_frame(kText, "wait");
  owed += server_frame(kText, "one") + server_frame(kText, "two");
  EXPECT_EQ(peer.exchange(owed.size(), 10'000), owed);
}

// An answer that can no longer be sealed does not turn the alert and FIN into a reset.
TEST(ServerLifecycleOverTls, BrokenTlsBehindAMessageEndsWithAnAlert) {
  TestServer server;
  RawPeer peer(connect_tcp(server.port(true)), true);
  peer.upgrade();
  peer.queue(text("answered, were it not for what follows"));
  std::string bad_record = "\x17\x03\x03";
  bad_record += std::string("\0\x20", 2) + std::string(32, 'x');
  ASSERT_TRUE(peer.send_raw(peer.take_queued() + bad_record));
  std::string got;
  char room[1'000];
  ssize_t count;
  do {
    pollfd readable{.fd = peer.fd(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&readable, 1, 20'000), 1);
    count = ::recv(peer.fd(), room, sizeof room, 0);
    got.append(room, static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  } while (count > 0);
  EXPECT_EQ(count, 0) << "reset";
  EXPECT_GT(got.size(), 0U) << "the alert";
  expect_end(server, CloseCode::kAbnormal, CloseCause::kTls);
}

TEST_P(ServerLifecycle, AHandlerMayClose) {
  TestServer server({}, [](Conn& conn, const Message&) { conn.close(CloseCode{4001}, "done"); });
  {
    Peer peer = server.peer(tls());
    ServerFrame frame;
    ASSERT_TRUE(peer.stream->write(text("go")));
    ASSERT_EQ(peer.client.read_frame(frame, 20'000), "");
    EXPECT_EQ(frame.opcode, kClose);
    EXPECT_EQ(frame.payload,
              "\x0f\xa1"
              "done");
    // The server waits for the answer, then it is the server that closes TCP (RFC 6455 7.1.1).
    EXPECT_EQ(peer.play(Script().silent(50).sends(close(4001)).eof()), "");
  }
  expect_end(server, CloseCode{4001}, CloseCause::kLocal);
}

// "code: what the peer sent, else what we did".
TEST_P(ServerLifecycle, ThePeersAnswerToOurCloseCounts) {
  TestServer server({}, [](Conn& conn, const Message&) { conn.close(CloseCode{4001}); });
  {
    Peer peer = server.peer(tls());
    EXPECT_EQ(peer.play(Script().sends(text("go")).gets_close(4001).sends(close(1000)).eof()), "");
  }
  expect_end(server, CloseCode::kNormal, CloseCause::kLocal);
}

TEST_P(ServerLifecycle, OurCloseStandsWhenThePeerJustLeaves) {
  TestServer server({}, [](Conn& conn, const Message&) { conn.close(CloseCode{4001}); });
  {
    Peer peer = server.peer(tls());
    EXPECT_EQ(peer.play(Script().sends(text("go")).gets_close(4001)), "");
    peer.stream->half_close();
  }
  expect_end(server, CloseCode{4001}, CloseCause::kLocal);
}

TEST_P(ServerLifecycle, OnlyTheFirstCloseCounts) {
  TestServer server({}, [](Conn& conn, const Message&) {
    conn.close(CloseCode{4001});
    conn.close(CloseCode{4002});
  });
  {
    Peer peer = server.peer(tls());
    EXPECT_EQ(peer.play(Script().sends(text("go")).gets_close(4001).sends(close(4001)).eof()), "");
  }
  expect_end(server, CloseCode{4001}, CloseCause::kLocal);
}

// RFC 6455 5.5: a control frame carries 125 bytes at most; a reason has to stay UTF-8 (5.5.1).
TEST_P(ServerLifecycle, CutsALongReasonAtACharacter) {
  std::string reason(122, 'x');
  reason += "\xc3\xa9 and so on";
  TestServer server({},
                    [&](Conn& conn, const Message&) { conn.close(CloseCode::kNormal, reason); });
  Peer peer = server.peer(tls());
  ServerFrame frame;
  ASSERT_TRUE(peer.stream->write(text("go")));
  ASSERT_EQ(peer.client.read_frame(frame, 20'000), "");
  EXPECT_EQ(frame.payload, "\x03\xe8" + std::string(122, 'x'));
  EXPECT_EQ(peer.play(Script().sends(close(1000)).eof()), "");
}

TEST_P(ServerLifecycle, AHandlerMayCloseAsSoonAsItOpens) {
  Journal journal;
  Handlers handlers = journal.handlers();
  handlers.on_open = [next = handlers.on_open](Conn& conn) {
    next(conn);
    conn.close(CloseCode::kTryAgainLater);
  };
  TestServer server(handlers);
  Peer peer = server.peer(tls());
  EXPECT_EQ(peer.play(Script().gets_close(1013).sends(close(1013)).eof()), "");
  peer.stream->half_close();
  const auto closings = journal.closings(1);
  ASSERT_EQ(closings.size(), 1U);
  EXPECT_EQ(to_string(closings[0].cause), to_string(CloseCause::kLocal));
  EXPECT_EQ(journal.order(closings[0].id), "oc");
}

// --- sends ---

TEST_P(ServerLifecycle, SendsFromOneCallbackKeepTheirOrder) {
  constexpr int kSends = 500;
  TestServer server({}, [](Conn& conn, const Message& message) {
    for (int i = 0; i < kSends; ++i) {
      // Small and large ones go different ways, and must not overtake each other.
      const std::string body(i % 50 == 7 ? 100'000U : 10U, static_cast<char>('a' + i % 26));
      tell(conn, std::to_string(i) + body);
    }
    conn.send(message);
  });
  Peer peer = server.peer(tls());
  Script script;
  script.sends(text("end"));
  for (int i = 0; i < kSends; ++i) {
    script.gets_text(std::to_string(i) +
                     std::string(i % 50 == 7 ? 100'000U : 10U, static_cast<char>('a' + i % 26)));
  }
  EXPECT_EQ(peer.play(script.gets_text("end").bye()), "");
}

TEST_P(ServerLifecycle, SendsFromOnOpenFollowThe101) {
  Handlers handlers;
  handlers.on_open = [](Conn& conn) { tell(conn, "welcome"); };
  TestServer server(handlers);
  Peer peer = server.peer(tls());
  EXPECT_EQ(peer.play(Script().gets_text("welcome").bye()), "");
}

TEST_P(ServerLifecycle, WhatWasSentBeforeAClosePrecedesIt) {
  std::atomic<int> after = -1;
  TestServer server({}, [&](Conn& conn, const Message& message) {
    conn.send(message);
    tell(conn, std::string(300'000, 'x'));
    conn.close();
    after = static_cast<int>(conn.send(message));
  });
  {
    Peer peer = server.peer(tls());
    EXPECT_EQ(peer.play(Script()
                            .sends(text("a"))
                            .gets_text("a")
                            .gets_text(std::string(300'000, 'x'))
                            .gets_close(1000)
                            .sends(close(1000))
                            .eof()),
              "");
  }
  EXPECT_EQ(after, static_cast<int>(SendStatus::kClosed)) << "of a send after close()";
  expect_end(server, CloseCode::kNormal, CloseCause::kLocal);
}

// "on_close: sends nothing any more".
TEST_P(ServerLifecycle, NothingCanBeSentOnceClosed) {
  std::atomic<int> status = -1;
  Journal journal;
  Handlers handlers = journal.handlers();
  handlers.on_close = [&, next = handlers.on_close](Conn& conn, const Close& why) {
    status = static_cast<int>(conn.send(""));
    conn.close(CloseCode{4000});
    next(conn, why);
  };
  TestServer server(handlers);
  for (const bool clean : {true, false}) {
    status = -1;
    {
      Peer peer = server.peer(tls());
      if (clean) {
        EXPECT_EQ(peer.play(Script().bye()), "");
      } else {
        peer.stream->reset();
      }
    }
    ASSERT_EQ(journal.closings(clean ? 1 : 2).size(), clean ? 1U : 2U);
    EXPECT_EQ(status, static_cast<int>(SendStatus::kClosed));
  }
  EXPECT_EQ(static_cast<int>(journal.closings(1).at(0).code), 1000);
}

// "send copies what it must": the bytes are the caller's again when send() returns.
TEST_P(ServerLifecycle, TheBytesOfASendMayGoAtOnce) {
  TestServer server({}, [](Conn& conn, const Message& message) {
    for (const std::size_t bytes : {std::size_t{100}, std::size_t{1} << 20}) {
      std::string own(bytes, 'x');
      tell(conn, own);
      own.assign(bytes, '!');
    }
    conn.send(message);
  });
  RawPeer peer(connect_tcp(server.port(tls()), {.receive_buffer_bytes = 16'384}), tls());
  peer.upgrade();
  peer.queue(text("end"));
  peer.push(20'000);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const std::string wanted = server_frame(kText, std::string(100, 'x')) +
                             server_frame(kText, std::string(1 << 20, 'x')) +
                             server_frame(kText, "end");
  EXPECT_TRUE(peer.exchange(wanted.size()) == wanted);
}

// --- exceptions ---

TEST_P(ServerLifecycle, AThrowingHandlerEndsThatConnectionWith1011) {
  TestServer server({}, [](Conn& conn, const Message& message) {
    if (message.text() == "std") throw std::runtime_error("on purpose");
    if (message.text() == "int") throw 42;
    conn.send(message);
  });
  Peer witness = server.peer(tls());
  for (const char* what : {"std", "int"}) {
    Peer peer = server.peer(tls());
    // First everything already owed.
    EXPECT_EQ(peer.play(Script().sends(text("owed") + text(what)).gets_text("owed").fails(1011)),
              "");
  }
  for (const Journal::Closing& closing : server.journal().closings(2)) {
    EXPECT_EQ(static_cast<int>(closing.code), 1011);
    EXPECT_EQ(to_string(closing.cause), to_string(CloseCause::kHandlerThrew));
    EXPECT_EQ(server.journal().order(closing.id), "ommc");
  }
  EXPECT_EQ(witness.play(Script().sends(text("still here")).gets_text("still here").bye()), "");
}

TEST_P(ServerLifecycle, AThrowingOnOpenEndsThatConnectionWith1011) {
  std::atomic<int> opens = 0;
  Journal journal;
  Handlers handlers = journal.handlers();
  handlers.on_open = [&, next = handlers.on_open](Conn& conn) {
    next(conn);
    if (opens++ == 0) throw std::runtime_error("on purpose");
  };
  TestServer server(handlers);
  {
    const auto stream = server.connect(tls());
    ASSERT_NE(stream, nullptr);
    // A message behind the request never reaches the handler.
    EXPECT_EQ(
        Client(*stream).play(Script().sends(Request().str() + text("no")).upgraded().fails(1011)),
        "");
  }
  EXPECT_EQ(server.serves(tls()), "");
  const auto closings = journal.closings(2);
  ASSERT_EQ(closings.size(), 2U);
  EXPECT_EQ(to_string(closings[0].cause), to_string(CloseCause::kHandlerThrew));
  EXPECT_EQ(journal.order(closings[0].id), "oc");
}

TEST_P(ServerLifecycle, AThrowingOnCloseHurtsNobody) {
  std::atomic<int> closes = 0;
  Handlers handlers;
  handlers.on_message = echo;
  handlers.on_close = [&](Conn&, const Close&) {
    ++closes;
    throw std::runtime_error("on purpose");
  };
  TestServer server(handlers);
  for (int i = 1; i <= 3; ++i) {
    EXPECT_EQ(server.serves(tls()), "");
    EXPECT_TRUE(eventually([&] { return closes == i; }));
  }
  EXPECT_TRUE(server.has_connections(0));
  EXPECT_EQ(closes, 3);
}

// A close and an exception in one callback: one end.
TEST_P(ServerLifecycle, ThrowingAfterCloseStillEndsOnce) {
  TestServer server({}, [](Conn& conn, const Message&) {
    conn.close(CloseCode{4001});
    throw std::runtime_error("on purpose");
  });
  {
    Peer peer = server.peer(tls());
    EXPECT_EQ(peer.play(Script().sends(text("go")).gets_close(4001)), "");
  }
  EXPECT_EQ(server.journal().order(only_closing(server).id), "omc");
  EXPECT_EQ(server.serves(tls()).substr(0, 4), "step") << "the handler throws for everybody";
}

}  // namespace
}  // namespace ws::test
