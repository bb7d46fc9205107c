#include "worker/metrics/chrf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace attune::worker {
namespace {

using ::testing::ElementsAre;

ChrfCounts Count(const std::vector<std::string>& right,
                 const std::string& given) {
  return CountForChrf(right, given);
}

TEST(CountForChrf, CountsCharactersWithoutWhiteSpace) {
  const ChrfCounts counts = Count({"ab é"}, "a bé\u00a0x");

  EXPECT_THAT(counts.right, ElementsAre(3, 2, 1, 0, 0, 0));
  EXPECT_THAT(counts.both, ElementsAre(3, 2, 1, 0, 0, 0));
  // Not those longer than the right answer.
  EXPECT_THAT(counts.given, ElementsAre(4, 3, 2, 0, 0, 0));
}

TEST(CountForChrf, TakesTheRightAnswerThatAgreesBest) {
  EXPECT_THAT(Count({"xy", "ab", "abc"}, "ab").right,
              ElementsAre(2, 1, 0, 0, 0, 0));
}

TEST(Chrf, CountsRecallTwice) {
  // Precision 1/2, recall 1, of single characters.
  EXPECT_NEAR(ChrfOf(Count({"a"}, "ab")), 5 * 0.5 / (4 * 0.5 + 1), 1e-12);
  EXPECT_NEAR(ChrfOf(Count({"ab"}, "a")), 5 * 0.5 / (4 + 0.5), 1e-12);
}

TEST(Chrf, IsOneForTheSameAndZeroWithoutAMatch) {
  EXPECT_DOUBLE_EQ(ChrfOf(Count({"Moskau"}, "Mos kau")), 1);
  EXPECT_EQ(ChrfOf(Count({"abc"}, "xyz")), 0);
}

TEST(Chrf, OfNothingIsZero) {
  EXPECT_EQ(ChrfOf(Count({""}, "")), 0);
  EXPECT_EQ(ChrfOf(Count({}, "a")), 0);
  EXPECT_EQ(ChrfOf(ChrfCounts{}), 0);
}

TEST(Chrf, OfACorpusIsOfTheSum) {
  ChrfCounts sum = Count({"a"}, "a");
  sum += Count({"b"}, "c");

  EXPECT_DOUBLE_EQ(ChrfOf(sum), 0.5);
}

}  // namespace
}  // namespace attune::worker
