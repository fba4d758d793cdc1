#include "ws/proto/error.h"

namespace ws::proto {

std::string_view describe(Error error) {
  switch (error) {
    case Error::kNone:
      return "";
    case Error::kReservedBits:
      return "reserved bit set";
    case Error::kUnknownOpcode:
      return "unknown opcode";
    case Error::kFragmentedControl:
      return "fragmented control frame";
    case Error::kControlTooLong:
      return "control frame over 125 bytes";
    case Error::kUnmaskedFrame:
      return "unmasked client frame";
    case Error::kMaskedFrame:
      return "masked server frame";
    case Error::kNonMinimalLength:
      return "length not minimal";
    case Error::kLengthTopBit:
      return "length over 63 bits";
    case Error::kStrayContinuation:
      return "continuation without a message";
    case Error::kInterleavedMessage:
      return "new message inside a message";
    case Error::kBadCloseBody:
      return "bad close body";
    case Error::kInvalidUtf8:
      return "invalid UTF-8";
    case Error::kUndecodable:
      return "undecodable extension data";
    case Error::kMessageTooBig:
      return "message too big";
    case Error::kTooManyFragments:
      return "too many fragments";
  }
  return "";
}

}  // namespace ws::proto
