#include "core/buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <utility>

namespace ws::core {
namespace {

ConstBytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::string content(const Buffer& buffer) {
  const ConstBytes bytes = buffer.bytes();
  return {bytes.begin(), bytes.end()};
}

TEST(Buffer, OwnsNoMemoryWhileEmpty) {
  Buffer buffer;
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.size(), 0u);
  EXPECT_EQ(buffer.capacity(), 0u);
  EXPECT_TRUE(buffer.bytes().empty());
  buffer.append({});
  buffer.consume(0);
  buffer.commit(0);
  EXPECT_EQ(buffer.capacity(), 0u);
}

TEST(Buffer, AppendsBehindAndConsumesFromTheFront) {
  Buffer buffer;
  buffer.append(as_bytes("hello "));
  buffer.append(as_bytes("world"));
  EXPECT_EQ(content(buffer), "hello world");
  buffer.consume(6);
  EXPECT_EQ(content(buffer), "world");
  buffer.append(as_bytes("!"));
  EXPECT_EQ(content(buffer), "world!");
  buffer.consume(6);
  EXPECT_TRUE(buffer.empty());
}

TEST(Buffer, AddsOnlyWhatWasCommittedOfThePreparedRoom) {
  Buffer buffer;
  const Bytes room = buffer.prepare(10);
  ASSERT_GE(room.size(), 10u);
  std::copy_n("abcdefghij", 10, room.begin());
  buffer.commit(3);
  EXPECT_EQ(content(buffer), "abc");
  // Room that is already there is handed out again without moving anything.
  EXPECT_EQ(buffer.prepare(7).data(), room.data() + 3);
}

TEST(Buffer, KeepsItsMemoryOnClearAndGivesItBackOnRelease) {
  Buffer buffer;
  buffer.append(as_bytes("0123456789"));
  const std::size_t capacity = buffer.capacity();
  buffer.clear();
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.capacity(), capacity);
  buffer.release();
  EXPECT_EQ(buffer.capacity(), 0u);
  buffer.append(as_bytes("again"));
  EXPECT_EQ(content(buffer), "again");
}

// Not where the kernel, whose side begins with a page or with a header in it, copies slowly.
TEST(Buffer, LargeOnesBeginAwayFromThatOfAPage) {
  constexpr std::size_t kPage = 4096;
  constexpr std::size_t kHeaderMax = 14;
  constexpr std::size_t kSlow = 64;
  Buffer buffer;
  std::string model;
  for (const std::size_t bytes : {Buffer::kLargeBytes, 2 * Buffer::kLargeBytes, 1'000'001UL}) {
    const auto place = reinterpret_cast<std::uintptr_t>(buffer.prepare(bytes).data());
    const std::size_t offset = (place - model.size()) % kPage;
    EXPECT_GT(offset, kHeaderMax + kSlow) << bytes;
    EXPECT_LT(offset, kPage - kSlow) << bytes;
    const std::string more(bytes / 2, static_cast<char>('a' + model.size() % 26));
    buffer.append(as_bytes(more));
    model += more;
    EXPECT_EQ(content(buffer), model);
  }
}

TEST(Buffer, LeavesTheSourceOfAMoveEmptyAndUsable) {
  Buffer first;
  first.append(as_bytes("first"));
  Buffer second = std::move(first);
  EXPECT_EQ(content(second), "first");
  EXPECT_TRUE(first.empty());
  EXPECT_EQ(first.capacity(), 0u);
  first.append(as_bytes("new"));
  second = std::move(first);
  EXPECT_EQ(content(second), "new");
  Buffer& itself = second;
  second = std::move(itself);
  EXPECT_EQ(content(second), "new");
}

TEST(Buffer, MovesFewBytesWhenANearlyFullBufferLosesAndGainsOneAtATime) {
  constexpr std::size_t kSize = 64 * 1024;
  constexpr std::size_t kRounds = 512 * 1024;
  Buffer buffer;
  buffer.append(as_bytes(std::string(kSize, 'x')));
  std::size_t moved = 0;
  for (std::size_t i = 0; i < kRounds; ++i) {
    buffer.consume(1);
    const std::uint8_t* before = buffer.data();
    buffer.append(as_bytes("y"));
    if (buffer.data() != before) moved += buffer.size();
  }
  EXPECT_EQ(buffer.size(), kSize);
  EXPECT_LE(moved, 4 * kRounds);
  EXPECT_LE(buffer.capacity(), 4 * kSize);
}

TEST(Buffer, GrowsInFewStepsWhenAppendedToByteByByte) {
  Buffer buffer;
  int steps = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    const std::size_t before = buffer.capacity();
    buffer.append(as_bytes("x"));
    if (buffer.capacity() != before) ++steps;
  }
  EXPECT_EQ(buffer.size(), 1'000'000u);
  EXPECT_LE(steps, 21);  // log2(1,000,000) + 1
}

TEST(Buffer, AbortsWhenMoreIsConsumedOrCommittedThanThereIs) {
  Buffer buffer;
  buffer.append(as_bytes("abc"));
  EXPECT_DEATH(buffer.consume(4), "check failed");
  EXPECT_DEATH(buffer.commit(buffer.capacity() + 1), "check failed");
  EXPECT_DEATH(buffer.prepare(std::size_t{1} << 32), "check failed");
}

TEST(Buffer, AgreesWithAStringOnRandomSteps) {
  std::mt19937 random(1);
  Buffer buffer;
  std::string model;
  for (int i = 0; i < 6000; ++i) {
    const std::size_t count = random() % 5000 >> random() % 13;
    const auto letter = static_cast<char>('a' + random() % 26);
    switch (random() % 8) {
      case 0:
      case 1:
      case 2:
        buffer.append(as_bytes(std::string(count, letter)));
        model.append(count, letter);
        break;
      case 3: {
        const Bytes room = buffer.prepare(count);
        ASSERT_GE(room.size(), count);
        std::fill(room.begin(), room.end(), static_cast<std::uint8_t>(letter));
        buffer.commit(count);
        model.append(count, letter);
        break;
      }
      case 4:
      case 5:
      case 6: {
        const std::size_t taken = std::min(2 * count, model.size());
        buffer.consume(taken);
        model.erase(0, taken);
        break;
      }
      case 7:
        if (random() % 50 == 0) {
          buffer.clear();
          model.clear();
        } else if (random() % 50 == 0) {
          buffer.release();
          model.clear();
        } else {
          Buffer other = std::move(buffer);
          buffer = std::move(other);
        }
        break;
    }
    ASSERT_EQ(buffer.size(), model.size());
    ASSERT_EQ(buffer.empty(), model.empty());
    ASSERT_EQ(content(buffer), model);
  }
}

}  // namespace
}  // namespace ws::core
