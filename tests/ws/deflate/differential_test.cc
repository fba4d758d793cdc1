// Our codec against the system's zlib, which is found at run time: a million streams.
//
// A message is decoded alike, or refused by both, but for this list:
//   1. zlib ends at a block with BFINAL set. A message does not (RFC 7692 s7.2.1); so the reference
//      begins anew behind it, with the output so far as its dictionary.
//   2. A message may end right behind a final block, and it may have no bytes at all, though the
//      empty block of s7.2.1 is missing then: we accept, zlib would wait for more.
//   3. Where the message ends inside a byte or a block, zlib would wait for more: we refuse.
//   4. zlib sees distances beyond the window as long as the bytes are still in its output buffer:
//      we refuse. With windows below 15 bits the reference is therefore given one byte of room at
//      a time.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/bytes.h"
#include "tests/support/corpus.h"
#include "tests/support/deflate_bits.h"
#include "tests/support/libz.h"
#include "ws/deflate/deflate.h"
#include "ws/deflate/inflate.h"

namespace ws::deflate {
namespace {

using test::DeflateBits;
using test::Libz;
using test::Rng;
using test::ZStream;
using Payload = std::vector<std::uint8_t>;
using test::bytes_of;

constexpr std::size_t kOutputLimit = 1 << 18;
constexpr std::uint8_t kTail[] = {0x00, 0x00, 0xff, 0xff};

std::string_view last(std::string_view text, std::size_t count) {
  return text.substr(text.size() - std::min(text.size(), count));
}

class Reference {
 public:
  explicit Reference(const Libz& libz) : libz_(libz), out_(kOutputLimit + 1) {
    for (unsigned bits = kWindowBitsMin; bits <= kWindowBitsMax; ++bits)
      EXPECT_EQ(libz_.inflate_init(&streams_[bits], static_cast<int>(bits)), test::kZOk);
  }
  ~Reference() {
    for (unsigned bits = kWindowBitsMin; bits <= kWindowBitsMax; ++bits)
      libz_.inflate_end(&streams_[bits]);
  }

  // Whether the message is right, and what it says in output().
  bool decode(core::ConstBytes message, std::string_view history, unsigned window_bits) {
    used_ = 0;
    too_big_ = false;
    if (message.empty()) return true;
    in_.assign(message.begin(), message.end());
    in_.insert(in_.end(), std::begin(kTail), std::end(kTail));
    ZStream& z = streams_[window_bits];
    const std::size_t room = window_bits < kWindowBitsMax ? 1 : out_.size();
    for (std::size_t at = 0;;) {
      libz_.inflate_reset(&z);
      std::string dictionary(history);
      dictionary.append(reinterpret_cast<const char*>(out_.data()), used_);
      const std::string_view known = last(dictionary, std::size_t{1} << window_bits);
      if (!known.empty())
        libz_.inflate_set_dictionary(&z, bytes_of(known).data(),
                                     static_cast<unsigned>(known.size()));
      z.next_in = in_.data() + at;
      z.avail_in = static_cast<unsigned>(in_.size() - at);
      const int status = run(z, room);
      if (status == test::kZOk) return position_ / 128 == 1 && position_ % 64 == 0;
      if (status != test::kZStreamEnd) return false;
      at = in_.size() - z.avail_in;
      if (at == message.size() || at == in_.size()) return true;
    }
  }
  std::string_view output() const { return {reinterpret_cast<const char*>(out_.data()), used_}; }
  bool too_big() const { return too_big_; }

 private:
  // returns: kZOk when all input is used and all output is there.
  int run(ZStream& z, std::size_t room) {
    for (;;) {
      const std::size_t left = std::min(room, out_.size() - used_);
      if (left == 0) {
        too_big_ = true;
        return test::kZDataError;
      }
      z.next_out = out_.data() + used_;
      z.avail_out = static_cast<unsigned>(left);
      const unsigned avail_in = z.avail_in;
      const int status = libz_.inflate(&z, test::kZNoFlush);
      const std::size_t produced = left - z.avail_out;
      // It tells where the input ends in the call that gets there, not in those after it.
      if (produced > 0 || z.avail_in < avail_in) position_ = z.data_type;
      used_ += produced;
      if (status == test::kZStreamEnd) return status;
      if (status != test::kZOk && status != test::kZBufError) return test::kZDataError;
      if (produced < left && z.avail_in == 0) return test::kZOk;
    }
  }

  const Libz& libz_;
  ZStream streams_[kWindowBitsMax + 1]{};
  Payload in_;
  Payload out_;
  std::size_t used_ = 0;
  int position_ = 0;
  bool too_big_ = false;
};

class Differential : public testing::Test {
 protected:
  void SetUp() override {
    libz_ = Libz::get();
    if (libz_ == nullptr) GTEST_SKIP() << "no libz.so.1 on this machine";
    reference_ = std::make_unique<Reference>(*libz_);
  }
  void TearDown() override { RecordProperty("streams", static_cast<int>(streams_)); }

  InflateStatus inflate(core::ConstBytes message, InflateContext& context) {
    out_.clear();
    inflater_.start(message, context);
    InflateStatus status;
    do {
      status = inflater_.step(out_, kOutputLimit, share_);
    } while (status == InflateStatus::kMore);
    return status;
  }
  std::string_view output() { return {reinterpret_cast<const char*>(out_.data()), out_.size()}; }

  // Decodes the message with both. false: they differ.
  bool alike(core::ConstBytes message, InflateContext& context, std::string_view history,
             unsigned window_bits) {
    ++streams_;
    const InflateStatus status = inflate(message, context);
    accepted_ = status == InflateStatus::kOk;
    const bool right = reference_->decode(message, history, window_bits);
    if (reference_->too_big()) return !accepted_;
    return accepted_ == right && (!right || output() == reference_->output());
  }

  void compare(const Payload& message) {
    InflateContext context(15, false);
    ASSERT_TRUE(alike(message, context, {}, 15)) << describe(message);
  }

  static std::string describe(core::ConstBytes message) {
    std::string text = "message:";
    for (const std::uint8_t byte : message) {
      text += ' ';
      text += "0123456789abcdef"[byte / 16];
      text += "0123456789abcdef"[byte % 16];
    }
    return text;
  }

  const Libz* libz_ = nullptr;
  std::unique_ptr<Reference> reference_;
  Inflater inflater_;
  core::Buffer out_;
  std::size_t share_ = kOutputLimit + 1;
  std::size_t streams_ = 0;
  bool accepted_ = false;
};

// 30 to 600 bytes of one kind or another.
std::string sample(Rng& rng, std::uint64_t sequence) {
  const std::size_t size = rng.between(30, 600);
  switch (rng.below(6)) {
    case 0:
      return test::prose(rng, size);
    case 1:
      return test::access_log(rng, size);
    case 2:
      return test::noise(rng, size / 4);
    case 3:
      return std::string(rng.below(4), 'a') + std::string(size, static_cast<char>(rng.next()));
    default:
      return test::json_event(rng, sequence);
  }
}

// What zlib makes of a message that is handed over in pieces, each with a flush of some kind.
Payload zlib_message(const Libz& libz, ZStream& z, const std::string& text, Rng& rng) {
  Payload out(2 * text.size() + 400);
  z.next_out = out.data();
  z.avail_out = static_cast<unsigned>(out.size());
  const bool finish = rng.chance(20);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t part = rng.chance(50) ? text.size() - at : rng.between(1, text.size() - at);
    z.next_in = bytes_of(text).data() + at;
    z.avail_in = static_cast<unsigned>(part);
    at += part;
    int flush = static_cast<int>(rng.below(test::kZBlock + 1));
    if (flush == test::kZFinish) flush = test::kZNoFlush;
    if (at == text.size()) flush = finish ? test::kZFinish : test::kZSyncFlush;
    const int status = libz.deflate(&z, flush);
    EXPECT_EQ(status, flush == test::kZFinish ? test::kZStreamEnd : test::kZOk);
  }
  out.resize(out.size() - z.avail_out);
  if (finish) {
    libz.deflate_reset(&z);
    if (rng.chance(50)) out.push_back(0x00);
    return out;
  }
  EXPECT_TRUE(std::equal(std::begin(kTail), std::end(kTail), out.end() - 4));
  out.resize(out.size() - 4);
  return out;
}

TEST_F(Differential, DecodesWhatZlibWritesAtEveryLevelStrategyWindowAndFlush) {
  Rng rng(1);
  for (int level = 0; level <= 9; ++level) {
    for (int strategy = test::kZDefault; strategy <= test::kZFixed; ++strategy) {
      for (unsigned bits = 9; bits <= kWindowBitsMax; ++bits) {
        ZStream z{};
        ASSERT_EQ(libz_->deflate_init(&z, level, static_cast<int>(bits),
                                      static_cast<int>(rng.between(1, 9)), strategy),
                  test::kZOk);
        const bool takeover = rng.chance(70);
        InflateContext context(bits, takeover);
        for (unsigned i = 0; i < 60; ++i) {
          if (!takeover) libz_->deflate_reset(&z);
          const std::string text = sample(rng, i);
          share_ = rng.between(1, 1000);
          const Payload message = zlib_message(*libz_, z, text, rng);
          ++streams_;
          ASSERT_EQ(inflate(message, context), InflateStatus::kOk) << describe(message);
          ASSERT_EQ(output(), text);
        }
        libz_->deflate_end(&z);
      }
    }
  }
}

// Its smallest memory level begins a code every 127 symbols, in messages of any length.
TEST_F(Differential, DecodesLongMessagesOfZlibsSmallestMemory) {
  Rng rng(11);
  std::string text(4 << 20, '\0');
  for (char& c : text) c = "0123456789abcdef ,.{}\":xyz"[rng.below(26)];
  for (const int bits : {9, 15}) {
    for (const int strategy : {test::kZDefault, test::kZHuffmanOnly}) {
      ZStream z{};
      ASSERT_EQ(libz_->deflate_init(&z, 6, bits, 1, strategy), test::kZOk);
      InflateContext context(static_cast<unsigned>(bits), false);
      const Payload message = zlib_message(*libz_, z, text, rng);
      ++streams_;
      core::Buffer out;
      inflater_.start(message, context);
      EXPECT_EQ(inflater_.step(out, text.size(), text.size() + 1), InflateStatus::kOk);
      EXPECT_TRUE(std::equal(text.begin(), text.end(), out.bytes().begin(), out.bytes().end()));
      libz_->deflate_end(&z);
    }
  }
}

TEST_F(Differential, ZlibDecodesWhatWeWriteAtEveryLevelWindowAndMode) {
  Rng rng(2);
  Deflater deflater;
  core::Buffer compressed;
  for (const Level level : {Level::kFast, Level::kBetter}) {
    for (unsigned bits = kWindowBitsMin; bits <= kWindowBitsMax; ++bits) {
      for (const bool takeover : {false, true}) {
        DeflateContext context(level, bits, takeover);
        InflateContext ours(bits, takeover);
        std::string history;
        for (unsigned i = 0; i < 800; ++i) {
          const std::string text = i % 100 == 99 ? test::access_log(rng, 40'000) : sample(rng, i);
          compressed.clear();
          deflater.compress(bytes_of(text), context, compressed);
          ASSERT_TRUE(alike(compressed.bytes(), ours, history, bits));
          ASSERT_EQ(output(), text);
          if (takeover) history = last(history + text, std::size_t{1} << bits);
        }
      }
    }
  }
}

// Whether one zlib stream, which takes over, makes `text` of its next message.
bool zlib_reads(const Libz& libz, ZStream& z, core::ConstBytes message, std::string_view text) {
  Payload in(message.begin(), message.end());
  in.insert(in.end(), std::begin(kTail), std::end(kTail));
  Payload out(text.size() + 1);
  z.next_in = in.data();
  z.avail_in = static_cast<unsigned>(in.size());
  z.next_out = out.data();
  z.avail_out = static_cast<unsigned>(out.size());
  return libz.inflate(&z, test::kZSyncFlush) == test::kZOk && z.avail_in == 0 && z.avail_out == 1 &&
         std::ranges::equal(bytes_of(text), std::span(out).first(text.size()));
}

// What a fan-out does: some messages are compressed once for many connections, without any context,
// and go out between those that take over. To the receiver all are one stream.
TEST_F(Differential, MessagesCompressedForManyGoBetweenThoseOfAContextThatForgets) {
  Rng rng(9);
  Deflater deflater;
  core::Buffer compressed;
  for (const Level level : {Level::kFast, Level::kBetter}) {
    for (const unsigned bits : {8u, 9u, 12u, 15u}) {
      for (const bool random : {false, true}) {
        DeflateContext own(level, bits, true);
        DeflateContext shared(level, bits, false);
        InflateContext ours(bits, true);
        ZStream theirs{};
        ASSERT_EQ(libz_->inflate_init(&theirs, static_cast<int>(bits)), test::kZOk);
        std::string text;
        for (unsigned i = 0; i < 1500; ++i) {
          // Random data has matches where it comes again.
          if (!random || i % 4 == 0) {
            const std::size_t size = rng.chance(5) ? 40'000 : rng.between(1, 400);
            text = random ? test::noise(rng, size) : test::json_event(rng, i);
          }
          const bool fan_out = rng.chance(30);
          compressed.clear();
          deflater.compress(bytes_of(text), fan_out ? shared : own, compressed);
          if (fan_out) own.forget();
          ++streams_;
          ASSERT_EQ(inflate(compressed.bytes(), ours), InflateStatus::kOk);
          ASSERT_TRUE(output() == text);
          ASSERT_TRUE(zlib_reads(*libz_, theirs, compressed.bytes(), text));
        }
        libz_->inflate_end(&theirs);
      }
    }
  }
}

void mutate(Payload& message, Rng& rng) {
  for (std::size_t changes = rng.between(1, 3); changes > 0 && !message.empty(); --changes) {
    const std::size_t at = rng.chance(40) ? rng.below(std::min<std::size_t>(message.size(), 40))
                                          : rng.below(message.size());
    const auto where = message.begin() + static_cast<std::ptrdiff_t>(at);
    switch (rng.below(6)) {
      case 0:
      case 1:
      case 2:
        *where = static_cast<std::uint8_t>(*where ^ 1u << rng.below(8));
        break;
      case 3:
        *where = static_cast<std::uint8_t>(rng.next());
        break;
      case 4:
        message.erase(where, rng.chance(50) ? message.end() : where + 1);
        break;
      default:
        message.insert(where, static_cast<std::uint8_t>(rng.next()));
    }
  }
}

TEST_F(Differential, AcceptsAndRefusesMutatedStreamsAsZlibDoes) {
  Rng rng(3);
  Deflater deflater;
  core::Buffer compressed;
  std::size_t accepted = 0;
  for (unsigned round = 0; round < 3300; ++round) {
    const unsigned bits = rng.chance(85) ? 15 : static_cast<unsigned>(rng.between(8, 14));
    const std::string text = sample(rng, round);
    // Earlier output that matches may refer to, as one stored message.
    const std::string history = sample(rng, round + 1);
    const Payload first = DeflateBits().stored(false, history).end_message().bytes();
    std::string both = history + text;
    Payload message;
    if (rng.chance(50)) {
      DeflateContext sender(rng.chance(50) ? Level::kFast : Level::kBetter, bits, true);
      deflater.compress(bytes_of(history), sender, compressed);
      compressed.clear();
      deflater.compress(bytes_of(text), sender, compressed);
      message.assign(compressed.bytes().begin(), compressed.bytes().end());
    } else {
      ZStream z{};
      libz_->deflate_init(&z, static_cast<int>(rng.between(1, 9)), 15, 8,
                          static_cast<int>(rng.below(test::kZFixed + 1)));
      message = zlib_message(*libz_, z, text, rng);
      libz_->deflate_end(&z);
    }
    auto context = std::make_unique<InflateContext>(bits, true);
    ASSERT_EQ(inflate(first, *context), InflateStatus::kOk);
    share_ = rng.chance(50) ? kOutputLimit + 1 : rng.between(1, 500);
    for (unsigned i = 0; i < 200; ++i) {
      Payload mutant = message;
      mutate(mutant, rng);
      ASSERT_TRUE(alike(mutant, *context, history, bits)) << describe(mutant);
      if (!accepted_) continue;
      ++accepted;  // and the window has moved on
      context = std::make_unique<InflateContext>(bits, true);
      ASSERT_EQ(inflate(first, *context), InflateStatus::kOk);
    }
  }
  EXPECT_GT(accepted, 10'000u);
  EXPECT_LT(accepted, streams_ - 10'000u);
}

TEST_F(Differential, AcceptsAndRefusesRandomBytesAsZlibDoes) {
  Rng rng(4);
  for (unsigned i = 0; i < 150'000; ++i) {
    const std::string noise = test::noise(rng, rng.below(60));
    Payload message(noise.begin(), noise.end());
    // Mostly towards a block type that is one.
    if (!message.empty() && rng.chance(75))
      message[0] = static_cast<std::uint8_t>((message[0] & ~6u) | 2 * rng.below(3));
    compare(message);
    if (HasFatalFailure()) return;
  }
}

// Lengths of a complete code for some of the symbols: leaves of a tree that is split at random.
std::vector<std::uint8_t> random_code(Rng& rng, std::size_t symbols, std::size_t used,
                                      unsigned bits_max) {
  std::vector<std::uint8_t> leaves = {0};
  while (leaves.size() < used) {
    const std::size_t at = rng.below(leaves.size());
    if (leaves[at] == bits_max) continue;
    ++leaves[at];
    leaves.push_back(leaves[at]);
  }
  if (used == 1) leaves[0] = 1;
  std::vector<std::uint8_t> lengths(symbols);
  for (std::size_t i = 0; i < used; ++i) {
    std::size_t symbol = rng.below(symbols);
    while (lengths[symbol] != 0) symbol = (symbol + 1) % symbols;
    lengths[symbol] = leaves[i];
  }
  return lengths;
}

// Something is wrong with one code in six.
void spoil(Rng& rng, std::vector<std::uint8_t>& lengths, unsigned bits_max) {
  if (!rng.chance(17)) return;
  lengths[rng.below(lengths.size())] = static_cast<std::uint8_t>(rng.below(bits_max + 1));
}

struct RandomCode {
  RandomCode(Rng& rng, std::size_t symbols, std::size_t used, unsigned bits_max)
      : lengths(random_code(rng, symbols, used, bits_max)) {}
  void make_words() { words = test::canonical_words(lengths); }
  void put(DeflateBits& bits, std::size_t symbol) const {
    bits.word(words[symbol], lengths[symbol]);
  }
  // One that has a word, if any has.
  std::size_t pick(Rng& rng) const {
    std::size_t symbol = rng.below(lengths.size());
    for (std::size_t i = 0; i < lengths.size() && lengths[symbol] == 0; ++i)
      symbol = (symbol + 1) % lengths.size();
    return symbol;
  }
  std::vector<std::uint8_t> lengths;
  std::vector<unsigned> words;
};

void put_symbols(DeflateBits& bits, Rng& rng, const RandomCode& litlen,
                 const RandomCode& distance) {
  for (std::size_t left = rng.below(40); left > 0; --left) {
    const std::size_t symbol = litlen.pick(rng);
    if (symbol == kEndOfBlock) continue;
    litlen.put(bits, symbol);
    if (symbol < kEndOfBlock) continue;
    if (symbol < kLitlenSymbols)
      bits.number(rng.next(), kLengths[symbol - kLengthSymbol0].extra_bits);
    const std::size_t far = distance.pick(rng);
    distance.put(bits, far);
    // Small extra bits, so that some distances are possible.
    if (far < kDistanceSymbols)
      bits.number(rng.chance(80) ? 0 : rng.next(), kDistances[far].extra_bits);
  }
  if (!rng.chance(4)) litlen.put(bits, kEndOfBlock);
}

// The lengths as items of the precode, with or without runs.
struct Item {
  unsigned symbol, extra, extra_bits;
};
std::vector<Item> random_items(Rng& rng, const std::vector<std::uint8_t>& lengths) {
  std::vector<Item> items;
  for (std::size_t at = 0; at < lengths.size();) {
    std::size_t run = 1;
    while (at + run < lengths.size() && lengths[at + run] == lengths[at]) ++run;
    if (lengths[at] == 0 && run >= 3 && rng.chance(95)) {
      run = rng.chance(97) ? std::min<std::size_t>(run, 138) : 138;  // perhaps beyond the end
      items.push_back(run < 11 ? Item{17, static_cast<unsigned>(run - 3), 3}
                               : Item{18, static_cast<unsigned>(run - 11), 7});
    } else if (run >= 3 && (at > 0 ? lengths[at - 1] == lengths[at] && rng.chance(80)
                                   : lengths[at] == 0)) {  // nothing to repeat: refused
      run = std::min<std::size_t>(run, 6);
      items.push_back({16, static_cast<unsigned>(run - 3), 2});
    } else {
      run = 1;
      items.push_back({lengths[at], 0, 0});
    }
    at += run;
  }
  return items;
}

void put_dynamic(DeflateBits& bits, Rng& rng, bool final) {
  const std::size_t litlen_count = rng.chance(97) ? rng.between(257, 286) : rng.between(287, 288);
  const std::size_t distance_count = rng.chance(97) ? rng.between(1, 30) : rng.between(31, 32);
  RandomCode litlen(rng, litlen_count, rng.between(1, rng.chance(80) ? 20 : litlen_count), 15);
  if (!rng.chance(5) && litlen.lengths[kEndOfBlock] == 0)
    std::swap(litlen.lengths[kEndOfBlock], litlen.lengths[litlen.pick(rng)]);
  RandomCode distance(rng, distance_count, rng.between(1, distance_count), 15);
  if (rng.chance(10)) std::fill(distance.lengths.begin(), distance.lengths.end(), std::uint8_t{0});
  spoil(rng, litlen.lengths, 15);
  spoil(rng, distance.lengths, 15);
  std::vector<std::uint8_t> lengths = litlen.lengths;
  lengths.insert(lengths.end(), distance.lengths.begin(), distance.lengths.end());
  const std::vector<Item> items = random_items(rng, lengths);
  std::vector<bool> needed(kPrecodeSymbols);
  for (const Item& item : items) needed[item.symbol] = true;
  const auto used = static_cast<std::size_t>(std::count(needed.begin(), needed.end(), true));
  // A code for as many symbols, handed to those that need it.
  RandomCode precode(rng, used, used, 7);
  std::vector<std::uint8_t> precode_lengths(kPrecodeSymbols);
  for (std::size_t symbol = 0, next = 0; symbol < kPrecodeSymbols; ++symbol)
    if (needed[symbol]) precode_lengths[symbol] = precode.lengths[next++];
  precode.lengths = precode_lengths;
  spoil(rng, precode.lengths, 7);
  litlen.make_words();
  distance.make_words();
  precode.make_words();
  bits.header(final, kDynamic).number(litlen_count - 257, 5).number(distance_count - 1, 5);
  bits.number(kPrecodeSymbols - 4, 4);
  for (const std::uint8_t symbol : kPrecodeOrder) bits.number(precode.lengths[symbol], 3);
  for (const Item& item : items) {
    precode.put(bits, item.symbol);
    bits.number(item.extra, item.extra_bits);
  }
  put_symbols(bits, rng, litlen, distance);
}

void put_fixed(DeflateBits& bits, Rng& rng, bool final) {
  bits.header(final, kFixed);
  for (std::size_t left = rng.below(30); left > 0; --left) {
    if (rng.chance(60)) {
      bits.fixed_litlen(static_cast<unsigned>(rng.below(256)));
      continue;
    }
    const auto symbol = static_cast<unsigned>(rng.chance(98) ? rng.below(29) : rng.below(31));
    bits.fixed_litlen(kLengthSymbol0 + symbol);
    if (symbol < kLengths.size()) bits.number(rng.next(), kLengths[symbol].extra_bits);
    const auto far = static_cast<unsigned>(rng.chance(95) ? rng.below(12) : rng.below(32));
    bits.word(far, 5);
    if (far < kDistanceSymbols) bits.number(rng.next(), kDistances[far].extra_bits);
  }
  if (!rng.chance(4)) bits.fixed_end();
}

// A stream that follows the grammar of RFC 1951 but for a slip here and there.
Payload random_stream(Rng& rng) {
  DeflateBits bits;
  bits.stored(false, test::noise(rng, rng.below(40)));
  for (std::size_t blocks = rng.between(1, 3); blocks > 0; --blocks) {
    const bool final = rng.chance(15);
    const std::size_t kind = rng.below(100);
    if (kind < 60) {
      put_dynamic(bits, rng, final);
    } else if (kind < 80) {
      put_fixed(bits, rng, final);
    } else if (kind < 98) {
      bits.stored(final, test::noise(rng, rng.below(20)));
    } else {
      bits.header(final, 3);
    }
    if (final && !rng.chance(10)) bits.align();
  }
  if (!rng.chance(10)) bits.end_message();
  Payload message = bits.bytes();
  if (rng.chance(4)) message.resize(rng.below(message.size()));
  return message;
}

TEST_F(Differential, AcceptsAndRefusesGeneratedStreamsAsZlibDoes) {
  Rng rng(5);
  std::size_t accepted = 0;
  for (unsigned i = 0; i < 200'000; ++i) {
    share_ = i % 4 == 0 ? rng.between(1, 500) : kOutputLimit + 1;
    compare(random_stream(rng));
    if (HasFatalFailure()) return;
    accepted += accepted_;
  }
  EXPECT_GT(accepted, 20'000u);
  EXPECT_LT(accepted, 180'000u);
}

}  // namespace
}  // namespace ws::deflate
