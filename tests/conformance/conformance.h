// Internal. The conformance cases: what a client does and what the server must do, as data.
//
// A case is a script of steps, written from RFC 6455 and the design. It knows nothing of sockets:
// one runner plays it against a real wsd, another against the in-memory protocol object.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/limits.h"

namespace ws::test {

enum Op : std::uint8_t {
  kContinuation = 0,
  kText = 1,
  kBinary = 2,
  kClose = 8,
  kPing = 9,
  kPong = 10
};

// The limits a bare wsd runs with.
inline constexpr Limits kLimits{};
inline constexpr std::size_t kMessageMax = kLimits.message_bytes;
inline constexpr std::size_t kKiB = 1024;
inline constexpr std::size_t kMiB = 1024 * kKiB;

// How the bytes of one send are cut into writes.
struct Chop {
  std::size_t piece = 0;             // every so many bytes; 0: one write
  std::vector<std::size_t> at = {};  // else at these offsets, ascending
};
inline Chop bytewise() {
  return {.piece = 1, .at = {}};
}
inline Chop pieces(std::size_t bytes) {
  return {.piece = bytes, .at = {}};
}
inline Chop split_at(std::vector<std::size_t> offsets) {
  return {.piece = 0, .at = std::move(offsets)};
}

struct Step {
  enum class Kind : std::uint8_t {
    kSend,       // bytes, cut as chop says
    kWait,       // ms, during which anything may arrive
    kSilence,    // ms, during which nothing may arrive
    kFrame,      // the next frame is opcode with exactly this payload (in bytes), packed or not
    kClose,      // the next frame is a Close with this code (0: an empty body) and a UTF-8 reason
    kAnswer,     // an HTTP answer with this status and these headers
    kHalfClose,  // the client sends FIN (over TLS: close_notify, then FIN)
    kEof,        // the server closes: FIN (over TLS: close_notify, then FIN), no RST, no byte more
    kGone,       // the same, but anything may come first
  };
  Kind kind = Kind::kSend;
  std::string bytes = {};
  Chop chop = {};
  int ms = 0;
  std::uint8_t opcode = 0;
  int code = 0;
  // kAnswer: a value is one token of the list; of Sec-WebSocket-Extensions it is all there may be,
  // its parameters in any order, and a 101 has that header only where it is wanted.
  std::vector<std::pair<std::string, std::string>> headers = {};
  bool head_only = false;              // kAnswer: to a HEAD, so no body
  std::optional<bool> packed = false;  // kFrame: whether RSV1 is set; nullopt: as the server likes
};

// Reads as a sentence: Script().sends(text("hi")).gets_text("hi").bye().
class Script {
 public:
  Script& sends(std::string bytes, Chop chop = {});
  Script& waits(int ms);
  Script& silent(int ms);
  Script& gets(Op opcode, std::string payload);
  Script& gets_text(std::string payload) { return gets(kText, std::move(payload)); }
  Script& gets_binary(std::string payload) { return gets(kBinary, std::move(payload)); }
  // Compressed; the payload is what comes of it after inflation.
  Script& gets_packed(Op opcode, std::string payload);
  Script& gets_any(Op opcode, std::string payload);  // compressed or not
  Script& gets_pong(std::string payload = "") { return gets(kPong, std::move(payload)); }
  Script& gets_close(int code);                  // and nothing about what follows
  Script& upgraded(std::string extension = "");  // 101, with this extension and no other
  Script& half_closes();
  Script& eof();

  // Endings. In all of them the server closes first, while the client keeps its side open.
  Script& bye(int code = 1000);  // the client sends Close(code): the same comes back, then FIN
  Script& closed(int code);      // a Close was sent before: its answer, then FIN
  Script& fails(int code);       // the server refuses what it got: Close(code), then FIN at once
  Script& gone();                // FIN, whatever comes before it
  Script& refused(int status, std::vector<std::pair<std::string, std::string>> headers = {},
                  bool head_only = false);  // an HTTP answer, then FIN

  const std::vector<Step>& steps() const { return steps_; }

 private:
  std::vector<Step> steps_;
};

struct Case {
  std::string id;                  // unique; its first part names an Autobahn case or a row
  std::function<Script()> script;  // made when asked for, since some hold 16 MiB
  bool raw = false;                // starts before the handshake; else after a plain upgrade
  bool socket_only = false;        // FIN, waiting or HTTP: needs a socket, not just the protocol
};
using Cases = std::vector<Case>;

// Every case of every group below, in that order.
const Cases& all_cases();
void add_frames(Cases& cases);
void add_fragments(Cases& cases);
void add_control(Cases& cases);
void add_utf8(Cases& cases);
void add_close(Cases& cases);
void add_limits(Cases& cases);
void add_handshake(Cases& cases);
void add_refusals(Cases& cases);
void add_deflate(Cases& cases);

void add(Cases& cases, std::string id, Script script);
void add_lazy(Cases& cases, std::string id, std::function<Script()> script);
void add_raw(Cases& cases, std::string id, Script script);
void add_socket_only(Cases& cases, std::string id, Script script);
inline std::string n(std::uint64_t number) {  // in an id
  return std::to_string(number);
}

// Frames as a client writes them.
struct FrameSpec {
  std::uint8_t opcode = kText;
  bool fin = true;
  std::uint8_t rsv = 0;  // RSV1 = 4, RSV2 = 2, RSV3 = 1
  bool masked = true;
  std::uint32_t mask = 0x37fa213d;
  int length_form = 0;  // 7, 16 or 64 bits; 0: the shortest that fits
  std::optional<std::uint64_t> announced =
      std::nullopt;  // the length written, when not the payload's
};
std::string frame(const FrameSpec& spec, std::string_view payload);
inline std::string header(const FrameSpec& spec) {
  return frame(spec, {});
}

inline const std::string kHello = "Hello, world!";
std::string text(std::string_view payload);
std::string binary(std::string_view payload);
std::string ping(std::string_view payload = {});
std::string pong(std::string_view payload = {});
std::string close(int code, std::string_view reason = {});
std::string close_raw(std::string_view body);
std::string first(Op opcode, std::string_view payload);  // of a fragmented message: FIN = 0
std::string middle(std::string_view payload);            // continuation, FIN = 0
std::string last(std::string_view payload);              // continuation, FIN = 1
// A message in fragments of so many bytes, the last one holding the rest, empty when none is left.
std::string fragmented(Op opcode, std::string_view payload, std::size_t fragment_bytes);

using Sizes = std::vector<std::size_t>;  // for loops over lengths and offsets

std::string repeat(std::string_view unit, std::size_t bytes);  // cut at exactly `bytes`

// A good upgrade request: the header lines, one of them replaced (by nothing, one or several
// lines), some added.
struct Request {
  std::string line = "GET /ws HTTP/1.1";
  std::vector<std::string> headers = {
      "Host: localhost", "Upgrade: websocket", "Connection: Upgrade",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"};
  Request& with(std::string header);
  Request& without(std::string_view name);
  Request& instead(std::string header);  // of the one with its name
  std::string str() const;
};
// RFC 6455 section 1.3 computes this answer for the key above.
inline constexpr std::string_view kAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

}  // namespace ws::test
