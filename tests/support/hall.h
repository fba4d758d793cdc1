// Internal. Subscribers in memory: what each of them got, and one that does not read.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ws/ws.h"

namespace ws::test {

// thread: one. Nothing moves outside its calls.
class Hall {
 public:
  struct Guest {
    ConnId id;                     // the server's side of it
    ConnId client;                 // its own side
    std::vector<std::string> got;  // messages; pings as "ping:" and the payload
    std::optional<CloseCode> closed;
  };

  // The server subscribes a new connection to the path it asked for, without the slash.
  explicit Hall(ServerOptions server = {}, ClientOptions client = {})
      : net(std::move(server), std::move(client)) {}

  // Handlers of the server; on_open is added to. Before the first join().
  void serve(Handlers handlers) {
    handlers.on_open = [this, then = handlers.on_open](Conn& conn) {
      newest_ = conn.id();
      const std::string_view topic = conn.request().path.substr(1);
      if (!topic.empty()) conn.subscribe(topic);
      if (then) then(conn);
    };
    net.route("/*", std::move(handlers));
    serves_ = true;
  }

  Guest& join(std::string_view topic) {
    if (!serves_) serve({});
    guests_.push_back(std::make_unique<Guest>());
    Guest& guest = *guests_.back();
    Handlers handlers{
        .on_open = [&guest](Conn& conn) { guest.client = conn.id(); },
        .on_message = [&guest](Conn&, const Message& m) { guest.got.emplace_back(m.text()); },
        .on_ping =
            [&guest](Conn&, std::span<const std::uint8_t> payload) {
              guest.got.push_back("ping:" + std::string(payload.begin(), payload.end()));
            },
        .on_close = [&guest](Conn&, const Close& why) { guest.closed = why.code; }};
    EXPECT_TRUE(net.connect("ws://hall/" + std::string(topic), {}, std::move(handlers)));
    net.run();
    guest.id = newest_;
    EXPECT_NE(guest.client, ConnId{}) << "not let in";
    return guest;
  }
  // One that takes nothing beyond what its pipe holds, until it reads() again.
  Guest& join_asleep(std::string_view topic) {
    Guest& guest = join(topic);
    sleeps(guest);
    return guest;
  }
  void sleeps(Guest& guest) {
    on(guest.client, [](Conn& conn) { conn.pause_reading(); });
  }
  void reads(Guest& guest) {
    on(guest.client, [](Conn& conn) { conn.resume_reading(); });
  }

  // Runs it on that connection, and all that follows from it.
  void on(ConnId id, std::function<void(Conn&)> task) {
    net.post(id, std::move(task));
    net.run();
  }
  // In a turn of its own, from outside.
  void publish(std::string_view topic, const Message& message, SendOptions options = {}) {
    EXPECT_TRUE(net.publish(topic, message, options));
    net.run();
  }

 private:
  std::vector<std::unique_ptr<Guest>> guests_;
  ConnId newest_;
  bool serves_ = false;

 public:
  Loopback net;  // last, so that it is gone before what its handlers write to
};

using Strings = std::vector<std::string>;

}  // namespace ws::test
