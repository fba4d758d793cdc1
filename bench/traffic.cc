#include "bench/traffic.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <string>

#include "bench/frames.h"
#include "tests/support/corpus.h"
#include "ws/proto/permessage_deflate.h"

namespace ws::bench {
namespace {

// A ring is large enough to tell messages apart, small enough to stay in the generator's caches: a
// generator that misses them slows the server's core down too.
constexpr std::size_t kItemsMin = 4;
constexpr std::size_t kRingBytesMax = 256 * 1024;
// A mix has to show its proportions, whatever its sizes are.
constexpr std::size_t kMixItemsMin = 64;
constexpr std::size_t kMixBytesMax = 16 * 1024 * 1024;

std::vector<std::uint8_t> bytes_of(const std::string& text) {
  return {text.begin(), text.end()};
}

// Letters of 1, 2, 3 and 4 bytes as in mixed text; cut to `bytes` at a letter's edge, then filled.
std::string utf8(test::Rng& rng, std::size_t bytes) {
  static constexpr auto kLetters =
      std::to_array<std::string_view>({"e", "n", " ", "a", "t", "\xc3\xa9", "\xd0\xb6",
                                       "\xe4\xb8\xad", "\xe3\x81\x82", "\xf0\x9f\x98\x80"});
  std::string text;
  while (text.size() + 4 <= bytes) text += rng.pick(kLetters);
  text.resize(bytes, '.');
  return text;
}

std::string json(test::Rng& rng, std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += test::json_event(rng, rng.below(1'000'000));
  text.resize(bytes);
  return text;
}

std::vector<std::uint8_t> payload(test::Rng& rng, Content content, std::size_t bytes) {
  std::string text;
  switch (content) {
    case Content::kRandom:
      return bytes_of(test::noise(rng, bytes));
    case Content::kAscii:
      for (std::size_t i = 0; i < bytes; ++i) text += static_cast<char>(rng.between(' ', '~'));
      return bytes_of(text);
    case Content::kUtf8:
      return bytes_of(utf8(rng, bytes));
    case Content::kJson:
      return bytes_of(json(rng, bytes));
  }
  return {};
}

// The sizes of the ring's messages, in the order of sending.
std::vector<std::uint64_t> sequence(test::Rng& rng, const MessagePlan& plan) {
  std::uint64_t weights = 0;
  std::uint64_t bytes = 0;
  for (const auto& [size, weight] : plan.sizes) {
    weights += weight;
    bytes += (size + kFrameHeaderBytesMax) * weight;
  }
  const bool mix = plan.sizes.size() > 1;
  const std::size_t fitting = (mix ? kMixBytesMax : kRingBytesMax) * weights / bytes;
  const std::size_t wanted =
      std::max<std::size_t>(plan.pipelined, mix ? std::max(kMixItemsMin, weights) : kItemsMin);
  const std::size_t count = std::clamp<std::size_t>(wanted, 1, std::max<std::size_t>(fitting, 1));
  std::vector<std::uint64_t> sizes;
  for (const auto& [size, weight] : plan.sizes) {
    const std::size_t share = std::max<std::size_t>(count * weight / weights, 1);
    sizes.insert(sizes.end(), share, size);
  }
  for (std::size_t i = sizes.size(); i > 1; --i) std::swap(sizes[i - 1], sizes[rng.below(i)]);
  return sizes;
}

class Encoder {
 public:
  explicit Encoder(const MessagePlan& plan)
      : plan_(plan),
        opcode_(plan.text ? kText : kBinary),
        deflate_(engine_, proto::Role::kClient, {.client_no_context_takeover = true},
                 {.mode = DeflateMode::kOn}) {}

  std::vector<std::uint8_t> frame(const std::vector<std::uint8_t>& payload) {
    core::Buffer smaller;
    if (plan_.deflate && deflate_.encode(payload, smaller)) {
      return client_frame(kRsv1 | opcode_, smaller.bytes());
    }
    return client_frame(opcode_, payload);
  }
  [[nodiscard]] std::uint8_t opcode() const { return opcode_; }

 private:
  const MessagePlan& plan_;
  std::uint8_t opcode_;
  proto::DeflateEngine engine_;
  proto::PermessageDeflate deflate_;
};

std::uint64_t parse_number(std::string_view text, std::string_view whole) {
  std::uint64_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view suffix(rest, static_cast<std::size_t>(text.data() + text.size() - rest));
  const std::uint64_t unit = suffix == "k" ? 1024 : suffix == "m" ? 1024 * 1024 : 1;
  if (error != std::errc() || (!suffix.empty() && unit == 1) || number > UINT32_MAX) {
    throw std::runtime_error("--size " + std::string(whole) +
                             ": not a size like 64, 16k or 1m, nor a mix like 64:90,16k:10");
  }
  return number * unit;
}

}  // namespace

std::vector<SizeShare> parse_sizes(std::string_view text) {
  std::vector<SizeShare> sizes;
  for (std::string_view rest = text;;) {
    const std::string_view part = rest.substr(0, rest.find(','));
    const std::size_t colon = part.find(':');
    const bool weighed = colon != std::string_view::npos;
    sizes.push_back({.bytes = parse_number(part.substr(0, colon), text),
                     .weight = weighed ? parse_number(part.substr(colon + 1), text) : 1});
    if (sizes.back().weight == 0) throw std::runtime_error("--size: a weight starts at 1");
    if (part.size() == rest.size()) return sizes;
    rest.remove_prefix(part.size() + 1);
  }
}

Traffic make_traffic(const MessagePlan& plan) {
  test::Rng rng(1);
  Encoder encoder(plan);
  Traffic traffic{.items = {}, .frames = {}, .opcode = encoder.opcode(), .raw = plan.raw};
  std::uint64_t payload_bytes = 0;
  for (const std::uint64_t bytes : sequence(rng, plan)) {
    std::vector<std::uint8_t> sent = payload(rng, plan.content, bytes);
    const std::vector<std::uint8_t> frame = encoder.frame(sent);
    traffic.frames.insert(traffic.frames.end(), frame.begin(), frame.end());
    Traffic::Item item{.frame_bytes = frame.size(), .reply = {}, .reply_header = {}};
    if (!plan.raw) append_header(item.reply_header, encoder.opcode(), bytes, 0);
    item.reply = plan.raw ? frame : std::move(sent);
    traffic.items.push_back(std::move(item));
    payload_bytes += bytes;
  }
  traffic.mean_payload_bytes =
      static_cast<double>(payload_bytes) / static_cast<double>(traffic.items.size());
  traffic.ring_bytes = traffic.frames.size();
  traffic.frames.reserve(2 * traffic.ring_bytes);
  traffic.frames.insert(traffic.frames.end(), traffic.frames.begin(), traffic.frames.end());
  return traffic;
}

}  // namespace ws::bench
