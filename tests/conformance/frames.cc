// The frame header (RFC 6455 section 5.2) and whole messages: Autobahn 1, 3 and 4; rows F1, F4, F5,
// F6, F7 (opcodes) and F11.
#include "tests/conformance/conformance.h"

namespace ws::test {
namespace {

using namespace std::string_literals;  // some payloads hold a zero byte

const std::string kOctets = "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"s;
constexpr Op kOpcodes[] = {kText, kBinary, kClose, kPing, kPong};

// One message of each payload length at which the length field or its meaning changes.
void add_lengths(Cases& cases) {
  std::size_t index = 0;
  for (std::size_t length : Sizes{0, 125, 126, 127, 128, 65535, 65536}) {
    const std::string stars = repeat("*", length);
    const std::string octets = repeat("\xfe", length);
    ++index;
    add(cases, "AB-1.1." + n(index), Script().sends(text(stars)).gets_text(stars).bye());
    add(cases, "AB-1.2." + n(index), Script().sends(binary(octets)).gets_binary(octets).bye());
  }
  add(cases, "AB-1.1.8",
      Script().sends(text(repeat("*", 65536)), pieces(997)).gets_text(repeat("*", 65536)).bye());
  add(cases, "AB-1.2.8",
      Script()
          .sends(binary(repeat("\xfe", 65536)), pieces(997))
          .gets_binary(repeat("\xfe", 65536))
          .bye());
  for (std::size_t length : Sizes{1, 124, 65537}) {
    const std::string payload = repeat("0123456789", length);
    add(cases, "text-length-" + n(length), Script().sends(text(payload)).gets_text(payload).bye());
    const std::string octets = repeat("\xff\x00\x80\x01\x7f"s, length);
    add(cases, "binary-length-" + n(length),
        Script().sends(binary(octets)).gets_binary(octets).bye());
  }
  for (std::size_t length : Sizes{0, 1, 5, 125, 126, 300}) {
    const std::string payload = repeat("byte by byte ", length);
    add(cases, "bytewise-length-" + n(length),
        Script().sends(text(payload), bytewise()).gets_text(payload).bye());
  }
}

// TCP keeps no boundaries: a frame of each header form cut once, at each byte of its header.
void add_splits(Cases& cases) {
  for (std::size_t length : Sizes{5, 200, 65536}) {
    const std::string payload = repeat("split me! ", length);
    const std::string bytes = text(payload);
    const std::size_t header_bytes = bytes.size() - length;
    for (std::size_t at = 1; at <= header_bytes + 1; ++at) {
      add(cases, "split-header-of-" + n(length) + "-at-" + n(at),
          Script().sends(bytes, split_at({at})).gets_text(payload).bye());
    }
  }
  const std::string three = text("one") + ping("two") + binary("three") + close(1000);
  for (std::size_t at = 1; at < three.size(); ++at) {
    add(cases, "split-three-frames-and-close-at-" + n(at),
        Script()
            .sends(three, split_at({at}))
            .gets_text("one")
            .gets_pong("two")
            .gets_binary("three")
            .closed(1000));
  }
}

void add_pipelines(Cases& cases) {
  Script many;
  std::string sent;
  for (unsigned i = 0; i < 300; ++i) sent += i % 2 == 0 ? text(n(i)) : binary(n(i));
  many.sends(sent);
  for (unsigned i = 0; i < 300; ++i) many.gets(i % 2 == 0 ? kText : kBinary, n(i));
  add(cases, "300-messages-in-one-segment", many.bye());

  // More than one turn's budget of messages (1,024) and of bytes (256 KiB).
  Script more;
  std::string burst;
  for (unsigned i = 0; i < 5000; ++i) burst += text(repeat(n(i) + " ", 100));
  more.sends(burst);
  for (unsigned i = 0; i < 5000; ++i) more.gets_text(repeat(n(i) + " ", 100));
  add(cases, "5000-messages-in-one-burst", more.bye());
}

// "MUST be 0 unless an extension is negotiated that defines meanings for non-zero values", section
// 5.2, whatever the opcode.
void add_reserved_bits(Cases& cases) {
  for (std::uint8_t rsv = 1; rsv <= 7; ++rsv) {
    for (Op opcode : kOpcodes) {
      const std::string payload = opcode == kClose ? "\x03\xe8" : kHello;
      add(cases, "F5-rsv-" + n(rsv) + "-opcode-" + n(opcode),
          Script().sends(frame({.opcode = opcode, .rsv = rsv}, payload)).fails(1002));
    }
    add(cases, "F5-rsv-" + n(rsv) + "-on-continuation",
        Script()
            .sends(first(kText, "a") + frame({.opcode = kContinuation, .rsv = rsv}, "b"))
            .fails(1002));
    add(cases, "F5-rsv-" + n(rsv) + "-on-first-fragment",
        Script().sends(frame({.opcode = kText, .fin = false, .rsv = rsv}, "a")).fails(1002));
    add(cases, "F5-rsv-" + n(rsv) + "-on-ping-between-fragments",
        Script()
            .sends(first(kText, "a") + frame({.opcode = kPing, .rsv = rsv}, "b") + last("c"))
            .fails(1002));
    add(cases, "F5-rsv-" + n(rsv) + "-header-alone",
        Script().sends(header({.opcode = kBinary, .rsv = rsv, .announced = 70000})).fails(1002));
  }
  const std::string good = text(kHello);
  add(cases, "AB-3.1", Script().sends(frame({.rsv = 1}, kHello)).fails(1002));
  add(cases, "AB-3.2",
      Script().sends(good + frame({.rsv = 2}, kHello) + ping()).gets_text(kHello).fails(1002));
  add(cases, "AB-3.3",
      Script()
          .sends(good)
          .sends(frame({.rsv = 3}, kHello))
          .sends(ping())
          .gets_text(kHello)
          .fails(1002));
  add(cases, "AB-3.4",
      Script()
          .sends(good + frame({.rsv = 4}, kHello) + ping(), bytewise())
          .gets_text(kHello)
          .fails(1002));
  add(cases, "AB-3.5", Script().sends(frame({.opcode = kBinary, .rsv = 5}, kOctets)).fails(1002));
  add(cases, "AB-3.6", Script().sends(frame({.opcode = kPing, .rsv = 6}, kHello)).fails(1002));
  add(cases, "AB-3.7", Script().sends(frame({.opcode = kClose, .rsv = 7}, {})).fails(1002));
}

// "If an unknown opcode is received, the receiving endpoint MUST Fail the WebSocket Connection",
// section 5.2.
void add_opcodes(Cases& cases) {
  for (int reserved : {3, 4, 5, 6, 7, 11, 12, 13, 14, 15}) {
    const auto opcode = static_cast<std::uint8_t>(reserved);
    const std::string id = "F7-opcode-" + n(opcode);
    add(cases, id + "-empty", Script().sends(frame({.opcode = opcode}, {})).fails(1002));
    add(cases, id + "-payload", Script().sends(frame({.opcode = opcode}, kHello)).fails(1002));
    add(cases, id + "-not-final",
        Script().sends(frame({.opcode = opcode, .fin = false}, kHello)).fails(1002));
    add(cases, id + "-between-fragments",
        Script().sends(first(kText, "a") + frame({.opcode = opcode}, "b") + last("c")).fails(1002));
    add(cases, id + "-after-a-message",
        Script()
            .sends(text(kHello) + frame({.opcode = opcode}, kHello) + ping())
            .gets_text(kHello)
            .fails(1002));
    add(cases, id + "-header-alone",
        Script().sends(header({.opcode = opcode, .announced = 100})).fails(1002));
  }
  const auto plain = [](std::uint8_t opcode, std::string_view payload) {
    return Script().sends(frame({.opcode = opcode}, payload)).fails(1002);
  };
  const auto between = [](std::uint8_t opcode, std::string_view payload, Chop chop) {
    return Script()
        .sends(text(kHello) + frame({.opcode = opcode}, payload) + ping(), std::move(chop))
        .gets_text(kHello)
        .fails(1002);
  };
  add(cases, "AB-4.1.1", plain(3, {}));
  add(cases, "AB-4.1.2", plain(4, "reserved opcode payload"));
  add(cases, "AB-4.1.3", between(5, {}, {}));
  add(cases, "AB-4.1.4", between(6, kHello, {}));
  add(cases, "AB-4.1.5", between(7, kHello, bytewise()));
  add(cases, "AB-4.2.1", plain(11, {}));
  add(cases, "AB-4.2.2", plain(12, "reserved opcode payload"));
  add(cases, "AB-4.2.3", between(13, {}, {}));
  add(cases, "AB-4.2.4", between(14, kHello, {}));
  add(cases, "AB-4.2.5", between(15, kHello, bytewise()));
}

// "The server MUST close the connection upon receiving a frame that is not masked", section 5.1,
// and knows it before any payload.
void add_unmasked(Cases& cases) {
  for (Op opcode : kOpcodes) {
    const std::string payload = opcode == kClose ? "\x03\xe8" : kHello;
    add(cases, "F4-unmasked-opcode-" + n(opcode),
        Script().sends(frame({.opcode = opcode, .masked = false}, payload)).fails(1002));
    add(cases, "F4-unmasked-empty-opcode-" + n(opcode),
        Script().sends(frame({.opcode = opcode, .masked = false}, {})).fails(1002));
  }
  for (std::uint64_t length : Sizes{5, 200, 70000}) {
    add(cases, "F4-unmasked-header-alone-announcing-" + n(length),
        Script()
            .sends(header({.opcode = kBinary, .masked = false, .announced = length}))
            .fails(1002));
  }
  add(cases, "F4-unmasked-continuation",
      Script()
          .sends(first(kText, "a") + frame({.opcode = kContinuation, .masked = false}, "b"))
          .fails(1002));
  add(cases, "F4-unmasked-after-a-message",
      Script()
          .sends(text(kHello) + frame({.masked = false}, kHello))
          .gets_text(kHello)
          .fails(1002));
}

// "the minimal number of bytes MUST be used to encode the length", section 5.2.
void add_non_minimal(Cases& cases) {
  const auto refuse = [&cases](int form, std::uint64_t length) {
    const std::string id = "F6-length-" + n(form == 16 ? 126 : 127) + "-for-" + n(length);
    add(cases, id,
        Script()
            .sends(frame({.opcode = kBinary, .length_form = form}, repeat("x", length)))
            .fails(1002));
    add(cases, id + "-header-alone",
        Script()
            .sends(header({.opcode = kText, .length_form = form, .announced = length}))
            .fails(1002));
  };
  for (std::uint64_t length : Sizes{0, 1, 5, 124, 125}) refuse(16, length);
  for (std::uint64_t length : Sizes{0, 1, 125, 126, 127, 65534, 65535}) refuse(64, length);
  for (int form : {16, 64}) {
    const std::string id = "F6-length-" + n(form == 16 ? 126 : 127);
    add(cases, id + "-on-ping",
        Script().sends(frame({.opcode = kPing, .length_form = form}, "ping")).fails(1002));
    add(cases, id + "-on-close",
        Script().sends(frame({.opcode = kClose, .length_form = form}, "\x03\xe8")).fails(1002));
    add(cases, id + "-on-continuation",
        Script()
            .sends(first(kText, "a") + frame({.opcode = kContinuation, .length_form = form}, "b"))
            .fails(1002));
    add(cases, id + "-after-a-message",
        Script()
            .sends(text(kHello) + frame({.length_form = form}, kHello))
            .gets_text(kHello)
            .fails(1002));
  }
}

// "the most significant bit MUST be 0", section 5.2: such a length is malformed, not just big.
void add_huge_lengths(Cases& cases) {
  for (std::uint64_t length : {std::uint64_t{1} << 63, (std::uint64_t{1} << 63) + 5,
                               ~std::uint64_t{0}, ~std::uint64_t{0} - 13}) {
    for (Op opcode : {kText, kBinary}) {
      add(cases, "F1-top-bit-" + n(length) + "-opcode-" + n(opcode),
          Script().sends(header({.opcode = opcode, .announced = length})).fails(1002));
    }
    add(cases, "F1-top-bit-" + n(length) + "-continuation",
        Script()
            .sends(first(kText, "a") + header({.opcode = kContinuation, .announced = length}))
            .fails(1002));
  }
  for (std::uint64_t length : {(std::uint64_t{1} << 63) - 1, std::uint64_t{1} << 62,
                               std::uint64_t{1} << 32, (std::uint64_t{1} << 32) + 5}) {
    add(cases, "F1-length-" + n(length),
        Script().sends(header({.opcode = kBinary, .announced = length})).fails(1009));
    // What is held already must not wrap the sum of both to something small.
    add(cases, "F1-length-" + n(length) + "-continuation",
        Script()
            .sends(first(kText, "held") + header({.opcode = kContinuation, .announced = length}))
            .fails(1009));
  }
}

// Every alignment of payload against mask key and buffer: 257 lengths in one stream, the key zero,
// all ones, and one whose four bytes differ.
void add_masks(Cases& cases) {
  for (std::uint32_t mask : {0x00000000U, 0xffffffffU, 0x01020408U, 0xff00ff00U}) {
    Script whole;
    Script chopped;
    std::string sent;
    for (std::size_t length = 0; length <= 256; ++length) {
      const std::string payload = repeat("\x01\x80\xff\x00\x7f\xaa\x55"s, length);
      sent += frame({.opcode = kBinary, .mask = mask}, payload);
      whole.gets_binary(payload);
    }
    Script script = Script().sends(sent);
    for (const Step& step : whole.steps()) script.gets_binary(step.bytes);
    add(cases, "F11-mask-" + n(mask), script.bye());
    chopped.sends(sent, pieces(61));
    for (const Step& step : whole.steps()) chopped.gets_binary(step.bytes);
    add(cases, "F11-mask-" + n(mask) + "-in-pieces-of-61", chopped.bye());
  }
}

// What is owed goes out before the Close, though the bad frame came in the same segment; and bytes
// that arrive late are drained, or an RST would destroy the Close.
void add_owed(Cases& cases) {
  struct Bad {
    const char* id;
    std::string bytes;
    int code;
  };
  const std::vector<Bad> bads = {
      {"rsv", frame({.rsv = 4}, "x"), 1002},
      {"opcode", frame({.opcode = 3}, "x"), 1002},
      {"unmasked", frame({.masked = false}, "x"), 1002},
      {"utf8", text("\xff"), 1007},
      {"too-big", header({.announced = kLimits.message_bytes + 1}), 1009},
      {"long-ping", frame({.opcode = kPing}, repeat("x", 126)), 1002},
      {"stray-continuation", last("x"), 1002},
      {"close-code", close(1005), 1002},
  };
  for (const Bad& bad : bads) {
    add(cases, std::string("owed-before-") + bad.id,
        Script()
            .sends(text("one") + ping("two") + binary("three") + bad.bytes)
            .gets_text("one")
            .gets_pong("two")
            .gets_binary("three")
            .fails(bad.code));
    add(cases, std::string("late-bytes-after-") + bad.id,
        Script()
            .sends(text("one") + bad.bytes + repeat(text("more"), 32 * 1024))
            .waits(20)  // time for an RST to overtake the Close and destroy it
            .gets_text("one")
            .fails(bad.code));
  }
  const std::string megabyte = repeat("mega", 1 << 20);
  add_lazy(cases, "owed-3-MiB-before-a-bad-frame", [megabyte] {
    return Script()
        .sends(text(megabyte) + binary(megabyte) + text(megabyte) + frame({.rsv = 1}, "x"))
        .waits(50)
        .gets_text(megabyte)
        .gets_binary(megabyte)
        .gets_text(megabyte)
        .fails(1002);
  });
}

// A header in two reads and a payload large enough to be answered from where it lies.
void add_torn_headers(Cases& cases) {
  for (const std::size_t size : {20'000u, 60'000u, 70'000u}) {
    const std::string payload = repeat("torn", size);
    const std::string whole = binary(payload);
    const std::size_t header_bytes = whole.size() - payload.size();
    for (std::size_t at = 1; at <= header_bytes; ++at) {
      add_socket_only(cases,
                      "F11-header-torn-at-" + std::to_string(at) + "-of-" + std::to_string(size),
                      Script()
                          .sends(whole.substr(0, at))
                          .waits(20)
                          .sends(whole.substr(at))
                          .gets_binary(payload)
                          .bye());
    }
  }
}

}  // namespace

void add_frames(Cases& cases) {
  add_torn_headers(cases);
  add_lengths(cases);
  add_splits(cases);
  add_pipelines(cases);
  add_reserved_bits(cases);
  add_opcodes(cases);
  add_unmasked(cases);
  add_non_minimal(cases);
  add_huge_lengths(cases);
  add_masks(cases);
  add_owed(cases);
}

}  // namespace ws::test
