// The conformance cases against the protocol object alone: no sockets, every way of cutting the
// input.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "core/endian.h"
#include "tests/conformance/conformance.h"
#include "tests/support/guard_page.h"
#include "ws/proto/protocol.h"

namespace ws::test {
namespace {

using proto::Event;

// An echo server made of a protocol object, as small as can be.
class Echo {
 public:
  Echo() : protocol_(config_) {}

  // Each piece lies between two forbidden pages, so a byte touched outside of it is a crash.
  void take(std::string_view piece) {
    const GuardedCopy copy(piece);
    core::Bytes in = copy.span();
    for (;;) {
      const Event event = protocol_.next(in, out_);
      if (event.kind == Event::Kind::kNone) return;
      if (event.kind == Event::Kind::kMessage) {
        proto::encode_frame(out_, config_.self, event.opcode, event.payload);
      }
      ended_ |= event.kind == Event::Kind::kClosed || event.kind == Event::Kind::kFailed;
    }
  }

  bool ended() const { return ended_; }
  std::size_t waiting() const { return out_.size(); }

  // The next frame it sent; false: none. Judges nothing but its shape.
  bool pop(int& opcode, std::string& payload) {
    const core::ConstBytes bytes = out_.bytes();
    if (bytes.size() < 2) return false;
    EXPECT_EQ(bytes[0] & 0xf0, 0x80) << "FIN and no reserved bit";
    EXPECT_LT(bytes[1], 0x80) << "a server does not mask";
    std::size_t header = 2;
    std::uint64_t length = bytes[1];
    if (bytes[1] == 126) length = core::load_be<std::uint16_t>(&bytes[2]), header = 4;
    if (bytes[1] == 127) length = core::load_be<std::uint64_t>(&bytes[2]), header = 10;
    EXPECT_LE(header + length, bytes.size());
    opcode = bytes[0] & 0x0f;
    payload.assign(reinterpret_cast<const char*>(&bytes[header]), static_cast<std::size_t>(length));
    out_.consume(header + static_cast<std::size_t>(length));
    return true;
  }

 private:
  core::BufferPool pool_;
  proto::ProtocolConfig config_{.self = {},
                                .message_bytes_max = kLimits.message_bytes,
                                .message_fragments_max = kLimits.message_fragments,
                                .pool = &pool_};
  proto::Protocol protocol_;
  core::Buffer out_;
  bool ended_ = false;
};

// The pieces of one send: the case's own cuts, single bytes, or random ones.
enum class Cut { kAsGiven, kBytewise, kRandom };

std::vector<std::string_view> cut(const Step& step, Cut how, std::mt19937& random) {
  std::vector<std::string_view> pieces;
  std::string_view rest = step.bytes;
  const std::size_t piece = how == Cut::kBytewise ? 1 : step.chop.piece;
  for (std::size_t taken = 0; !rest.empty();) {
    std::size_t count = piece == 0 ? rest.size() : std::min(piece, rest.size());
    if (how == Cut::kRandom) count = std::min<std::size_t>(rest.size(), 1 + random() % 200);
    if (how == Cut::kAsGiven) {
      for (const std::size_t at : step.chop.at) {
        if (at > taken) count = std::min(count, at - taken);
      }
    }
    pieces.push_back(rest.substr(0, count));
    rest.remove_prefix(count);
    taken += count;
  }
  return pieces;
}

void play(const Case& c, Cut how) {
  Echo echo;
  std::mt19937 random(7);
  int opcode = -1;
  std::string payload;
  const Script script = c.script();
  for (const Step& step : script.steps()) {
    switch (step.kind) {
      case Step::Kind::kSend:
        for (const std::string_view piece : cut(step, how, random)) echo.take(piece);
        break;
      case Step::Kind::kFrame:
        ASSERT_TRUE(echo.pop(opcode, payload)) << "no frame came";
        ASSERT_EQ(opcode, step.opcode);
        ASSERT_TRUE(payload == step.bytes) << "another payload, of " << payload.size() << " bytes";
        break;
      case Step::Kind::kClose:
        ASSERT_TRUE(echo.pop(opcode, payload)) << "no Close came";
        ASSERT_EQ(opcode, kClose);
        ASSERT_NE(payload.size(), 1u);
        ASSERT_EQ(payload.empty() ? 0
                                  : core::load_be<std::uint16_t>(
                                        reinterpret_cast<const std::uint8_t*>(payload.data())),
                  step.code);
        break;
      case Step::Kind::kSilence:
        ASSERT_EQ(echo.waiting(), 0u);
        break;
      case Step::Kind::kEof:
        ASSERT_TRUE(echo.ended());
        ASSERT_EQ(echo.waiting(), 0u);
        break;
      case Step::Kind::kGone:
        ASSERT_TRUE(echo.ended());
        break;
      case Step::Kind::kWait:
        break;
      case Step::Kind::kAnswer:
      case Step::Kind::kHalfClose:
        FAIL() << "needs a socket";
    }
  }
}

std::size_t bytes_sent(const Case& c) {
  std::size_t bytes = 0;
  const Script script = c.script();
  for (const Step& step : script.steps()) bytes += step.bytes.size();
  return bytes;
}

TEST(ProtocolConformance, EveryCaseInEveryCut) {
  // Megabytes in single bytes would tell nothing new.
  constexpr std::size_t kBytewiseMax = 8 * 1024;
  constexpr std::size_t kRandomMax = 256 * 1024;
  int played = 0;
  for (const Case& c : all_cases()) {
    if (c.raw || c.socket_only) continue;
    SCOPED_TRACE(c.id);
    play(c, Cut::kAsGiven);
    const std::size_t bytes = bytes_sent(c);
    if (bytes <= kBytewiseMax) play(c, Cut::kBytewise);
    if (bytes <= kRandomMax) play(c, Cut::kRandom);
    ++played;
  }
  EXPECT_GT(played, 300);
}

}  // namespace
}  // namespace ws::test
