// Public. Status codes of a Close frame (RFC 6455 section 7.4) and the IANA registry behind it.
#pragma once

#include <cstdint>

namespace ws {

// Any uint16_t in 3000-4999 may be cast to it for codes of libraries and applications.
enum class CloseCode : std::uint16_t {
  kNormal = 1000,
  kGoingAway = 1001,
  kProtocolError = 1002,
  kUnsupportedData = 1003,
  kNoStatus = 1005,  // never on the wire: the Close frame had no code
  kAbnormal = 1006,  // never on the wire: the connection ended without a Close frame
  kInvalidPayload = 1007,
  kPolicyViolation = 1008,
  kMessageTooBig = 1009,
  kInternalError = 1011,
  kServiceRestart = 1012,
  kTryAgainLater = 1013,
};

namespace proto {

// Whether a Close frame may carry `code`: 1000-1003, 1007-1014 and 3000-4999. 1004-1006 and 1015
// "MUST NOT be set as a status code in a Close control frame"; 1016-2999 are reserved for the
// protocol; below 1000 "not used".
constexpr bool is_valid_close_code(std::uint16_t code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
         (code >= 3000 && code <= 4999);
}

}  // namespace proto
}  // namespace ws
