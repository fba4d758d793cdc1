// The closing handshake (RFC 6455 sections 5.5.1, 7.1 and 7.4): Autobahn 7, rows F8 and F10.
#include "tests/conformance/conformance.h"

namespace ws::test {
namespace {

const std::string kSurrogate =
    "\xce\xba\xe1\xbd\xb9\xcf\x83\xed\xa0\x80"
    "edited";

// 7.1: once the peer's Close is in, all it sent before is answered and all behind it ignored.
void add_after_close(Cases& cases) {
  add(cases, "AB-7.1.1", Script().sends(text(kHello) + close(1000)).gets_text(kHello).closed(1000));
  add(cases, "AB-7.1.2", Script().sends(close(1000) + close_raw({})).waits(20).closed(1000));
  add(cases, "AB-7.1.3", Script().sends(close(1000) + ping()).waits(20).closed(1000));
  add(cases, "AB-7.1.4", Script().sends(close(1000) + text(kHello)).waits(20).closed(1000));
  add(cases, "AB-7.1.5",
      Script()
          .sends(first(kText, "fragment1") + close(1000) + last("fragment2"))
          .waits(20)
          .closed(1000));
  const std::string big = repeat("BAsd7&jh23", 256 * 1024);
  add(cases, "AB-7.1.6",
      Script()
          .sends(text(big) + text(kHello) + close(1000) + ping())
          .waits(20)
          .gets_text(big)
          .gets_text(kHello)
          .closed(1000));
  add(cases, "F8-message-in-its-own-segment-then-close",
      Script().sends(text(kHello)).gets_text(kHello).sends(close(1000)).closed(1000));
  add(cases, "F8-violations-after-close-are-ignored",
      Script()
          .sends(close(1000) + frame({.opcode = 3, .rsv = 7, .masked = false}, "junk") +
                 text("\xff") + header({.announced = ~std::uint64_t{0}}))
          .waits(20)
          .closed(1000));
  add(cases, "F8-60-KiB-after-close-are-drained",
      Script().sends(close(1000) + repeat("noise", 60 * 1024)).waits(20).closed(1000));
  add(cases, "F8-bytes-keep-coming-after-the-answer",
      Script()
          .sends(close(4242))
          .gets_close(4242)
          .sends(text("still") + ping("talking"))
          .waits(20)
          .sends(repeat("noise", 1000))
          .eof());
  add(cases, "close-bytewise", Script().sends(close(1000, "bye bye"), bytewise()).closed(1000));
  add(cases, "close-between-fragments-in-its-own-segment",
      Script().sends(first(kBinary, "x")).sends(ping()).gets_pong("").bye(1001));
}

// 7.3 and 7.5: "the first two bytes of the body MUST be a 2-byte unsigned integer", then UTF-8.
void add_bodies(Cases& cases) {
  add(cases, "AB-7.3.1", Script().sends(close_raw({})).closed(0));
  add(cases, "AB-7.3.2", Script().sends(close_raw("a")).fails(1002));
  add(cases, "AB-7.3.3", Script().sends(close(1000)).closed(1000));
  add(cases, "AB-7.3.4", Script().sends(close(1000, kHello)).closed(1000));
  add(cases, "AB-7.3.5", Script().sends(close(1000, repeat("*", 123))).closed(1000));
  add(cases, "AB-7.3.6", Script().sends(close(1000, repeat("*", 124))).fails(1002));
  add(cases, "AB-7.5.1", Script().sends(close(1000, kSurrogate)).fails(1007));
  for (int byte : {0x00, 0x03, 0xff}) {
    add(cases, "F8-body-of-one-byte-" + n(static_cast<unsigned>(byte)),
        Script().sends(close_raw(std::string(1, static_cast<char>(byte)))).fails(1002));
  }
  for (std::size_t length = 1; length <= 123; length += length < 8 ? 1 : 23) {
    add(cases, "F10-reason-of-" + n(length),
        Script().sends(close(3000, repeat("reason ", length))).closed(3000));
  }
  add(cases, "F8-reason-of-41-euros",
      Script().sends(close(1000, repeat("\xe2\x82\xac", 123))).closed(1000));
  add(cases, "F8-empty-close-with-text-before",
      Script().sends(text(kHello) + close_raw({})).gets_text(kHello).closed(0));
}

void add_bad_reasons(Cases& cases) {
  int i = 0;
  for (const std::string reason :
       {"\xff", "\x80", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8",
        "ends inside \xe2\x82", "\xf0\x9f\x98", "\xc3"}) {
    const std::string id = "F8-bad-reason-" + n(static_cast<unsigned>(++i));
    add(cases, id, Script().sends(close(1000, reason)).fails(1007));
    add(cases, id + "-bytewise", Script().sends(close(1000, reason), bytewise()).fails(1007));
  }
  add(cases, "F8-bad-reason-at-its-end",
      Script().sends(close(1000, repeat("*", 122) + "\xff")).fails(1007));
  add(cases, "F8-bad-reason-after-a-message",
      Script().sends(text(kHello) + close(1000, "\xff")).gets_text(kHello).fails(1007));
}

bool may_be_sent(int code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
         (code >= 3000 && code <= 4999);
}

// 7.7, 7.9 and 7.13: section 7.4.1 keeps 1004, 1005, 1006 and 1015 off the wire, 7.4.2 what is
// below 1000 or not yet defined; 1012 to 1014 were registered later.
void add_codes(Cases& cases) {
  std::vector<int> codes = {0,    1,    255,  256,  500,  1100, 1999,   2000,   2999,  3000,
                            3001, 3999, 4000, 4500, 4999, 5000, 10'000, 32'768, 65'535};
  for (int code = 999; code <= 1016; ++code) codes.push_back(code);
  for (int code : codes) {
    const std::string id = "F8-code-" + std::to_string(code);
    if (may_be_sent(code)) {
      add(cases, id, Script().bye(code));
      add(cases, id + "-with-reason", Script().sends(close(code, "because")).closed(code));
    } else {
      add(cases, id, Script().sends(close(code)).fails(1002));
      add(cases, id + "-with-reason", Script().sends(close(code, "because")).fails(1002));
    }
  }
  int index = 0;
  for (int code : {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999}) {
    add(cases, "AB-7.7." + std::to_string(++index), Script().bye(code));
  }
  index = 0;
  for (int code : {0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999}) {
    add(cases, "AB-7.9." + std::to_string(++index), Script().sends(close(code)).fails(1002));
  }
  add(cases, "AB-7.13.1", Script().sends(close(5000)).fails(1002));
  add(cases, "AB-7.13.2", Script().sends(close(65535)).fails(1002));
}

// A peer that leaves without a Close (section 7.1.5: "1006"): all it asked for is still answered,
// and the server lets go at once.
void add_lost_peers(Cases& cases) {
  add_socket_only(cases, "fin-without-close", Script().half_closes().gone());
  add_socket_only(cases, "fin-behind-a-message",
                  Script().sends(text(kHello)).half_closes().gets_text(kHello).gone());
  add_socket_only(cases, "fin-behind-a-close",
                  Script().sends(close(1000)).half_closes().closed(1000));
  add_socket_only(cases, "fin-inside-a-header", Script().sends("\x82").half_closes().gone());
  add_socket_only(cases, "F2-fin-inside-a-16-MiB-frame",
                  Script()
                      .sends(frame({.opcode = kBinary, .announced = kLimits.message_bytes}, "few"))
                      .half_closes()
                      .gone());
  add_socket_only(cases, "fin-between-fragments",
                  Script().sends(first(kText, "never ends")).half_closes().gone());
}

}  // namespace

void add_close(Cases& cases) {
  add_after_close(cases);
  add_bodies(cases);
  add_bad_reasons(cases);
  add_codes(cases);
  add_lost_peers(cases);
}

}  // namespace ws::test
