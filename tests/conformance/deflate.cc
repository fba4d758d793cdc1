// permessage-deflate (RFC 7692) as a bare wsd speaks it, each message for itself: rows C1 to C6 and
// what Autobahn 12 and 13 are about. Context takeover has a server of its own elsewhere.
#include <initializer_list>

#include "tests/conformance/deflate_frames.h"
#include "tests/support/corpus.h"
#include "ws/deflate/format.h"

namespace ws::test {
namespace {

using namespace std::string_literals;
using deflate::kFixed;

constexpr char kAnswer[] =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

Script agreed() {
  return offers(kOffer, kAnswer);
}

DeflateBits fixed(std::string_view text, bool final = false) {
  DeflateBits bits;
  bits.header(final, kFixed).fixed_text(text).fixed_end();
  return bits;
}

std::string json(std::size_t bytes) {
  Rng rng(bytes);
  std::string out;
  for (std::uint64_t sequence = 1; out.size() < bytes; ++sequence) {
    out += json_event(rng, sequence) + "\n";
  }
  out.resize(bytes);
  return out;
}

// 16 MiB at most, in a stream of about a thousandth of it.
std::string packed_zeros(std::size_t bytes) {
  return deflated(std::string(bytes, '\0'));
}

// The message inflates to this, a short text, and afterwards the connection goes on.
void good(Cases& cases, std::string id, const std::string& frames, const std::string& inflated) {
  add_raw(cases, std::move(id),
          agreed()
              .sends(frames)
              .gets_text(inflated)
              .sends(packed_text(kHelloStream))
              .gets_text("Hello")
              .bye());
}

// Refused, and what is behind it neither answered nor looked at.
void bad(Cases& cases, std::string id, const std::string& frames, int code) {
  add_raw(cases, std::move(id),
          agreed()
              .sends(packed_text(kHelloStream) + frames + packed_text(kHelloStream) + ping())
              .gets_text("Hello")
              .fails(code));
}

// RFC 7692 section 7.2.3, byte for byte.
void add_examples(Cases& cases) {
  good(cases, "RFC7692-7.2.3.1-one-block", packed_text(kHelloStream), "Hello");
  good(cases, "RFC7692-7.2.3.1-in-two-fragments",
       packed_first(kText, "\xf2\x48\xcd"s) + last("\xc9\xc9\x07\x00"s), "Hello");
  good(cases, "RFC7692-7.2.3.3-stored",
       packed_text("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"s), "Hello");
  good(cases, "RFC7692-7.2.3.4-final", packed_text("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"s), "Hello");
  good(cases, "RFC7692-7.2.3.5-two-blocks",
       packed_text("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"s), "Hello");
  good(cases, "RFC7692-7.2.3.6-empty", packed_text("\x00"s), "");
  good(cases, "RFC7692-7.2.3.6-empty-last-fragment",
       packed_first(kText, "\xf2\x48\xcd\xc9\xc9\x07"s) + last("\x00"s), "Hello");
  add_raw(cases, "RFC7692-7.2.3.2-needs-takeover",
          agreed()
              .sends(packed_text(kHelloStream))
              .gets_text("Hello")
              .sends(packed_text(kHelloAgainStream))
              .fails(1007));
}

void add_frames_of_messages(Cases& cases) {
  good(cases, "C-not-compressed-though-agreed", text("plain"), "plain");
  good(cases, "C-not-compressed-in-fragments", first(kText, "pl") + last("ain"), "plain");
  good(cases, "C-empty-and-not-compressed", text(""), "");
  const std::string message = json(900);
  const std::string stream = deflated(message);
  for (std::size_t bytes : Sizes{1, 2, 3, 7, 64}) {
    good(cases, "C-fragments-of-" + n(bytes), packed_fragments(kText, stream, bytes), message);
  }
  for (std::size_t at = 0; at <= kHelloStream.size(); ++at) {
    good(cases, "C-two-fragments-cut-at-" + n(at),
         packed_first(kText, kHelloStream.substr(0, at)) + last(kHelloStream.substr(at)), "Hello");
  }
  good(cases, "C-empty-fragments-between",
       packed_first(kText, "") + middle("") + middle(kHelloStream) + middle("") + last(""),
       "Hello");
  add_raw(cases, "C-one-byte-per-write",
          agreed()
              .sends(packed_text(stream) + packed_fragments(kText, stream, 50), bytewise())
              .gets_text(message)
              .gets_text(message)
              .bye());
  add_raw(cases, "C-control-frames-between-fragments",
          agreed()
              .sends(packed_first(kText, "\xf2\x48\xcd"s) + ping("a") + pong("b") + middle("") +
                     ping("c") + last("\xc9\xc9\x07\x00"s) + ping("d"))
              .gets_pong("a")
              .gets_pong("c")
              .gets_text("Hello")
              .gets_pong("d")
              .bye());
  add_raw(cases, "C-binary-of-any-bytes",
          agreed()
              .sends(packed(kBinary, deflated("\xff\x00\xfe\xc0 any"s)))
              .gets_binary("\xff\x00\xfe\xc0 any"s)
              .bye());
  add_raw(cases, "C-kinds-in-turn",
          agreed()
              .sends(packed_text(kHelloStream) + text("plain") + packed(kBinary, kHelloStream) +
                     binary("raw") + packed_text(kHelloStream))
              .gets_text("Hello")
              .gets_text("plain")
              .gets_binary("Hello")
              .gets_binary("raw")
              .gets_text("Hello")
              .bye());
  add_raw(cases, "C-together-with-the-request",
          Script()
              .sends(Request().with("Sec-WebSocket-Extensions: "s + kOffer).str() +
                     packed_text(kHelloStream))
              .upgraded(kAnswer)
              .gets_text("Hello")
              .bye());
  add_raw(cases, "C-close-inside-a-compressed-message",
          agreed().sends(packed_first(kText, "\xf2\x48"s)).bye());
}

// Section 6.1: RSV1 belongs to the first frame of a data message; section 5.2 of RFC 6455 leaves
// the other bits to nobody.
void add_compressed_reserved_bits(Cases& cases) {
  const std::string part = packed_first(kText, "\xf2\x48\xcd"s);
  bad(cases, "F5-rsv1-on-a-continuation-of-a-compressed-message",
      part + frame({.opcode = kContinuation, .rsv = 4}, "\xc9\xc9\x07\x00"s), 1002);
  bad(cases, "F5-rsv1-on-a-continuation-in-the-middle",
      part + frame({.opcode = kContinuation, .fin = false, .rsv = 4}, "\xc9"s), 1002);
  bad(cases, "F5-rsv1-on-a-continuation-of-a-plain-message",
      first(kText, "a") + frame({.opcode = kContinuation, .rsv = 4}, kHelloStream), 1002);
  for (const Op opcode : {kClose, kPing, kPong}) {
    const std::string control = frame({.opcode = opcode, .rsv = 4}, "");
    bad(cases, "F5-rsv1-on-control-" + n(opcode) + "-though-agreed", control, 1002);
    bad(cases, "F5-rsv1-on-control-" + n(opcode) + "-between-compressed-fragments", part + control,
        1002);
  }
  for (const std::uint8_t rsv : std::initializer_list<std::uint8_t>{1, 2, 3, 5, 6, 7}) {
    bad(cases, "F5-rsv-" + n(rsv) + "-though-deflate-is-agreed",
        frame({.opcode = kText, .rsv = rsv}, kHelloStream), 1002);
    bad(cases, "F5-rsv-" + n(rsv) + "-on-a-fragment-though-deflate-is-agreed",
        frame({.opcode = kText, .fin = false, .rsv = rsv}, kHelloStream), 1002);
  }
  bad(cases, "F5-rsv1-on-an-unknown-opcode", frame({.opcode = 3, .rsv = 4}, kHelloStream), 1002);
  bad(cases, "F7-compressed-message-inside-another", part + packed_text(kHelloStream), 1002);
  for (const char* offer : {"", "x-foo", "permessage-deflate; server_max_window_bits=7"}) {
    add_raw(cases, "F5-rsv1-not-agreed-after-"s + offer,
            offers(offer, "").sends(packed_text(kHelloStream)).fails(1002));
  }
}

// Row C3: "the receiver ... on a block with BFINAL set": what follows begins at the next byte.
void add_final_blocks(Cases& cases) {
  const auto continued = [](DeflateBits bits) {
    bits.align().header(false, kFixed).fixed_text("two").fixed_end().end_message();
    return bytes_of(bits);
  };
  good(cases, "C3-bfinal-in-the-middle", packed_text(continued(fixed("one ", true))), "one two");
  DeflateBits stored;
  stored.stored(true, "one ");
  good(cases, "C3-bfinal-on-a-stored-block", packed_text(continued(stored)), "one two");
  DeflateBits many;
  for (int i = 0; i < 40; ++i) {
    many.header(true, kFixed).fixed_text("x").fixed_end().align().stored(true, "y");
  }
  good(cases, "C3-bfinal-many-times", packed_text(bytes_of(many.end_message())), repeat("xy", 80));
  good(cases, "C3-bfinal-at-the-end", packed_text(bytes_of(fixed("end", true))), "end");
  good(cases, "C3-bfinal-on-a-stored-block-at-the-end",
       packed_text(bytes_of(DeflateBits().stored(true, "end"))), "end");
  good(cases, "C3-bfinal-on-the-empty-block-at-the-end",
       packed_text(bytes_of(fixed("end").stored(true, "").end_message())), "end");
  DeflateBits reaching;
  reaching.header(true, kFixed).fixed_text("abcd").fixed_end().align();
  reaching.header(false, kFixed).fixed_match(4, 4).fixed_end().end_message();
  good(cases, "C3-bfinal-keeps-the-window-of-the-message", packed_text(bytes_of(reaching)),
       "abcdabcd");
  std::string padded = bytes_of(fixed("a", true));  // 3 + 8 + 7 bits: 6 of padding
  padded.back() = static_cast<char>(padded.back() | 0xfc);
  good(cases, "C3-bits-that-pad-a-final-block", packed_text(padded + "\x00"s), "a");
  const std::string stream = continued(fixed("one ", true));
  for (std::size_t at = 1; at < stream.size(); ++at) {
    good(cases, "C3-bfinal-cut-into-fragments-at-" + n(at),
         packed_first(kText, stream.substr(0, at)) + last(stream.substr(at)), "one two");
  }
  const std::string final = bytes_of(fixed("end", true));
  bad(cases, "C3-garbage-behind-bfinal", packed_text(final + "\xff\xff"s), 1007);
  bad(cases, "C3-text-behind-bfinal", packed_text(final + "GET / HTTP/1.1\r\n\r\n"), 1007);
  bad(cases, "C3-a-message-torn-behind-bfinal",
      packed_text(final + std::string(kHelloStream.substr(0, 4))), 1007);
  // Tomcat smuggled the rest of such a message into the next one.
  add_raw(cases, "C3-nothing-goes-over-into-the-next-message",
          agreed()
              .sends(packed_text(final) + packed_text("\x00"s) + text("plain") +
                     packed_text(stream) + packed_text(kHelloStream))
              .gets_text("end")
              .gets_text("")
              .gets_text("plain")
              .gets_text("one two")
              .gets_text("Hello")
              .bye());
}

// Row C6. Everything here is "data that is no DEFLATE stream".
void add_broken_streams(Cases& cases) {
  const auto broken = [&cases](const std::string& id, const std::string& stream) {
    bad(cases, "C6-" + id, packed_text(stream), 1007);
    bad(cases, "C6-" + id + "-in-fragments", packed_fragments(kBinary, stream, 2), 1007);
  };
  for (std::size_t bytes = 1; bytes < 6; ++bytes) {
    broken("torn-after-" + n(bytes), std::string(kHelloStream.substr(0, bytes)));
  }
  broken("block-type-3", bytes_of(DeflateBits().header(false, 3).end_message()));
  broken("block-type-3-behind-good-data",
         bytes_of(fixed("good").header(false, 3).number(0, 20).end_message()));
  broken("stored-length-not-confirmed", "\x00\x05\x00\xfa\xfeHello\x00"s);
  broken("stored-length-confirmed-by-itself", "\x00\x05\x00\x05\x00Hello\x00"s);
  broken("stored-block-not-all-there", "\x00\x06\x00\xf9\xffHell"s);
  broken("stored-header-torn", "\x00\x05\x00"s);
  const auto in_fixed = [](auto add) {
    DeflateBits bits;
    bits.header(false, kFixed).fixed_text("ab");
    add(bits);
    return bytes_of(bits.fixed_end().end_message());
  };
  for (std::size_t distance : Sizes{3, 4, 5, 257, 32768}) {
    broken("distance-" + n(distance) + "-beyond-the-output",
           in_fixed([distance](DeflateBits& bits) { add_match(bits, distance); }));
  }
  broken("distance-before-any-output", match_at(1));
  for (unsigned symbol : {286U, 287U}) {
    broken("length-symbol-" + n(symbol),
           in_fixed([symbol](DeflateBits& bits) { bits.fixed_litlen(symbol).word(0, 5); }));
  }
  for (unsigned symbol : {30U, 31U}) {
    broken("distance-symbol-" + n(symbol),
           in_fixed([symbol](DeflateBits& bits) { bits.fixed_litlen(257).word(symbol, 5); }));
  }
  // HLIT, HDIST, HCLEN, then the lengths of the precode in their own order: 16 17 18 0 8 7 ...
  const auto dynamic = [](unsigned literals, unsigned distances) {
    DeflateBits bits;
    bits.header(false, deflate::kDynamic).number(literals - 257, 5).number(distances - 1, 5);
    return bits;
  };
  broken("dynamic-287-literals",
         bytes_of(dynamic(287, 1).number(0, 60).number(0, 60).end_message()));
  broken("dynamic-31-distances",
         bytes_of(dynamic(257, 31).number(0, 60).number(0, 60).end_message()));
  broken("dynamic-precode-without-symbols",
         bytes_of(dynamic(257, 1).number(0, 4).number(0, 12).number(0, 60).end_message()));
  broken("dynamic-precode-oversubscribed", bytes_of(dynamic(257, 1)
                                                        .number(0, 4)
                                                        .number(0b001001001001, 12)
                                                        .number(0, 60)
                                                        .number(0, 60)
                                                        .end_message()));
  broken("dynamic-precode-incomplete", bytes_of(dynamic(257, 1)
                                                    .number(0, 4)
                                                    .number(0b010010010000, 12)
                                                    .number(0, 60)
                                                    .number(0, 60)
                                                    .end_message()));
  // 18 and 0 have one bit each: word 0 is symbol 0, word 1 is symbol 18.
  DeflateBits no_end = dynamic(257, 1);
  no_end.number(0, 4).number(0b001001000000, 12);
  no_end.word(1, 1).number(127, 7).word(1, 1).number(109, 7);  // 138 + 120 lengths of 0
  broken("dynamic-without-an-end-of-block", bytes_of(no_end.number(0, 60).end_message()));
  DeflateBits too_many = dynamic(257, 1);
  too_many.number(0, 4).number(0b001001000000, 12);
  too_many.word(1, 1).number(127, 7).word(1, 1).number(127, 7);  // 276 of 258
  broken("dynamic-more-lengths-than-announced", bytes_of(too_many.number(0, 60).end_message()));
  DeflateBits nothing_to_repeat = dynamic(257, 1);
  nothing_to_repeat.number(0, 4).number(0b001000000001, 12).word(1, 1).number(0, 2);
  broken("dynamic-repeats-nothing", bytes_of(nothing_to_repeat.number(0, 60).end_message()));
  broken("noise", "\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8"s);
}

// RFC 7692 section 6.2 ends with the message as RFC 6455 knows it, so text has to be UTF-8.
void add_utf8_inside(Cases& cases) {
  const std::string greek = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";
  good(cases, "C-utf8-inside", packed_text(deflated(greek)), greek);
  for (std::size_t bytes : Sizes{1, 2, 3}) {
    good(cases, "C-utf8-inside-fragments-of-" + n(bytes),
         packed_fragments(kText, deflated(greek), bytes), greek);
  }
  const std::pair<const char*, std::string> invalid[] = {
      {"lone-continuation", "a\x80z"},
      {"overlong", "a\xc0\xafz"},
      {"surrogate", "a\xed\xa0\x80z"},
      {"beyond-unicode", "a\xf4\x90\x80\x80z"},
      {"ends-inside-a-character", "\xce\xba\xe1\xbd"},
      {"never-a-byte", "\xff"},
  };
  for (const auto& [id, message] : invalid) {
    bad(cases, "C-utf8-inside-"s + id, packed_text(deflated(message)), 1007);
    bad(cases, "C-utf8-inside-fragments-"s + id, packed_fragments(kText, deflated(message), 2),
        1007);
    add_raw(cases, "C-utf8-not-asked-of-binary-"s + id,
            agreed().sends(packed(kBinary, deflated(message))).gets_binary(message).bye());
  }
  bad(cases, "C-utf8-invalid-then-torn",
      packed_text(bytes_of(fixed("a\xff")).append("\xff\xff\xff", 3)), 1007);
  for (std::size_t bytes : Sizes{100, 1000, 5000, 100'000}) {
    bad(cases, "C-utf8-invalid-at-the-end-of-" + n(bytes),
        packed_text(deflated(json(bytes) + "\xed\xa0\x80")), 1007);
    bad(cases, "C-utf8-invalid-at-the-start-of-" + n(bytes),
        packed_text(deflated("\xc0" + json(bytes))), 1007);
  }
}

// Rows C1 and C2: the limit is on what comes out.
void add_compressed_sizes(Cases& cases) {
  const auto lazy = [&cases](std::string id, std::function<Script()> script) {
    add_lazy(cases, std::move(id), std::move(script));
    cases.back().raw = cases.back().socket_only = true;
  };
  lazy("C1-exactly-16-MiB", [] {
    return agreed()
        .sends(packed(kBinary, packed_zeros(kMessageMax)))
        .gets_packed(kBinary, std::string(kMessageMax, '\0'))
        .sends(ping())
        .gets_pong()
        .bye();
  });
  // The limit is the message's, not that of its compressed form: zlib's smallest memLevel stores
  // random bytes in blocks of about 127.
  lazy("C1-exactly-16-MiB-in-stored-blocks-of-127", [] {
    const std::string block = repeat("stored", 127);
    DeflateBits bits;
    std::string message;
    while (message.size() < kMessageMax) {
      const std::string piece = block.substr(0, kMessageMax - message.size());
      bits.stored(false, piece);
      message += piece;
    }
    return agreed()
        .sends(packed(kBinary, bytes_of(bits.end_message())))
        .gets_packed(kBinary, message)
        .bye();
  });
  lazy("C1-16-MiB-and-a-byte", [] {
    return agreed().sends(packed(kBinary, packed_zeros(kMessageMax + 1)) + ping()).fails(1009);
  });
  lazy("C1-16-MiB-and-a-byte-in-fragments", [] {
    return agreed()
        .sends(packed_fragments(kBinary, packed_zeros(kMessageMax + 1), 1000) + ping())
        .fails(1009);
  });
  lazy("C1-16-MiB-of-text-and-a-byte",
       [] { return agreed().sends(packed_text(packed_zeros(kMessageMax + 1))).fails(1009); });
  // Streams that end where a message would may be joined: 256 MiB in about 256 KiB.
  const auto bomb = [] { return repeat(packed_zeros(16 * kMiB).append(kTail), 256 * kKiB); };
  lazy("C1-bomb", [bomb] { return agreed().sends(packed(kBinary, bomb()) + ping()).fails(1009); });
  lazy("C1-bomb-in-fragments", [bomb] {
    return agreed().sends(packed_fragments(kBinary, bomb(), 4 * kKiB) + ping()).fails(1009);
  });
  lazy("C1-bomb-of-text", [bomb] { return agreed().sends(packed_text(bomb())).fails(1009); });
  lazy("C1-bomb-of-stored-and-final-blocks", [] {
    DeflateBits bits;
    const std::string most(deflate::kStoredBytesMax, 's');
    for (int i = 0; i < 4; ++i) bits.stored(true, most);
    return agreed()
        .sends(packed(kBinary, bytes_of(bits).append(packed_zeros(kMessageMax))))
        .fails(1009);
  });
  lazy("C2-malformed-behind-the-limit", [] {
    std::string stream = packed_zeros(kMessageMax + 64 * kKiB).append(kTail);
    stream += bytes_of(DeflateBits().header(false, 3).end_message());
    return agreed().sends(packed(kBinary, stream) + ping()).fails(1009);
  });
  lazy("C2-more-compressed-frames-behind-the-limit", [] {
    const std::string stream = packed_zeros(kMessageMax + 1);
    return agreed()
        .sends(packed(kBinary, stream) + packed(kBinary, "\x07"s) + packed_text(kHelloStream))
        .fails(1009);
  });
  // The limit is of a message, not of a connection.
  lazy("C1-many-large-messages", [] {
    const std::string stream = packed_zeros(kMessageMax);
    Script script = agreed();
    for (int i = 0; i < 3; ++i) {
      script.sends(packed(kBinary, stream)).gets_packed(kBinary, std::string(kMessageMax, '\0'));
    }
    return script.bye();
  });
}

// Autobahn 12: messages of growing size, whole and fragmented, several in a row.
void add_compressed_round_trips(Cases& cases) {
  constexpr std::size_t kMessages = 4;
  for (std::size_t bytes :
       Sizes{0, 1, 16, 64, 256, 1023, 1024, 1025, 4096, 8192, 16384, 32768, 65535, 65536, 131072}) {
    for (std::size_t fragment : Sizes{0, 256, 4096}) {
      const std::string id = n(bytes) + (fragment == 0 ? "-whole" : "-in-" + n(fragment));
      const auto round = [bytes, fragment](Op opcode, const std::string& message, bool shrinks) {
        const std::string stream = deflated(message);
        const std::string sent =
            fragment == 0 ? packed(opcode, stream) : packed_fragments(opcode, stream, fragment);
        Script script = agreed();
        for (std::size_t i = 0; i < kMessages; ++i) {
          script.sends(sent);
          if (bytes < 1024 || !shrinks) {
            script.gets(opcode, message);
          } else {
            script.gets_packed(opcode, message);
          }
        }
        return script.sends(ping()).gets_pong().bye();
      };
      add_lazy(cases, "AB-12-json-" + id,
               [round, bytes] { return round(kText, json(bytes), true); });
      cases.back().raw = cases.back().socket_only = true;
      add_lazy(cases, "AB-12-prose-" + id, [round, bytes] {
        Rng rng(bytes);
        return round(kBinary, prose(rng, bytes), true);
      });
      cases.back().raw = cases.back().socket_only = true;
      add_lazy(cases, "AB-12-noise-" + id, [round, bytes] {
        Rng rng(bytes);
        return round(kBinary, noise(rng, bytes), false);
      });
      cases.back().raw = cases.back().socket_only = true;
    }
  }
}

// Row C4 and Autobahn 13: what is offered, what is answered.
void add_offers(Cases& cases) {
  const auto settled = [&cases](const std::string& id, const std::string& offer,
                                const std::string& more) {
    Rng rng(7);
    const std::string message = prose(rng, 20'000);
    add_raw(cases, "C4-offer-" + id,
            offers(offer, kAnswer + more)
                .sends(packed_text(deflated(message)))
                .gets_packed(kText, message)
                .sends(packed_text(kHelloStream) + text(message))
                .gets_text("Hello")
                .gets_packed(kText, message)
                .bye());
  };
  settled("plain", kOffer, "");
  settled("of-browsers", "permessage-deflate; client_max_window_bits", "");
  settled("all-flags", "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
          "");
  settled("client-window-10", "permessage-deflate; client_max_window_bits=10", "");
  settled("behind-another-extension", "x-foo, permessage-deflate", "");
  settled("before-another-extension", "permessage-deflate,x-foo; a=1", "");
  settled("among-empty-elements", ", ,permessage-deflate , ", "");
  settled("on-a-second-line", "x-foo\r\nSec-WebSocket-Extensions: permessage-deflate", "");
  settled("with-tabs", "permessage-deflate\t;\tserver_no_context_takeover", "");
  settled("quoted", "permessage-deflate; server_max_window_bits=\"10\"",
          "; server_max_window_bits=10");
  settled("quoted-with-backslashes", "permessage-deflate; server_max_window_bits=\"\\1\\0\"",
          "; server_max_window_bits=10");
  for (unsigned bits = 8; bits <= 15; ++bits) {
    const std::string window = "; server_max_window_bits=" + n(bits);
    settled("server-window-" + n(bits), kOffer + window, window);
    settled(
        "both-windows-" + n(bits),
        kOffer + window + "; client_max_window_bits=" + n(bits) + "; server_no_context_takeover",
        window);
  }
  settled("first-good-one-of-two",
          "permessage-deflate; server_max_window_bits=9, permessage-deflate",
          "; server_max_window_bits=9");

  const char* const declined[] = {
      "server_max_window_bits",
      "server_max_window_bits=7",
      "server_max_window_bits=16",
      "server_max_window_bits=0",
      "server_max_window_bits=08",
      "server_max_window_bits=010",
      "server_max_window_bits=+10",
      "server_max_window_bits=-10",
      "server_max_window_bits=1O",
      "server_max_window_bits=10.0",
      "server_max_window_bits=4294967306",
      "server_max_window_bits=99999999999999999999",
      "server_max_window_bits=\"08\"",
      "server_max_window_bits=10; server_max_window_bits=10",
      "client_max_window_bits=7",
      "client_max_window_bits=16",
      "client_max_window_bits=08",
      "client_max_window_bits=x",
      "client_max_window_bits; client_max_window_bits",
      "client_max_window_bits=10; client_max_window_bits",
      "server_no_context_takeover=1",
      "client_no_context_takeover=true",
      "client_no_context_takeover=\"x\"",
      "server_no_context_takeover; server_no_context_takeover",
      "client_no_context_takeover; client_no_context_takeover",
      "x-foo",
      "mem_level=9",
      "server_max_window_bits=10; x-foo=1",
  };
  for (const char* parameters : declined) {
    const std::string offer = "permessage-deflate; "s + parameters;
    add_raw(cases, "C4-declines-"s + parameters,
            offers(offer, "")
                .sends(text(repeat("plain ", 6000)))
                .gets_text(repeat("plain ", 6000))
                .sends(packed_text(kHelloStream))
                .fails(1002));
    settled("behind-"s + parameters, offer + ", permessage-deflate; server_max_window_bits=12",
            "; server_max_window_bits=12");
  }
  for (const char* other : {"x-foo", "deflate-frame", "x-webkit-deflate-frame", "permessage-bzip2",
                            "permessage-deflate2", "permessage"}) {
    add_raw(cases, "C4-not-ours-"s + other,
            offers(other, "").sends(text("hi")).gets_text("hi").bye());
  }
}

// In this mode the client never gives away a byte of its window.
void add_windows(Cases& cases) {
  Rng rng(1);
  const std::string content = noise(rng, 32768);
  const auto reaches = [&](const std::string& id, const std::string& offer, std::size_t distance) {
    add_raw(cases, "C4-client-reaches-back-" + id,
            offers(offer, kAnswer)
                .sends(packed(kBinary, text_and_match(content, distance)))
                .gets_any(kBinary, content + content.substr(content.size() - distance, 3))
                .sends(ping())
                .gets_pong()
                .bye());
  };
  reaches("32768", kOffer, 32768);
  reaches("257", kOffer, 257);
  reaches("32768-though-it-offered-less", "permessage-deflate; client_max_window_bits=9", 32768);
  add_raw(cases, "C4-client-reaches-back-a-byte-too-far",
          agreed().sends(packed(kBinary, text_and_match(content.substr(1), 32768))).fails(1007));
  // Without takeover there is nothing before a message, whatever the one before it was.
  add_raw(cases, "C7-client-refers-to-the-message-before",
          agreed()
              .sends(packed(kBinary, deflated(content)))
              .gets_any(kBinary, content)
              .sends(packed(kBinary, match_at(1)))
              .fails(1007));
}

}  // namespace

void add_deflate(Cases& cases) {
  add_examples(cases);
  add_frames_of_messages(cases);
  add_compressed_reserved_bits(cases);
  add_final_blocks(cases);
  add_broken_streams(cases);
  add_utf8_inside(cases);
  add_compressed_sizes(cases);
  add_compressed_round_trips(cases);
  add_offers(cases);
  add_windows(cases);
}

}  // namespace ws::test
