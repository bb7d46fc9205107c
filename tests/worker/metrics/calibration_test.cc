#include "worker/metrics/calibration.h"

#include <gtest/gtest.h>

#include <vector>

namespace attune::worker {
namespace {

TEST(Calibration, CountsRowsWithDifferentNumbersOfChoices) {
  const std::vector<int> right = {0, 1, 2};
  const std::vector<int> given = {0, 0, 2};
  const std::vector<std::vector<double>> probabilities = {
      {0.75, 0.25}, {0.75, 0.25}, {0.25, 0.25, 0.5}};
  const CalibrationRows rows(right, given, probabilities);
  attune::v1::EvaluationReport report;

  rows.MeasureAll(*report.mutable_metrics());
  rows.AddReliability(report);

  EXPECT_EQ(report.metrics().size(), 2u);
  // The answers of 0.75 are right half of the time, that of 0.5 is.
  EXPECT_DOUBLE_EQ(report.metrics().at("ece"), (2 * 0.25 + 0.5) / 3);
  EXPECT_DOUBLE_EQ(report.metrics().at("brier"),
                   (2 * 0.0625 + 2 * 0.5625 + 2 * 0.0625 + 0.25) / 3);
  ASSERT_EQ(report.reliability_size(), 2);
  EXPECT_DOUBLE_EQ(report.reliability(0).accuracy(), 1);
  EXPECT_DOUBLE_EQ(report.reliability(1).accuracy(), 0.5);
  EXPECT_EQ(report.reliability(1).num_rows(), 2);
}

TEST(Calibration, OfSomeRowsIsTheirs) {
  const std::vector<int> right = {0, 1};
  const std::vector<int> given = {0, 0};
  const std::vector<std::vector<double>> probabilities = {{1, 0}, {1, 0}};
  const CalibrationRows rows(right, given, probabilities);
  MetricValues values;

  rows.Measure(std::vector<int32_t>{1, 1}, values);

  EXPECT_DOUBLE_EQ(values.at("ece"), 1);
  EXPECT_DOUBLE_EQ(values.at("brier"), 2);
}

}  // namespace
}  // namespace attune::worker
