// Internal. Writes DEFLATE streams by hand, right and wrong ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace ws::test {

// RFC 1951 s3.1.1: numbers begin with their lowest bit, Huffman code words with their highest.
class DeflateBits {
 public:
  DeflateBits& number(std::uint64_t value, unsigned bits) {
    for (unsigned i = 0; i < bits; ++i) bit(value >> i & 1);
    return *this;
  }
  DeflateBits& word(unsigned value, unsigned bits) {
    for (unsigned i = bits; i-- > 0;) bit(value >> i & 1);
    return *this;
  }
  DeflateBits& header(bool final, unsigned type) { return number(final, 1).number(type, 2); }
  DeflateBits& align() {
    used_ = 0;
    return *this;
  }
  DeflateBits& byte(unsigned value) {
    align();
    return number(value, 8);
  }
  DeflateBits& stored(bool final, std::string_view content) {
    header(final, 0).align().number(content.size(), 16).number(content.size() ^ 0xffff, 16);
    bytes_.insert(bytes_.end(), content.begin(), content.end());
    return *this;
  }
  // s3.2.6.
  DeflateBits& fixed_litlen(unsigned symbol) {
    if (symbol < 144) return word(0x30 + symbol, 8);
    if (symbol < 256) return word(0x190 + symbol - 144, 9);
    if (symbol < 280) return word(symbol - 256, 7);
    return word(0xc0 + symbol - 280, 8);
  }
  DeflateBits& fixed_text(std::string_view text) {
    for (const char c : text) fixed_litlen(static_cast<std::uint8_t>(c));
    return *this;
  }
  DeflateBits& fixed_end() { return fixed_litlen(256); }
  // A match whose length and distance need no extra bits: length 3 to 10, distance 1 to 4.
  DeflateBits& fixed_match(unsigned length, unsigned distance) {
    return fixed_litlen(257 + length - 3).word(distance - 1, 5);
  }
  // What s7.2.1 of RFC 7692 leaves of the final empty block.
  DeflateBits& end_message() { return header(false, 0).align(); }

  const std::vector<std::uint8_t>& bytes() const { return bytes_; }
  std::span<const std::uint8_t> span() const { return bytes_; }

 private:
  void bit(std::uint64_t value) {
    if (used_ == 0) bytes_.push_back(0);
    bytes_.back() = static_cast<std::uint8_t>(bytes_.back() | value << used_);
    used_ = (used_ + 1) % 8;
  }

  std::vector<std::uint8_t> bytes_;
  unsigned used_ = 0;  // bits of the last byte, 0: all
};

// The code words of a canonical code (s3.2.2), highest bit first, for any lengths at all: where
// they make no code, some words are equal or cut.
inline std::vector<unsigned> canonical_words(std::span<const std::uint8_t> lengths) {
  std::vector<unsigned> words(lengths.size());
  unsigned next = 0;
  for (unsigned bits = 1; bits <= 15; ++bits) {
    next <<= 1;
    for (std::size_t i = 0; i < lengths.size(); ++i)
      if (lengths[i] == bits) words[i] = next++ & ((1u << bits) - 1);
  }
  return words;
}

}  // namespace ws::test
