#include "bench/traffic.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "bench/args.h"
#include "bench/frames.h"
#include "tests/support/corpus.h"
#include "ws/proto/permessage_deflate.h"

namespace ws::bench {
namespace {

// A ring is large enough to tell messages apart, small enough to stay in the generator's caches: a
// generator that misses them slows the server's core down too.
constexpr std::uint64_t kItemsMin = 4;
constexpr std::size_t kRingBytesMax = 256 * 1024;
// A mix has to show its proportions, whatever its sizes are.
constexpr std::uint64_t kMixItemsMin = 64;
constexpr std::size_t kMixBytesMax = 16 * 1024 * 1024;
constexpr std::uint64_t kWeightMax = 1'000'000;  // with the sizes, below 2^64

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

// As many messages of each size as its weight says.
struct Turn {
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
};

Turn turn_of(const std::vector<SizeShare>& sizes) {
  Turn turn;
  for (const auto& [bytes, weight] : sizes) {
    turn.messages += weight;
    turn.bytes += (bytes + kFrameHeaderBytesMax) * weight;
  }
  return turn;
}

// 900:100 is 9:1.
void reduce(std::vector<SizeShare>& sizes) {
  std::uint64_t divisor = 0;
  for (const SizeShare& share : sizes) divisor = std::gcd(divisor, share.weight);
  for (SizeShare& share : sizes) share.weight /= divisor;
}

// The sizes of the ring's messages, in the order of sending: whole turns.
std::vector<std::uint64_t> sequence(test::Rng& rng, const MessagePlan& plan) {
  const Turn turn = turn_of(plan.sizes);
  const bool mix = plan.sizes.size() > 1;
  const std::uint64_t fitting = (mix ? kMixBytesMax : kRingBytesMax) / turn.bytes;
  const std::uint64_t messages = std::max(plan.pipelined, mix ? kMixItemsMin : kItemsMin);
  const std::uint64_t wanted = (messages + turn.messages - 1) / turn.messages;
  const std::uint64_t turns = std::clamp<std::uint64_t>(fitting, 1, wanted);
  std::vector<std::uint64_t> sizes;
  for (const auto& [bytes, weight] : plan.sizes) {
    sizes.insert(sizes.end(), turns * weight, bytes);
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

std::uint64_t size_number(std::string_view text, std::uint64_t k, std::string_view whole) {
  const auto number = parse_number(text, k);
  if (!number) {
    usage_error("--size " + std::string(whole) +
                ": not a size like 64, 16k or 1m, nor a mix like 64:90,16k:10");
  }
  return *number;
}

}  // namespace

std::vector<SizeShare> parse_sizes(std::string_view text) {
  std::vector<SizeShare> sizes;
  for (std::string_view rest = text;;) {
    const std::string_view part = rest.substr(0, rest.find(','));
    const std::size_t colon = part.find(':');
    const bool weighed = colon != std::string_view::npos;
    sizes.push_back({.bytes = size_number(part.substr(0, colon), 1024, text),
                     .weight = weighed ? size_number(part.substr(colon + 1), 1000, text) : 1});
    const auto& [bytes, weight] = sizes.back();
    if (bytes > Args::kSizeMax) usage_error("--size " + std::string(text) + ": at most 1024m each");
    if (weight == 0 || weight > kWeightMax) {
      usage_error("--size " + std::string(text) + ": a weight is 1 to 1000000");
    }
    if (part.size() == rest.size()) break;
    rest.remove_prefix(part.size() + 1);
  }
  reduce(sizes);
  if (sizes.size() > 1 && turn_of(sizes).bytes > kMixBytesMax) {
    usage_error("--size " + std::string(text) +
                ": the mix takes more than 16m to show its weights; " +
                "give smaller weights or sizes");
  }
  return sizes;
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
