#include "ws/proto/error.h"

#include <gtest/gtest.h>

namespace ws::proto {
namespace {

TEST(CloseCode, MayTravelAsTheRegistrySays) {
  for (int code = 0; code <= 65535; ++code) {
    const bool may = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
                     (code >= 3000 && code <= 4999);
    ASSERT_EQ(is_valid_close_code(static_cast<std::uint16_t>(code)), may) << code;
  }
}

TEST(Error, MapsToTheCodeTheRfcNames) {
  EXPECT_EQ(close_code(Error::kReservedBits), CloseCode::kProtocolError);
  EXPECT_EQ(close_code(Error::kUnmaskedFrame), CloseCode::kProtocolError);
  EXPECT_EQ(close_code(Error::kLengthTopBit), CloseCode::kProtocolError);
  EXPECT_EQ(close_code(Error::kBadCloseBody), CloseCode::kProtocolError);
  EXPECT_EQ(close_code(Error::kInvalidUtf8), CloseCode::kInvalidPayload);
  EXPECT_EQ(close_code(Error::kMessageTooBig), CloseCode::kMessageTooBig);
  EXPECT_EQ(close_code(Error::kTooManyFragments), CloseCode::kPolicyViolation);
}

TEST(Error, HasAPhraseThatFitsACloseFrame) {
  for (int i = 1; i <= static_cast<int>(Error::kTooManyFragments); ++i) {
    const std::string_view phrase = describe(static_cast<Error>(i));
    EXPECT_FALSE(phrase.empty()) << i;
    EXPECT_LE(phrase.size(), 123u);
  }
  EXPECT_EQ(describe(Error::kNone), "");
}

}  // namespace
}  // namespace ws::proto
