#include "ws/proto/permessage_deflate.h"

#include <algorithm>
#include <utility>

namespace ws::proto {
namespace {

constexpr std::string_view kName = "permessage-deflate";
constexpr std::string_view kServerNoTakeover = "server_no_context_takeover";
constexpr std::string_view kClientNoTakeover = "client_no_context_takeover";
constexpr std::string_view kServerBits = "server_max_window_bits";
constexpr std::string_view kClientBits = "client_max_window_bits";

constexpr std::size_t kThreshold = 1024;
constexpr std::size_t kThresholdTakeover = 64;

// The parameters of one element of Sec-WebSocket-Extensions.
struct Offer {
  bool server_no_takeover = false;
  bool client_no_takeover = false;
  bool client_bits_named = false;  // with or without a value
  std::optional<unsigned> server_bits;
  std::optional<unsigned> client_bits;
};

// 7.1.2: "a decimal integer value without leading zeroes between 8 to 15, inclusive".
std::optional<unsigned> parse_bits(std::string_view value) {
  for (unsigned bits = deflate::kWindowBitsMin; bits <= deflate::kWindowBitsMax; ++bits) {
    if (value == std::to_string(bits)) return bits;
  }
  return std::nullopt;
}

// false: unknown, repeated, or with a value that it may not have.
bool take_parameter(Offer& offer, const ExtensionParameter& parameter) {
  const auto& [name, value] = parameter;
  if (name == kServerNoTakeover) return !std::exchange(offer.server_no_takeover, true) && !value;
  if (name == kClientNoTakeover) return !std::exchange(offer.client_no_takeover, true) && !value;
  if (name == kServerBits) {
    if (offer.server_bits || !value) return false;
    offer.server_bits = parse_bits(*value);
    return offer.server_bits.has_value();
  }
  if (name == kClientBits) {
    if (std::exchange(offer.client_bits_named, true)) return false;
    if (!value) return true;
    offer.client_bits = parse_bits(*value);
    return offer.client_bits.has_value();
  }
  return false;
}

// nullopt: another extension, or parameters that are not valid (7.1: decline).
std::optional<Offer> parse_offer(std::string_view element) {
  const std::optional<ExtensionElement> extension = parse_extension(element);
  if (!extension || extension->name != kName) return std::nullopt;
  Offer offer;
  for (const ExtensionParameter& parameter : extension->parameters) {
    if (!take_parameter(offer, parameter)) return std::nullopt;
  }
  return offer;
}

void add_parameter(std::string& header, std::string_view name) {
  header.append("; ").append(name);
}
void add_parameter(std::string& header, std::string_view name, unsigned bits) {
  add_parameter(header, name);
  header.append("=").append(std::to_string(bits));
}

DeflateAgreement agree(const Offer& offer, const DeflateOptions& options) {
  const bool takeover = options.mode == DeflateMode::kTakeover;
  DeflateAgreement agreement;
  DeflateParameters& parameters = agreement.parameters;
  std::string& answer = agreement.answer = kName;
  // 7.1.1: a server includes these when asked, and may when not.
  parameters.server_no_context_takeover = offer.server_no_takeover || !takeover;
  if (parameters.server_no_context_takeover) add_parameter(answer, kServerNoTakeover);
  parameters.client_no_context_takeover = offer.client_no_takeover || !takeover;
  if (parameters.client_no_context_takeover) add_parameter(answer, kClientNoTakeover);
  // 7.1.2.1: "A server accepts [it] by including [it] in the extension negotiation response [...]
  // with the same or smaller value as the offer."
  parameters.server_max_window_bits =
      std::min(offer.server_bits.value_or(deflate::kWindowBitsMax), options.window_bits);
  if (offer.server_bits || parameters.server_max_window_bits < deflate::kWindowBitsMax) {
    add_parameter(answer, kServerBits, parameters.server_max_window_bits);
  }
  // 7.1.2.2: only for a client that named it. Where nothing is kept between messages, a smaller
  // window would save us nothing.
  if (takeover && offer.client_bits_named) {
    parameters.client_max_window_bits =
        std::min(offer.client_bits.value_or(deflate::kWindowBitsMax), options.window_bits);
    if (parameters.client_max_window_bits < deflate::kWindowBitsMax) {
      add_parameter(answer, kClientBits, parameters.client_max_window_bits);
    }
  }
  return agreement;
}

}  // namespace

std::optional<DeflateAgreement> accept_deflate(const RequestHead& head,
                                               const DeflateOptions& options) {
  if (options.mode == DeflateMode::kOff) return std::nullopt;
  for (const std::string_view element : list_elements(head, "Sec-WebSocket-Extensions")) {
    if (const auto offer = parse_offer(element)) return agree(*offer, options);
  }
  return std::nullopt;
}

std::string offer_deflate(const DeflateOptions& options) {
  if (options.mode == DeflateMode::kOff) return {};
  std::string offer(kName);
  if (options.mode == DeflateMode::kOn) {
    add_parameter(offer, kServerNoTakeover);
    add_parameter(offer, kClientNoTakeover);
  }
  if (options.window_bits < deflate::kWindowBitsMax) {
    add_parameter(offer, kServerBits, options.window_bits);
    add_parameter(offer, kClientBits, options.window_bits);
  } else {
    add_parameter(offer, kClientBits);
  }
  return offer;
}

std::optional<DeflateParameters> read_deflate_answer(std::string_view answer,
                                                     const DeflateOptions& options) {
  if (options.mode == DeflateMode::kOff) return std::nullopt;
  std::string_view rest = answer;
  const auto got = parse_offer(next_list_element(rest));
  if (!got || !trim_blanks(rest).empty()) return std::nullopt;
  if (got->client_bits_named && !got->client_bits) return std::nullopt;
  const bool takeover = options.mode == DeflateMode::kTakeover;
  DeflateParameters parameters;
  parameters.server_no_context_takeover = got->server_no_takeover;
  // What we hinted at holds whether or not the server repeats it: we do not take over.
  parameters.client_no_context_takeover = got->client_no_takeover || !takeover;
  parameters.server_max_window_bits = got->server_bits.value_or(deflate::kWindowBitsMax);
  // 7.1.2.2: without it in the answer the client may use any window; ours is never larger than
  // asked for.
  parameters.client_max_window_bits = got->client_bits.value_or(options.window_bits);
  if (!takeover && !got->server_no_takeover) return std::nullopt;
  if (parameters.server_max_window_bits > options.window_bits) return std::nullopt;
  if (parameters.client_max_window_bits > options.window_bits) return std::nullopt;
  return parameters;
}

PermessageDeflate::PermessageDeflate(DeflateEngine& engine, Role self,
                                     const DeflateParameters& parameters,
                                     const DeflateOptions& options)
    : PermessageDeflate(
          engine, direction(parameters, self),
          direction(parameters, self == Role::kServer ? Role::kClient : Role::kServer), options) {}

PermessageDeflate::PermessageDeflate(DeflateEngine& engine, Direction sending, Direction receiving,
                                     const DeflateOptions& options)
    : engine_(&engine),
      receiving_(receiving.window_bits, receiving.takeover),
      sending_(options.level, sending.window_bits, sending.takeover),
      encode_bytes_min_(options.threshold_bytes),
      sending_window_bits_(sending.window_bits),
      level_(options.level) {
  if (encode_bytes_min_ == 0) {
    encode_bytes_min_ = sending.takeover ? kThresholdTakeover : kThreshold;
  }
}

PermessageDeflate::Direction PermessageDeflate::direction(const DeflateParameters& parameters,
                                                          Role sender) {
  if (sender == Role::kServer) {
    return {parameters.server_max_window_bits, !parameters.server_no_context_takeover};
  }
  return {parameters.client_max_window_bits, !parameters.client_no_context_takeover};
}

bool PermessageDeflate::compress_alone(core::ConstBytes message, core::Buffer& out) {
  deflate::DeflateContext nothing_before(level_, sending_window_bits_, false);
  engine_->deflater.compress(message, nothing_before, out);
  return out.size() < message.size();
}

ws::Extension::Status PermessageDeflate::decode(core::Buffer& out, std::size_t bytes_max,
                                                std::size_t share_bytes) {
  switch (step(out, bytes_max, share_bytes)) {
    case deflate::InflateStatus::kOk:
      return Status::kDone;
    case deflate::InflateStatus::kMore:
      return Status::kMore;
    case deflate::InflateStatus::kTooBig:
      return Status::kTooBig;
    case deflate::InflateStatus::kBadData:
    case deflate::InflateStatus::kUnfinished:
      return Status::kBad;
  }
  return Status::kBad;
}

bool PermessageDeflate::encode(core::ConstBytes message, core::Buffer& out) {
  engine_->deflater.compress(message, sending_, out);
  return sending_.takeover() || out.size() < message.size();
}

}  // namespace ws::proto
