// Text is UTF-8 (RFC 6455 sections 5.6 and 8.1, RFC 3629): Autobahn 6, row F9. The byte sequences
// are those of Markus Kuhn's UTF-8 stress test, in the order in which that suite numbers them.
#include "core/check.h"
#include "tests/conformance/conformance.h"

namespace ws::test {
namespace {

using namespace std::string_literals;  // some payloads hold a zero byte

constexpr std::size_t kNowhere = std::string::npos;
// "κόσμε"
const std::string kGreek = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";

struct Judged {
  std::size_t impossible_at = kNowhere;  // the first byte that no good text can have there
  bool complete = true;                  // does not end inside a code point
};

struct Range {
  unsigned low, high;
};

// The continuation bytes that may follow a lead byte: table 3-7 of the Unicode standard. Empty: not
// a lead byte.
std::vector<Range> after(unsigned lead) {
  const Range any{0x80, 0xbf};
  if (lead >= 0xc2 && lead <= 0xdf) return {any};
  if (lead == 0xe0) return {{0xa0, 0xbf}, any};
  if (lead == 0xed) return {{0x80, 0x9f}, any};
  if (lead >= 0xe1 && lead <= 0xef) return {any, any};
  if (lead == 0xf0) return {{0x90, 0xbf}, any, any};
  if (lead >= 0xf1 && lead <= 0xf3) return {any, any, any};
  if (lead == 0xf4) return {{0x80, 0x8f}, any, any};
  return {};
}

// Byte by byte from the table: slow, and nothing like the validator it judges.
Judged judge(std::string_view payload) {
  std::vector<Range> wanted;
  for (std::size_t i = 0; i < payload.size(); ++i) {
    const unsigned byte = static_cast<unsigned char>(payload[i]);
    if (wanted.empty()) {
      if (byte < 0x80) continue;
      wanted = after(byte);
      if (wanted.empty()) return {.impossible_at = i};
    } else {
      if (byte < wanted.front().low || byte > wanted.front().high) return {.impossible_at = i};
      wanted.erase(wanted.begin());
    }
  }
  return {.complete = wanted.empty()};
}

bool good(std::string_view payload) {
  const Judged judged = judge(payload);
  return judged.impossible_at == kNowhere && judged.complete;
}

// Good text comes back however it was cut.
void add_good(Cases& cases, const std::string& id, const std::string& payload) {
  WS_CHECK(good(payload));
  add(cases, id,
      Script()
          .sends(text(payload))
          .gets_text(payload)
          .sends(text(payload), bytewise())
          .gets_text(payload)
          .sends(fragmented(kText, payload, 1))
          .gets_text(payload)
          .bye());
}

// Bad text is refused however it was cut, at its first impossible byte, though neither message nor
// frame is finished.
void add_bad(Cases& cases, const std::string& id, const std::string& payload) {
  WS_CHECK(!good(payload));
  add(cases, id, Script().sends(text(payload)).fails(1007));
  add(cases, id + "-bytewise", Script().sends(text(payload), bytewise()).fails(1007));
  add(cases, id + "-in-fragments", Script().sends(fragmented(kText, payload, 1)).fails(1007));
  const std::string around = repeat("in the middle of a long text ", 100);
  add(cases, id + "-in-long-text", Script().sends(text(around + payload + around)).fails(1007));
  const std::size_t at = judge(payload).impossible_at;
  if (at == kNowhere) return;
  const std::string begun = payload.substr(0, at + 1);
  add(cases, id + "-in-unfinished-message", Script().sends(first(kText, begun)).fails(1007));
  add(cases, id + "-in-unfinished-frame",
      Script().sends(frame({.announced = begun.size() + 100}, begun)).fails(1007));
}

struct Group {
  int number;  // Autobahn's 6.number
  bool good;
  std::vector<std::string> payloads;
};

std::string every_byte(int from, int to, std::string_view behind_each) {
  std::string out;
  for (int byte = from; byte <= to; ++byte) {
    out.push_back(static_cast<char>(byte));
    out.append(behind_each);
  }
  return out;
}

// U+FFFE and U+FFFF and their likes of every plane: no characters, yet good UTF-8.
std::vector<std::string> noncharacters() {
  std::vector<std::string> out = {"\xef\xbf\xbe", "\xef\xbf\xbf"};
  for (const char lead : {'\xf0', '\xf1', '\xf2', '\xf3', '\xf4'}) {
    for (const char second : {'\x8f', '\x9f', '\xaf', '\xbf'}) {
      for (const char fourth : {'\xbe', '\xbf'}) {
        const std::string code_point = {lead, second, '\xbf', fourth};
        if (good(code_point)) out.push_back(code_point);
      }
    }
  }
  return out;
}

const std::vector<std::string> kLastByteMissing = {
    "\xc0", "\xe0\x80", "\xf0\x80\x80", "\xf8\x80\x80\x80", "\xfc\x80\x80\x80\x80",
    "\xdf", "\xef\xbf", "\xf7\xbf\xbf", "\xfb\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf"};

std::string all_of(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) out += part;
  return out;
}

std::vector<Group> groups() {
  return {
      {5,
       true,
       {"hello$world", "hello\xc2\xa2world", "hello\xe2\x82\xacworld", "hello\xf0\xa4\xad\xa2world",
        kGreek}},
      {7, true, {"\0"s, "\xc2\x80", "\xe0\xa0\x80", "\xf0\x90\x80\x80"}},
      {8, false, {"\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80"}},
      {9, true, {"\x7f", "\xdf\xbf", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf"}},
      {10, false, {"\xf7\xbf\xbf\xbf", "\xfb\xbf\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf\xbf"}},
      {11, true, {"\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd", "\xf4\x8f\xbf\xbf"}},
      {11, false, {"\xf4\x90\x80\x80"}},
      {12,
       false,
       {"\x80", "\xbf", "\x80\xbf", "\x80\xbf\x80", "\x80\xbf\x80\xbf", "\x80\xbf\x80\xbf\x80",
        "\x80\xbf\x80\xbf\x80\xbf", every_byte(0x80, 0xbf, "")}},
      {13,
       false,
       {every_byte(0xc0, 0xdf, " "), every_byte(0xe0, 0xef, " "), every_byte(0xf0, 0xf7, " "),
        every_byte(0xf8, 0xfb, " "), every_byte(0xfc, 0xfd, " ")}},
      {14, false, kLastByteMissing},
      {15, false, {all_of(kLastByteMissing)}},
      {16, false, {"\xfe", "\xff", "\xfe\xfe\xff\xff"}},
      {17,
       false,
       {"\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf",
        "\xfc\x80\x80\x80\x80\xaf"}},
      {18,
       false,
       {"\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf8\x87\xbf\xbf\xbf",
        "\xfc\x83\xbf\xbf\xbf\xbf"}},
      {19,
       false,
       {"\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xf8\x80\x80\x80\x80",
        "\xfc\x80\x80\x80\x80\x80"}},
      {20,
       false,
       {"\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf", "\xed\xb0\x80",
        "\xed\xbe\x80", "\xed\xbf\xbf"}},
      {21,
       false,
       {"\xed\xa0\x80\xed\xb0\x80", "\xed\xa0\x80\xed\xbf\xbf", "\xed\xad\xbf\xed\xb0\x80",
        "\xed\xad\xbf\xed\xbf\xbf", "\xed\xae\x80\xed\xb0\x80", "\xed\xae\x80\xed\xbf\xbf",
        "\xed\xaf\xbf\xed\xb0\x80", "\xed\xaf\xbf\xed\xbf\xbf"}},
      {22, true, noncharacters()},
      {23,
       true,
       {"\xef\xbf\xb9", "\xef\xbf\xba", "\xef\xbf\xbb", "\xef\xbf\xbc", "\xef\xbf\xbd",
        "\xef\xbf\xbe", "\xef\xbf\xbf"}},
  };
}

void add_groups(Cases& cases) {
  int number = 0;
  std::size_t index = 0;
  for (const Group& group : groups()) {
    if (group.number != number) index = 0;
    number = group.number;
    for (const std::string& payload : group.payloads) {
      const std::string id = "AB-6." + std::to_string(number) + "." + n(++index);
      (group.good ? add_good : add_bad)(cases, id, payload);
    }
  }
  // 6.6: every beginning of a good text, of which only some are complete.
  for (std::size_t length = 1; length <= kGreek.size(); ++length) {
    const std::string payload = kGreek.substr(0, length);
    const std::string id = "AB-6.6." + n(length);
    (good(payload) ? add_good : add_bad)(cases, id, payload);
  }
}

void add_empty_and_fragmented(Cases& cases) {
  const std::string one = "Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4";
  const std::string two = "\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!";
  add(cases, "AB-6.1.1", Script().sends(text("")).gets_text("").bye());
  add(cases, "AB-6.1.2",
      Script().sends(first(kText, "") + middle("") + last("")).gets_text("").bye());
  add(cases, "AB-6.1.3",
      Script()
          .sends(first(kText, "") + middle("middle frame payload") + last(""))
          .gets_text("middle frame payload")
          .bye());
  add(cases, "AB-6.2.1", Script().sends(text(one + two)).gets_text(one + two).bye());
  add(cases, "AB-6.2.2", Script().sends(first(kText, one) + last(two)).gets_text(one + two).bye());
  add(cases, "AB-6.2.3",
      Script().sends(fragmented(kText, one + two, 1)).gets_text(one + two).bye());
  add(cases, "AB-6.2.4", Script().sends(fragmented(kText, kGreek, 1)).gets_text(kGreek).bye());
  const std::string surrogate = kGreek + "\xed\xa0\x80" + "edited";
  add(cases, "AB-6.3.1", Script().sends(text(surrogate)).fails(1007));
  add(cases, "AB-6.3.2", Script().sends(fragmented(kText, surrogate, 1)).fails(1007));
}

// 6.4: what is good so far is waited for, and what is not is refused before more comes.
void add_fail_fast(Cases& cases) {
  const std::string too_high = kGreek + "\xf4\x90\x80\x80" + "edited";
  const std::string up_to_lead = too_high.substr(0, 12);
  const std::string bytes = text(too_high);
  const std::size_t payload_at = bytes.size() - too_high.size();
  add(cases, "AB-6.4.1",
      Script()
          .sends(first(kText, kGreek))
          .silent(40)
          .sends(middle("\xf4\x90\x80\x80"))
          .fails(1007));
  add(cases, "AB-6.4.2",
      Script().sends(first(kText, up_to_lead)).silent(40).sends(middle("\x90")).fails(1007));
  add(cases, "AB-6.4.3",
      Script()
          .sends(bytes.substr(0, payload_at + 11))
          .silent(40)
          .sends(bytes.substr(payload_at + 11, 4))
          .fails(1007));
  add(cases, "AB-6.4.4",
      Script()
          .sends(bytes.substr(0, payload_at + 12))
          .silent(40)
          .sends(bytes.substr(payload_at + 12, 1))
          .fails(1007));
  add(cases, "F9-bad-byte-200-KiB-into-an-unfinished-frame",
      Script()
          .sends(frame({.announced = 1 << 20}, repeat("\xe2\x82\xac", 66'000 * 3) + "\xff"))
          .fails(1007));
  add(cases, "F9-bad-byte-in-the-third-fragment",
      Script()
          .sends(first(kText, "\xe2") + ping("\xff") + middle("\x82") + middle("\x41"))
          .gets_pong("\xff")
          .fails(1007));
}

// The first and last code point of each length and of each gap, cut at every byte: between
// fragments, between fragments with a ping among them, and between reads.
void add_text_splits(Cases& cases) {
  for (const std::string code_point :
       {"\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xe0\xbf\xbf", "\xe1\x80\x80", "\xec\xbf\xbf",
        "\xed\x80\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80",
        "\xf0\xbf\xbf\xbf", "\xf1\x80\x80\x80", "\xf3\xbf\xbf\xbf", "\xf4\x80\x80\x80",
        "\xf4\x8f\xbf\xbf"}) {
    const std::string payload = "<" + code_point + ">";
    Script script;
    std::string hex;
    for (const char byte : code_point) {
      constexpr std::string_view kDigits = "0123456789abcdef";
      hex.push_back(kDigits[static_cast<unsigned char>(byte) >> 4]);
      hex.push_back(kDigits[static_cast<unsigned char>(byte) & 15]);
    }
    for (std::size_t at = 1; at < payload.size(); ++at) {
      const std::string bytes = text(payload);
      script.sends(first(kText, payload.substr(0, at)) + last(payload.substr(at)))
          .gets_text(payload)
          .sends(first(kText, payload.substr(0, at)) + ping("\xf0") + last(payload.substr(at)))
          .gets_pong("\xf0")
          .gets_text(payload)
          .sends(bytes, split_at({bytes.size() - payload.size() + at}))
          .gets_text(payload);
    }
    add(cases, "F9-every-split-of-" + hex, script.bye());
    // Nor may a message end inside it, whatever comes next.
    for (std::size_t at = 1; at < code_point.size(); ++at) {
      const std::string begun = code_point.substr(0, at);
      const std::string id = "F9-" + hex + "-ends-after-" + n(at);
      add(cases, id, Script().sends(text(begun) + text(code_point.substr(at))).fails(1007));
      add(cases, id + "-and-an-empty-fragment",
          Script().sends(first(kText, begun) + last("")).fails(1007));
    }
  }
}

// Long texts, for validators that take 16, 32 or 64 bytes at once.
void add_long(Cases& cases) {
  struct Bad {
    const char* name;
    const char* bytes;
  };
  const Bad kBads[] = {{"ff", "\xff"},
                       {"lone-continuation", "\x80"},
                       {"lone-lead", "\xe2\x82 "},
                       {"surrogate", "\xed\xa0\x80"}};
  const std::string all = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80";
  for (std::size_t shift = 0; shift < 10; ++shift) {
    const std::string payload = repeat("0123456789", shift) + repeat(all, all.size() * 1000);
    add(cases, "long-text-shifted-by-" + n(shift),
        Script()
            .sends(text(payload))
            .gets_text(payload)
            .sends(text(payload), pieces(61))
            .gets_text(payload)
            .bye());
  }
  for (std::size_t at : Sizes{0,  1,  7,  8,  15, 16,  17,  31,  32,   33,   47,
                              48, 62, 63, 64, 65, 127, 128, 129, 4095, 4096, 65535}) {
    for (const Bad& bad : kBads) {
      add(cases, "F9-" + std::string(bad.name) + "-at-" + n(at),
          Script().sends(text(repeat("ascii", at) + bad.bytes + repeat("ascii", 200))).fails(1007));
    }
    add(cases, "F9-text-of-" + n(at + 2) + "-ends-inside-a-code-point",
        Script().sends(text(repeat("ascii", at) + "\xe2\x82")).fails(1007));
  }
}

// Only text is text, and each message starts afresh.
void add_not_text(Cases& cases) {
  add(cases, "binary-need-not-be-utf8",
      Script()
          .sends(binary("\xff\xfe") + first(kBinary, "\xe2") + last("\xff") + text("\xe2\x82\xac"))
          .gets_binary("\xff\xfe")
          .gets_binary("\xe2\xff")
          .gets_text("\xe2\x82\xac")
          .bye());
  add(cases, "a-binary-that-ends-with-a-lead-byte-does-not-spoil-the-next-text",
      Script()
          .sends(binary("\xf0\x9f") + text("plain"))
          .gets_binary("\xf0\x9f")
          .gets_text("plain")
          .bye());
  add(cases, "F9-echo-owed-before-bad-text",
      Script()
          .sends(text("good") + text("bad\xc0\xaf") + text("never"))
          .gets_text("good")
          .fails(1007));
}

}  // namespace

void add_utf8(Cases& cases) {
  add_empty_and_fragmented(cases);
  add_fail_fast(cases);
  add_groups(cases);
  add_text_splits(cases);
  add_long(cases);
  add_not_text(cases);
}

}  // namespace ws::test
