// Big messages, many fragments, many small writes, and the limits (RFC 6455 section 10.4): Autobahn
// 9, rows F1, F2 and F3.
#include "tests/conformance/conformance.h"

namespace ws::test {
namespace {

using namespace std::string_literals;  // one payload holds a zero byte

constexpr std::size_t kFragmentsMax = kLimits.message_fragments;

std::string textual(std::size_t bytes) {
  return repeat("BAsd7&jh23", bytes);
}
std::string octets(std::size_t bytes) {
  return repeat("\x00\xfe\x23\xfa\xf0"s, bytes);
}

// 9.1 and 9.2: one frame of growing size; the last is exactly the limit.
void add_message_sizes(Cases& cases) {
  std::size_t index = 0;
  for (std::size_t bytes : Sizes{64 * kKiB, 256 * kKiB, 1 * kMiB, 4 * kMiB, 8 * kMiB, 16 * kMiB}) {
    ++index;
    add_lazy(cases, "AB-9.1." + n(index), [bytes] {
      return Script().sends(text(textual(bytes))).gets_text(textual(bytes)).bye();
    });
    add_lazy(cases, "AB-9.2." + n(index), [bytes] {
      return Script().sends(binary(octets(bytes))).gets_binary(octets(bytes)).bye();
    });
  }
}

// 9.3 and 9.4: 4 MiB in fragments of growing size. The suite cuts so that the last fragment is an
// empty one: fragments of 64 bytes are 65,537 frames.
void add_fragment_sizes(Cases& cases) {
  std::size_t index = 0;
  for (std::size_t bytes : Sizes{64 * 1UL, 256 * 1UL, 1 * kKiB, 4 * kKiB, 16 * kKiB, 64 * kKiB,
                                 256 * kKiB, 1 * kMiB, 4 * kMiB}) {
    ++index;
    add_lazy(cases, "AB-9.3." + n(index), [bytes] {
      const std::string payload = repeat("*", 4 * kMiB);
      return Script().sends(fragmented(kText, payload, bytes)).gets_text(payload).bye();
    });
    add_lazy(cases, "AB-9.4." + n(index), [bytes] {
      const std::string payload = repeat("\xfe", 4 * kMiB);
      return Script().sends(fragmented(kBinary, payload, bytes)).gets_binary(payload).bye();
    });
  }
}

// 9.5 and 9.6: 1 MiB in small writes.
void add_chops(Cases& cases) {
  std::size_t index = 0;
  for (std::size_t bytes : Sizes{64, 128, 256, 512, 1024, 2048}) {
    ++index;
    add_lazy(cases, "AB-9.5." + n(index), [bytes] {
      return Script().sends(text(textual(kMiB)), pieces(bytes)).gets_text(textual(kMiB)).bye();
    });
    add_lazy(cases, "AB-9.6." + n(index), [bytes] {
      return Script().sends(binary(octets(kMiB)), pieces(bytes)).gets_binary(octets(kMiB)).bye();
    });
  }
}

// 9.7 and 9.8: 1,000 messages, one after the other's echo.
void add_round_trips(Cases& cases) {
  std::size_t index = 0;
  for (std::size_t bytes : Sizes{0, 16, 64, 256, 1024, 4096}) {
    ++index;
    for (Op opcode : {kText, kBinary}) {
      add_lazy(cases, (opcode == kText ? "AB-9.7." : "AB-9.8.") + n(index), [bytes, opcode] {
        const std::string payload = repeat(opcode == kText ? "*" : "\xfe", bytes);
        Script script;
        for (int i = 0; i < 1000; ++i) {
          script.sends(frame({.opcode = opcode}, payload)).gets(opcode, payload);
        }
        return script.bye();
      });
    }
  }
}

// A byte over the limit is refused on the header that announces it, alone or as a sum.
void add_message_limit(Cases& cases) {
  for (Op opcode : {kText, kBinary}) {
    const std::string id = "F1-opcode-" + n(opcode);
    add(cases, id + "-announces-a-byte-too-many",
        Script().sends(header({.opcode = opcode, .announced = kMessageMax + 1})).fails(1009));
    add(cases, id + "-announces-a-byte-too-many-bytewise",
        Script()
            .sends(header({.opcode = opcode, .announced = kMessageMax + 1}), bytewise())
            .fails(1009));
    add(cases, id + "-announces-a-byte-too-many-in-two-frames",
        Script()
            .sends(first(opcode, "0123456789") +
                   header({.opcode = kContinuation, .announced = kMessageMax - 9}))
            .fails(1009));
    add(cases, id + "-first-fragment-announces-a-byte-too-many",
        Script()
            .sends(header({.opcode = opcode, .fin = false, .announced = kMessageMax + 1}))
            .fails(1009));
  }
  add(cases, "F1-payload-behind-a-refused-header-is-drained",
      Script()
          .sends(header({.opcode = kBinary, .announced = kMessageMax + 1}) +
                 repeat("payload", 60 * kKiB))
          .waits(20)
          .fails(1009));
  add_lazy(cases, "message-of-exactly-the-limit-in-fragments", [] {
    const std::string payload = octets(kMessageMax);
    return Script().sends(fragmented(kBinary, payload, kMiB)).gets_binary(payload).bye();
  });
  add_lazy(cases, "message-of-exactly-the-limit-twice", [] {
    const std::string payload = octets(kMessageMax);
    return Script()
        .sends(binary(payload))
        .gets_binary(payload)
        .sends(binary(payload))
        .gets_binary(payload)
        .bye();
  });
  add_lazy(cases, "F1-one-byte-more-after-exactly-the-limit", [] {
    return Script().sends(first(kBinary, octets(kMessageMax)) + middle("x")).waits(20).fails(1009);
  });
  // 9.9: a message that never ends.
  add_lazy(cases, "AB-9.9.1", [] {
    const std::string fragment = repeat("*", 4 * kKiB);
    std::string sent = first(kText, fragment);
    const std::string more = middle(fragment);
    while (sent.size() < kMessageMax + 40 * kKiB) sent += more;
    return Script().sends(sent).waits(20).fails(1009);
  });
}

// Fragments are counted, empty ones too; control frames between them are not.
void add_fragment_limit(Cases& cases) {
  for (Op opcode : {kText, kBinary}) {
    const std::string id = "F3-opcode-" + n(opcode);
    const std::string empty = middle("");
    const std::string most = first(opcode, "a") + repeat(empty, empty.size() * (kFragmentsMax - 2));
    add(cases, id + "-most-fragments", Script().sends(most + last("z")).gets(opcode, "az").bye());
    add(cases, id + "-one-fragment-too-many", Script().sends(most + empty + last("z")).fails(1008));
    add(cases, id + "-fragments-without-end",
        Script().sends(most + repeat(empty, empty.size() * 1000)).waits(20).fails(1008));
    add(cases, id + "-most-fragments-twice-with-pings",
        Script()
            .sends(most + ping("1") + last("y"))
            .gets_pong("1")
            .gets(opcode, "ay")
            .sends(most + ping("2") + last("z"))
            .gets_pong("2")
            .gets(opcode, "az")
            .bye());
    add(cases, id + "-one-byte-fragments",
        Script()
            .sends(fragmented(opcode, repeat("x", kFragmentsMax - 1), 1))
            .gets(opcode, repeat("x", kFragmentsMax - 1))
            .bye());
  }
}

}  // namespace

void add_limits(Cases& cases) {
  add_message_sizes(cases);
  add_fragment_sizes(cases);
  add_chops(cases);
  add_round_trips(cases);
  add_message_limit(cases);
  add_fragment_limit(cases);
}

}  // namespace ws::test
