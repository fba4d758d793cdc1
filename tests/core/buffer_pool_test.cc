#include "core/buffer_pool.h"

#include <gtest/gtest.h>

#include <array>

namespace ws::core {
namespace {

Buffer with_room(std::size_t bytes) {
  Buffer buffer;
  buffer.prepare(bytes);
  return buffer;
}

TEST(BufferPool, HandsBackTheSameMemoryEmpty) {
  BufferPool pool;
  EXPECT_EQ(pool.take().capacity(), 0u);
  Buffer buffer = with_room(1000);
  buffer.append(std::array<std::uint8_t, 3>{1, 2, 3});
  const std::uint8_t* memory = buffer.data();
  pool.give(buffer);
  EXPECT_EQ(buffer.capacity(), 0u);
  Buffer again = pool.take();
  EXPECT_EQ(again.data(), memory);
  EXPECT_TRUE(again.empty());
  EXPECT_EQ(pool.take().capacity(), 0u);
}

TEST(BufferPool, KeepsAtMostFourMebibytesAnd64Buffers) {
  BufferPool pool;
  for (int i = 0; i < 10; ++i) {
    Buffer buffer = with_room(1024 * 1024);
    pool.give(buffer);
    EXPECT_EQ(buffer.capacity(), 0u);
  }
  int kept = 0;
  while (pool.take().capacity() > 0) ++kept;
  EXPECT_EQ(kept, 4);

  for (int i = 0; i < 100; ++i) {
    Buffer buffer = with_room(16);
    pool.give(buffer);
  }
  kept = 0;
  while (pool.take().capacity() > 0) ++kept;
  EXPECT_EQ(kept, 64);
}

}  // namespace
}  // namespace ws::core
