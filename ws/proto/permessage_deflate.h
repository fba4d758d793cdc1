// Internal. permessage-deflate (RFC 7692 section 7): what is agreed on, and messages in and out.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "core/buffer.h"
#include "ws/deflate/deflate.h"
#include "ws/deflate/inflate.h"
#include "ws/deflate/options.h"
#include "ws/proto/extension.h"
#include "ws/proto/http.h"
#include "ws/proto/opcode.h"

namespace ws::proto {

// Section 7.1: what holds for a connection. The defaults are what holds when a parameter is absent.
struct DeflateParameters {
  bool server_no_context_takeover = false;
  bool client_no_context_takeover = false;
  unsigned server_max_window_bits = 15;
  unsigned client_max_window_bits = 15;
};

// Server: judges the offers in Sec-WebSocket-Extensions, in the client's order of preference, and
// accepts the first that is valid. nullopt: none is (a parameter unknown, repeated, or with a value
// it may not have), or options.mode is kOff; the handshake goes on without the extension.
// in: a head judge_upgrade() answers 101.
struct DeflateAgreement {
  DeflateParameters parameters;
  std::string answer;  // the value of the response's Sec-WebSocket-Extensions
};
std::optional<DeflateAgreement> accept_deflate(const RequestHead& head,
                                               const DeflateOptions& options);

// Client: the value to send in Sec-WebSocket-Extensions; "" when options.mode is kOff.
std::string offer_deflate(const DeflateOptions& options);
// Client: reads the value of the response's Sec-WebSocket-Extensions. nullopt: it is no valid
// answer to offer_deflate(options), and the connection must fail (7.1: "the client MUST _Fail the
// WebSocket Connection_").
std::optional<DeflateParameters> read_deflate_answer(std::string_view answer,
                                                     const DeflateOptions& options);

// The codecs of one thread, shared by its connections: about 300 KiB.
struct DeflateEngine {
  deflate::Inflater inflater;
  deflate::Deflater deflater;
};

// The extension's bit, RFC 7692 6: "the 'Per-Message Compressed' bit" is RSV1.
inline constexpr RsvBit kDeflateBit = RsvBit::kRsv1;

// Both directions of one connection. Where neither takes context over it holds nothing and never
// changes: then one serves all connections of a thread that agreed on the same. thread: one.
class PermessageDeflate final : public ws::Extension {
 public:
  PermessageDeflate(DeflateEngine& engine, Role self, const DeflateParameters& parameters,
                    const DeflateOptions& options);

  // Puts the message, compressed, into `out`, which is empty. true: send that, with RSV1. false: it
  // did not shrink, send the message as it is; never with takeover, where the next message may
  // refer to this one, which therefore goes out compressed even if it grew (by 5 bytes per 64 KiB
  // and 1).
  [[nodiscard]] bool encode(core::ConstBytes message, core::Buffer& out) override;
  std::size_t encode_bytes_min() const override { return encode_bytes_min_; }

  // The same, referring to nothing sent before, for a message that goes to many: all that receive
  // messages within sending_window_bits() can decode it.
  [[nodiscard]] bool compress_alone(core::ConstBytes message, core::Buffer& out);
  unsigned sending_window_bits() const { return sending_window_bits_; }

  // Decodes a message, given the payloads of its frames joined, in steps.
  void begin_decode(core::ConstBytes message) override {
    engine_->inflater.start(message, receiving_);
  }
  Status decode(core::Buffer& out, std::size_t bytes_max, std::size_t share_bytes) override;
  // The same, which tells one fault from another: see deflate::Inflater.
  [[nodiscard]] deflate::InflateStatus step(core::Buffer& out, std::size_t bytes_max,
                                            std::size_t share_bytes) {
    return engine_->inflater.step(out, bytes_max, share_bytes);
  }

  // To be called when a message goes out with RSV1 set that encode() did not make, such as one
  // compressed once, without takeover, for many connections: nothing sent before it is referred to
  // any more. Has no effect without takeover. See deflate::DeflateContext::forget().
  void forget_sent() { sending_.forget(); }

  // On the heap, for the contexts.
  std::size_t held_bytes() const { return receiving_.held_bytes() + sending_.held_bytes(); }

 private:
  struct Direction {
    unsigned window_bits;
    bool takeover;
  };
  static Direction direction(const DeflateParameters& parameters, Role sender);
  PermessageDeflate(DeflateEngine& engine, Direction sending, Direction receiving,
                    const DeflateOptions& options);

  DeflateEngine* engine_;
  deflate::InflateContext receiving_;
  deflate::DeflateContext sending_;
  std::size_t encode_bytes_min_;
  unsigned sending_window_bits_;
  DeflateLevel level_;
};

}  // namespace ws::proto
