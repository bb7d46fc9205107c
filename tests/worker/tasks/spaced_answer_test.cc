#include "worker/tasks/spaced_answer.h"

#include <gtest/gtest.h>

namespace attune::worker {
namespace {

TEST(SpacedAnswer, StandsBehindASpaceOfItsOwnOrOne) {
  EXPECT_EQ(SpacedAnswer("yes", /*bare=*/false), " yes");
  EXPECT_EQ(SpacedAnswer("\nyes", /*bare=*/false), "\nyes");
  EXPECT_EQ(SpacedAnswer("", /*bare=*/false), "");
}

TEST(SpacedAnswer, StandsBareWhereTheTextBringsTheSpace) {
  EXPECT_EQ(SpacedAnswer("yes", /*bare=*/true), "yes");
  EXPECT_TRUE(EndsInSpace("a: "));
  EXPECT_TRUE(EndsInSpace("a:\n"));
  EXPECT_FALSE(EndsInSpace("a:"));
  EXPECT_FALSE(EndsInSpace(""));
}

}  // namespace
}  // namespace attune::worker
