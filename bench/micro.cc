// What the engine's inner loops cost, in memory, as Markdown tables: masking and UTF-8 against
// memcpy(), frame headers, HTTP heads, timers, topics. micro_deflate.cc has the compression.
#include <cstdio>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/micro_timing.h"
#include "core/timer_wheel.h"
#include "tests/support/bytes.h"
#include "tests/support/corpus.h"
#include "ws/proto/encoder.h"
#include "ws/proto/frame.h"
#include "ws/proto/handshake.h"
#include "ws/proto/http_parser.h"
#include "ws/proto/mask.h"
#include "ws/proto/protocol.h"
#include "ws/proto/utf8.h"
#include "ws/ws.h"

namespace {

using namespace ws;
using bench::keep;
using bench::measure;
using test::bytes_of;

constexpr std::size_t kSizes[] = {16, 64, 256, 1024, 4096, 16 << 10, 64 << 10, 1 << 20};

// A pass has to take far longer than reading the clock does.
constexpr std::size_t kPassBytes = 64 << 10;

std::string size_name(std::size_t bytes) {
  if (bytes >= 1 << 20) return std::to_string(bytes >> 20) + " MiB";
  return bytes >= 1024 ? std::to_string(bytes >> 10) + " KiB" : std::to_string(bytes) + " B";
}

// One pass does it so many times.
std::size_t repeats(std::size_t bytes) {
  return std::max<std::size_t>(kPassBytes / bytes, 1);
}

std::function<void()> repeated(std::size_t times, std::function<void()> once) {
  return [times, once = std::move(once)] {
    for (std::size_t i = 0; i < times; ++i) once();
  };
}

// Both at a page's start: the C library's memcpy() may take 20 times as long where the target lies
// just beyond the source modulo 4 KiB (core/copy.h), and that is not the yardstick.
class Page {
 public:
  explicit Page(std::size_t bytes) : memory_(bytes + kPageBytes, 1), bytes_(bytes) {}
  std::span<std::uint8_t> bytes() {
    const auto address = reinterpret_cast<std::uintptr_t>(memory_.data());
    return {memory_.data() + (kPageBytes - address % kPageBytes), bytes_};
  }

 private:
  static constexpr std::size_t kPageBytes = 4096;
  std::vector<std::uint8_t> memory_;
  std::size_t bytes_;
};

void mask_table() {
  std::printf(
      "| masking in place | memcpy ns | mask ns | memcpy GB/s | mask GB/s | of memcpy |\n"
      "|---|---|---|---|---|---|\n");
  const proto::MaskKey key{{0x37, 0xFA, 0x21, 0x3D}};
  for (const std::size_t bytes : kSizes) {
    Page from(bytes), to(bytes);
    const auto data = from.bytes();
    const auto copy = to.bytes();
    const std::size_t times = repeats(bytes);
    const auto seconds = measure({repeated(times,
                                           [&] {
                                             keep(data.data());
                                             std::memcpy(copy.data(), data.data(), bytes);
                                             keep(copy.data());
                                           }),
                                  repeated(times, [&] {
                                    proto::apply_mask(data, key);
                                    keep(data.data());
                                  })});
    const double all = 1e-9 * static_cast<double>(bytes * times);
    const double each = 1e9 / static_cast<double>(times);
    std::printf("| %s | %.1f | %.1f | %.1f | %.1f | %.2f |\n", size_name(bytes).c_str(),
                seconds[0] * each, seconds[1] * each, all / seconds[0], all / seconds[1],
                seconds[0] / seconds[1]);
  }
}

// Of letters of 1 to 4 bytes, as texts in several scripts have them.
std::string mixed(std::size_t bytes) {
  static constexpr auto kLetters = std::to_array<std::string_view>(
      {"e", "n", " ", "\xc3\xa9", "\xd0\xb6", "\xe4\xb8\xad", "\xe3\x81\x82", "\xf0\x9f\x98\x80"});
  test::Rng rng(3);
  std::string text;
  while (text.size() + 4 <= bytes) text += rng.pick(kLetters);
  text.resize(bytes, '.');
  return text;
}

void utf8_table() {
  std::printf(
      "\n| UTF-8 | ASCII ns | mixed ns | ASCII GB/s | mixed GB/s |\n|---|---|---|---|---|\n");
  for (const std::size_t bytes : kSizes) {
    const std::string ascii(bytes, 'a');
    const std::string letters = mixed(bytes);
    const auto validate = [](const std::string& text) {
      return [&text] {
        keep(text.data());
        const bool valid = proto::valid_utf8(bytes_of(text));
        keep(&valid);
      };
    };
    const std::size_t times = repeats(bytes);
    const auto seconds =
        measure({repeated(times, validate(ascii)), repeated(times, validate(letters))});
    const double all = 1e-9 * static_cast<double>(bytes * times);
    const double each = 1e9 / static_cast<double>(times);
    std::printf("| %s | %.1f | %.1f | %.1f | %.1f |\n", size_name(bytes).c_str(), seconds[0] * each,
                seconds[1] * each, all / seconds[0], all / seconds[1]);
  }
}

void row(const char* what, double ns) {
  std::printf("| %s | %.1f |\n", what, ns);
}

void frame_rows() {
  constexpr std::size_t kTimes = 1000;
  for (const auto& [what, bytes] : {std::pair{"frame header, 7-bit length", 64},
                                    {"frame header, 16-bit length", 1000},
                                    {"frame header, 64-bit length", 100'000}}) {
    std::uint8_t header[proto::kFrameHeaderBytesMax];
    const proto::FrameHeader sent{.payload_bytes = static_cast<std::uint64_t>(bytes),
                                  .mask_key = {{1, 2, 3, 4}},
                                  .opcode = proto::Opcode::kBinary,
                                  .fin = true};
    const std::size_t size = proto::encode_header(header, sent, proto::Role::kClient);
    const auto seconds = measure({repeated(kTimes, [&] {
      keep(header);
      const auto step = proto::decode_header({header, size}, proto::Role::kServer, 0);
      keep(&step);
    })});
    row(what, 1e9 * seconds[0] / kTimes);
  }
}

// A server's decoding of 64 messages that came at once; the copy is what they are unmasked in.
void message_rows() {
  constexpr std::size_t kMessages = 64;
  proto::MaskKeys keys;
  core::BufferPool pool;
  const proto::ProtocolConfig config{
      .self = {}, .message_bytes_max = 1 << 20, .message_fragments_max = 1000, .pool = &pool};
  const proto::Sender client{.role = proto::Role::kClient, .keys = &keys};
  for (const std::size_t bytes : {10u, 20u, 64u, 100u, 250u}) {
    std::vector<std::function<void()>> passes;
    for (const auto& [opcode, content] : {std::pair{proto::Opcode::kBinary, mixed(bytes)},
                                          {proto::Opcode::kText, std::string(bytes, 'a')},
                                          {proto::Opcode::kText, mixed(bytes)}}) {
      core::Buffer sent;
      for (std::size_t i = 0; i < kMessages; ++i) {
        proto::encode_message(sent, client, opcode, 0, bytes_of(content), 0);
      }
      const std::vector<std::uint8_t> frames(sent.data(), sent.data() + sent.size());
      passes.push_back([&config, frames, received = frames]() mutable {
        std::memcpy(received.data(), frames.data(), frames.size());
        proto::Protocol protocol(config);
        core::Buffer out;
        core::Bytes in = received;
        while (protocol.next(in, out).kind == proto::Event::Kind::kMessage) keep(received.data());
      });
    }
    const auto seconds = measure(passes);
    const std::string size = ", " + size_name(bytes);
    row(("message received, binary" + size).c_str(), 1e9 * seconds[0] / kMessages);
    row(("message received, ASCII text" + size).c_str(), 1e9 * seconds[1] / kMessages);
    row(("message received, mixed text" + size).c_str(), 1e9 * seconds[2] / kMessages);
  }
}

// What a browser sends.
constexpr std::string_view kRequest =
    "GET /chat/rooms/general HTTP/1.1\r\nHost: chat.example.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept: */*\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
    "Sec-WebSocket-Version: 13\r\nOrigin: https://chat.example.com\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Key: "
    "dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Connection: keep-alive, Upgrade\r\nCookie: session=0123456789abcdef0123456789abcdef\r\n"
    "Sec-Fetch-Dest: websocket\r\nSec-Fetch-Mode: websocket\r\nSec-Fetch-Site: same-origin\r\n"
    "Pragma: no-cache\r\nCache-Control: no-cache\r\nUpgrade: websocket\r\n\r\n";

void http_rows() {
  constexpr std::size_t kTimes = 100;
  const std::string request(kRequest);
  const auto seconds = measure({repeated(kTimes,
                                         [&] {
                                           proto::RequestParser parser({});
                                           const auto step = parser.feed(bytes_of(request));
                                           keep(&step);
                                         }),
                                repeated(kTimes, [&] {
                                  proto::RequestParser parser({});
                                  (void)parser.feed(bytes_of(request));
                                  const std::string answer =
                                      proto::judge_upgrade(parser.head()).status == 101
                                          ? proto::upgrade_response(parser.head(), "")
                                          : "";
                                  keep(answer.data());
                                })});
  row(("HTTP request of a browser, " + std::to_string(request.size()) + " B: parsed").c_str(),
      1e9 * seconds[0] / kTimes);
  row("parsed, judged and answered with 101 (SHA-1 included)", 1e9 * seconds[1] / kTimes);
}

void timer_rows() {
  constexpr std::size_t kNodes = 10'000;
  core::TimerWheel wheel(0);
  std::vector<core::TimerNode> nodes(kNodes);
  std::uint64_t now_ms = 0;
  const auto seconds = measure({[&] {
                                  for (core::TimerNode& node : nodes)
                                    wheel.arm(node, now_ms + 30'000);
                                },
                                [&] {  // each fires once and is armed again
                                  for (std::size_t i = 0; i < kNodes; ++i) {
                                    wheel.arm(nodes[i], now_ms + 1 + i % 1000);
                                  }
                                  std::size_t fired = 0;
                                  while (fired < kNodes) {
                                    wheel.advance(++now_ms, [&](core::TimerNode&) { ++fired; });
                                  }
                                }});
  row("timer, armed again, among 10,000", 1e9 * seconds[0] / kNodes);
  row("timer, armed and fired within 1 s, among 10,000", 1e9 * seconds[1] / kNodes);
  for (core::TimerNode& node : nodes) wheel.cancel(node);
}

// Both ends are in this thread: what is measured is encoding, queueing, a copy in memory, and the
// client's decoding.
void topic_rows() {
  constexpr std::size_t kSubscribers = 1000;
  Loopback net({.limits = {.connections = kSubscribers}});
  net.route("/*", {.on_open = [](Conn& conn) { conn.subscribe("news"); }});
  std::size_t received = 0;
  for (std::size_t i = 0; i < kSubscribers; ++i) {
    (void)net.connect("ws://test/", {}, {.on_message = [&](Conn&, const Message&) { ++received; }});
  }
  net.run();
  const std::string message(64, 'x');
  std::size_t published = 0;
  const auto seconds = measure({[&] {
    net.publish("news", message);
    net.run();
    ++published;
  }});
  if (received != published * kSubscribers) {
    std::fprintf(stderr, "micro: a published message did not arrive\n");
    std::exit(1);
  }
  row("topic, 64 B to one of 1,000 subscribers, both ends in memory",
      1e9 * seconds[0] / kSubscribers);
}

}  // namespace

int main() {
  std::printf("Medians of %d interleaved runs, CPU time of one thread.\n\n", bench::kRounds);
  mask_table();
  utf8_table();
  std::printf("\n| each | ns |\n|---|---|\n");
  frame_rows();
  message_rows();
  http_rows();
  timer_rows();
  topic_rows();
}
