#include "core/shared_bytes.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace ws::core {
namespace {

SharedBytes make(std::string_view text) {
  return SharedBytes(ConstBytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
}

std::string content(const SharedBytes& shared) {
  const ConstBytes bytes = shared.bytes();
  return {bytes.begin(), bytes.end()};
}

TEST(SharedBytes, AreEmptyByDefault) {
  const SharedBytes shared;
  EXPECT_EQ(shared.size(), 0u);
  EXPECT_TRUE(shared.bytes().empty());
  const SharedBytes copy = shared;
  EXPECT_EQ(copy.size(), 0u);
  EXPECT_EQ(make("").size(), 0u);
}

TEST(SharedBytes, KeepTheirOwnCopyOfTheContent) {
  std::string text = "frame";
  const SharedBytes shared = make(text);
  text = "other";
  EXPECT_EQ(content(shared), "frame");
  EXPECT_EQ(shared.size(), 5u);
}

TEST(SharedBytes, AreTheSameBytesInEachCopy) {
  const SharedBytes shared = make("frame");
  const SharedBytes copy = shared;
  EXPECT_EQ(copy.bytes().data(), shared.bytes().data());
}

TEST(SharedBytes, LiveAsLongAsTheLastCopy) {
  SharedBytes last;
  {
    const SharedBytes first = make("frame");
    SharedBytes second = first;
    last = second;
  }
  EXPECT_EQ(content(last), "frame");
  last = SharedBytes();
  EXPECT_EQ(last.size(), 0u);
}

TEST(SharedBytes, AreGivenUpByAMove) {
  SharedBytes first = make("frame");
  SharedBytes second = std::move(first);
  EXPECT_EQ(first.size(), 0u);
  EXPECT_EQ(content(second), "frame");
  first = make("new");
  second = std::move(first);
  EXPECT_EQ(content(second), "new");
  EXPECT_EQ(first.size(), 0u);
}

TEST(SharedBytes, SurviveAssignmentToThemselves) {
  SharedBytes shared = make("frame");
  SharedBytes& itself = shared;
  shared = itself;
  EXPECT_EQ(content(shared), "frame");
  shared = std::move(itself);
  EXPECT_EQ(content(shared), "frame");
}

TEST(SharedBytes, MayBeCopiedReadAndDroppedByManyThreads) {
  for (int round = 0; round < 50; ++round) {
    SharedBytes shared = make("one encoded frame");
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([copy = shared] {
        std::vector<SharedBytes> copies(100, copy);
        for (const SharedBytes& each : copies) EXPECT_EQ(content(each), "one encoded frame");
      });
    }
    shared = SharedBytes();  // whoever is last frees the bytes
    for (std::thread& thread : threads) thread.join();
  }
}

}  // namespace
}  // namespace ws::core
