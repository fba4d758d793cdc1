#include "ws/deflate/deflate.h"

#include <algorithm>
#include <bit>

#include "core/check.h"

namespace ws::deflate {
namespace {

// Sizes of the index, as powers of two. Measured: at kFast, half as many heads make JSON events 5 %
// larger with a window of 12 bits, twice as many make 64 KiB of text 1 % smaller.
constexpr unsigned kHeadBitsFast = 13;
constexpr unsigned kHeadBitsBetter = 15;
constexpr unsigned kShortBits = 12;
constexpr unsigned kBitsMin = 6;

constexpr std::size_t slots(unsigned bits) {
  return std::size_t{1} << bits;
}

}  // namespace

std::size_t DeflateContext::held_bytes() const {
  return window_.held_bytes() + index_.capacity() * sizeof(index_[0]);
}

Deflater::Deflater()
    : shared_index_(slots(kHeadBitsBetter) + slots(kWindowBitsMax)), shorts_(slots(kShortBits)) {}

// A small message gets a small index, so that clearing it, and having it in the cache, costs
// little.
Index Deflater::index_for(std::size_t message_bytes, DeflateContext& context) {
  const bool better = context.level_ == Level::kBetter;
  const std::size_t window_bytes = context.window_.bytes_max();
  const auto message_bits = static_cast<unsigned>(std::bit_width(message_bytes));
  Index index{};
  if (context.takeover_) {
    // Here memory counts: no more than one head for two bytes of window.
    const auto window_bits = static_cast<unsigned>(std::bit_width(window_bytes)) - 1;
    index.head_bits = std::min(window_bits - 1, kHeadBitsFast);
    // Positions from before forget() must not be taken for some of today's, since parsers look
    // wherever the index leads them within the window; 0 is the start of this message.
    if (context.window_.size() == 0)
      context.index_.assign(slots(index.head_bits) + (better ? window_bytes : 0), 0);
    index.heads = context.index_.data();
  } else {
    // Nothing is left of another message: what is sent depends on this one alone.
    index.head_bits = std::clamp(message_bits, kBitsMin, better ? kHeadBitsBetter : kHeadBitsFast);
    index.heads = shared_index_.data();
    const std::size_t chain = better ? std::min(message_bytes, window_bytes) : 0;
    std::fill_n(index.heads, slots(index.head_bits) + chain, std::uint16_t{0});
  }
  index.chain = index.heads + slots(index.head_bits);
  if (better) {
    index.short_bits = std::clamp(message_bits, kBitsMin, kShortBits);
    index.shorts = shorts_.data();
    std::fill_n(index.shorts, slots(index.short_bits), std::uint16_t{0});
  }
  return index;
}

void Deflater::compress(core::ConstBytes message, DeflateContext& context, core::Buffer& out) {
  writer_.start(out);
  if (!message.empty()) {
    const Stream stream{message.data(), message.data() + message.size(), &context.window_,
                        context.position_};
    const Index index = index_for(message.size(), context);
    for (const std::uint8_t* at = stream.begin; at < stream.end;) {
      block_.clear();
      const std::uint8_t* const end = context.level_ == Level::kFast
                                          ? parse_fast(stream, index, at, block_)
                                          : parse_better(stream, index, at, block_);
      WS_DCHECK(static_cast<std::size_t>(end - at) == block_.bytes);
      writer_.write(block_, at);
      at = end;
    }
    if (context.takeover_) {
      WS_DCHECK(context.window_.size() <= context.window_.bytes_max());
      context.window_.append(message);
      context.position_ = static_cast<std::uint16_t>(context.position_ + message.size());
    }
  }
  writer_.finish();
}

}  // namespace ws::deflate
