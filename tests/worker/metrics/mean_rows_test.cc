#include "worker/metrics/mean_rows.h"

#include <gtest/gtest.h>

namespace attune::worker {
namespace {

TEST(MeanRows, DivideByWeights) {
  const MeanRows rows("loss", {6, 1, 100}, {2, 3, 0});
  MetricValues values;

  rows.Measure({0, 0, 1}, values);

  EXPECT_EQ(rows.num_rows(), 3u);
  EXPECT_EQ(values.size(), 1u);
  EXPECT_DOUBLE_EQ(values["loss"], 13.0 / 7);
}

TEST(MeanRows, CountEachRowOnceWithoutWeights) {
  MetricValues values;

  MeanRows("f1", {1, 0, 0.5}).MeasureAll(values);

  EXPECT_DOUBLE_EQ(values["f1"], 0.5);
}

TEST(MeanRows, HaveNoMeaningWithoutWeight) {
  MetricValues values;

  MeanRows("loss", {1, 2}, {0, 1}).Measure({0, 0}, values);
  MeanRows("loss", {}).MeasureAll(values);

  EXPECT_TRUE(values.empty());
}

}  // namespace
}  // namespace attune::worker
