#include "worker/metrics/roc_auc.h"

#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <vector>

namespace attune::worker {
namespace {

// By the probability of the second of two labels.
std::vector<std::vector<double>> OfTwo(const std::vector<double>& second) {
  std::vector<std::vector<double>> rows;
  for (const double p : second) rows.push_back({1 - p, p});
  return rows;
}

TEST(RocAuc, IsTheShareOfPairsInTheRightOrder) {
  const RocAuc auc({0, 1, 0, 1}, OfTwo({0.1, 0.8, 0.6, 0.5}));

  EXPECT_DOUBLE_EQ(*auc.Of({0, 1, 2, 3}), 3.0 / 4);
}

TEST(RocAuc, CountsEqualProbabilitiesHalf) {
  EXPECT_DOUBLE_EQ(*RocAuc({0, 1}, OfTwo({0.5, 0.5})).Of({0, 1}), 0.5);
}

TEST(RocAuc, CountsRowsAsOftenAsTheyAreDrawn) {
  const RocAuc auc({0, 1, 1}, OfTwo({0.5, 0.9, 0.1}));

  EXPECT_DOUBLE_EQ(*auc.Of({2, 0, 1, 0, 1, 1}), 3.0 / 4);
}

TEST(RocAuc, TakesWhatIsNoNumberForZero) {
  const double none = std::nan("");

  EXPECT_DOUBLE_EQ(*RocAuc({0, 1, 1}, OfTwo({0.5, none, 0.9})).Of({0, 1, 2}),
                   0.5);
  EXPECT_DOUBLE_EQ(*RocAuc({0, 1}, OfTwo({none, none})).Of({0, 1}), 0.5);
}

TEST(RocAuc, IsTheMeanOverMoreThanTwoLabels) {
  const RocAuc auc({0, 1, 2},
                   {{0.6, 0.2, 0.2}, {0.3, 0.1, 0.6}, {0.2, 0.3, 0.5}});

  EXPECT_DOUBLE_EQ(*auc.Of({0, 1, 2}), (1 + 0 + 0.5) / 3);
}

TEST(RocAuc, IsAbsentWhereALabelDoesNotOccur) {
  const RocAuc auc({0, 1, 1}, OfTwo({0.5, 0.9, 0.1}));

  EXPECT_EQ(auc.Of({1, 2}), std::nullopt);
  EXPECT_EQ(auc.Of({}), std::nullopt);
  EXPECT_EQ(RocAuc({}, {}).Of({}), std::nullopt);
  EXPECT_EQ(RocAuc({0, 0}, {{1}, {1}}).Of({0, 1}), std::nullopt);
}

}  // namespace
}  // namespace attune::worker
