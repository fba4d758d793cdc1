// Pings and pongs (RFC 6455 sections 5.5.2 and 5.5.3): Autobahn 2, row F7 (length of control
// frames).
#include "tests/conformance/conformance.h"

namespace ws::test {
namespace {

using namespace std::string_literals;  // some payloads hold a zero byte

void add_pings(Cases& cases) {
  const std::string octets = "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"s;
  const std::string longest = repeat("\xfe", 125);
  add(cases, "AB-2.1", Script().sends(ping()).gets_pong("").bye());
  add(cases, "AB-2.2", Script().sends(ping("Hello, world!")).gets_pong("Hello, world!").bye());
  add(cases, "AB-2.3", Script().sends(ping(octets)).gets_pong(octets).bye());
  add(cases, "AB-2.4", Script().sends(ping(longest)).gets_pong(longest).bye());
  add(cases, "AB-2.5", Script().sends(ping(repeat("\xfe", 126))).fails(1002));
  add(cases, "AB-2.6", Script().sends(ping(longest), bytewise()).gets_pong(longest).bye());

  Script whole;
  Script bytes;
  std::string sent;
  for (int i = 0; i < 10; ++i) sent += ping("payload-" + n(static_cast<unsigned>(i)));
  whole.sends(sent);
  bytes.sends(sent, bytewise());
  for (int i = 0; i < 10; ++i) {
    whole.gets_pong("payload-" + n(static_cast<unsigned>(i)));
    bytes.gets_pong("payload-" + n(static_cast<unsigned>(i)));
  }
  add(cases, "AB-2.10", whole.bye());
  add(cases, "AB-2.11", bytes.bye());

  Script every;
  for (std::size_t length = 0; length <= 125; ++length) every.sends(ping(repeat("p", length)));
  for (std::size_t length = 0; length <= 125; ++length) every.gets_pong(repeat("p", length));
  add(cases, "ping-of-every-length", every.bye());

  add(cases, "pong-keeps-its-place-among-echoes",
      Script()
          .sends(text("1") + ping("2") + text("3") + ping("4") + binary("5"))
          .gets_text("1")
          .gets_pong("2")
          .gets_text("3")
          .gets_pong("4")
          .gets_binary("5")
          .bye());
}

// "A Pong frame MAY be sent unsolicited. ... A response to an unsolicited Pong frame is not
// expected", section 5.5.3. The ping behind it proves that nothing was said to the pong.
void add_pongs(Cases& cases) {
  add(cases, "AB-2.7", Script().sends(pong() + close(1000)).closed(1000));
  add(cases, "AB-2.8", Script().sends(pong("unsolicited pong payload") + close(1000)).closed(1000));
  add(cases, "AB-2.9",
      Script()
          .sends(pong("unsolicited pong payload") + ping("ping payload"))
          .gets_pong("ping payload")
          .bye());
  add(cases, "pongs-of-every-length-are-ignored", [] {
    std::string sent;
    for (std::size_t length = 0; length <= 125; ++length) sent += pong(repeat("\xff", length));
    return Script().sends(sent + ping("done")).gets_pong("done").bye();
  }());
}

// "All control frames MUST have a payload length of 125 bytes or less", section 5.5: known, and
// refused, from the header.
void add_long_control_frames(Cases& cases) {
  for (Op opcode : {kClose, kPing, kPong}) {
    for (std::uint64_t length : Sizes{126, 127, 65535, 65536}) {
      const std::string id = "F7-opcode-" + n(opcode) + "-of-" + n(length);
      add(cases, id + "-header-alone",
          Script().sends(header({.opcode = opcode, .announced = length})).fails(1002));
      if (length > 127) continue;
      add(cases, id,
          Script()
              .sends(frame({.opcode = opcode}, "\x03\xe8" + repeat("x", length - 2)))
              .fails(1002));
      add(cases, id + "-between-fragments",
          Script()
              .sends(first(kText, "a") + frame({.opcode = opcode}, repeat("x", length)) + last("b"))
              .fails(1002));
    }
  }
}

}  // namespace

void add_control(Cases& cases) {
  add_pings(cases);
  add_pongs(cases);
  add_long_control_frames(cases);
}

}  // namespace ws::test
