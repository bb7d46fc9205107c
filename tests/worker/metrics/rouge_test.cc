#include "worker/metrics/rouge.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace attune::worker {
namespace {

RougeScores Score(const std::vector<std::string>& right,
                  const std::string& given) {
  return ScoreRouge(right, given);
}

TEST(Rouge, WeighsWordsPairsAndTheirOrder) {
  const RougeScores scores = Score({"the cat sat down"}, "down the cat");

  EXPECT_DOUBLE_EQ(scores.rouge_1, 6.0 / 7);
  EXPECT_DOUBLE_EQ(scores.rouge_2, 2.0 / 5);
  EXPECT_DOUBLE_EQ(scores.rouge_l, 4.0 / 7);
}

TEST(Rouge, FindsCommonWordsThatAreNotSideBySide) {
  EXPECT_DOUBLE_EQ(Score({"a x b y c"}, "a b z c").rouge_l, 6.0 / 9);
}

TEST(Rouge, ReadsOnlyAsciiLettersAndDigitsOfAnyCase) {
  EXPECT_DOUBLE_EQ(Score({"U.S.A. 10"}, "u-s_a\n10").rouge_2, 1);
  EXPECT_EQ(Score({"Москва"}, "Москва").rouge_1, 0);
  // An accent ends a word.
  EXPECT_DOUBLE_EQ(Score({"na ve"}, "naïve").rouge_2, 1);
}

TEST(Rouge, LowerCasesTheTwoLettersThatBecomeAscii) {
  EXPECT_DOUBLE_EQ(Score({"5k i"}, "5\u212A \u0130").rouge_2, 1);
}

TEST(Rouge, TakesTheBestOfEachOverTheRightAnswers) {
  const RougeScores scores = Score({"a b", "b c a"}, "a b c");

  EXPECT_DOUBLE_EQ(scores.rouge_1, 1);
  EXPECT_DOUBLE_EQ(scores.rouge_l, 4.0 / 5);
}

TEST(Rouge, OfNothingIsZero) {
  EXPECT_EQ(Score({""}, "").rouge_1, 0);
  EXPECT_EQ(Score({}, "a").rouge_l, 0);
  EXPECT_EQ(Score({"a"}, "a").rouge_2, 0);
}

}  // namespace
}  // namespace attune::worker
