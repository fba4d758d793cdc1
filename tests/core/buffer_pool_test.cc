#include "core/buffer_pool.h"

#include <gtest/gtest.h>

#include <array>

namespace ws::core {
namespace {

constexpr std::size_t kAny = SIZE_MAX;

Buffer with_room(std::size_t bytes) {
  Buffer buffer;
  buffer.prepare(bytes);
  return buffer;
}

TEST(BufferPool, HandsBackTheSameMemoryEmpty) {
  BufferPool pool;
  EXPECT_EQ(pool.take(kAny).capacity(), 0u);
  Buffer buffer = with_room(1000);
  buffer.append(std::array<std::uint8_t, 3>{1, 2, 3});
  const std::uint8_t* memory = buffer.data();
  pool.give(buffer);
  EXPECT_EQ(buffer.capacity(), 0u);
  Buffer again = pool.take(kAny);
  EXPECT_EQ(again.data(), memory);
  EXPECT_TRUE(again.empty());
  EXPECT_EQ(pool.take(kAny).capacity(), 0u);
}

TEST(BufferPool, HandsOutTheLargestSpareThatIsAllowed) {
  BufferPool pool;
  for (const std::size_t bytes : {100u, 3000u, 500u}) {
    Buffer buffer = with_room(bytes);
    pool.give(buffer);
  }
  EXPECT_EQ(pool.take(99).capacity(), 0u);
  EXPECT_EQ(pool.take(600).capacity(), 500u);
  EXPECT_EQ(pool.take(600).capacity(), 100u);
  EXPECT_EQ(pool.take(600).capacity(), 0u);
  EXPECT_EQ(pool.take(3000).capacity(), 3000u);
}

int count_of(BufferPool& pool) {
  int count = 0;
  while (pool.take(kAny).capacity() > 0) ++count;
  return count;
}

TEST(BufferPool, KeepsAtMost64MebibytesAnd64Buffers) {
  BufferPool pool;
  for (int i = 0; i < 10; ++i) {
    Buffer buffer = with_room(16 * 1024 * 1024);
    pool.give(buffer);
    EXPECT_EQ(buffer.capacity(), 0u);
  }
  EXPECT_EQ(count_of(pool), 4);
  for (int i = 0; i < 100; ++i) {
    Buffer buffer = with_room(16);
    pool.give(buffer);
  }
  EXPECT_EQ(count_of(pool), 64);
}

TEST(BufferPool, PrefersLargeOnesWhenFull) {
  BufferPool pool;
  for (int i = 0; i < 64; ++i) {
    Buffer small = with_room(16);
    pool.give(small);
  }
  Buffer large = with_room(100'000);
  pool.give(large);
  Buffer tiny = with_room(8);
  pool.give(tiny);
  EXPECT_EQ(pool.take(kAny).capacity(), 100'000u);
  EXPECT_EQ(pool.take(kAny).capacity(), 16u);
  EXPECT_EQ(count_of(pool), 62);
}

TEST(BufferPool, TrimFreesWhatNobodyTookSinceTheLastTrim) {
  BufferPool pool;
  for (int i = 0; i < 3; ++i) {
    Buffer buffer = with_room(100);
    pool.give(buffer);
  }
  pool.trim();
  Buffer first = pool.take(kAny);
  Buffer second = pool.take(kAny);
  pool.give(first);
  pool.give(second);
  pool.trim();  // one of the three was not needed
  EXPECT_TRUE(pool.holds_memory());
  pool.trim();  // and now none of the others
  EXPECT_FALSE(pool.holds_memory());
}

}  // namespace
}  // namespace ws::core
