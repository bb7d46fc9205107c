#include "worker/metrics/label_metrics.h"

#include <gtest/gtest.h>

#include <fstream>
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

TEST(ClassificationMetrics, EqualScikitLearns) {
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

    // And mcc, which class_scores_test holds against scikit-learn's.
    EXPECT_EQ(report.metrics().size(), golden["metrics"].size() + 1);
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

TEST(LabelSetMetrics, EqualScikitLearns) {
  std::ifstream file("tests/golden/head_metrics.json");
  ASSERT_TRUE(file.is_open());
  const nlohmann::json cases = nlohmann::json::parse(file)["label_sets"];
  ASSERT_EQ(cases.size(), 1000u);
  for (const nlohmann::json& golden : cases) {
    attune::v1::EvaluationReport report;
    AddLabelSetMetrics(golden["right"].get<std::vector<std::vector<int>>>(),
                       golden["given"].get<std::vector<std::vector<int>>>(),
                       LabelNames(golden["num_labels"]), report);

    EXPECT_EQ(report.metrics().size(), golden["metrics"].size());
    for (const auto& [name, value] : golden["metrics"].items()) {
      // The numbers of the file have 14 digits; sums take another order.
      EXPECT_NEAR(report.metrics().at(name), value.get<double>(), 1e-9)
          << name << " of " << golden.dump();
    }
    for (int i = 0; i < report.classes_size(); ++i) {
      const nlohmann::json& row = golden["classes"][i];
      EXPECT_NEAR(report.classes(i).precision(), row[0], 1e-12);
      EXPECT_NEAR(report.classes(i).recall(), row[1], 1e-12);
      EXPECT_NEAR(report.classes(i).f1(), row[2], 1e-12);
      EXPECT_EQ(report.classes(i).support(), row[3]);
    }
  }
}

TEST(ClassificationMetrics, KeepTheOrderOfTheLabels) {
  attune::v1::EvaluationReport report;

  AddClassificationMetrics({1}, {1}, {"zebra", "ant"}, report);

  EXPECT_EQ(report.classes(0).label(), "zebra");
  EXPECT_EQ(report.classes(1).label(), "ant");
  EXPECT_EQ(report.confusion_matrix().labels(1), "ant");
  EXPECT_EQ(report.confusion_matrix().counts(3), 1);
}

}  // namespace
}  // namespace attune::worker
