#include "core/copy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "tests/support/corpus.h"
#include "tests/support/guard_page.h"

namespace ws::core {
namespace {

using test::GuardedCopy;
using Content = std::vector<std::uint8_t>;

Content noise(std::size_t size) {
  test::Rng rng(4096);
  const std::string text = test::noise(rng, size);
  return {text.begin(), text.end()};
}

// Short ones, and those around 1 KiB, from where on another loop copies them, over one round of it.
std::vector<std::size_t> lengths() {
  std::vector<std::size_t> all;
  for (std::size_t length = 0; length <= 300; ++length) all.push_back(length);
  for (std::size_t length = 1020; length <= 1180; ++length) all.push_back(length);
  return all;
}

constexpr auto kCopies = {copy_short, copy_large};

TEST(Copy, EqualsTheSourceAtEveryOffsetAndKeepsTheBytesAround) {
  const Content source = noise(1400);
  for (std::size_t to = 0; to < 64; ++to) {
    for (const std::size_t length : lengths()) {
      const std::size_t from = (to + length) % 67;
      Content expected(source.size(), 0xa5);
      for (std::size_t i = 0; i < length; ++i) expected[to + i] = source[from + i];
      for (const auto copy : kCopies) {
        Content target(source.size(), 0xa5);
        copy(target.data() + to, source.data() + from, length);
        ASSERT_TRUE(target == expected) << length << " bytes from " << from << " to " << to;
      }
    }
  }
}

TEST(Copy, StaysBetweenGuardPages) {
  const Content content = noise(1180);
  for (const GuardedCopy::Flush flush : {GuardedCopy::Flush::kStart, GuardedCopy::Flush::kEnd}) {
    for (const std::size_t length : lengths()) {
      const GuardedCopy source(ConstBytes(content).first(length), flush);
      for (const auto copy : kCopies) {
        const GuardedCopy target(Content(length, 0xa5), flush);
        copy(target.span().data(), source.span().data(), length);
        ASSERT_TRUE(std::ranges::equal(target.span(), source.span())) << length;
      }
    }
  }
}

TEST(Copy, TakesLargeOnes) {
  const Content source = noise((1 << 20) + 7);
  Content target(source.size());
  copy_large(target.data() + 1, source.data() + 1, source.size() - 1);
  target[0] = source[0];
  EXPECT_TRUE(target == source);
}

}  // namespace
}  // namespace ws::core
