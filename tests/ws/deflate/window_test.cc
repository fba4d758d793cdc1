#include "ws/deflate/window.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/bytes.h"
#include "tests/support/corpus.h"

namespace ws::deflate {
namespace {

using test::bytes_of;

// The last `count` bytes, put together from the two pieces.
std::string tail(const Window& window, std::size_t count) {
  const core::ConstBytes piece = window.piece(count);
  std::string text(piece.begin(),
                   piece.begin() + static_cast<std::ptrdiff_t>(std::min(count, piece.size())));
  for (std::size_t i = 0; text.size() < count; ++i) text += static_cast<char>(window.front()[i]);
  return text;
}

TEST(Window, OwnsNothingUntilSomethingIsAppended) {
  Window window(15);
  EXPECT_EQ(window.held_bytes(), 0u);
  window.append({});
  EXPECT_EQ(window.held_bytes(), 0u);
  EXPECT_EQ(window.size(), 0u);
}

TEST(Window, GrowsInPowersOfTwoUpToItsSize) {
  Window window(10);
  window.append(bytes_of(std::string(5, 'a')));
  EXPECT_EQ(window.held_bytes(), 8u);
  window.append(bytes_of(std::string(4, 'b')));
  EXPECT_EQ(window.held_bytes(), 16u);
  window.append(bytes_of(std::string(5000, 'c')));
  EXPECT_EQ(window.held_bytes(), 1024u);
  EXPECT_EQ(window.size(), 1024u);
}

TEST(Window, ClearedItKeepsItsMemoryAndBeginsAnew) {
  for (const std::size_t before : {5u, 200u, 1024u, 3000u}) {
    Window window(10);
    window.append(bytes_of(std::string(before, 'a')));
    const std::size_t held = window.held_bytes();
    window.clear();
    EXPECT_EQ(window.size(), 0u);
    EXPECT_EQ(window.held_bytes(), held);
    std::string all;
    for (const char c : {'b', 'c', 'd', 'e'}) {
      const std::string part(300, c);
      window.append(bytes_of(part));
      all += part;
      const std::size_t size = std::min<std::size_t>(all.size(), 1024);
      ASSERT_EQ(window.size(), size);
      ASSERT_EQ(tail(window, size), all.substr(all.size() - size));
    }
  }
}

TEST(Window, KeepsTheLastBytesOfAnySequence) {
  test::Rng rng(1);
  for (unsigned bits = kWindowBitsMin; bits <= kWindowBitsMax; ++bits) {
    Window window(bits);
    std::string all;
    for (int i = 0; i < 200; ++i) {
      const std::string part = test::noise(rng, rng.below(rng.chance(5) ? 40'000 : 300));
      window.append(bytes_of(part));
      all += part;
      const std::size_t size = std::min<std::size_t>(all.size(), std::size_t{1} << bits);
      ASSERT_EQ(window.size(), size);
      ASSERT_LE(window.held_bytes(), std::size_t{1} << bits);
      if (size == 0) continue;
      ASSERT_TRUE(tail(window, size) == all.substr(all.size() - size));
      const std::size_t some = rng.between(1, size);
      ASSERT_TRUE(tail(window, some) == all.substr(all.size() - some));
    }
  }
}

}  // namespace
}  // namespace ws::deflate
