#include "core/result.h"

#include <errno.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

namespace ws::core {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return Error("odd", EDOM);
  return number / 2;
}

TEST(Result, HoldsAValue) {
  Result<int> result = half(8);
  ASSERT_TRUE(result);
  EXPECT_EQ(result.value(), 4);
  EXPECT_EQ(*result, 4);
  *result = 5;
  EXPECT_EQ(std::as_const(result).value(), 5);
  EXPECT_EQ(*std::as_const(result), 5);
  const Result<std::string> text(std::string("text"));
  EXPECT_EQ(text->size(), 4u);
}

TEST(Result, HoldsAnError) {
  const Result<int> result = half(3);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message(), "odd");
  EXPECT_EQ(result.error().os_errno(), EDOM);
  EXPECT_EQ(Error("no system call").os_errno(), 0);
}

TEST(Result, GivesUpAValueThatCannotBeCopied) {
  Result<std::unique_ptr<std::string>> result(std::make_unique<std::string>("text"));
  EXPECT_EQ((*result)->size(), 4u);
  EXPECT_EQ(result->get(), result.value().get());
  const std::unique_ptr<std::string> taken = std::move(result).value();
  EXPECT_EQ(*taken, "text");
}

TEST(Result, SaysYesWithoutAValue) {
  const Result<Ok> fine = Ok{};
  EXPECT_TRUE(fine);
}

TEST(Result, EndsTheProcessWhenTheWrongSideIsRead) {
  Result<int> value = half(8);
  Result<int> error = half(3);
  EXPECT_DEATH((void)value.error(), "");
  EXPECT_DEATH((void)error.value(), "");
  EXPECT_DEATH((void)*error, "");
  EXPECT_DEATH((void)std::move(error).value(), "");
}

TEST(Error, PrintsItsMessageAsOneLine) {
  std::FILE* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  Error("cannot open x: no such file; check --config").print(file);
  std::rewind(file);
  char text[100] = {};
  const std::size_t size = std::fread(text, 1, sizeof text, file);
  std::fclose(file);
  EXPECT_EQ(std::string(text, size), "cannot open x: no such file; check --config\n");
}

}  // namespace
}  // namespace ws::core
