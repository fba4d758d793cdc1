#include "core/slab.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>
#include <stdexcept>
#include <vector>

namespace ws::core {
namespace {

struct Item {
  Item(Id its_id, int its_value) : id(its_id), value(its_value) {}
  Id id;
  int value;
};

TEST(Id, PacksIntoTheBitsOfAnEpollEventAndBack) {
  const Id id{0x89ABCDEF, 0xFEDCBA98};
  EXPECT_EQ(id.packed(), 0xFEDCBA98'89ABCDEFu);
  EXPECT_EQ(Id::unpack(id.packed()), id);
  EXPECT_EQ(Id{}.packed(), 0u);
}

TEST(Slab, FindsWhatItHoldsAndNothingElse) {
  Slab<Item> slab;
  EXPECT_EQ(slab.find(Id{}), nullptr);
  EXPECT_EQ(slab.find(Id{0, 1}), nullptr);
  Item& item = slab.emplace(5);
  EXPECT_EQ(slab.size(), 1u);
  EXPECT_EQ(slab.find(item.id), &item);
  EXPECT_NE(item.id.generation, 0u);
  EXPECT_EQ(slab.find(Id{}), nullptr);
  EXPECT_EQ(slab.find(Id{item.id.index, item.id.generation + 1}), nullptr);
  EXPECT_EQ(slab.find(Id{item.id.index + 1, item.id.generation}), nullptr);  // a free slot
  EXPECT_EQ(slab.find(Id{UINT32_MAX, item.id.generation}), nullptr);
}

TEST(Slab, NeverFindsAStaleId) {
  Slab<Item> slab;
  const Id old = slab.emplace(1).id;
  slab.erase(old);
  EXPECT_EQ(slab.find(old), nullptr);
  Item& tenant = slab.emplace(2);
  EXPECT_EQ(tenant.id.index, old.index);
  EXPECT_NE(tenant.id, old);
  EXPECT_EQ(slab.find(old), nullptr);
  EXPECT_EQ(slab.find(tenant.id)->value, 2);
}

TEST(Slab, ReusesTheSlotFreedLast) {
  Slab<Item> slab;
  std::vector<Id> ids;
  for (int i = 0; i < 10; ++i) ids.push_back(slab.emplace(i).id);
  for (const int i : {2, 7, 4}) slab.erase(ids[static_cast<std::size_t>(i)]);
  EXPECT_EQ(slab.emplace(0).id.index, ids[4].index);
  EXPECT_EQ(slab.emplace(0).id.index, ids[7].index);
  EXPECT_EQ(slab.emplace(0).id.index, ids[2].index);
}

TEST(Slab, NeverMovesAnObject) {
  Slab<Item> slab;
  std::vector<Item*> items;
  for (int i = 0; i < 1000; ++i) items.push_back(&slab.emplace(i));
  for (int i = 0; i < 1000; ++i) {
    Item* item = items[static_cast<std::size_t>(i)];
    EXPECT_EQ(item->value, i);
    EXPECT_EQ(slab.find(item->id), item);
  }
}

TEST(Slab, RespectsAlignment) {
  struct alignas(64) Wide {
    explicit Wide(Id) {}
    char bytes[100] = {};
  };
  Slab<Wide> slab;
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&slab.emplace()) % 64, 0u);
  }
}

TEST(Slab, DestroysEachObjectExactlyOnce) {
  struct Counted {
    Counted(Id its_id, int& count) : id(its_id), destroyed(count) {}
    ~Counted() { ++destroyed; }
    Id id;
    int& destroyed;
  };
  int destroyed = 0;
  {
    Slab<Counted> slab;
    std::vector<Id> ids;
    for (int i = 0; i < 100; ++i) ids.push_back(slab.emplace(destroyed).id);
    for (std::size_t i = 0; i < 40; ++i) slab.erase(ids[i]);
    EXPECT_EQ(destroyed, 40);
    EXPECT_EQ(slab.size(), 60u);
  }
  EXPECT_EQ(destroyed, 100);
}

TEST(Slab, VisitsTheLivingAndLetsTheVisitorEraseThem) {
  Slab<Item> slab;
  for (int i = 0; i < 100; ++i) slab.emplace(i);
  slab.for_each([&](Item& item, Id id) {
    EXPECT_EQ(item.id, id);
    if (item.value % 2 == 0) slab.erase(id);
  });
  EXPECT_EQ(slab.size(), 50u);
  int visited = 0;
  slab.for_each([&](Item& item, Id) {
    ++visited;
    EXPECT_EQ(item.value % 2, 1);
  });
  EXPECT_EQ(visited, 50);
}

TEST(Slab, TakesNoSlotWhenTheConstructorThrows) {
  struct Thrower {
    Thrower(Id its_id, bool fail) : id(its_id) {
      if (fail) throw std::runtime_error("no");
    }
    Id id;
  };
  Slab<Thrower> slab;
  const Id first = slab.emplace(false).id;
  EXPECT_THROW(slab.emplace(true), std::runtime_error);
  EXPECT_EQ(slab.size(), 1u);
  EXPECT_EQ(slab.emplace(false).id.index, first.index + 1);
  EXPECT_NE(slab.find(first), nullptr);
}

TEST(Slab, SkipsGenerationZeroWhenTheGenerationWraps) {
  // Four billion tenancies take too long, so the last one is made up: the generation is what
  // follows the object in its slot.
  Slab<Item> slab;
  Item& item = slab.emplace(1);
  const std::uint32_t index = item.id.index;
  volatile std::uintptr_t behind = reinterpret_cast<std::uintptr_t>(&item) + sizeof(Item);
  std::uint32_t generation = 0;
  std::memcpy(&generation, reinterpret_cast<void*>(behind), sizeof generation);
  ASSERT_EQ(generation, item.id.generation);
  generation = UINT32_MAX;
  std::memcpy(reinterpret_cast<void*>(behind), &generation, sizeof generation);

  ASSERT_EQ(slab.find(Id{index, UINT32_MAX}), &item);
  slab.erase(Id{index, UINT32_MAX});
  EXPECT_EQ(slab.find(Id{index, UINT32_MAX}), nullptr);
  EXPECT_EQ(slab.find(Id{index, 0}), nullptr);
  EXPECT_EQ(slab.emplace(2).id, (Id{index, 1}));
}

TEST(Slab, AbortsWhenAStaleIdIsErased) {
  Slab<Item> slab;
  const Id id = slab.emplace(1).id;
  slab.erase(id);
  EXPECT_DEATH(slab.erase(id), "check failed: object != nullptr");
}

TEST(Slab, AgreesWithAMapOnRandomSteps) {
  std::mt19937 random(1);
  Slab<Item> slab;
  std::map<std::uint64_t, std::pair<int, Item*>> living;
  std::vector<Id> stale;
  for (int i = 0; i < 50'000; ++i) {
    // Grows to hundreds, shrinks to almost nothing, and again.
    const bool growing = i / 5000 % 2 == 0;
    if (living.empty() || random() % 10 < (growing ? 6u : 4u)) {
      Item& item = slab.emplace(i);
      ASSERT_TRUE(living.emplace(item.id.packed(), std::pair{i, &item}).second);
    } else {
      auto it = living.lower_bound(std::uint64_t{random()} << 32 | random());
      if (it == living.end()) it = living.begin();
      stale.push_back(Id::unpack(it->first));
      slab.erase(stale.back());
      living.erase(it);
    }
    ASSERT_EQ(slab.size(), living.size());
    if (!stale.empty()) {
      ASSERT_EQ(slab.find(stale[random() % stale.size()]), nullptr);
    }
    if (living.empty()) continue;
    const auto& [packed, expected] = *living.begin();
    ASSERT_EQ(slab.find(Id::unpack(packed)), expected.second);
    ASSERT_EQ(expected.second->value, expected.first);
  }
}

}  // namespace
}  // namespace ws::core
