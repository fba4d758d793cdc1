// Internal. Decodes permessage-deflate messages (RFC 1951, RFC 7692 s7.2.2). Pure: no I/O.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/buffer.h"
#include "ws/deflate/decode_table.h"
#include "ws/deflate/window.h"

namespace ws::deflate {

// What one receiving direction keeps between messages: the last output, at most the negotiated
// window of it, and nothing at all without context takeover. In that case it never changes, and
// any number of connections on a thread may share one.
class InflateContext {
 public:
  // window_bits: 8 to 15, what the peer promised to stay within.
  InflateContext(unsigned window_bits, bool takeover) : window_(window_bits), takeover_(takeover) {}

  std::size_t held_bytes() const { return window_.held_bytes(); }  // on the heap

 private:
  friend class Inflater;
  Window window_;
  bool takeover_;
};

enum class InflateStatus : std::uint8_t {
  kOk,          // the message is whole
  kMore,        // this step's share is there, call step() again
  kBadData,     // not a DEFLATE stream, a distance beyond the output or the window, or blocks
                // without end that say nearly nothing
  kUnfinished,  // the message ends inside a block
  kTooBig,      // more output than allowed
};

// Decodes one message at a time; one object serves all connections of a thread, whose messages
// must not interleave. After anything but kMore it only ever repeats that status until start().
class Inflater {
 public:
  Inflater() = default;
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // Begins a message; nothing of an earlier one is left.
  // message: the joined payload as it was sent, without the 00 00 FF FF that s7.2.1 removed.
  // valid until: both must outlive the last step().
  void start(core::ConstBytes message, InflateContext& context);

  // Appends at least share_bytes of output, or the rest of the message; share_bytes above the limit
  // is the way to have it all in one call. Whoever checks the output while it is produced may stop
  // between two steps.
  // out: empty before the first step, then as the last step left it.
  // limit_bytes: of the message, at most 1 GiB. Output passes share and limit by one match and
  // two literals at most, 260 bytes.
  // cost: no allocation but the growth of `out` and, at the end of a message, of the context.
  [[nodiscard]] InflateStatus step(core::Buffer& out, std::size_t limit_bytes,
                                   std::size_t share_bytes);

 private:
  enum class State : std::uint8_t { kHeader, kStored, kSymbols };

  // The unread input. A plain struct, so that the inner loop can hold it in registers.
  struct Input {
    const std::uint8_t* next = nullptr;
    const std::uint8_t* last = nullptr;  // beyond it, input_left() before the next turn
    std::uint64_t bits = 0;
    unsigned count = 0;  // of the bits taken from the bytes before `next`; `bits` may hold more

    // At least 56 bits afterwards.
    void refill() {
      bits |= load_le64(next) << count;
      next += (63 - count) >> 3;
      count |= 56;
    }
    void drop(unsigned n) {
      bits >>= n;
      count -= n;
    }
    unsigned take(unsigned n) {
      const auto value = static_cast<unsigned>(bits & ((1u << n) - 1));
      drop(n);
      return value;
    }
  };
  struct Output {
    std::uint8_t* begin;
    std::uint8_t* next;
    std::uint8_t* stop;  // no turn begins here or beyond
  };

  // No turn of a loop over the input reads more bytes than this, in loads of 8.
  static constexpr std::size_t kTurnBytes = 32;
  // The last bytes of a message are read from a copy that has room behind it for wide loads.
  // Large enough for small messages to be there whole.
  static constexpr std::size_t kTailBytes = 256;

  std::size_t bit_position() const;
  void seek(std::size_t position);
  bool input_left();
  InflateStatus read_header();
  InflateStatus read_stored_header();
  InflateStatus read_dynamic_header();
  InflateStatus read_code_lengths(const DecodeTable& precode, std::span<std::uint8_t> lengths);
  void copy_stored(core::Buffer& out, std::size_t target_bytes);
  InflateStatus decode_block(core::Buffer& out, std::size_t target_bytes);
  InflateStatus decode_symbols(Output& output);
  static DecodeEntry subtable_entry(const DecodeTable& table, DecodeEntry entry, Input& in);
  bool copy(const Output& output, std::size_t distance, std::size_t length) const;
  bool copy_from_context(const Output& output, std::size_t distance, std::size_t length) const;

  InflateStatus status_ = InflateStatus::kOk;
  State state_ = State::kHeader;
  bool final_ = false;    // the block being read, or just read, has BFINAL set
  bool in_tail_ = false;  // reading tail_, not message_
  std::size_t header_work_ = 0;
  std::uint32_t stored_left_ = 0;
  Input in_;
  DecodeTable litlen_{};
  DecodeTable distance_{};
  core::ConstBytes message_;
  InflateContext* context_ = nullptr;
  std::size_t tail_start_ = 0;  // where tail_ begins in the message
  std::array<std::uint8_t, kTailBytes + 4 + 2 * kTurnBytes> tail_;
  std::array<DecodeEntry, kDistanceTableEntries> distance_entries_;
  std::array<DecodeEntry, kLitlenTableEntries> litlen_entries_;
};

}  // namespace ws::deflate
