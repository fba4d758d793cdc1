// Public. Extensions of the protocol (RFC 6455 section 9): how a program adds one of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/buffer.h"

namespace ws {

// One agreed extension on one connection: it transforms whole messages. permessage-deflate is one.
// Nothing here and below may throw. thread: the connection's.
class Extension {
 public:
  virtual ~Extension() = default;

  // Sending: puts what goes out instead of `message` into `out`, which is empty, and returns true;
  // the message is then marked with the extension's RSV bit. false: it goes out as it is.
  virtual bool encode(std::span<const std::uint8_t> message, core::Buffer& out) = 0;
  // Shorter messages are not worth encode().
  virtual std::size_t encode_bytes_min() const { return 0; }

  enum class Status : std::uint8_t { kDone, kMore, kBad, kTooBig };
  // Receiving: begins a marked message. valid: `message` outlives the last decode().
  virtual void begin_decode(std::span<const std::uint8_t> message) = 0;
  // Appends about share_bytes of the result to `out` (empty before the first step), then kMore, so
  // that text is validated while it is made; or all the rest, then kDone. kBad: 1007; kTooBig: it
  // passes bytes_max, 1009. A peer's bytes may not make it produce much more than that.
  virtual Status decode(core::Buffer& out, std::size_t bytes_max, std::size_t share_bytes) = 0;
};

// RSV1, RSV2, RSV3 (5.2): one extension each.
enum class RsvBit : std::uint8_t { kRsv1 = 0x40, kRsv2 = 0x20, kRsv3 = 0x10 };

struct ExtensionParameter {
  std::string_view name;
  std::optional<std::string> value;  // unquoted; nullopt when there is none
};

// What a program registers (ServerOptions::extensions, ConnectOptions::extensions).
// thread: any, as all threads of a server share it.
class ExtensionType {
 public:
  virtual ~ExtensionType() = default;

  virtual std::string_view name() const = 0;  // a token, as in Sec-WebSocket-Extensions
  virtual RsvBit rsv() const = 0;

  struct Agreement {
    std::unique_ptr<Extension> extension;
    std::string parameters = {};  // of a server's answer: "", or such as "level=3; fast"
  };
  // A server judges an offer. nullopt declines it; the client's next offer is tried.
  virtual std::optional<Agreement> accept(std::span<const ExtensionParameter> offer) const = 0;

  // The parameters of a client's offer: "", or such as "level=3; fast".
  virtual std::string offer() const { return {}; }
  // A client judges the server's answer to it. nullptr: not acceptable, the connection fails.
  virtual std::unique_ptr<Extension> confirm(std::span<const ExtensionParameter> answer) const = 0;
};

}  // namespace ws
