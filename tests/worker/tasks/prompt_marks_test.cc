#include "worker/tasks/prompt_marks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proto/cc/text.h"

namespace attune::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int64_t R0 = IdOfPromptRow(0);
constexpr int64_t R1 = IdOfPromptRow(1);
constexpr int64_t R2 = IdOfPromptRow(2);

// [CLS] at 0, tokens at bytes 0-3 and 4-7, [SEP] behind them.
Encoding SampleTokens() {
  Encoding tokens;
  tokens.ids = {100, 11, 12, 101};
  tokens.offsets = {{0, 0}, {0, 3}, {4, 7}, {0, 0}};
  tokens.sequences = {-1, 0, 0, -1};
  return tokens;
}

TEST(PromptMarks, IdsOfRowsAreNoTokens) {
  for (const int64_t row : {0, 1, 77}) {
    EXPECT_LT(IdOfPromptRow(row), 0);
    EXPECT_EQ(PromptRowOfId(IdOfPromptRow(row)), row);
  }
  EXPECT_LT(PromptRowOfId(0), 0);
}

TEST(PromptMarks, RowsAreNotCountedAsTokens) {
  EXPECT_EQ(CountTokens({R0, 5, 0, R1}), 2);
  EXPECT_EQ(CountTokens({}), 0);
}

TEST(PromptMarks, AreTakenOutOfATextWithTheirPlaces) {
  const std::string mark(kPromptMark);

  const UnmarkedText some =
      TakePromptMarks(Concat(mark, "ab", mark, mark, "c", mark));
  const UnmarkedText none = TakePromptMarks("ab");

  EXPECT_EQ(some.text, "abc");
  EXPECT_THAT(some.places, ElementsAre(0, 2, 2, 3));
  EXPECT_EQ(none.text, "ab");
  EXPECT_THAT(none.places, IsEmpty());
}

TEST(PromptMarks, RowsStandBeforeTheTokenThatBeginsBehindTheirPlace) {
  const auto ids = [](const std::vector<size_t>& places) {
    return WithPromptRows(SampleTokens(), 4, places, 1);
  };

  EXPECT_THAT(ids({0}), ElementsAre(100, R0, 11, 12, 101));
  EXPECT_THAT(ids({3}), ElementsAre(100, 11, R0, 12, 101));
  EXPECT_THAT(ids({4}), ElementsAre(100, 11, R0, 12, 101));
  EXPECT_THAT(ids({7}), ElementsAre(100, 11, 12, R0, 101));
}

TEST(PromptMarks, APlaceWithinATokenIsInFrontOfTheNextOne) {
  EXPECT_THAT(WithPromptRows(SampleTokens(), 4, {1}, 1),
              ElementsAre(100, 11, R0, 12, 101));
}

TEST(PromptMarks, RowsAreDealtOutEvenlyAndInOrder) {
  EXPECT_THAT(WithPromptRows(SampleTokens(), 4, {0, 7}, 3),
              ElementsAre(100, R0, 11, 12, R1, R2, 101));
  EXPECT_THAT(WithPromptRows(SampleTokens(), 4, {3, 3}, 2),
              ElementsAre(100, 11, R0, R1, 12, 101));
  EXPECT_THAT(WithPromptRows(SampleTokens(), 4, {0, 4, 7}, 1),
              ElementsAre(100, 11, 12, R0, 101));
}

TEST(PromptMarks, TokensThatAreCutOffStayAway) {
  EXPECT_THAT(WithPromptRows(SampleTokens(), 3, {7}, 1),
              ElementsAre(100, 11, 12, R0));
}

TEST(PromptMarks, ATextWithoutTokensHasItsRows) {
  EXPECT_THAT(WithPromptRows(Encoding(), 0, {0}, 2), ElementsAre(R0, R1));
}

}  // namespace
}  // namespace attune::worker
