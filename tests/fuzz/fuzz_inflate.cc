// libFuzzer target: two messages of one connection, decoded at once and in small steps.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/check.h"
#include "ws/deflate/inflate.h"

namespace {

using namespace ws;

constexpr std::size_t kLimitBytes = 1 << 16;

deflate::InflateStatus decode(core::ConstBytes message, deflate::InflateContext& context,
                              std::size_t share, core::Buffer& out) {
  static deflate::Inflater inflater;
  out.clear();
  inflater.start(message, context);
  for (;;) {
    const deflate::InflateStatus status = inflater.step(out, kLimitBytes, share);
    WS_CHECK(out.size() <= kLimitBytes + 2 + deflate::kMatchBytesMax);
    WS_CHECK((status == deflate::InflateStatus::kTooBig) == (out.size() > kLimitBytes));
    if (status != deflate::InflateStatus::kMore) return status;
  }
}

}  // namespace

// The first two bytes: window and takeover, and where the second message begins.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const unsigned window_bits =
      deflate::kWindowBitsMin + data[0] % (deflate::kWindowBitsMax - deflate::kWindowBitsMin + 1);
  const bool takeover = (data[0] & 0x80) != 0;
  const core::ConstBytes all(data + 2, size - 2);
  const std::size_t cut = std::min<std::size_t>(data[1], all.size());
  deflate::InflateContext whole(window_bits, takeover);
  deflate::InflateContext stepped(window_bits, takeover);
  core::Buffer at_once;
  core::Buffer in_steps;
  for (const core::ConstBytes message : {all.first(cut), all.subspan(cut)}) {
    const deflate::InflateStatus status = decode(message, whole, kLimitBytes + 1, at_once);
    WS_CHECK(decode(message, stepped, 1 + data[0] % 64, in_steps) == status);
    WS_CHECK(whole.held_bytes() <= (takeover ? std::size_t{1} << window_bits : 0));
    if (status != deflate::InflateStatus::kOk) return 0;  // the connection would end
    WS_CHECK(std::ranges::equal(at_once.bytes(), in_steps.bytes()));
  }
  return 0;
}
