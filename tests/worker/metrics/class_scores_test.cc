#include "worker/metrics/class_scores.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <vector>

#include "worker/metrics/label_metrics.h"

namespace attune::worker {
namespace {

using attune::v1::EvaluationReport;
using Probabilities = std::vector<std::vector<double>>;

EvaluationReport ReportOf(const std::vector<int>& right,
                          const std::vector<int>& given,
                          const Probabilities& probabilities) {
  EvaluationReport report;
  AddClassScores(ClassScoreRows(right, given, probabilities), report);
  return report;
}

TEST(ClassScores, EqualScikitLearns) {
  std::ifstream file("tests/golden/class_scores.json");
  ASSERT_TRUE(file.is_open());
  const nlohmann::json cases = nlohmann::json::parse(file)["scores"];
  ASSERT_EQ(cases.size(), 1000u);
  int num_with_auc = 0;
  for (const nlohmann::json& golden : cases) {
    auto probabilities = golden[1].get<Probabilities>();
    std::vector<int> given;
    for (std::vector<double>& row : probabilities) {
      given.push_back(static_cast<int>(
          std::max_element(row.begin(), row.end()) - row.begin()));
      for (double& probability : row) probability /= 100;
    }

    const EvaluationReport report = ReportOf(golden[0], given, probabilities);

    // The numbers of the file have 12 digits; sums take another order.
    const nlohmann::json& values = golden[2];
    MetricValues labels;
    ClassificationRows(golden[0].get<std::vector<int>>(), given,
                       probabilities[0].size())
        .MeasureAll(labels);
    EXPECT_NEAR(labels.at("mcc"), values[0], 1e-10) << golden.dump();
    EXPECT_EQ(report.metrics().contains("auc"), !values[1].is_null());
    if (!values[1].is_null()) {
      EXPECT_NEAR(report.metrics().at("auc"), values[1], 1e-10)
          << golden.dump();
      ++num_with_auc;
    }
    EXPECT_NEAR(report.metrics().at("ece"), values[2], 1e-10) << golden.dump();
    EXPECT_NEAR(report.metrics().at("brier"), values[3], 1e-10)
        << golden.dump();
  }
  std::cout << cases.size() << " cases, " << num_with_auc << " with AUC\n";
}

TEST(ClassScores, PutAProbabilityBetweenTwoBinsIntoTheLower) {
  const EvaluationReport report =
      ReportOf({0, 0, 1}, {0, 0, 0}, {{0.7, 0.3}, {0.61, 0.39}, {0.71, 0.29}});

  ASSERT_EQ(report.reliability_size(), 2);
  EXPECT_EQ(report.reliability(0).num_rows(), 2);
  EXPECT_DOUBLE_EQ(report.reliability(0).confidence(), 0.655);
  EXPECT_DOUBLE_EQ(report.reliability(0).accuracy(), 1);
  EXPECT_EQ(report.reliability(1).num_rows(), 1);
  EXPECT_DOUBLE_EQ(report.reliability(1).accuracy(), 0);
  EXPECT_NEAR(report.metrics().at("ece"), (2 * 0.345 + 0.71) / 3, 1e-12);
}

TEST(ClassScores, TakeWhatRoundingMakesOfZeroAndOne) {
  const EvaluationReport report =
      ReportOf({0, 0}, {0, 1}, {{1 + 1e-15, 0}, {1, 0}});

  ASSERT_EQ(report.reliability_size(), 2);
  EXPECT_EQ(report.reliability(0).confidence(), 0);
  EXPECT_GE(report.reliability(1).confidence(), 1);
}

TEST(ClassScores, OfSureAndRightAnswersAreBest) {
  const EvaluationReport report = ReportOf({0, 1}, {0, 1}, {{1, 0}, {0, 1}});

  EXPECT_DOUBLE_EQ(report.metrics().at("auc"), 1);
  EXPECT_EQ(report.metrics().at("ece"), 0);
  EXPECT_EQ(report.metrics().at("brier"), 0);
}

TEST(ClassScores, OfOneClassHaveNoAuc) {
  const EvaluationReport report =
      ReportOf({0, 0}, {0, 1}, {{0.6, 0.4}, {0.2, 0.8}});

  EXPECT_FALSE(report.metrics().contains("auc"));
}

TEST(ClassScores, OfNoRowsAreZeroWithoutBins) {
  const EvaluationReport report = ReportOf({}, {}, {});

  EXPECT_EQ(report.metrics().size(), 2u);
  for (const auto& [name, value] : report.metrics()) {
    EXPECT_EQ(value, 0) << name;
  }
  EXPECT_EQ(report.reliability_size(), 0);
}

}  // namespace
}  // namespace attune::worker
