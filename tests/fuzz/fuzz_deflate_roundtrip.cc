// libFuzzer target: messages of one connection, compressed and decoded again.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/check.h"
#include "ws/deflate/deflate.h"
#include "ws/deflate/inflate.h"

// The first byte: level, takeover and window. Then messages, each behind a byte with its length in
// units of 16 bytes; so long ones are possible, too, the last gets all the rest three times.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ws;
  static deflate::Deflater deflater;
  static deflate::Inflater inflater;
  if (size < 1) return 0;
  const auto level = (data[0] & 0x80) != 0 ? deflate::Level::kBetter : deflate::Level::kFast;
  const bool takeover = (data[0] & 0x40) != 0;
  const unsigned window_bits =
      deflate::kWindowBitsMin + data[0] % (deflate::kWindowBitsMax - deflate::kWindowBitsMin + 1);
  deflate::DeflateContext sender(level, window_bits, takeover);
  deflate::InflateContext receiver(window_bits, takeover);
  core::Buffer compressed;
  core::Buffer decoded;
  core::ConstBytes rest(data + 1, size - 1);
  for (int left = 8; left > 0; --left) {
    core::ConstBytes message = rest;
    if (left > 3 && !rest.empty()) {
      message = rest.subspan(1, std::min<std::size_t>(rest.size() - 1, 16 * std::size_t{rest[0]}));
      rest = rest.subspan(1 + message.size());
    }
    compressed.clear();
    decoded.clear();
    deflater.compress(message, sender, compressed);
    WS_CHECK(compressed.size() <= message.size() + 5 * (message.size() / 64000 + 1) + 1);
    inflater.start(compressed.bytes(), receiver);
    WS_CHECK(inflater.step(decoded, message.size(), message.size() + 1) ==
             deflate::InflateStatus::kOk);
    WS_CHECK(std::ranges::equal(decoded.bytes(), message));
  }
  return 0;
}
