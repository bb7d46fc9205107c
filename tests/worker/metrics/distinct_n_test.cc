#include "worker/metrics/distinct_n.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace attune::worker {
namespace {

DistinctShares Shares(const std::vector<std::string>& answers) {
  return DistinctSharesOf(answers);
}

TEST(DistinctShares, CountDifferentWordsAndPairsPerWord) {
  const DistinctShares shares = Shares({"a b a b", "a c"});

  EXPECT_DOUBLE_EQ(shares.distinct_1, 3.0 / 6);
  EXPECT_DOUBLE_EQ(shares.distinct_2, 3.0 / 6);
}

TEST(DistinctShares, HaveNoPairsBetweenAnswers) {
  EXPECT_EQ(Shares({"a", "b"}).distinct_2, 0);
}

TEST(DistinctShares, FallWhereAllAnswersAreTheSame) {
  EXPECT_DOUBLE_EQ(Shares({"yes", "yes", "yes", "yes"}).distinct_1, 0.25);
}

TEST(DistinctShares, OfNothingAreZero) {
  EXPECT_EQ(Shares({}).distinct_1, 0);
  EXPECT_EQ(Shares({"", " "}).distinct_2, 0);
}

}  // namespace
}  // namespace attune::worker
