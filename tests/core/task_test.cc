#include "core/task.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace ws::core {
namespace {

static_assert(!std::is_copy_constructible_v<Task>);
static_assert(std::is_nothrow_move_constructible_v<Task>);
static_assert(!std::is_constructible_v<Task, int>, "only what can be called");

TEST(Task, CallsWhatItHoldsEachTime) {
  int calls = 0;
  Task task([&] { ++calls; });
  ASSERT_TRUE(task);
  task();
  task();
  EXPECT_EQ(calls, 2);
}

TEST(Task, HoldsACallableThatCannotBeCopied) {
  auto number = std::make_unique<int>(7);
  int seen = 0;
  Task task([n = std::move(number), &seen] { seen = *n; });
  task();
  EXPECT_EQ(seen, 7);
}

TEST(Task, CopiesAnLvalueCallable) {
  int calls = 0;
  const std::function<void()> function = [&] { ++calls; };
  Task task(function);
  task();
  function();
  EXPECT_EQ(calls, 2);
}

TEST(Task, DestroysTheCallableExactlyOnceAndWithoutCallingIt) {
  auto held = std::make_shared<int>(0);
  {
    Task task([held] { ++*held; });
    EXPECT_EQ(held.use_count(), 2);
    Task moved = std::move(task);
    EXPECT_EQ(held.use_count(), 2);
    moved = Task([] {});
    EXPECT_EQ(held.use_count(), 1);
  }
  EXPECT_EQ(*held, 0);
}

TEST(Task, IsEmptyByDefaultAndAfterAMove) {
  Task task;
  EXPECT_FALSE(task);
  task = Task([] {});
  EXPECT_TRUE(task);
  Task other = std::move(task);
  EXPECT_TRUE(other);
  EXPECT_FALSE(task);
}

TEST(Task, AbortsWhenCalledEmpty) {
  Task task([] {});
  Task other = std::move(task);
  EXPECT_DEATH(task(), "check failed");
  EXPECT_DEATH(Task()(), "check failed");
}

}  // namespace
}  // namespace ws::core
