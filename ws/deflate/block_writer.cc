#include "ws/deflate/block_writer.h"

#include <algorithm>

#include "core/check.h"

namespace ws::deflate {
namespace {

// A word of at most 14 bits, so that four literals fit between two flushes (7 + 4 * 14 < 64).
constexpr unsigned kLitlenBitsMax = 14;

// What sink_.flush() may store beyond the bits it has.
constexpr std::size_t kFlushSlack = 8;

// s3.2.7: of the symbols of the precode.
constexpr std::array<std::uint8_t, kPrecodeSymbols> kItemExtraBits = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                                                      0, 0, 0, 0, 0, 0, 2, 3, 7};

const BlockCode& fixed_code() {
  static const BlockCode fixed = [] {
    CodeLengths<kLitlenSlots> litlen;
    CodeLengths<kDistanceSlots> distance;
    litlen.used = litlen.symbols.size();
    for (std::uint16_t i = 0; i < litlen.used; ++i) {
      litlen.symbols[i] = i;
      litlen.bits[i] = fixed_litlen_bits(i);
    }
    distance.used = distance.symbols.size();
    for (std::uint16_t i = 0; i < distance.used; ++i) {
      distance.symbols[i] = i;
      distance.bits[i] = kFixedDistanceBits;
    }
    BlockCode code;
    assign_words(litlen, code.litlen);
    assign_words(distance, code.distance);
    return code;
  }();
  return fixed;
}

// bits_used: of the byte under way. One block has at most kStoredBytesMax bytes.
std::size_t stored_bits(std::size_t bytes, unsigned bits_used) {
  const std::size_t blocks =
      std::max<std::size_t>(1, (bytes + kStoredBytesMax - 1) / kStoredBytesMax);
  const std::size_t first = (bits_used + 3 + 7) / 8 * 8 - bits_used;
  return first + (blocks - 1) * 8 + blocks * 32 + bytes * 8;
}

}  // namespace

void BlockWriter::start(core::Buffer& out) {
  out_ = &out;
  sink_ = {};
}

void BlockWriter::reserve(std::size_t bits) {
  sink_.next = out_->prepare((sink_.count + bits) / 8 + 1 + kFlushSlack).data();
}

// The bits of an unfinished byte stay in the sink.
void BlockWriter::commit() {
  sink_.flush();
  out_->commit(static_cast<std::size_t>(sink_.next - out_->data()) - out_->size());
}

void BlockWriter::write(const Block& block, const std::uint8_t* input) {
  const std::size_t common = 3 + block.extra_bits;
  const std::size_t as_dynamic = common + make_dynamic(block);
  const std::size_t as_fixed = common + fixed_bits(block);
  const std::size_t as_stored = stored_bits(block.bytes, sink_.count);
  [[maybe_unused]] const std::size_t before = bits_written();
  if (as_stored <= std::min(as_fixed, as_dynamic)) {
    write_stored({input, block.bytes});
  } else if (as_fixed <= as_dynamic) {
    reserve(as_fixed);
    sink_.put(kFixed << 1, 3);
    write_symbols(block, input, fixed_code());
  } else {
    reserve(as_dynamic);
    sink_.put(kDynamic << 1, 3);
    write_dynamic_header();
    assign_words(dynamic_.litlen, dynamic_code_.litlen);
    assign_words(dynamic_.distance, dynamic_code_.distance);
    write_symbols(block, input, dynamic_code_);
  }
  // reserve() relies on it.
  WS_DCHECK(bits_written() - before == std::min({as_stored, as_fixed, as_dynamic}));
}

void BlockWriter::finish() {
  reserve(8);
  sink_.put(kStored << 1, 3);
  sink_.pad_to_byte();
  commit();
}

void BlockWriter::write_stored(core::ConstBytes input) {
  while (!input.empty()) {
    const std::size_t length = std::min(input.size(), kStoredBytesMax);
    reserve(stored_bits(0, sink_.count));
    sink_.put(kStored << 1, 3);
    sink_.pad_to_byte();
    sink_.put(length, 16);
    sink_.put(length ^ 0xffff, 16);
    commit();
    out_->append(input.first(length));
    input = input.subspan(length);
  }
}

// What make_dynamic() found to be used is what counts here too.
std::size_t BlockWriter::fixed_bits(const Block& block) const {
  std::size_t bits = 0;
  for (std::size_t i = 0; i < dynamic_.litlen.used; ++i) {
    const unsigned symbol = dynamic_.litlen.symbols[i];
    bits += std::size_t{block.litlen_counts[symbol]} * fixed_litlen_bits(symbol);
  }
  for (std::size_t i = 0; i < dynamic_.distance.used; ++i)
    bits += std::size_t{block.distance_counts[dynamic_.distance.symbols[i]]} * kFixedDistanceBits;
  return bits;
}

// Finds the code that suits the block best. returns: the bits of its description and of all
// symbols.
std::size_t BlockWriter::make_dynamic(const Block& block) {
  std::size_t bits = make_lengths(block.litlen_counts, kLitlenBitsMax, dynamic_.litlen);
  bits += make_lengths(block.distance_counts, kCodeBitsMax, dynamic_.distance);
  make_items();
  bits += make_lengths(dynamic_.item_counts, kPrecodeBitsMax, dynamic_.precode);
  for (std::size_t i = 16; i < kPrecodeSymbols; ++i)
    bits += std::size_t{dynamic_.item_counts[i]} * kItemExtraBits[i];
  dynamic_.precode_count = kPrecodeSymbols;
  while (dynamic_.precode_count > 4 &&
         dynamic_.precode.bits[kPrecodeOrder[dynamic_.precode_count - 1]] == 0)
    --dynamic_.precode_count;
  return bits + 14 + 3 * dynamic_.precode_count;
}

// s3.2.7: "all code lengths form a single sequence of HLIT + HDIST + 258 values".
void BlockWriter::make_items() {
  const auto& litlen = dynamic_.litlen;
  WS_DCHECK(litlen.used > 0);  // the end of the block
  const auto& distance = dynamic_.distance;
  dynamic_.litlen_count = std::max(257u, litlen.symbols[litlen.used - 1] + 1u);
  dynamic_.distance_count = distance.used == 0 ? 1 : distance.symbols[distance.used - 1] + 1u;
  dynamic_.item_count = 0;
  dynamic_.item_counts.fill(0);
  // The run of equal lengths under way, and where it ends.
  std::size_t run = 0;
  std::size_t run_bits = 0;
  std::size_t end = 0;
  const auto walk = [&](const auto& lengths, std::size_t start) {
    for (std::size_t i = 0; i < lengths.used; ++i) {
      const std::size_t at = start + lengths.symbols[i];
      const std::size_t bits = lengths.bits[lengths.symbols[i]];
      if (at != end || bits != run_bits) {
        if (run > 0) add_items(run_bits, run);
        if (at > end) add_items(0, at - end);
        run = 0;
        run_bits = bits;
      }
      ++run;
      end = at + 1;
    }
  };
  walk(litlen, 0);
  walk(distance, dynamic_.litlen_count);
  add_items(run_bits, run);
  // A block without distances sends one length, 0, for them.
  const std::size_t total = dynamic_.litlen_count + dynamic_.distance_count;
  if (end < total) add_items(0, total - end);
}

void BlockWriter::add_items(std::size_t length, std::size_t run) {
  const auto add = [this](std::size_t symbol, std::size_t extra) {
    WS_DCHECK(dynamic_.item_count < dynamic_.items.size());
    ++dynamic_.item_counts[symbol];
    dynamic_.items[dynamic_.item_count++] = {static_cast<std::uint8_t>(symbol),
                                             static_cast<std::uint8_t>(extra)};
  };
  if (length == 0) {
    for (; run >= 11; run -= std::min<std::size_t>(run, 138))
      add(18, std::min<std::size_t>(run, 138) - 11);
    if (run >= 3) {
      add(17, run - 3);
      return;
    }
  } else {
    add(length, 0);
    for (--run; run >= 3; run -= std::min<std::size_t>(run, 6))
      add(16, std::min<std::size_t>(run, 6) - 3);
  }
  for (; run > 0; --run) add(length, 0);
}

void BlockWriter::write_dynamic_header() {
  BitSink sink = sink_;
  sink.put(dynamic_.litlen_count - 257, 5);
  sink.put(dynamic_.distance_count - 1, 5);
  sink.put(dynamic_.precode_count - 4, 4);
  sink.flush();
  for (unsigned i = 0; i < dynamic_.precode_count; ++i) {
    sink.put(dynamic_.precode.bits[kPrecodeOrder[i]], 3);
    if (i == 15) sink.flush();
  }
  CodeWords<kPrecodeSlots> precode;
  assign_words(dynamic_.precode, precode);
  for (std::size_t i = 0; i < dynamic_.item_count; ++i) {
    sink.flush();
    const Item item = dynamic_.items[i];
    sink.put(precode[item.symbol]);
    sink.put(item.extra, kItemExtraBits[item.symbol]);
  }
  sink.flush();
  sink_ = sink;
}

void BlockWriter::write_symbols(const Block& block, const std::uint8_t* input,
                                const BlockCode& code) {
  BitSink sink = sink_;
  sink.flush();
  for (std::size_t i = 0; i < block.used; ++i) {
    const Sequence sequence = block.sequences[i];
    unsigned literals = sequence.literals;
    for (; literals >= 4; literals -= 4, input += 4) {
      sink.put(code.litlen[input[0]]);
      sink.put(code.litlen[input[1]]);
      sink.put(code.litlen[input[2]]);
      sink.put(code.litlen[input[3]]);
      sink.flush();
    }
    for (; literals > 0; --literals) sink.put(code.litlen[*input++]);
    sink.flush();
    if (sequence.length == 0) continue;
    const Range length = kLengths[sequence.length_symbol];
    sink.put(code.litlen[kLengthSymbol0 + sequence.length_symbol]);
    sink.put(sequence.length - std::uint64_t{length.base}, length.extra_bits);
    const Range distance = kDistances[sequence.distance_symbol];
    sink.put(code.distance[sequence.distance_symbol]);
    sink.put(sequence.distance - std::uint64_t{distance.base}, distance.extra_bits);
    sink.flush();
    input += sequence.length;
  }
  sink.put(code.litlen[kEndOfBlock]);
  sink_ = sink;
  commit();
}

}  // namespace ws::deflate
