// Internal. What the connections of one shard need for permessage-deflate.
#pragma once

#include <array>
#include <cstddef>
#include <memory>

#include "ws/proto/permessage_deflate.h"
#include "ws/proto/protocol.h"

namespace ws {

// One agreement: a connection's own where contexts are taken over, else shared.
struct Compressor {
  Compressor(const proto::ProtocolConfig& plain, proto::DeflateEngine& engine,
             const proto::DeflateParameters& parameters, const DeflateOptions& options)
      : deflate(engine, plain.self.role, parameters, options), config(plain) {
    config.deflate = &deflate;
  }
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;

  proto::PermessageDeflate deflate;
  proto::ProtocolConfig config;
};

class Compression {
 public:
  // plain: the config without compression; outlives this.
  Compression(const proto::ProtocolConfig& plain, const DeflateOptions& options)
      : plain_(plain), options_(options) {}

  // own: set where the agreement needs memory of the connection's own, which then has to outlive
  // the use of the result.
  const proto::ProtocolConfig& config_for(const proto::DeflateParameters& parameters,
                                          std::unique_ptr<Compressor>& own) {
    const bool shared =
        parameters.server_no_context_takeover && parameters.client_no_context_takeover;
    std::unique_ptr<Compressor>& place =
        shared ? shared_[parameters.client_max_window_bits - deflate::kWindowBitsMin]
                        [parameters.server_max_window_bits - deflate::kWindowBitsMin]
               : own;
    if (!place) place = std::make_unique<Compressor>(plain_, engine_, parameters, options_);
    return place->config;
  }

 private:
  static constexpr std::size_t kWindows = deflate::kWindowBitsMax - deflate::kWindowBitsMin + 1;

  const proto::ProtocolConfig& plain_;
  DeflateOptions options_;
  proto::DeflateEngine engine_;
  // By the windows of the two sides.
  std::array<std::array<std::unique_ptr<Compressor>, kWindows>, kWindows> shared_;
};

}  // namespace ws
