// Internal. What a connection agreed on with its peer: permessage-deflate, and the program's own
// extensions.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ws/options.h"
#include "ws/proto/http.h"
#include "ws/proto/permessage_deflate.h"
#include "ws/proto/protocol.h"

namespace ws {

using ExtensionTypes = std::span<const std::shared_ptr<const ExtensionType>>;

// In the order of the server's answer.
struct Negotiated {
  struct Element {
    std::optional<proto::DeflateParameters> deflate = {};  // or
    std::unique_ptr<Extension> extension = {};
    RsvBit bit = proto::kDeflateBit;
  };
  std::vector<Element> elements = {};
  std::string answer = {};  // the value of Sec-WebSocket-Extensions; "" for none
};

// errors: a program's extension that is none.
core::Result<core::Ok> check_extensions(ExtensionTypes types);

// Server: what of the client's offers is taken. permessage-deflate comes first; each RSV bit is
// given once. in: a head judge_upgrade() answers 101.
Negotiated accept_extensions(const proto::RequestHead& head, const DeflateOptions& deflate,
                             ExtensionTypes types);
// Client: the offers to send, and what the server took of it. nullopt: it took what was not
// offered, or in a way that cannot be (RFC 6455 9.1: the client "MUST _Fail the WebSocket
// Connection_").
std::vector<std::string> offer_extensions(const DeflateOptions& deflate, ExtensionTypes types);
std::optional<Negotiated> confirm_extensions(const proto::ResponseHead& head,
                                             const DeflateOptions& deflate, ExtensionTypes types);

// What was negotiated, at work.
struct Agreement {
  Agreement(const proto::ProtocolConfig& plain, proto::DeflateEngine& engine, Negotiated negotiated,
            const DeflateOptions& options);
  Agreement(const Agreement&) = delete;
  Agreement& operator=(const Agreement&) = delete;

  std::optional<proto::PermessageDeflate> deflate;
  std::vector<std::unique_ptr<Extension>> others;
  proto::ProtocolConfig config;
};

// Of one shard and role.
class Agreements {
 public:
  // plain: the config without extensions; outlives this.
  Agreements(const proto::ProtocolConfig& plain, proto::DeflateEngine& engine)
      : plain_(plain), engine_(engine) {}

  // own: set where the agreement needs memory of the connection's own, which then has to outlive
  // the use of the result; where neither side takes context over, all connections with the same
  // windows share one. options: the same in all calls.
  const proto::ProtocolConfig& config_for(Negotiated negotiated, const DeflateOptions& options,
                                          std::unique_ptr<Agreement>& own);

 private:
  static constexpr std::size_t kWindows = deflate::kWindowBitsMax - deflate::kWindowBitsMin + 1;

  const proto::ProtocolConfig& plain_;
  proto::DeflateEngine& engine_;
  // By the windows of the two sides.
  std::array<std::array<std::unique_ptr<Agreement>, kWindows>, kWindows> shared_;
};

}  // namespace ws
