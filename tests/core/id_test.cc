// A program keeps what it knows of a connection under its id.
#include "core/id.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>

#include "ws/request.h"

namespace ws::core {
namespace {

// Some that differ in one half only.
const Id kIds[] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}, {UINT32_MAX, 1}, {1, UINT32_MAX}};

TEST(Id, IsAKeyOfSortedAndOfHashedMaps) {
  std::map<ConnId, std::string> sorted;
  std::unordered_map<ConnId, std::string> hashed;
  for (const Id id : kIds) {
    sorted[id] = std::to_string(id.packed());
    hashed[id] = std::to_string(id.packed());
  }
  EXPECT_EQ(sorted.size(), std::size(kIds));
  EXPECT_EQ(hashed.size(), std::size(kIds));
  for (const Id id : kIds) {
    EXPECT_EQ(sorted.at(id), std::to_string(id.packed()));
    EXPECT_EQ(hashed.at(id), std::to_string(id.packed()));
  }
  EXPECT_EQ(sorted.count({7, 7}), 0U);
  EXPECT_EQ(hashed.count({7, 7}), 0U);
}

TEST(Id, IsOrderedAsItIsEqual) {
  for (const Id a : kIds) {
    for (const Id b : kIds) {
      EXPECT_EQ(a == b, a.packed() == b.packed());
      EXPECT_EQ((a <=> b) == 0, a == b);
      EXPECT_EQ(a<b, b> a);
    }
  }
}

}  // namespace
}  // namespace ws::core
