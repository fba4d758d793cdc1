// Public. What a peer can do wrong, and the one place that maps it to a close code.
#pragma once

#include <cstdint>
#include <string_view>

#include "ws/proto/close_code.h"

namespace ws::proto {

enum class Error : std::uint8_t {
  kNone,
  kReservedBits,        // RSV1-3 set and no extension claims them
  kUnknownOpcode,       // 3-7, 0xB-0xF
  kFragmentedControl,   // a control frame without FIN
  kControlTooLong,      // a control frame over 125 bytes
  kUnmaskedFrame,       // from a client
  kMaskedFrame,         // from a server
  kNonMinimalLength,    // 126 for < 126, 127 for < 65536
  kLengthTopBit,        // a 64-bit length with its most significant bit set
  kStrayContinuation,   // a continuation with no message open
  kInterleavedMessage,  // a new data frame while a message is open
  kBadCloseBody,        // one byte, or a code that may not be sent
  kInvalidUtf8,         // in text, or in the reason of a Close
  kUndecodable,         // a message marked as an extension's that this cannot decode
  kMessageTooBig,
  kTooManyFragments,
};

// 1002 unless the RFC (7.4.1) or a policy of ours names a better one.
constexpr CloseCode close_code(Error error) {
  switch (error) {
    case Error::kInvalidUtf8:
    case Error::kUndecodable:
      return CloseCode::kInvalidPayload;
    case Error::kMessageTooBig:
      return CloseCode::kMessageTooBig;
    case Error::kTooManyFragments:
      return CloseCode::kPolicyViolation;
    default:
      return CloseCode::kProtocolError;
  }
}

// A constant phrase, for the reason of the Close frame and the log.
std::string_view describe(Error error);

}  // namespace ws::proto
