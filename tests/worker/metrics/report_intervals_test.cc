#include "worker/metrics/report_intervals.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <iostream>
#include <string>
#include <vector>

#include "worker/metrics/class_scores.h"
#include "worker/metrics/entity_rows.h"
#include "worker/metrics/label_metrics.h"
#include "worker/metrics/mean_rows.h"
#include "worker/metrics/number_metrics.h"
#include "worker/metrics/text_metrics.h"

namespace attune::worker {
namespace {

using attune::v1::EvaluationReport;

EvaluationReport IntervalsOf(const RowMetrics& rows) {
  EvaluationReport report;
  AddIntervals(rows, report);
  return report;
}

// Each metric of all rows lies between its bounds.
void ExpectAroundValues(const RowMetrics& rows) {
  const EvaluationReport report = IntervalsOf(rows);
  MetricValues values;
  rows.MeasureAll(values);
  EXPECT_EQ(report.intervals().size(), values.size());
  for (const auto& [name, value] : values) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(report.intervals().contains(name));
    EXPECT_LE(report.intervals().at(name).low(), value);
    EXPECT_GE(report.intervals().at(name).high(), value);
    EXPECT_LT(report.intervals().at(name).low(),
              report.intervals().at(name).high());
  }
}

// Labels of rows, of which `given` has three of four right.
struct SomeLabels {
  std::vector<int> right;
  std::vector<int> given;
  std::vector<std::vector<double>> probabilities;
};

SomeLabels MakeLabels(int num_rows, int num_labels) {
  SomeLabels labels;
  for (int i = 0; i < num_rows; ++i) {
    labels.right.push_back(i * 5 % num_labels);
    labels.given.push_back((i * 5 + (i % 4 == 3 ? 1 : 0)) % num_labels);
    const double rest = 0.1 + 0.5 * (i * 37 % 101) / 101.0;
    std::vector<double> row(num_labels, rest / num_labels);
    row[labels.given.back()] += 1 - rest;
    labels.probabilities.push_back(row);
  }
  return labels;
}

TEST(ReportIntervals, OfLabelsLieAroundTheirMetrics) {
  const SomeLabels labels = MakeLabels(200, 3);

  ExpectAroundValues(ClassificationRows(labels.right, labels.given, 3));
}

TEST(ReportIntervals, OfProbabilitiesLieAroundTheirMetrics) {
  const SomeLabels labels = MakeLabels(200, 3);
  const ClassScoreRows rows(labels.right, labels.given, labels.probabilities);
  const EvaluationReport report = IntervalsOf(rows);
  MetricValues values;
  rows.MeasureAll(values);

  for (const char* name : {"auc", "brier"}) {
    EXPECT_LT(report.intervals().at(name).low(), values[name]) << name;
    EXPECT_GT(report.intervals().at(name).high(), values[name]) << name;
  }
  // Chance only adds to it.
  EXPECT_FALSE(report.intervals().contains("ece"));
}

TEST(ReportIntervals, OfLabelSetsLieAroundTheirMetrics) {
  std::vector<std::vector<int>> right;
  std::vector<std::vector<int>> given;
  for (int i = 0; i < 150; ++i) {
    right.push_back({i % 3, (i + 1) % 3});
    given.push_back({i % 3, (i + i % 4) % 3});
  }

  ExpectAroundValues(LabelSetRows(right, given, 3));
}

TEST(ReportIntervals, OfNumbersLieAroundTheirMetrics) {
  std::vector<double> right;
  std::vector<double> given;
  for (int i = 0; i < 150; ++i) {
    right.push_back(i % 11);
    given.push_back(i % 11 + std::sin(i));
  }

  ExpectAroundValues(NumberRows(right, given));
}

TEST(ReportIntervals, OfEntitiesLieAroundTheirMetrics) {
  EntityRows rows({"LOC", "PER"});
  for (int i = 0; i < 150; ++i) {
    const std::vector<std::pair<int, ClassCount>> entities = {
        {i % 2, {.right = 1, .given = 1 + i % 3, .both = i % 5 == 0 ? 0 : 1}}};
    rows.Add(entities, /*num_words=*/10, /*num_right_words=*/10 - i % 4);
  }

  ExpectAroundValues(rows);
}

TEST(ReportIntervals, OfTextsLieAroundTheirMetrics) {
  std::vector<std::vector<std::string>> right;
  std::vector<std::string> given;
  for (int i = 0; i < 60; ++i) {
    right.push_back({"one two three four five six"});
    given.push_back(i % 3 == 0 ? "one two three four five six"
                               : "six one two three four nine");
  }

  ExpectAroundValues(TextRows(right, given, BleuTokenizer::k13a));
}

TEST(ReportIntervals, OfTheLossHaveItsName) {
  const EvaluationReport report =
      IntervalsOf(MeanRows("loss", {1, 2, 3, 4, 5, 6}, {1, 1, 1, 1, 1, 2}));

  ASSERT_EQ(report.intervals().size(), 1u);
  EXPECT_LT(report.intervals().at("loss").low(), 3);
  EXPECT_GT(report.intervals().at("loss").high(), 3);
}

TEST(ReportIntervals, AreThoseOfTheBootstrap) {
  const SomeLabels labels = MakeLabels(100, 2);
  const EvaluationReport report =
      IntervalsOf(ClassificationRows(labels.right, labels.given, 2));

  const auto accuracy = BootstrapInterval(
      100, [&](absl::Span<const int32_t> rows) -> std::optional<double> {
        double hits = 0;
        for (const int32_t row : rows) {
          hits += labels.right[row] == labels.given[row] ? 1 : 0;
        }
        return hits / 100;
      });

  EXPECT_EQ(report.intervals().at("accuracy").low(), accuracy->low());
  EXPECT_EQ(report.intervals().at("accuracy").high(), accuracy->high());
}

TEST(ReportIntervals, LeaveOutWhatHasNoMeaningOnSomeDraws) {
  // Some draws lack the one row of label 1.
  const EvaluationReport scores = IntervalsOf(ClassScoreRows(
      {0, 0, 1}, {0, 0, 1}, {{0.9, 0.1}, {0.8, 0.2}, {0.4, 0.6}}));
  EXPECT_FALSE(scores.intervals().contains("auc"));
  EXPECT_TRUE(scores.intervals().contains("brier"));

  const EvaluationReport numbers =
      IntervalsOf(NumberRows({1, 2, 3}, {1, 2, std::nan("")}));
  EXPECT_TRUE(numbers.intervals().empty());
}

TEST(ReportIntervals, OfNoRowsAreNone) {
  EXPECT_TRUE(IntervalsOf(ClassificationRows({}, {}, 2)).intervals().empty());
  EXPECT_TRUE(IntervalsOf(MeanRows("loss", {})).intervals().empty());
}

TEST(ReportIntervals, OfManyRowsAndLabelsAreFast) {
  const SomeLabels labels = MakeLabels(2000, 77);
  const auto begin = std::chrono::steady_clock::now();

  EvaluationReport report =
      IntervalsOf(ClassificationRows(labels.right, labels.given, 77));
  AddIntervals(ClassScoreRows(labels.right, labels.given, labels.probabilities),
               report);

  EXPECT_EQ(report.intervals().size(), 10u);
  const std::chrono::duration<double> seconds =
      std::chrono::steady_clock::now() - begin;
  std::cout << "2,000 rows of 77 labels: " << seconds.count() << " s\n";
}

TEST(DifferenceOf, ComparesTheSameRowsByOneMetric) {
  const SomeLabels labels = MakeLabels(200, 3);
  const ClassificationRows some(labels.right, labels.given, 3);
  const ClassificationRows all(labels.right, labels.right, 3);

  const auto difference = DifferenceOf(some, all, "macro_f1");

  ASSERT_TRUE(difference.has_value());
  EXPECT_GT(difference->interval.low(), 0.15);
  EXPECT_LT(difference->interval.high(), 0.35);
  EXPECT_DOUBLE_EQ(difference->p_value, 0.002);
}

TEST(DifferenceOf, IsAbsentForAMetricThatRowsDoNotHave) {
  const ClassificationRows rows({0, 1}, {0, 1}, 2);

  EXPECT_FALSE(DifferenceOf(rows, rows, "bleu").has_value());
}

}  // namespace
}  // namespace attune::worker
