// Internal. Compresses permessage-deflate messages (RFC 1951, RFC 7692 s7.2.1). Pure: no I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/buffer.h"
#include "ws/deflate/block_writer.h"
#include "ws/deflate/options.h"
#include "ws/deflate/parser.h"
#include "ws/deflate/window.h"

namespace ws::deflate {

using Level = DeflateLevel;

// What one sending direction keeps between messages. With context takeover: the last 2^window_bits
// bytes of input, and an index of where in them matches may be found. Without: nothing, and any
// number of connections on a thread may share one.
class DeflateContext {
 public:
  // window_bits: 8 to 15. No distance is larger than 2^window_bits.
  DeflateContext(Level level, unsigned window_bits, bool takeover)
      : window_(window_bits), level_(level), takeover_(takeover) {}

  bool takeover() const { return takeover_; }

  // To be called for each compressed message the peer is sent that did not pass through this
  // context, in the order they are sent: the peer's window moves on by bytes that ours lacks, and
  // our distances would lead elsewhere. The next message is compressed as the very first was. That
  // is always allowed. RFC 7692 s7.2.1: a sender "MAY take over the LZ77 sliding window used to
  // build the last compressed message"; it need not, and a receiver cannot tell.
  // No effect without takeover. cost: none, and at the next compress() of clearing the index, at
  // most 80 KiB. Keeps the memory.
  void forget() {
    window_.clear();
    position_ = 0;
  }

  std::size_t held_bytes() const;  // on the heap

 private:
  friend class Deflater;
  Window window_;
  std::vector<std::uint16_t> index_;
  std::uint16_t position_ = 0;  // of the next message in the stream, modulo 2^16
  Level level_;
  bool takeover_;
};

// Compresses one message at a time; one object serves all connections of a thread.
class Deflater {
 public:
  Deflater();
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;

  // Appends the compressed message, without the final 00 00 FF FF. With context takeover the peer
  // must get it, since the next message may refer to it.
  // Data that does not shrink is stored, in at most 5 bytes for each 64 KiB begun and 1 more.
  // cost: no allocation but the growth of `out`, and of a context up to its maximum.
  void compress(core::ConstBytes message, DeflateContext& context, core::Buffer& out);

 private:
  Index index_for(std::size_t message_bytes, DeflateContext& context);

  std::vector<std::uint16_t> shared_index_;  // heads, then the chain
  std::vector<std::uint16_t> shorts_;
  BlockWriter writer_;
  Block block_;
};

}  // namespace ws::deflate
