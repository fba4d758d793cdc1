// Fragmented messages and what may come between their frames (RFC 6455 section 5.4): Autobahn 5 and
// 10, row F7.
#include "tests/conformance/conformance.h"

namespace ws::test {
namespace {

const std::string kStray = "non-continuation payload";

struct CutInto {
  const char* name;
  bool frame_by_frame = false;
  Chop chop;
};
const std::vector<CutInto> kCuts = {
    {"", false, {}}, {"-frame-by-frame", true, {}}, {"-bytewise", false, bytewise()}};

// The same frames in one write, in one write each, and byte by byte.
Script sent(const std::vector<std::string>& frames, const CutInto& cut) {
  Script script;
  std::string all;
  for (const std::string& frame : frames) {
    if (cut.frame_by_frame) script.sends(frame);
    all += frame;
  }
  if (!cut.frame_by_frame) script.sends(all, cut.chop);
  return script;
}

// 5.1 and 5.2: "Control frames themselves MUST NOT be fragmented", section 5.4.
void add_fragmented_control(Cases& cases) {
  add(cases, "AB-5.1", Script().sends(first(kPing, "fragment1") + last("fragment2")).fails(1002));
  add(cases, "AB-5.2", Script().sends(first(kPong, "fragment1") + last("fragment2")).fails(1002));
  for (Op opcode : {kClose, kPing, kPong}) {
    const std::string id = "F7-not-final-opcode-" + n(opcode);
    const std::string body = opcode == kClose ? "\x03\xe8" : "body";
    add(cases, id, Script().sends(first(opcode, body)).fails(1002));
    add(cases, id + "-empty", Script().sends(first(opcode, {})).fails(1002));
    add(cases, id + "-between-fragments",
        Script().sends(first(kText, "a") + first(opcode, body) + last("b")).fails(1002));
    add(cases, id + "-header-alone",
        Script().sends(header({.opcode = opcode, .fin = false, .announced = 100})).fails(1002));
  }
}

void add_two_fragments(Cases& cases) {
  const char* const plain[] = {"AB-5.3", "AB-5.4", "AB-5.5"};
  const char* const with_ping[] = {"AB-5.6", "AB-5.7", "AB-5.8"};
  for (std::size_t i = 0; i < kCuts.size(); ++i) {
    add(cases, plain[i],
        sent({first(kText, "fragment1"), last("fragment2")}, kCuts[i])
            .gets_text("fragment1fragment2")
            .bye());
    add(cases, with_ping[i],
        sent({first(kText, "fragment1"), ping("ping payload"), last("fragment2")}, kCuts[i])
            .gets_pong("ping payload")
            .gets_text("fragment1fragment2")
            .bye());
  }
  for (const CutInto& cut : kCuts) {
    add(cases, std::string("binary-in-three-fragments") + cut.name,
        sent({first(kBinary, "\xff\xfe"), middle(""), middle("\xfd"), last("\xfc")}, cut)
            .gets_binary("\xff\xfe\xfd\xfc")
            .bye());
    add(cases, std::string("every-control-frame-between-fragments") + cut.name,
        sent({ping("0"), first(kText, "a"), ping("1"), pong("ignored"), middle("b"), ping(), pong(),
              last("c"), ping("2")},
             cut)
            .gets_pong("0")
            .gets_pong("1")
            .gets_pong("")
            .gets_text("abc")
            .gets_pong("2")
            .bye());
  }
  add(cases, "fragmented-text-then-fragmented-binary-then-whole",
      Script()
          .sends(first(kText, "a") + last("b") + first(kBinary, "\xff") + last("\x80") + text("c") +
                 binary("d"))
          .gets_text("ab")
          .gets_binary("\xff\x80")
          .gets_text("c")
          .gets_binary("d")
          .bye());
}

// 5.9 to 5.17: a continuation frame where there is nothing to continue.
void add_stray_continuations(Cases& cases) {
  const char* const final_ids[] = {"AB-5.9", "AB-5.10", "AB-5.11"};
  const char* const open_ids[] = {"AB-5.12", "AB-5.13", "AB-5.14"};
  for (std::size_t i = 0; i < kCuts.size(); ++i) {
    add(cases, final_ids[i], sent({last(kStray), text(kHello)}, kCuts[i]).fails(1002));
    add(cases, open_ids[i], sent({middle(kStray), text(kHello)}, kCuts[i]).fails(1002));
  }
  add(cases, "AB-5.15",
      Script()
          .sends(first(kText, "fragment1") + last("fragment2") + middle("fragment3") +
                 text("fragment4"))
          .gets_text("fragment1fragment2")
          .fails(1002));
  const auto twice = [](const std::string& frames) { return Script().sends(frames + frames); };
  add(cases, "AB-5.16",
      twice(middle("fragment1") + first(kText, "fragment2") + last("fragment3")).fails(1002));
  add(cases, "AB-5.17",
      twice(last("fragment1") + first(kText, "fragment2") + last("fragment3")).fails(1002));
  add(cases, "F7-stray-empty-continuation", Script().sends(last("")).fails(1002));
  add(cases, "F7-stray-continuation-header-alone",
      Script().sends(header({.opcode = kContinuation, .announced = 70000})).fails(1002));
  add(cases, "F7-stray-continuation-after-a-message",
      Script().sends(text(kHello) + last("more")).gets_text(kHello).fails(1002));
  add(cases, "F7-stray-continuation-after-a-ping",
      Script().sends(ping("p") + last("more")).gets_pong("p").fails(1002));
}

// 5.18: inside a message only continuation and control frames may come; nothing is merged.
void add_interleaved_messages(Cases& cases) {
  add(cases, "AB-5.18", Script().sends(first(kText, "fragment1") + text("fragment2")).fails(1002));
  for (Op outer : {kText, kBinary}) {
    for (Op inner : {kText, kBinary}) {
      const std::string id = "F7-opcode-" + n(inner) + "-inside-" + n(outer);
      add(cases, id, Script().sends(first(outer, "a") + frame({.opcode = inner}, "b")).fails(1002));
      add(cases, id + "-not-final",
          Script().sends(first(outer, "a") + first(inner, "b") + last("c")).fails(1002));
      add(cases, id + "-after-a-ping",
          Script()
              .sends(first(outer, "a") + ping("p") + frame({.opcode = inner}, "b"))
              .gets_pong("p")
              .fails(1002));
      add(cases, id + "-after-two-fragments",
          Script()
              .sends(first(outer, "a") + middle("b") + frame({.opcode = inner}, "c"))
              .fails(1002));
      add(cases, id + "-header-alone",
          Script()
              .sends(first(outer, "a") + header({.opcode = inner, .announced = 70000}))
              .fails(1002));
    }
  }
}

// 5.19 and 5.20: the first ping is answered before the rest of the message is even sent.
void add_pings_in_a_slow_message(Cases& cases) {
  for (const CutInto& cut : {kCuts[0], kCuts[1]}) {
    Script script = sent({first(kText, "fragment1"), middle("fragment2"), ping("pongme 1!")}, cut);
    script.gets_pong("pongme 1!");
    const Script rest =
        sent({middle("fragment3"), middle("fragment4"), ping("pongme 2!"), last("fragment5")}, cut);
    for (const Step& step : rest.steps()) script.sends(step.bytes);
    add(cases, cut.frame_by_frame ? "AB-5.20" : "AB-5.19",
        script.gets_pong("pongme 2!")
            .gets_text("fragment1fragment2fragment3fragment4fragment5")
            .bye());
  }
  add(cases, "pong-comes-while-a-message-is-unfinished",
      Script()
          .sends(first(kBinary, repeat("x", 100'000)) + ping("still there?"))
          .gets_pong("still there?")
          .sends(last("end"))
          .gets_binary(repeat("x", 100'000) + "end")
          .bye());
}

// 10.1.1, and the same with other sizes of fragment, so that fragments and reads never line up.
void add_auto_fragments(Cases& cases) {
  const std::string stars = repeat("*", 65536);
  add(cases, "AB-10.1.1", Script().sends(fragmented(kText, stars, 1300)).gets_text(stars).bye());
  const std::string payload = repeat("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5 ", 12 * 400);
  for (std::size_t fragment_bytes : Sizes{1, 2, 3, 5, 7, 125, 126, 127, 1023, 4096}) {
    const std::string id = "fragments-of-" + n(fragment_bytes);
    add(cases, id,
        Script().sends(fragmented(kText, payload, fragment_bytes)).gets_text(payload).bye());
    add(cases, id + "-in-pieces-of-97",
        Script()
            .sends(fragmented(kBinary, payload, fragment_bytes), pieces(97))
            .gets_binary(payload)
            .bye());
  }
  add(cases, "1000-empty-fragments-then-text",
      Script()
          .sends(first(kText, "") + repeat(middle(""), 6 * 998) + last("end"))
          .gets_text("end")
          .bye());
  add(cases, "fragments-without-fin-then-close",
      Script().sends(first(kText, "a") + repeat(middle("b"), 7 * 100)).bye());
}

}  // namespace

void add_fragments(Cases& cases) {
  add_fragmented_control(cases);
  add_two_fragments(cases);
  add_stray_continuations(cases);
  add_interleaved_messages(cases);
  add_pings_in_a_slow_message(cases);
  add_auto_fragments(cases);
}

}  // namespace ws::test
