#include "ws/deflate/parser.h"

#include <algorithm>
#include <bit>

#include "core/check.h"

namespace ws::deflate {
namespace {

// Both parsers look at 4 bytes at a time.
constexpr std::size_t kLookBytes = 4;

// A literal or match is begun only below this, so that no block passes Block::kBytesMax.
constexpr std::size_t kBlockBytes = Block::kBytesMax - 2 * kMatchBytesMax;

// So many literals in a row that the data looks random and bytes are skipped, one for each so many
// literals more.
constexpr std::ptrdiff_t kPatienceFast = 64;
constexpr std::ptrdiff_t kPatienceBetter = 256;

// In parse_better(): how many older positions are tried; a match so long ends the search; one so
// long is not held up for a better one.
constexpr int kDepth = 24;
constexpr std::size_t kNiceBytes = 128;
constexpr std::size_t kLazyBytes = 32;
// How far back a match of 3 bytes may lie.
constexpr std::size_t kShortDistanceMax = 2048;

// Multiplicative hashing: 2^32 divided by the golden ratio spreads the bytes over the top bits.
std::uint32_t hash_of(std::uint32_t bytes, unsigned bits) {
  return (bytes * 0x9e3779b1u) >> (32 - bits);
}

// How many bytes are equal, given that `known` are; neither side is read at or beyond `limit`.
inline std::size_t common_bytes(const std::uint8_t* a, const std::uint8_t* b, std::size_t known,
                                std::size_t limit) {
  std::size_t n = known;
  for (; n + 8 <= limit; n += 8) {
    const std::uint64_t difference = load_le64(a + n) ^ load_le64(b + n);
    if (difference != 0) return n + static_cast<std::size_t>(std::countr_zero(difference)) / 8;
  }
  while (n < limit && a[n] == b[n]) ++n;
  return n;
}

struct Match {
  std::size_t length = 0;
  std::size_t distance = 0;
};

// The bytes at a distance, and how many of them lie in one piece.
struct Earlier {
  const std::uint8_t* bytes;
  std::size_t limit;
};
template <bool has_history>
inline Earlier earlier(const Stream& stream, const std::uint8_t* at, std::size_t distance,
                       std::size_t limit) {
  const auto produced = static_cast<std::size_t>(at - stream.begin);
  if (!has_history || distance <= produced) return {at - distance, limit};
  const std::size_t back = distance - produced;
  WS_DCHECK(back <= stream.window->size());
  const core::ConstBytes piece = stream.window->piece(back);
  return {piece.data(), std::min({limit, back, piece.size()})};
}

inline std::uint16_t position_of(const Stream& stream, const std::uint8_t* at) {
  return static_cast<std::uint16_t>(stream.position + (at - stream.begin));
}

inline std::size_t length_limit(const Stream& stream, const std::uint8_t* at) {
  return std::min<std::size_t>(kMatchBytesMax, static_cast<std::size_t>(stream.end - at));
}

// Where no match may begin any more, seen from the start of a block.
inline const std::uint8_t* block_stop(const Stream& stream, const std::uint8_t* at) {
  const auto left = static_cast<std::size_t>(stream.end - at);
  return left <= kLookBytes ? at : at + std::min(left - kLookBytes, kBlockBytes);
}

// Makes the byte a literal, and some more where nothing has matched for long.
// literals: where the run of literals began.  returns: the next byte to look at.
inline const std::uint8_t* take_literals(const std::uint8_t* literals, const std::uint8_t* at,
                                         const std::uint8_t* stop, std::ptrdiff_t patience,
                                         Block& block) {
  ++block.litlen_counts[*at++];
  if (at - literals <= patience) [[likely]]
    return at;
  const std::uint8_t* const next = at + std::min((at - literals) / patience, stop - at);
  block.count_literals(at, next);
  return next;
}

// Adds the literals behind the last match; at the end of the message also those that were too few
// to be looked at.
inline const std::uint8_t* end_block(const Stream& stream, const std::uint8_t* literals,
                                     const std::uint8_t* at, Block& block) {
  if (static_cast<std::size_t>(stream.end - at) <= kLookBytes) {
    block.count_literals(at, stream.end);
    at = stream.end;
  }
  if (literals < at) block.add_rest(static_cast<std::size_t>(at - literals));
  return at;
}

template <bool has_history>
const std::uint8_t* fast(const Stream stream, const Index index, const std::uint8_t* at,
                         Block& block) {
  const std::size_t distance_max = stream.window->bytes_max();
  const std::uint8_t* const stop = block_stop(stream, at);
  const std::uint8_t* literals = at;
  const auto slot = [=](std::uint32_t bytes) -> std::uint16_t& {
    return index.heads[hash_of(bytes, index.head_bits)];
  };
  while (at < stop && block.used < Block::kSequencesMax - 1) {
    const std::uint32_t bytes = load_le32(at);
    std::uint16_t& newest = slot(bytes);
    const std::uint16_t position = position_of(stream, at);
    const std::size_t distance = static_cast<std::uint16_t>(position - newest);
    newest = position;
    // One test instead of two, since neither can be foreseen: look at `at` itself if there is
    // nothing to look at.
    const bool valid = distance - 1 < distance_max;
    const Earlier match =
        earlier<has_history>(stream, at, valid ? distance : 0, length_limit(stream, at));
    const bool reaches = !has_history || match.limit >= kLookBytes;
    if (!(valid && reaches) || load_le32(match.bytes) != bytes) {
      at = take_literals(literals, at, stop, kPatienceFast, block);
      continue;
    }
    const std::size_t length = common_bytes(match.bytes, at, kLookBytes, match.limit);
    block.add_match(static_cast<std::size_t>(at - literals), length, distance);
    literals = at + length;
    if (literals < stop) [[likely]] {
      // Of the bytes of the match, the second and the last two make nearly as many later matches
      // as all of them would.
      slot(load_le32(at + 1)) = position_of(stream, at + 1);
      slot(load_le32(literals - 2)) = position_of(stream, literals - 2);
      slot(load_le32(literals - 1)) = position_of(stream, literals - 1);
    }
    at = literals;
  }
  return end_block(stream, literals, at, block);
}

// Whether `a` is so much better than `b` that it is worth `margin` bits. A byte more counts for 4
// bits, about what it takes in compressed text; a distance twice as long costs one bit.
inline bool better_by(int margin, Match a, Match b) {
  return 4 * (static_cast<int>(a.length) - static_cast<int>(b.length)) +
             static_cast<int>(std::bit_width(b.distance)) -
             static_cast<int>(std::bit_width(a.distance)) >
         margin;
}

template <bool has_history>
class Chains {
 public:
  Chains(const Stream& stream, const Index& index)
      : stream_(stream), index_(index), mask_(stream.window->bytes_max() - 1) {}

  // Makes the position known to later searches. returns: the newest one of equal hash before it.
  std::uint16_t insert(const std::uint8_t* at, std::uint32_t bytes) {
    const std::uint16_t position = position_of(stream_, at);
    std::uint16_t& head = index_.heads[hash_of(bytes, index_.head_bits)];
    const std::uint16_t newest = head;
    index_.chain[position & mask_] = newest;
    head = position;
    std::uint16_t& short_head = index_.shorts[hash_of(bytes << 8, index_.short_bits)];
    newest_short_ = short_head;
    short_head = position;
    return newest;
  }

  // Inserts the position and searches the best match there, of at least `length_min` bytes.
  Match find(const std::uint8_t* at, std::size_t length_min, int depth) {
    const std::uint32_t bytes = load_le32(at);
    std::uint16_t candidate = insert(at, bytes);
    const std::uint16_t position = position_of(stream_, at);
    const std::size_t limit = length_limit(stream_, at);
    Match best;
    std::size_t needed = std::max(length_min, kLookBytes);
    std::size_t previous = 0;
    for (; depth > 0; --depth, candidate = index_.chain[candidate & mask_]) {
      const std::size_t distance = static_cast<std::uint16_t>(position - candidate);
      // Older and older, or the chain has gone stale.
      if (distance <= previous || distance > mask_ + 1) break;
      previous = distance;
      const Earlier match = earlier<has_history>(stream_, at, distance, limit);
      if (match.limit < needed ||
          load_le32(match.bytes + needed - 4) != load_le32(at + needed - 4) ||
          load_le32(match.bytes) != bytes)
        continue;
      const Match found{common_bytes(match.bytes, at, kLookBytes, match.limit), distance};
      if (found.length < needed || (best.length > 0 && !better_by(0, found, best))) continue;
      best = found;
      needed = best.length + 1;
      if (best.length >= kNiceBytes || needed > limit) break;
    }
    return best.length == 0 && length_min == 0 ? find_short(at, bytes, limit) : best;
  }

 private:
  // Binary data has many matches of 3 bytes. In text they pay only when they are near.
  Match find_short(const std::uint8_t* at, std::uint32_t bytes, std::size_t limit) const {
    const std::size_t distance =
        static_cast<std::uint16_t>(position_of(stream_, at) - newest_short_);
    const std::size_t distance_max =
        std::min({kShortDistanceMax, mask_ + 1, static_cast<std::size_t>(at - stream_.begin)});
    if (distance - 1 >= distance_max || (load_le32(at - distance) ^ bytes) << 8 != 0) return {};
    return {common_bytes(at - distance, at, kMatchBytesMin, limit), distance};
  }

  const Stream stream_;
  const Index index_;
  std::size_t mask_;
  std::uint16_t newest_short_ = 0;  // the newest position of equal short hash before the last one
};

template <bool has_history>
const std::uint8_t* better(const Stream stream, const Index index, const std::uint8_t* at,
                           Block& block) {
  Chains<has_history> chains(stream, index);
  const std::uint8_t* const stop = block_stop(stream, at);
  const std::uint8_t* literals = at;
  while (at < stop && block.used < Block::kSequencesMax - 1) {
    Match match = chains.find(at, 0, kDepth);
    const std::uint8_t* known = at + 1;  // all before it is in the index
    if (match.length == 0) {
      at = take_literals(literals, at, stop, kPatienceBetter, block);
      continue;
    }
    while (match.length < kLazyBytes && at + 2 < stop) {
      if (known == at + 1) {
        const Match next = chains.find(known++, match.length, kDepth / 2);
        if (next.length > 0 && better_by(2, next, match)) {
          ++block.litlen_counts[*at++];
          match = next;
          continue;
        }
      }
      if (known != at + 2) break;
      const Match next = chains.find(known++, match.length, kDepth / 4);
      if (next.length == 0 || !better_by(6, next, match)) break;
      block.count_literals(at, at + 2);
      at += 2;
      match = next;
    }
    block.add_match(static_cast<std::size_t>(at - literals), match.length, match.distance);
    at += match.length;
    literals = at;
    for (const std::uint8_t* const end = std::min(at, stop); known < end; ++known)
      chains.insert(known, load_le32(known));
  }
  return end_block(stream, literals, at, block);
}

}  // namespace

const std::uint8_t* parse_fast(const Stream& stream, const Index& index, const std::uint8_t* at,
                               Block& block) {
  return stream.window->size() > 0 ? fast<true>(stream, index, at, block)
                                   : fast<false>(stream, index, at, block);
}

const std::uint8_t* parse_better(const Stream& stream, const Index& index, const std::uint8_t* at,
                                 Block& block) {
  return stream.window->size() > 0 ? better<true>(stream, index, at, block)
                                   : better<false>(stream, index, at, block);
}

}  // namespace ws::deflate
