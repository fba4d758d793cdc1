#include "ws/proto/utf8.h"

#include <array>
#include <atomic>
#include <cstring>

#include "core/check.h"
#include "core/cpu.h"
#include "ws/proto/utf8_kernels.h"

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace ws::proto {
namespace {

// ---- Byte by byte: an automaton taken from the grammar of RFC 3629 section 4 ----

// What may come next. A state is held as the bit position of its field in a row (below), which is
// why the states are 6 apart; kBetween is 0 because Utf8Validator::complete() asks for it.
enum State : std::uint32_t {
  kBetween = 0,  // any character may start, and the text may end
  kImpossible = 6,
  kTail1 = 12,  // one more UTF8-tail
  kTail2 = 18,
  kTail3 = 24,
  kAfterE0 = 30,
  kAfterED = 36,
  kAfterF0 = 42,
  kAfterF4 = 48,
};

struct Rule {
  State in;
  std::uint8_t first, last;  // the bytes it accepts
  State next;
};

constexpr Rule kGrammar[] = {
    // UTF8-1 = %x00-7F
    {kBetween, 0x00, 0x7F, kBetween},
    // UTF8-2 = %xC2-DF UTF8-tail
    {kBetween, 0xC2, 0xDF, kTail1},
    // UTF8-3 = %xE0 %xA0-BF UTF8-tail / %xE1-EC 2( UTF8-tail ) /
    //          %xED %x80-9F UTF8-tail / %xEE-EF 2( UTF8-tail )
    {kBetween, 0xE0, 0xE0, kAfterE0},
    {kAfterE0, 0xA0, 0xBF, kTail1},
    {kBetween, 0xE1, 0xEC, kTail2},
    {kBetween, 0xED, 0xED, kAfterED},
    {kAfterED, 0x80, 0x9F, kTail1},
    {kBetween, 0xEE, 0xEF, kTail2},
    // UTF8-4 = %xF0 %x90-BF 2( UTF8-tail ) / %xF1-F3 3( UTF8-tail ) /
    //          %xF4 %x80-8F 2( UTF8-tail )
    {kBetween, 0xF0, 0xF0, kAfterF0},
    {kAfterF0, 0x90, 0xBF, kTail2},
    {kBetween, 0xF1, 0xF3, kTail3},
    {kBetween, 0xF4, 0xF4, kAfterF4},
    {kAfterF4, 0x80, 0x8F, kTail2},
    // UTF8-tail = %x80-BF
    {kTail3, 0x80, 0xBF, kTail2},
    {kTail2, 0x80, 0xBF, kTail1},
    {kTail1, 0x80, 0xBF, kBetween},
};

// A row per byte value holds the next state for every state, in fields of 6 bits, so that a step is
// one shift of a row that does not depend on the state: no wait for memory between two bytes. (Per
// Vognsen's idea of the shift-based DFA.) A byte that no rule accepts leads to kImpossible, which
// no byte leaves.
constexpr std::array<std::uint64_t, 256> make_rows() {
  std::array<std::uint64_t, 256> rows{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    for (std::uint32_t in = kBetween; in <= kAfterF4; in += 6) {
      std::uint64_t next = kImpossible;
      for (const Rule& rule : kGrammar) {
        if (rule.in == in && rule.first <= byte && byte <= rule.last) next = rule.next;
      }
      rows[byte] |= next << in;
    }
  }
  return rows;
}

constexpr std::array<std::uint64_t, 256> kRows = make_rows();

std::uint32_t step(std::uint32_t state, std::uint8_t byte) {
  return static_cast<std::uint32_t>(kRows[byte] >> state) & 63;
}

constexpr std::uint64_t kTopBits = 0x8080'8080'8080'8080;

std::uint64_t load_word(const std::uint8_t* bytes) {
  std::uint64_t word;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

bool is_ascii(std::span<const std::uint8_t> bytes) {
  std::uint64_t seen = 0;
  if (bytes.size() < 8) {
    for (const std::uint8_t byte : bytes) seen |= byte;
  } else {
    const std::size_t last = bytes.size() - 8;  // the last word overlaps the one before
    for (std::size_t i = 0; i < last; i += 8) seen |= load_word(&bytes[i]);
    seen |= load_word(&bytes[last]);
  }
  return (seen & kTopBits) == 0;
}

// Stops early, within 8 bytes, once the text is impossible.
std::uint32_t run(std::uint32_t state, std::span<const std::uint8_t> bytes) {
  while (bytes.size() >= 8 && state != kImpossible) {
    if (state != kBetween || (load_word(bytes.data()) & kTopBits) != 0) {
      for (std::size_t i = 0; i < 8; ++i) state = step(state, bytes[i]);
    }
    bytes = bytes.subspan(8);
  }
  if (state == kImpossible) return state;
  for (const std::uint8_t byte : bytes) state = step(state, byte);
  return state;
}

// ---- Block by block: errors looked up for all bytes at once ----
//
// The idea is Keiser and Lemire's ("Validating UTF-8 in less than one instruction per byte", 2021):
// whether a byte may follow the byte before it depends on three of their four nibbles only. Each
// kind of bad pair is a product of three sets of nibbles and owns one bit. Each nibble looks up the
// kinds it can take part in; a kind named by all three is there.

constexpr std::uint16_t nibbles(unsigned first, unsigned last) {
  std::uint16_t set = 0;
  for (unsigned value = first; value <= last; ++value)
    set |= static_cast<std::uint16_t>(1 << value);
  return set;
}

struct BadPair {
  std::uint16_t high1, low1;  // nibbles of the byte before
  std::uint16_t high2;        // upper nibble of the byte itself
};

constexpr std::uint16_t kAny = nibbles(0x0, 0xF);
constexpr std::uint16_t kAscii = nibbles(0x0, 0x7);
constexpr std::uint16_t kTail = nibbles(0x8, 0xB);
constexpr std::uint16_t kLead = nibbles(0xC, 0xF);

constexpr BadPair kBadPairs[8] = {
    {kLead, kAny, kAscii | kLead},                              // a character cut short
    {kAscii, kAny, kTail},                                      // a tail byte after ASCII
    {nibbles(0xC, 0xC), nibbles(0, 1), kTail},                  // C0, C1: below U+0080 in two bytes
    {nibbles(0xE, 0xE), nibbles(0, 0), nibbles(8, 9)},          // below U+0800 in three bytes
    {nibbles(0xE, 0xE), nibbles(0xD, 0xD), nibbles(0xA, 0xB)},  // surrogates, U+D800 to U+DFFF
    {nibbles(0xF, 0xF), nibbles(4, 0xF), nibbles(9, 0xB)},      // F4 90 and up: above U+10FFFF
    // F0 80 to F0 8F: below U+10000 in four bytes. F5 80 and up: above U+10FFFF.
    {nibbles(0xF, 0xF), nibbles(0, 0) | nibbles(5, 0xF), nibbles(8, 8)},
    // A tail after a tail. Alone of the eight it is right at times: as the third or fourth byte of
    // a character. It is the top bit, where that is cheap to compare.
    {kTail, kAny, kTail},
};

using NibbleTable = std::array<std::uint8_t, 16>;

constexpr NibbleTable table_of(std::uint16_t BadPair::*nibble_set) {
  NibbleTable table{};
  for (unsigned value = 0; value < 16; ++value) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      if ((kBadPairs[bit].*nibble_set >> value & 1) != 0) {
        table[value] |= static_cast<std::uint8_t>(1 << bit);
      }
    }
  }
  return table;
}

// (Unused on a machine without a kernel, these and the constants below.)
[[maybe_unused]] constexpr NibbleTable kHigh1 = table_of(&BadPair::high1);
[[maybe_unused]] constexpr NibbleTable kLow1 = table_of(&BadPair::low1);
[[maybe_unused]] constexpr NibbleTable kHigh2 = table_of(&BadPair::high2);

// E0 and above want a tail after a tail 2 bytes on, F0 and above 3 bytes on. Subtracting these with
// saturation leaves the top bit set in just those bytes.
constexpr std::uint8_t kTopBit = 0x80;
[[maybe_unused]] constexpr std::uint8_t kBelowE0 = 0xE0 - kTopBit;
[[maybe_unused]] constexpr std::uint8_t kBelowF0 = 0xF0 - kTopBit;

// Of the last 4 bytes of a text, what is above these starts a character that has no room to end.
[[maybe_unused]] constexpr auto kWholeAtEnd = [] {
  std::array<std::uint8_t, 32> most;
  most.fill(0xFF);
  most[29] = 0xEF;
  most[30] = 0xDF;
  most[31] = 0xBF;
  return most;
}();
// Places from which a shuffle takes its bytes. Read from the n-th on it moves them down by n.
[[maybe_unused]] constexpr auto kMoveDown = [] {
  std::array<std::uint8_t, 32> places;
  places.fill(kTopBit);  // from nowhere: 0
  for (std::uint8_t i = 0; i < 16; ++i) places[i] = i;
  return places;
}();

// The kernels are the same lines for different registers. The bytes 1, 2 and 3 places before come
// from loads that start earlier, not from the registers of the block before: blocks do not depend
// on each other.

#if defined(__SSE2__)

__attribute__((target("ssse3"))) __m128i load_16(const std::uint8_t* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

__attribute__((target("ssse3"))) std::size_t good_blocks_ssse3(const std::uint8_t* first,
                                                               std::size_t count) {
  const __m128i high1 = load_16(kHigh1.data());
  const __m128i low1 = load_16(kLow1.data());
  const __m128i high2 = load_16(kHigh2.data());
  const __m128i low_nibble = _mm_set1_epi8(0x0F);
  const __m128i below_e0 = _mm_set1_epi8(kBelowE0);
  const __m128i below_f0 = _mm_set1_epi8(kBelowF0);
  const __m128i top_bit = _mm_set1_epi8(static_cast<char>(kTopBit));
  for (std::size_t i = 0; i < count; ++i, first += 16) {
    const __m128i bytes = load_16(first);
    const __m128i before3 = load_16(first - 3);
    if (_mm_movemask_epi8(_mm_or_si128(bytes, before3)) == 0) continue;  // ASCII
    const __m128i before2 = load_16(first - 2);
    const __m128i before1 = load_16(first - 1);
    const __m128i high = _mm_and_si128(_mm_srli_epi16(bytes, 4), low_nibble);
    const __m128i before1_high = _mm_and_si128(_mm_srli_epi16(before1, 4), low_nibble);
    const __m128i before1_low = _mm_and_si128(before1, low_nibble);
    const __m128i bad_pairs = _mm_and_si128(
        _mm_and_si128(_mm_shuffle_epi8(high1, before1_high), _mm_shuffle_epi8(low1, before1_low)),
        _mm_shuffle_epi8(high2, high));
    const __m128i second_tail_due = _mm_and_si128(
        _mm_or_si128(_mm_subs_epu8(before2, below_e0), _mm_subs_epu8(before3, below_f0)), top_bit);
    const __m128i good = _mm_cmpeq_epi8(bad_pairs, second_tail_due);
    if (_mm_movemask_epi8(good) != 0xFFFF) return i;
  }
  return count;
}

void store_16(std::uint8_t* to, __m128i block) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), block);
}

__attribute__((target("avx2"))) __m256i load_32(const std::uint8_t* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

// _mm256_shuffle_epi8 looks up each half of the register in its own half of the table.
__attribute__((target("avx2"))) __m256i load_table(const NibbleTable& table) {
  return _mm256_broadcastsi128_si256(
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(table.data())));
}

struct Lookups32 {
  __m256i high1, low1, high2, low_nibble, below_e0, below_f0, top_bit;
};

__attribute__((target("avx2"))) inline Lookups32 lookups_32() {
  return {.high1 = load_table(kHigh1),
          .low1 = load_table(kLow1),
          .high2 = load_table(kHigh2),
          .low_nibble = _mm256_set1_epi8(0x0F),
          .below_e0 = _mm256_set1_epi8(kBelowE0),
          .below_f0 = _mm256_set1_epi8(kBelowF0),
          .top_bit = _mm256_set1_epi8(static_cast<char>(kTopBit))};
}

// Not zero in the bytes that may not follow the ones before them.
__attribute__((target("avx2"), always_inline)) inline __m256i errors_32(
    const Lookups32& lookups, __m256i bytes, __m256i before1, __m256i before2, __m256i before3) {
  const __m256i high = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), lookups.low_nibble);
  const __m256i before1_high = _mm256_and_si256(_mm256_srli_epi16(before1, 4), lookups.low_nibble);
  const __m256i before1_low = _mm256_and_si256(before1, lookups.low_nibble);
  const __m256i bad_pairs =
      _mm256_and_si256(_mm256_and_si256(_mm256_shuffle_epi8(lookups.high1, before1_high),
                                        _mm256_shuffle_epi8(lookups.low1, before1_low)),
                       _mm256_shuffle_epi8(lookups.high2, high));
  const __m256i second_tail_due =
      _mm256_and_si256(_mm256_or_si256(_mm256_subs_epu8(before2, lookups.below_e0),
                                       _mm256_subs_epu8(before3, lookups.below_f0)),
                       lookups.top_bit);
  return _mm256_xor_si256(bad_pairs, second_tail_due);
}

__attribute__((target("avx2"))) std::size_t good_blocks_avx2(const std::uint8_t* first,
                                                             std::size_t count) {
  const Lookups32 lookups = lookups_32();
  for (std::size_t i = 0; i < count; ++i, first += 32) {
    const __m256i bytes = load_32(first);
    const __m256i before3 = load_32(first - 3);
    if (_mm256_movemask_epi8(_mm256_or_si256(bytes, before3)) == 0) continue;  // ASCII
    const __m256i bad = errors_32(lookups, bytes, load_32(first - 1), load_32(first - 2), before3);
    if (_mm256_testz_si256(bad, bad) == 0) return i;
  }
  return count;
}

// The same errors where the block before is in a register: memory just written is slow to read at
// another offset, longer than the rest of this takes.
__attribute__((target("avx2"), always_inline)) inline __m256i errors_behind(
    const Lookups32& lookups, __m256i before, __m256i bytes) {
  // The upper half of the block before, and the lower half of this one.
  const __m256i middle = _mm256_permute2x128_si256(before, bytes, 0x21);
  return errors_32(lookups, bytes, _mm256_alignr_epi8(bytes, middle, 15),
                   _mm256_alignr_epi8(bytes, middle, 14), _mm256_alignr_epi8(bytes, middle, 13));
}

// What is left of the text behind its last whole block is followed by zeroes, which no unfinished
// character is. It comes from the last 16 bytes of the text, moved down, and if these are too few
// from 16 before them.
__attribute__((target("avx2"))) bool unmask_avx2(std::uint8_t* text, std::size_t size,
                                                 MaskKey key) {
  const Lookups32 lookups = lookups_32();
  const __m256i block_key = _mm256_set1_epi32(static_cast<int>(key.word()));
  std::uint8_t* const back = text + size - 16;
  // Read before a block is written over it.
  const __m128i back_key = _mm_set1_epi32(static_cast<int>(key.advanced(size).word()));
  const __m128i last = _mm_xor_si128(load_16(back), back_key);
  __m256i before = _mm256_setzero_si256();
  __m256i bad = before;
  for (; size >= 32; size -= 32, text += 32) {
    const __m256i bytes = _mm256_xor_si256(load_32(text), block_key);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(text), bytes);
    if (_mm256_movemask_epi8(_mm256_or_si256(before, bytes)) != 0) {
      bad = _mm256_or_si256(bad, errors_behind(lookups, before, bytes));
    }
    before = bytes;
  }
  if (size == 0) {
    bad = _mm256_or_si256(bad, _mm256_subs_epu8(before, load_32(kWholeAtEnd.data())));
  } else {
    const __m128i moved = _mm_shuffle_epi8(last, load_16(&kMoveDown[16 - size % 16]));
    __m256i rest = _mm256_zextsi128_si256(moved);
    if (size >= 16) {
      const __m128i front = _mm_xor_si128(load_16(text), _mm256_castsi256_si128(block_key));
      store_16(text, front);
      rest = _mm256_set_m128i(moved, front);
    }
    store_16(back, last);
    if (_mm256_movemask_epi8(_mm256_or_si256(before, rest)) != 0) {
      bad = _mm256_or_si256(bad, errors_behind(lookups, before, rest));
    }
  }
  return _mm256_testz_si256(bad, bad) != 0;
}

#elif defined(__aarch64__)

std::size_t good_blocks_neon(const std::uint8_t* first, std::size_t count) {
  const uint8x16_t high1 = vld1q_u8(kHigh1.data());
  const uint8x16_t low1 = vld1q_u8(kLow1.data());
  const uint8x16_t high2 = vld1q_u8(kHigh2.data());
  const uint8x16_t low_nibble = vdupq_n_u8(0x0F);
  const uint8x16_t below_e0 = vdupq_n_u8(kBelowE0);
  const uint8x16_t below_f0 = vdupq_n_u8(kBelowF0);
  const uint8x16_t top_bit = vdupq_n_u8(kTopBit);
  for (std::size_t i = 0; i < count; ++i, first += 16) {
    const uint8x16_t bytes = vld1q_u8(first);
    const uint8x16_t before3 = vld1q_u8(first - 3);
    if (vmaxvq_u8(vorrq_u8(bytes, before3)) < 0x80) continue;  // ASCII
    const uint8x16_t before2 = vld1q_u8(first - 2);
    const uint8x16_t before1 = vld1q_u8(first - 1);
    const uint8x16_t bad_pairs = vandq_u8(vandq_u8(vqtbl1q_u8(high1, vshrq_n_u8(before1, 4)),
                                                   vqtbl1q_u8(low1, vandq_u8(before1, low_nibble))),
                                          vqtbl1q_u8(high2, vshrq_n_u8(bytes, 4)));
    const uint8x16_t second_tail_due =
        vandq_u8(vorrq_u8(vqsubq_u8(before2, below_e0), vqsubq_u8(before3, below_f0)), top_bit);
    if (vmaxvq_u8(veorq_u8(bad_pairs, second_tail_due)) != 0) return i;
  }
  return count;
}

#endif

constexpr std::size_t kLookBehindBytes = 3;

std::size_t no_blocks(const std::uint8_t*, std::size_t) {
  return 0;
}

// text[0..end) is good as far as it goes. Returns where its last, possibly unfinished
// character starts, or `end` if that one is whole.
std::size_t last_boundary(std::span<const std::uint8_t> text, std::size_t end) {
  WS_DCHECK(end >= kLookBehindBytes);
  if (text[end - 1] >= 0xC0) return end - 1;
  if (text[end - 2] >= 0xE0) return end - 2;
  if (text[end - 3] >= 0xF0) return end - 3;
  return end;
}

// `from` is between two characters of `text`. Returns such a place up to which the text is good.
std::size_t skip_good_blocks(const Utf8Kernel& kernel, std::span<const std::uint8_t> text,
                             std::size_t from) {
  WS_DCHECK(from >= kLookBehindBytes);
  const std::size_t blocks = (text.size() - from) / kernel.block_bytes;
  if (blocks == 0) return from;
  const std::size_t good = kernel.good_blocks(text.data() + from, blocks);
  std::size_t end = from + good * kernel.block_bytes;
  if (good == blocks && end < text.size()) {
    // Too few bytes are left for a block of their own: share some with the one before.
    const std::uint8_t* last = text.data() + (text.size() - kernel.block_bytes);
    if (kernel.good_blocks(last, 1) == 1) end = text.size();
  }
  return last_boundary(text, end);
}

}  // namespace

std::vector<Utf8Kernel> utf8_kernels() {
  std::vector<Utf8Kernel> kernels;
  [[maybe_unused]] const core::CpuFeatures& cpu = core::cpu_features();
#if defined(__SSE2__)
  if (cpu.avx2) kernels.push_back({"avx2", 32, good_blocks_avx2, unmask_avx2});
  if (cpu.ssse3) kernels.push_back({"ssse3", 16, good_blocks_ssse3});
#elif defined(__aarch64__)
  if (cpu.neon) kernels.push_back({"neon", 16, good_blocks_neon});
#endif
  kernels.push_back({"scalar", SIZE_MAX, no_blocks});
  return kernels;
}

bool feed_utf8(const Utf8Kernel& kernel, std::span<const std::uint8_t> piece,
               std::uint32_t& state) {
  // Most messages are short and plain: not worth the setting up of a kernel.
  if (piece.size() < 128 && state == kBetween && is_ascii(piece)) return true;
  std::size_t at = 0;
  // The character that the last piece broke off, and the bytes that blocks look back on.
  for (; at < piece.size() && (at < kLookBehindBytes || state != kBetween); ++at) {
    state = step(state, piece[at]);
    if (state == kImpossible) return false;
  }
  if (at < piece.size()) at = skip_good_blocks(kernel, piece, at);
  state = run(state, piece.subspan(at));
  return state != kImpossible;
}

bool valid_utf8(const Utf8Kernel& kernel, std::span<const std::uint8_t> text) {
  std::uint32_t state = kBetween;
  return feed_utf8(kernel, text, state) && state == kBetween;
}

namespace {

// Not inlined, and so is the next: with them in it, the short way to a kernel would save registers
// that it does not use.
[[gnu::noinline]] bool unmask_and_judge(const Utf8Kernel& kernel, std::span<std::uint8_t> text,
                                        MaskKey key) {
  apply_mask(text, key);
  return valid_utf8(kernel, text);
}

std::atomic<const Utf8Kernel*> fastest_kernel{nullptr};

[[gnu::noinline]] const Utf8Kernel& find_fastest() {
  static const Utf8Kernel kernel = utf8_kernels().front();
  fastest_kernel.store(&kernel, std::memory_order_release);
  return kernel;
}

const Utf8Kernel& fastest() {
  const Utf8Kernel* const found = fastest_kernel.load(std::memory_order_acquire);
  return found != nullptr ? *found : find_fastest();
}

}  // namespace

bool unmask_text(const Utf8Kernel& kernel, std::span<std::uint8_t> text, MaskKey key) {
  if (kernel.unmask != nullptr && text.size() >= kUnmaskBytesMin) {
    return kernel.unmask(text.data(), text.size(), key);
  }
  return unmask_and_judge(kernel, text, key);
}

bool Utf8Validator::feed(std::span<const std::uint8_t> piece) {
  return feed_utf8(fastest(), piece, state_);
}

bool valid_utf8(std::span<const std::uint8_t> text) {
  return valid_utf8(fastest(), text);
}

bool unmask_text(std::span<std::uint8_t> text, MaskKey key) {
  return unmask_text(fastest(), text, key);
}

}  // namespace ws::proto
