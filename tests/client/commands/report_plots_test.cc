#include "client/commands/report_plots.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/sample_versions.h"
#include "tests/client/well_formed.h"

namespace attune::client {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(MetricFigures, DrawBothSidesOnOneScale) {
  const std::string figures =
      MetricFigures(ClassificationSample(4).report()).text();

  EXPECT_EQ(WellFormedError(figures), "");
  EXPECT_THAT(figures, HasSubstr("38.0%<small>32.0% to 44.0%</small>"));
  EXPECT_THAT(figures, HasSubstr("accuracy between 0% and 100%"));
  EXPECT_EQ(CountOf(figures, "<circle"), 8);
}

TEST(MetricFigures, CorrelationsMayBeBelowZero) {
  EXPECT_THAT(MetricFigures(RegressionSample().report()).text(),
              HasSubstr("pearson between -0.2 and 1.0"));
}

TEST(MetricFigures, WithoutABaseShowTheTunedOneOnly) {
  const std::string figures = MetricFigures(GenerationSample().report()).text();

  EXPECT_EQ(CountOf(figures, "<circle"), 2);
  EXPECT_THAT(figures, Not(HasSubstr("base")));
}

TEST(TrainingFigures, DrawWhatTheReportHas) {
  v1::TuningReport report = ClassificationSample(4).report();

  const std::string figures = TrainingFigures(report).text();

  EXPECT_EQ(WellFormedError(figures), "");
  EXPECT_EQ(CountOf(figures, "<figure"), 4);
  EXPECT_THAT(figures, HasSubstr("Validation accuracy"));
  EXPECT_EQ(CountOf(figures, "best: step 320"), 2);

  report.clear_series();
  EXPECT_TRUE(TrainingFigures(report).empty());
}

TEST(ConfusionFigures, HaveBeforeBesideAfter) {
  v1::TuningReport report = ClassificationSample(4).report();
  EXPECT_EQ(CountOf(ConfusionFigures(report).text(), "<figure"), 2);
  EXPECT_EQ(WellFormedError(ConfusionFigures(report).text()), "");

  report.clear_before();
  EXPECT_EQ(CountOf(ConfusionFigures(report).text(), "<figure"), 1);

  report.mutable_after()->clear_confusion_matrix();
  EXPECT_TRUE(ConfusionFigures(report).empty());
}

TEST(ConfusionFigures, ListTheLargestOfManyLabels) {
  EXPECT_THAT(ConfusionFigures(ClassificationSample(77).report()).text(),
              HasSubstr("Largest confusions"));
  EXPECT_THAT(ConfusionFigures(ClassificationSample(4).report()).text(),
              Not(HasSubstr("Largest confusions")));
}

TEST(ReliabilityFigures, TellTheMeanDistance) {
  v1::TuningReport report = ClassificationSample(4).report();

  const std::string figures = ReliabilityFigures(report).text();

  EXPECT_EQ(WellFormedError(figures), "");
  EXPECT_THAT(figures, HasSubstr("Mean distance from it: "));

  report.mutable_after()->clear_reliability();
  EXPECT_THAT(ReliabilityFigures(report).text(), Not(HasSubstr("distance")));
  EXPECT_TRUE(ReliabilityFigures(GenerationSample().report()).empty());
}

TEST(ClassFigures, AreATableWithBars) {
  const v1::TuningReport report = ClassificationSample(77).report();

  const std::string figures =
      ClassFigures(report.after().classes(), report.before().classes(), "label")
          .text();

  EXPECT_EQ(WellFormedError(figures), "");
  EXPECT_THAT(figures, HasSubstr("frame limited"));
  EXPECT_EQ(CountOf(figures, "<tr>"), 78);
  EXPECT_EQ(CountOf(figures, "<line"), 77);  // the base's F1
  EXPECT_THAT(ClassFigures(report.after().classes(), {}, "label").text(),
              Not(HasSubstr("base")));
  EXPECT_TRUE(ClassFigures({}, {}, "label").empty());
}

}  // namespace
}  // namespace attune::client
