#include "client/commands/report_figures.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/sample_versions.h"

namespace attune::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

// An accuracy that rose by `improvement`, +/- 2 points.
v1::TuningReport Compared(double improvement, double p_value) {
  v1::TuningReport report;
  v1::VersionComparison& comparison = *report.mutable_comparison();
  comparison.set_metric("accuracy");
  comparison.set_improvement(improvement);
  comparison.mutable_interval()->set_low(improvement - 0.02);
  comparison.mutable_interval()->set_high(improvement + 0.02);
  comparison.set_p_value(p_value);
  comparison.set_test(v1::VersionComparison::SIGNIFICANCE_TEST_BOOTSTRAP);
  return report;
}

TEST(MetricRows, PutTheDecidingMetricFirst) {
  std::vector<std::string> names;
  for (const MetricRow& row : MetricRows(ClassificationSample(4).report())) {
    names.push_back(row.name);
  }

  EXPECT_THAT(names,
              ElementsAre("accuracy", "loss", "macro_f1", "weighted_f1"));
}

TEST(MetricRows, HaveTheBaseOnlyWhereItWasMeasured) {
  v1::TuningReport report = ClassificationSample(4).report();
  report.mutable_before()->mutable_metrics()->erase("macro_f1");

  const std::vector<MetricRow> rows = MetricRows(report);

  EXPECT_EQ(rows[0].base, 0.38);
  ASSERT_TRUE(rows[0].base_interval);
  EXPECT_DOUBLE_EQ(rows[0].base_interval->low(), 0.32);
  EXPECT_FALSE(rows[2].base);

  report.clear_before();
  EXPECT_FALSE(MetricRows(report)[1].base);  // the loss, which is never unset
}

TEST(MetricRows, AreNoneWithoutAMeasurement) {
  EXPECT_TRUE(MetricRows(v1::TuningReport()).empty());
}

TEST(Verdict, NeedsAnIntervalBesideZeroAndASmallP) {
  EXPECT_EQ(VerdictOf(Compared(0.05, 0.01)), Verdict::kBetter);
  EXPECT_EQ(VerdictOf(Compared(-0.05, 0.01)), Verdict::kWorse);
  EXPECT_EQ(VerdictOf(Compared(0.01, 0.01)), Verdict::kUnclear);
  EXPECT_EQ(VerdictOf(Compared(0.02, 0.01)), Verdict::kUnclear);  // touches 0
  EXPECT_EQ(VerdictOf(Compared(0.05, 0.06)), Verdict::kUnclear);
  EXPECT_EQ(VerdictOf(v1::TuningReport()), Verdict::kNotCompared);

  v1::TuningReport report = Compared(0.05, 0.01);
  report.mutable_comparison()->clear_interval();  // of very many rows
  EXPECT_EQ(VerdictOf(report), Verdict::kBetter);
  report.mutable_comparison()->clear_test();
  EXPECT_EQ(VerdictOf(report), Verdict::kUntested);
}

TEST(VerdictText, HasTheNumbersBehindTheClaim) {
  EXPECT_EQ(VerdictText(ClassificationSample(4).report()),
            "Better than the base: accuracy +53.0 points (95 % interval +45.0 "
            "to +61.0); better on 61 rows, worse on 8; p < 0.001 (McNemar).");
}

TEST(VerdictText, NamesTheTest) {
  v1::TuningReport report = Compared(0.05, 0.021);
  report.mutable_comparison()->set_num_gained_rows(9);
  report.mutable_comparison()->set_num_lost_rows(1);
  report.mutable_comparison()->set_test(
      v1::VersionComparison::SIGNIFICANCE_TEST_MCNEMAR);

  EXPECT_THAT(VerdictText(report),
              HasSubstr("better on 9 rows, worse on 1; p = 0.021 (McNemar)."));

  report.mutable_comparison()->set_test(
      v1::VersionComparison::SIGNIFICANCE_TEST_BOOTSTRAP);
  EXPECT_THAT(VerdictText(report), HasSubstr("p = 0.021."));

  report.mutable_comparison()->clear_test();
  EXPECT_THAT(VerdictText(report), StartsWith("Not held against chance: "));
}

TEST(VerdictText, ClaimsNothingWhereTheIntervalIncludesZero) {
  const std::string text = VerdictText(Compared(0.013, 0.61));

  EXPECT_EQ(text,
            "No clear difference from the base: accuracy +1.3 points (95 % "
            "interval -0.7 to +3.3, which includes no change); p = 0.61.");
}

TEST(VerdictText, ALossIsBetterWhenItFalls) {
  EXPECT_EQ(VerdictText(RegressionSample().report()),
            "Better than the base: loss -3.250 (95 % interval -3.650 to "
            "-2.850); p = 0.001.");
}

TEST(VerdictText, SaysWhyThereIsNone) {
  v1::TuningReport report;
  EXPECT_THAT(VerdictText(report), StartsWith("Not compared with the base"));

  report.mutable_before();
  EXPECT_THAT(VerdictText(report), HasSubstr("is open"));
}

TEST(DataText, CountsTheSplits) {
  v1::PromptVersion version = ClassificationSample(4);
  EXPECT_EQ(DataText(version),
            "datasets/rows, 1,450 rows (1,200 train, 150 validation, 100 "
            "test)");

  version.clear_snapshot();
  EXPECT_EQ(DataText(version), "");
}

TEST(StopText, NamesTheReason) {
  EXPECT_EQ(StopText(GenerationSample().report()), "max steps");
  EXPECT_EQ(StopText(v1::TuningReport()), "");
}

TEST(LargestConfusions, AreSortedAndWithoutTheDiagonal) {
  v1::ConfusionMatrix matrix;
  for (const char* label : {"a", "b", "c"}) matrix.add_labels(label);
  for (const int64_t count : {8, 2, 0, 5, 5, 0, 1, 0, 9}) {
    matrix.add_counts(count);
  }

  const std::vector<Confusion> confusions = LargestConfusions(matrix, 2);

  ASSERT_EQ(confusions.size(), 2u);
  EXPECT_EQ(confusions[0].label, "b");
  EXPECT_EQ(confusions[0].answered, "a");
  EXPECT_EQ(confusions[0].count, 5);
  EXPECT_EQ(confusions[0].share, 0.5);
  EXPECT_EQ(confusions[1].label, "a");
}

TEST(LargestConfusions, AreNoneOfADamagedMatrix) {
  v1::ConfusionMatrix matrix;
  matrix.add_labels("a");
  matrix.add_labels("b");
  matrix.add_counts(1);

  EXPECT_FALSE(IsMatrix(matrix));
  EXPECT_TRUE(LargestConfusions(matrix, 5).empty());
}

TEST(CalibrationError, WeighsTheRows) {
  v1::EvaluationReport evaluation;
  EXPECT_FALSE(CalibrationError(evaluation));
  for (const auto& [confidence, accuracy, rows] :
       std::vector<std::tuple<double, double, int>>{{0.5, 0.5, 30},
                                                    {0.9, 0.5, 10}}) {
    v1::ReliabilityBin& bin = *evaluation.add_reliability();
    bin.set_confidence(confidence);
    bin.set_accuracy(accuracy);
    bin.set_num_rows(rows);
  }

  EXPECT_DOUBLE_EQ(*CalibrationError(evaluation), 0.1);
}

TEST(FindSeries, MayFindNothing) {
  const v1::TuningReport report = ClassificationSample(4).report();

  ASSERT_NE(FindSeries(report, "grad_norm"), nullptr);
  EXPECT_EQ(FindSeries(report, "grad_norm")->name(), "grad_norm");
  EXPECT_EQ(FindSeries(report, "gone"), nullptr);
}

TEST(ExampleGroups, TellGainedFromLost) {
  const v1::TuningReport report = ClassificationSample(4).report();

  const std::vector<ExampleGroup> groups = ExampleGroups(report);

  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].title, "became right");
  EXPECT_EQ(groups[0].examples.size(), 2u);
  EXPECT_EQ(groups[1].title, "became wrong");
  EXPECT_EQ(groups[1].examples.front()->row(), 44);
}

TEST(ReportFigures, ShowsValidationsEvenlyAndTheLast) {
  v1::TuningReport report;
  for (int i = 1; i <= 10; ++i) report.add_validations()->set_step(i);
  const auto steps = [&](size_t max_shown) {
    std::vector<int> all;
    for (const v1::ValidationReport* one :
         ShownValidations(report, max_shown)) {
      all.push_back(one->step());
    }
    return all;
  };

  EXPECT_EQ(steps(20).size(), 10u);
  EXPECT_EQ(steps(5), (std::vector<int>{2, 4, 6, 8, 10}));
  EXPECT_EQ(steps(4), (std::vector<int>{2, 5, 7, 10}));
  report.clear_validations();
  EXPECT_TRUE(steps(4).empty());
}

}  // namespace
}  // namespace attune::client
