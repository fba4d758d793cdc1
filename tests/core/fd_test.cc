#include "core/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <utility>

namespace ws::core {
namespace {

int open_descriptor() {
  return ::eventfd(0, EFD_CLOEXEC);
}

bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0 || errno != EBADF;
}

TEST(Fd, ClosesItsDescriptorWhenItGoesAway) {
  const int number = open_descriptor();
  {
    const Fd fd(number);
    EXPECT_TRUE(fd);
    EXPECT_EQ(fd.get(), number);
    EXPECT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
}

TEST(Fd, OwnsNothingByDefault) {
  Fd fd;
  EXPECT_FALSE(fd);
  EXPECT_EQ(fd.get(), -1);
  fd.reset();
  EXPECT_FALSE(fd);
}

TEST(Fd, OwnsDescriptorZero) {
  // 0 is a descriptor like any other: a daemon may have closed its standard input.
  Fd zero(0);
  EXPECT_TRUE(zero);
  EXPECT_EQ(zero.release(), 0);
}

TEST(Fd, HandsItsDescriptorOverWhenMoved) {
  const int number = open_descriptor();
  Fd first(number);
  Fd second(std::move(first));
  EXPECT_FALSE(first);
  EXPECT_EQ(second.get(), number);

  const int other = open_descriptor();
  Fd third(other);
  third = std::move(second);
  EXPECT_FALSE(is_open(other));
  EXPECT_TRUE(is_open(number));
  EXPECT_EQ(third.get(), number);

  Fd& itself = third;
  third = std::move(itself);
  EXPECT_EQ(third.get(), number);
  EXPECT_TRUE(is_open(number));
}

TEST(Fd, LeavesAReleasedDescriptorOpen) {
  Fd fd(open_descriptor());
  const int number = fd.release();
  EXPECT_FALSE(fd);
  EXPECT_TRUE(is_open(number));
  ::close(number);
}

TEST(Fd, ClosesOnlyOnceOnReset) {
  Fd fd(open_descriptor());
  const int number = fd.get();
  fd.reset();
  EXPECT_FALSE(is_open(number));
  // The next descriptor gets the same number and must survive a second reset.
  const Fd next(open_descriptor());
  fd.reset();
  EXPECT_TRUE(is_open(next.get()));
}

}  // namespace
}  // namespace ws::core
