#include "worker/metrics/class_quality.h"

#include <gtest/gtest.h>

namespace attune::worker {
namespace {

TEST(QualityOf, CountsSharesOfWhatWasGivenAndWhatIsRight) {
  const attune::v1::ClassReport report = QualityOf(3, 6, 4);

  EXPECT_DOUBLE_EQ(report.precision(), 0.75);
  EXPECT_DOUBLE_EQ(report.recall(), 0.5);
  EXPECT_DOUBLE_EQ(report.f1(), 0.6);
  EXPECT_EQ(report.support(), 6);
}

TEST(QualityOf, NothingGivenIsZero) {
  EXPECT_EQ(QualityOf(0, 2, 0).precision(), 0);
  EXPECT_EQ(QualityOf(0, 0, 0).f1(), 0);
}

TEST(QualityMean, WeighsItsClasses) {
  QualityMean mean;
  mean.Add(QualityOf(1, 1, 1), 3);
  mean.Add(QualityOf(0, 1, 1), 1);
  attune::v1::EvaluationReport report;

  mean.Store("weighted", *report.mutable_metrics());

  EXPECT_DOUBLE_EQ(report.metrics().at("weighted_f1"), 0.75);
  EXPECT_DOUBLE_EQ(report.metrics().at("weighted_recall"), 0.75);
}

TEST(QualityMean, OfNothingIsZero) {
  attune::v1::EvaluationReport report;

  QualityMean().Store("macro", *report.mutable_metrics());

  EXPECT_EQ(report.metrics().at("macro_f1"), 0);
}

}  // namespace
}  // namespace attune::worker
