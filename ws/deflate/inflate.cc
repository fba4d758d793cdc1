#include "ws/deflate/inflate.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/check.h"
#include "core/copy.h"

namespace ws::deflate {
namespace {

// RFC 7692 s7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload".
constexpr std::array<std::uint8_t, 4> kSyncTail = {0x00, 0x00, 0xff, 0xff};

// One turn of the inner loop writes at most two literals and a match, whose last store may reach
// this much further.
constexpr std::size_t kCopySlack = 32;
constexpr std::size_t kTurnOutput = 2 + kMatchBytesMax + kCopySlack;

// The longest run of code lengths, s3.2.7; each is written in whole stores.
constexpr std::size_t kRunSlack = 16;

// Headers take time and produce nothing, so what they may take in a message is limited: a unit is a
// header of some 40 ns, and the description of a dynamic code is 64 of them. So many, 10 ms or
// 4,096 codes, and as many as zlib's smallest memory level needs, which begins a code every 127
// symbols: 17 for each 32 bytes of output.
constexpr std::size_t kHeaderWorkMax = 256 * 1024;
constexpr std::size_t kDynamicWork = 64;
constexpr std::size_t header_work_max(std::size_t output_bytes) {
  return kHeaderWorkMax + output_bytes / 32 * 17;
}
static_assert(header_work_max(127 * 32 * 1024) > (kDynamicWork + 1) * 32 * 1024);

constexpr std::size_t kLimitBytesMax = std::size_t{1} << 30;

void copy16(std::uint8_t* to, const std::uint8_t* from) {
  std::memcpy(to, from, 16);
}

// Copies `length` bytes in stores of 16, so that up to kCopySlack bytes more are read and written.
// `from` lies at least 16 bytes before `to`, or elsewhere.
inline void copy_wide(std::uint8_t* to, const std::uint8_t* from, std::size_t length) {
  std::uint8_t* const end = to + length;
  do {
    copy16(to, from);
    copy16(to + 16, from + 16);
    to += 32;
    from += 32;
  } while (to < end);
}

// Repeats the `distance` bytes before `to` over `length` bytes; the two may overlap.
// Writes up to kCopySlack bytes more.
inline void copy_match(std::uint8_t* to, std::size_t distance, std::size_t length) {
  const std::uint8_t* from = to - distance;
  if (distance >= 16) return copy_wide(to, from, length);
  std::uint8_t* const end = to + length;
  if (distance >= 8) {
    do {
      std::memcpy(to, from, 8);
      to += 8;
      from += 8;
    } while (to < end);
    return;
  }
  // A period that fits a register: repeat it there, and store as many whole periods at a time.
  static constexpr std::uint8_t kStride[8] = {0, 8, 8, 6, 8, 5, 6, 7};
  std::uint64_t pattern = load_le64(from) & ((std::uint64_t{1} << (8 * distance)) - 1);
  for (std::size_t known = distance; known < 8; known *= 2) pattern |= pattern << (8 * known);
  do {
    store_le64(to, pattern);
    to += kStride[distance];
  } while (to < end);
}

}  // namespace

void Inflater::start(core::ConstBytes message, InflateContext& context) {
  message_ = message;
  context_ = &context;
  const std::size_t copied = std::min(message.size(), kTailBytes);
  tail_start_ = message.size() - copied;
  std::copy_n(message.data() + tail_start_, copied, tail_.data());
  std::memcpy(tail_.data() + copied, kSyncTail.data(), kSyncTail.size());
  std::memset(tail_.data() + copied + kSyncTail.size(), 0, 2 * kTurnBytes);
  status_ = InflateStatus::kMore;
  state_ = State::kHeader;
  // Lets read_header() accept a payload of no bytes; see there.
  final_ = message.empty();
  header_work_ = 0;
  seek(0);
}

// Where the next bit to be read lies, counted from the start of the message.
std::size_t Inflater::bit_position() const {
  const std::size_t read = in_tail_
                               ? tail_start_ + static_cast<std::size_t>(in_.next - tail_.data())
                               : static_cast<std::size_t>(in_.next - message_.data());
  return 8 * read - in_.count;
}

void Inflater::seek(std::size_t position) {
  WS_DCHECK(position <= message_.size() + kSyncTail.size());
  in_.bits = 0;
  in_.count = 0;
  in_tail_ = tail_start_ == 0 || position > message_.size() - kTurnBytes;
  if (in_tail_) {
    in_.next = tail_.data() + (position - tail_start_);
    // 8 bytes may have been loaded that are still unread; one more, and bits that do not exist
    // have been used.
    in_.last = tail_.data() + (message_.size() - tail_start_) + kSyncTail.size() + 8;
  } else {
    in_.next = message_.data() + position;
    in_.last = message_.data() + message_.size() - kTurnBytes;
  }
}

// To be called when in_.next has passed in_.last.
bool Inflater::input_left() {
  if (in_tail_) return false;
  const Input in = in_;
  const auto position = static_cast<std::size_t>(in.next - message_.data());
  seek(position);
  WS_DCHECK(in_tail_);
  in_.bits = in.bits;
  in_.count = in.count;
  return true;
}

// The entry itself, or the one of the subtable it leads to.
inline DecodeEntry Inflater::subtable_entry(const DecodeTable& table, DecodeEntry entry,
                                            Input& in) {
  if (!(entry & kSubtableFlag)) return entry;
  in.drop(entry_drop(entry));
  return table.entries[entry_value(entry) + (in.bits & ((1u << entry_code_bits(entry)) - 1))];
}

InflateStatus Inflater::read_header() {
  if (final_) {
    // s7.2.1: "When any DEFLATE block with the "BFINAL" bit set to 1 doesn't end at a byte
    // boundary, an endpoint MUST add minimal padding bits of 0 to make it end at a byte boundary.
    // The next DEFLATE block follows the padded data if any."
    in_.drop(in_.count & 7);
    // Some senders end here, without the empty block that s7.2.1 asks for, and some send nothing
    // at all for an empty message. The data is whole either way and no bit of it is left over.
    if (bit_position() == 8 * message_.size()) return InflateStatus::kOk;
  }
  const std::size_t end = 8 * (message_.size() + kSyncTail.size());
  const std::size_t position = bit_position();
  if (position == end) return InflateStatus::kOk;
  if (position + 3 > end) return InflateStatus::kUnfinished;
  if (in_.next > in_.last && !input_left()) return InflateStatus::kUnfinished;
  in_.refill();
  final_ = in_.take(1) != 0;
  ++header_work_;
  switch (in_.take(2)) {
    case kStored:
      return read_stored_header();
    case kFixed:
      litlen_ = fixed_litlen_table();
      distance_ = fixed_distance_table();
      state_ = State::kSymbols;
      return InflateStatus::kMore;
    case kDynamic:
      header_work_ += kDynamicWork;
      return read_dynamic_header();
    default:
      return InflateStatus::kBadData;
  }
}

InflateStatus Inflater::read_stored_header() {
  in_.drop(in_.count & 7);  // s3.2.4: "Any bits of input up to the next byte boundary are ignored."
  const std::size_t position = bit_position() / 8;
  const std::size_t end = message_.size() + kSyncTail.size();
  if (position + 4 > end) return InflateStatus::kUnfinished;
  seek(position);
  in_.refill();
  const unsigned length = in_.take(16);
  if (length != (in_.take(16) ^ 0xffff)) return InflateStatus::kBadData;
  if (length > end - (position + 4)) return InflateStatus::kUnfinished;
  seek(position + 4);
  stored_left_ = length;
  if (length > 0) state_ = State::kStored;
  return InflateStatus::kMore;
}

void Inflater::copy_stored(core::Buffer& out, std::size_t target_bytes) {
  std::size_t position = bit_position() / 8;
  while (stored_left_ > 0 && out.size() < target_bytes) {
    const bool in_message = position < message_.size();
    const std::uint8_t* const from =
        in_message ? message_.data() + position : tail_.data() + (position - tail_start_);
    WS_DCHECK(in_message || position >= tail_start_);
    std::size_t count = std::min<std::size_t>(stored_left_, target_bytes - out.size());
    if (in_message) count = std::min(count, message_.size() - position);
    core::copy_large(out.prepare(count).data(), from, count);
    out.commit(count);
    position += count;
    stored_left_ -= static_cast<std::uint32_t>(count);
  }
  seek(position);
  if (stored_left_ == 0) state_ = State::kHeader;
}

InflateStatus Inflater::read_dynamic_header() {
  // At least 53 bits are there: these take 14, the lengths of the precode up to 57.
  const unsigned litlen_count = 257 + in_.take(5);
  const unsigned distance_count = 1 + in_.take(5);
  const unsigned precode_count = 4 + in_.take(4);
  // s3.2.7 lets HLIT and HDIST count symbols that may never be sent; zlib refuses them.
  if (litlen_count > kLitlenSymbols || distance_count > kDistanceSymbols)
    return InflateStatus::kBadData;
  std::array<std::uint8_t, kPrecodeSlots> precode_lengths{};
  in_.refill();
  for (unsigned i = 0; i < precode_count; ++i) {
    if (i == 16) {  // 48 bits read
      if (in_.next > in_.last && !input_left()) return InflateStatus::kUnfinished;
      in_.refill();
    }
    precode_lengths[kPrecodeOrder[i]] = static_cast<std::uint8_t>(in_.take(3));
  }
  std::array<DecodeEntry, kPrecodeTableEntries> precode_entries;
  const unsigned precode_bits = build_precode_table(precode_lengths.data(), precode_entries.data());
  if (precode_bits == 0) return InflateStatus::kBadData;

  // With room for zeros behind the lengths of either code.
  std::array<std::uint8_t, kLitlenSymbols + kDistanceSymbols + kDistanceSlots> buffer;
  static_assert(kDistanceSlots >= kRunSlack && 257 + kDistanceSlots >= kLitlenSlots);
  const auto lengths = std::span(buffer).first(litlen_count + distance_count);
  const InflateStatus status = read_code_lengths({precode_entries.data(), precode_bits}, lengths);
  if (status != InflateStatus::kMore) return status;

  std::uint8_t* const distance_lengths = buffer.data() + litlen_count;
  std::memset(distance_lengths + distance_count, 0, kDistanceSlots);
  distance_ = {distance_entries_.data(),
               build_distance_table(distance_lengths, distance_entries_.data())};
  std::memset(distance_lengths, 0, kDistanceSlots);
  litlen_ = {litlen_entries_.data(), build_litlen_table(buffer.data(), litlen_entries_.data())};
  if (litlen_.bits == 0 || distance_.bits == 0) return InflateStatus::kBadData;
  state_ = State::kSymbols;
  return InflateStatus::kMore;
}

// s3.2.7: "The code length repeat codes can cross from HLIT + 257 to the HDIST + 1 code lengths.
// In other words, all code lengths form a single sequence". Single lengths are runs of one: what
// comes next is hard to predict, so there is one path for all. `lengths` has kRunSlack behind it.
InflateStatus Inflater::read_code_lengths(const DecodeTable& precode,
                                          std::span<std::uint8_t> lengths) {
  const unsigned mask = (1u << precode.bits) - 1;
  std::uint8_t* const begin = lengths.data();
  const std::uint8_t* const end = begin + lengths.size();
  std::uint8_t* to = begin;
  unsigned value = 0;
  Input in = in_;
  while (to < end) {
    if (in.next > in.last) {
      in_ = in;
      if (!input_left()) return InflateStatus::kUnfinished;
      in = in_;
    }
    in.refill();
    // At most 7 + 7 bits each.
    for (unsigned i = 0; i < 4 && to < end; ++i) {
      const DecodeEntry entry = precode.entries[in.bits & mask];
      const std::size_t count = entry_range(entry, in.bits) & kRunMask;
      in.drop(entry_drop(entry));
      if (to == begin && (entry & kSpecialFlag)) return InflateStatus::kBadData;
      value = (entry & kSpecialFlag) ? value : entry >> kRunValueShift;
      if (count > static_cast<std::size_t>(end - to)) return InflateStatus::kBadData;
      std::memset(to, static_cast<int>(value), kRunSlack);
      if (count > kRunSlack) [[unlikely]]
        std::memset(to, static_cast<int>(value), count);
      to += count;
    }
  }
  in_ = in;
  return InflateStatus::kMore;
}

// The bytes a match takes from earlier messages, and from the start of this one if it reaches so
// far. false: the distance goes beyond all output, or beyond the window.
inline bool Inflater::copy_from_context(const Output& output, std::size_t distance,
                                        std::size_t length) const {
  const Window& window = context_->window_;
  const std::size_t back = distance - static_cast<std::size_t>(output.next - output.begin);
  if (back > window.size() || distance > window.bytes_max()) return false;
  const core::ConstBytes piece = window.piece(back);
  if (length <= back && length + kCopySlack <= piece.size()) [[likely]] {
    copy_wide(output.next, piece.data(), length);
    return true;
  }
  for (std::size_t i = 0; i < length; ++i) {
    if (i >= back) {
      output.next[i] = output.begin[i - back];
    } else {
      output.next[i] = i < piece.size() ? piece[i] : window.front()[i - piece.size()];
    }
  }
  return true;
}

// A match. false: its distance is not allowed.
inline bool Inflater::copy(const Output& output, std::size_t distance, std::size_t length) const {
  if (distance > static_cast<std::size_t>(output.next - output.begin))
    return copy_from_context(output, distance, length);
  if (distance > context_->window_.bytes_max()) return false;
  copy_match(output.next, distance, length);
  return true;
}

// returns: kOk at the end of the block, kMore at output.stop.
InflateStatus Inflater::decode_symbols(Output& result) {
  const DecodeTable litlen = litlen_;
  const DecodeTable distances = distance_;
  const std::uint64_t litlen_mask = (1u << litlen.bits) - 1;
  const std::uint64_t distance_mask = (1u << distances.bits) - 1;
  InflateStatus status = InflateStatus::kMore;
  Input in = in_;
  Output out = result;
  const auto take_literal = [&](DecodeEntry entry) {
    in.drop(entry_drop(entry));
    *out.next++ = static_cast<std::uint8_t>(entry >> 16);
  };
  while (out.next < out.stop) {
    if (in.next > in.last) {
      in_ = in;
      if (!input_left()) {
        status = InflateStatus::kUnfinished;
        break;
      }
      in = in_;
    }
    in.refill();
    DecodeEntry entry = litlen.entries[in.bits & litlen_mask];
    if (entry & kLiteralFlag) {
      take_literal(entry);
      entry = litlen.entries[in.bits & litlen_mask];
      if (entry & kLiteralFlag) {
        take_literal(entry);
        entry = litlen.entries[in.bits & litlen_mask];
        if (entry & kLiteralFlag) {
          take_literal(entry);
          continue;
        }
      }
      in.refill();
    }
    if (entry & kSpecialFlag) [[unlikely]] {
      entry = subtable_entry(litlen, entry, in);
      if (entry & kLiteralFlag) {
        take_literal(entry);
        continue;
      }
      if (entry & kSpecialFlag) {
        in.drop(entry_drop(entry));
        status = (entry & kEndFlag) ? InflateStatus::kOk : InflateStatus::kBadData;
        break;
      }
    }
    const std::size_t length = entry_range(entry, in.bits);
    in.drop(entry_drop(entry));
    entry = distances.entries[in.bits & distance_mask];
    if (entry & kSpecialFlag) [[unlikely]]
      entry = subtable_entry(distances, entry, in);
    const std::size_t distance = entry_range(entry, in.bits);
    in.drop(entry_drop(entry));
    if ((entry & kSpecialFlag) || !copy(out, distance, length)) {
      status = InflateStatus::kBadData;
      break;
    }
    out.next += length;
  }
  in_ = in;
  result.next = out.next;
  return status;
}

InflateStatus Inflater::decode_block(core::Buffer& out, std::size_t target_bytes) {
  InflateStatus status = InflateStatus::kMore;
  while (status == InflateStatus::kMore && out.size() < target_bytes) {
    const core::Bytes room = out.prepare(kTurnOutput + 1);
    Output output{out.data(), room.data(),
                  std::min(room.data() + room.size() - kTurnOutput, out.data() + target_bytes)};
    status = decode_symbols(output);
    WS_DCHECK(output.next + kCopySlack <= room.data() + room.size());
    out.commit(static_cast<std::size_t>(output.next - room.data()));
  }
  return status;
}

InflateStatus Inflater::step(core::Buffer& out, std::size_t limit_bytes, std::size_t share_bytes) {
  WS_CHECK(limit_bytes <= kLimitBytesMax);
  if (status_ != InflateStatus::kMore) return status_;
  WS_DCHECK(out.size() <= limit_bytes);
  if (out.empty()) out.prepare(std::min(4 * message_.size(), limit_bytes) + kTurnOutput);
  // One byte more than the limit tells that it is passed.
  const std::size_t target_bytes = std::min(share_bytes, limit_bytes - out.size() + 1) + out.size();
  while (status_ == InflateStatus::kMore && out.size() < target_bytes) {
    switch (state_) {
      case State::kHeader:
        status_ =
            header_work_ > header_work_max(out.size()) ? InflateStatus::kBadData : read_header();
        break;
      case State::kStored:
        copy_stored(out, target_bytes);
        break;
      case State::kSymbols:
        status_ = decode_block(out, target_bytes);
        if (status_ == InflateStatus::kOk) {
          status_ = InflateStatus::kMore;
          state_ = State::kHeader;
        }
        break;
    }
  }
  if (out.size() > limit_bytes) status_ = InflateStatus::kTooBig;
  if (status_ == InflateStatus::kOk && context_->takeover_) context_->window_.append(out.bytes());
  return status_;
}

}  // namespace ws::deflate
