#include "worker/tasks/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "proto/cc/text.h"

namespace attune::worker {
namespace {

std::vector<std::string> LabelNames(int count) {
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) names.push_back(Concat("label ", i));
  return names;
}

TEST(Metrics, EqualScikitLearns) {
  std::ifstream file("tests/golden/metrics.json");
  ASSERT_TRUE(file.is_open());
  const nlohmann::json cases = nlohmann::json::parse(file);
  ASSERT_EQ(cases.size(), 5u);
  for (const nlohmann::json& golden : cases) {
    SCOPED_TRACE(golden["name"].get<std::string>());
    const auto right = golden["right"].get<std::vector<int>>();
    const auto given = golden["given"].get<std::vector<int>>();
    const int n = golden["num_labels"];

    attune::v1::EvaluationReport report;
    AddClassificationMetrics(right, given, LabelNames(n), report);

    EXPECT_EQ(report.metrics().size(), golden["metrics"].size());
    for (const auto& [name, value] : golden["metrics"].items()) {
      EXPECT_NEAR(report.metrics().at(name), value.get<double>(), 1e-12)
          << name;
    }
    for (int i = 0; i < n; ++i) {
      EXPECT_NEAR(report.classes(i).precision(), golden["precision"][i], 1e-12);
      EXPECT_NEAR(report.classes(i).recall(), golden["recall"][i], 1e-12);
      EXPECT_NEAR(report.classes(i).f1(), golden["f1"][i], 1e-12);
      EXPECT_EQ(report.classes(i).support(), golden["support"][i]);
    }
    const auto counts = golden["confusion"].get<std::vector<int64_t>>();
    EXPECT_EQ(std::vector<int64_t>(report.confusion_matrix().counts().begin(),
                                   report.confusion_matrix().counts().end()),
              counts);
  }
}

nlohmann::json HeadGolden(const char* part) {
  std::ifstream file("tests/golden/head_metrics.json");
  EXPECT_TRUE(file.is_open());
  nlohmann::json cases = nlohmann::json::parse(file)[part];
  EXPECT_EQ(cases.size(), 1000u);
  return cases;
}

void ExpectMetrics(const attune::v1::EvaluationReport& report,
                   const nlohmann::json& golden) {
  EXPECT_EQ(report.metrics().size(), golden["metrics"].size());
  for (const auto& [name, value] : golden["metrics"].items()) {
    // The numbers of the file have 14 digits; sums take another order.
    EXPECT_NEAR(report.metrics().at(name), value.get<double>(), 1e-9)
        << name << " of " << golden.dump();
  }
}

TEST(Metrics, OfLabelSetsEqualScikitLearns) {
  for (const nlohmann::json& golden : HeadGolden("label_sets")) {
    attune::v1::EvaluationReport report;
    AddLabelSetMetrics(golden["right"].get<std::vector<std::vector<int>>>(),
                       golden["given"].get<std::vector<std::vector<int>>>(),
                       LabelNames(golden["num_labels"]), report);

    ExpectMetrics(report, golden);
    for (int i = 0; i < report.classes_size(); ++i) {
      const nlohmann::json& row = golden["classes"][i];
      EXPECT_NEAR(report.classes(i).precision(), row[0], 1e-12);
      EXPECT_NEAR(report.classes(i).recall(), row[1], 1e-12);
      EXPECT_NEAR(report.classes(i).f1(), row[2], 1e-12);
      EXPECT_EQ(report.classes(i).support(), row[3]);
    }
  }
}

TEST(Metrics, OfNumbersEqualScipys) {
  for (const nlohmann::json& golden : HeadGolden("numbers")) {
    attune::v1::EvaluationReport report;
    AddNumberMetrics(golden["right"].get<std::vector<double>>(),
                     golden["given"].get<std::vector<double>>(), report);

    ExpectMetrics(report, golden);
  }
}

TEST(Metrics, OfNumbersThatAreNoneAreNone) {
  const std::vector<double> right(20, 1.0);
  std::vector<double> given(20, 2.0);
  given[3] = std::nan("");
  given[17] = std::numeric_limits<double>::infinity();
  attune::v1::EvaluationReport report;

  AddNumberMetrics(right, given, report);

  for (const auto& [name, value] : report.metrics()) {
    EXPECT_TRUE(std::isnan(value)) << name;
  }
}

TEST(Metrics, NumbersThatDoNotVaryHaveNoCorrelation) {
  attune::v1::EvaluationReport report;

  // Their means are not exactly any of them.
  AddNumberMetrics(std::vector<double>(6, 3.3), std::vector<double>(6, 1.1),
                   report);

  EXPECT_EQ(report.metrics().at("pearson"), 0);
  EXPECT_EQ(report.metrics().at("spearman"), 0);
}

TEST(Metrics, KeepTheOrderOfTheLabels) {
  attune::v1::EvaluationReport report;

  AddClassificationMetrics({1}, {1}, {"zebra", "ant"}, report);

  EXPECT_EQ(report.classes(0).label(), "zebra");
  EXPECT_EQ(report.classes(1).label(), "ant");
  EXPECT_EQ(report.confusion_matrix().labels(1), "ant");
  EXPECT_EQ(report.confusion_matrix().counts(3), 1);
}

TEST(Metrics, ExactMatchForgivesWhiteSpaceAroundAnswers) {
  EXPECT_DOUBLE_EQ(ExactMatch({"a b", "c"}, {" a b\n", "C"}), 0.5);
  EXPECT_DOUBLE_EQ(ExactMatch({"a  b"}, {"a b"}), 0);
}

TEST(Metrics, ExactMatchOfNothingIsZero) {
  EXPECT_DOUBLE_EQ(ExactMatch({}, {}), 0);
}

}  // namespace
}  // namespace attune::worker
