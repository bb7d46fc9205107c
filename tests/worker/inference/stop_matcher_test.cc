#include "worker/inference/stop_matcher.h"

#include <gtest/gtest.h>

namespace attune::worker {
namespace {

TEST(StopMatcher, WithoutStopTextsEverythingGoesOutAtOnce) {
  StopMatcher matcher({});

  EXPECT_EQ(matcher.Push("Hello"), "Hello");
  EXPECT_EQ(matcher.Push(" world"), " world");
  EXPECT_EQ(matcher.Finish(), "");
  EXPECT_FALSE(matcher.stopped());
}

TEST(StopMatcher, EndsBeforeTheStopText) {
  StopMatcher matcher({"\n"});

  EXPECT_EQ(matcher.Push("one\ntwo"), "one");
  EXPECT_TRUE(matcher.stopped());
}

TEST(StopMatcher, NothingGoesOutAfterTheStopText) {
  StopMatcher matcher({"#"});
  matcher.Push("a#");

  EXPECT_EQ(matcher.Push("more"), "");
  EXPECT_EQ(matcher.Finish(), "");
}

TEST(StopMatcher, FindsAStopTextAcrossPieces) {
  StopMatcher matcher({"END!"});

  EXPECT_EQ(matcher.Push("text E"), "text ");
  EXPECT_EQ(matcher.Push("ND"), "");
  EXPECT_EQ(matcher.Push("! rest"), "");
  EXPECT_TRUE(matcher.stopped());
}

TEST(StopMatcher, HeldBackTextGoesOutWhenItWasNoStopText) {
  StopMatcher matcher({"END!"});

  EXPECT_EQ(matcher.Push("the EN"), "the ");
  EXPECT_EQ(matcher.Push("T"), "ENT");
}

TEST(StopMatcher, HeldBackTextGoesOutAtTheEnd) {
  StopMatcher matcher({"</s>"});

  EXPECT_EQ(matcher.Push("x</"), "x");
  EXPECT_EQ(matcher.Finish(), "</");
}

TEST(StopMatcher, KeepsTheLongestPossibleBeginning) {
  StopMatcher matcher({"aab"});

  EXPECT_EQ(matcher.Push("aaa"), "a");
  EXPECT_EQ(matcher.Push("b"), "");
  EXPECT_TRUE(matcher.stopped());
}

TEST(StopMatcher, TheEarliestStopTextWins) {
  StopMatcher matcher({"late", "early"});

  EXPECT_EQ(matcher.Push("an early and late text"), "an ");
}

}  // namespace
}  // namespace attune::worker
