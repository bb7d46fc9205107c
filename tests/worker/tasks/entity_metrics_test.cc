#include "worker/tasks/entity_metrics.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace attune::worker {
namespace {

using attune::v1::ClassReport;
using attune::v1::EvaluationReport;

using RowsOfTags = std::vector<std::vector<int>>;

EvaluationReport EntityReport(const std::vector<std::string>& tags,
                              const RowsOfTags& right,
                              const RowsOfTags& given) {
  EvaluationReport report;
  AddEntityMetrics(*TagScheme::Create(tags), tags, right, given, report);
  return report;
}

// expected: [precision, recall, F1, support], behind `skip` others.
void ExpectClass(const ClassReport& actual, const nlohmann::json& expected,
                 size_t skip = 0) {
  EXPECT_NEAR(actual.precision(), expected[skip], 1e-12) << actual.label();
  EXPECT_NEAR(actual.recall(), expected[skip + 1], 1e-12) << actual.label();
  EXPECT_NEAR(actual.f1(), expected[skip + 2], 1e-12) << actual.label();
  EXPECT_EQ(actual.support(), expected[skip + 3]) << actual.label();
}

void ExpectEntityMetrics(const EvaluationReport& report,
                         const nlohmann::json& golden) {
  const auto& metrics = report.metrics();
  ASSERT_EQ(metrics.size(), 10u);
  EXPECT_NEAR(metrics.at("accuracy"), golden["accuracy"], 1e-12);
  for (const std::string mean : {"micro", "macro", "weighted"}) {
    const nlohmann::json& expected = golden[mean];
    EXPECT_NEAR(metrics.at(mean + "_precision"), expected[0], 1e-12) << mean;
    EXPECT_NEAR(metrics.at(mean + "_recall"), expected[1], 1e-12) << mean;
    EXPECT_NEAR(metrics.at(mean + "_f1"), expected[2], 1e-12) << mean;
  }
  const nlohmann::json& types = golden["types"];
  ASSERT_EQ(report.classes_size(), static_cast<int>(types.size()));
  for (int i = 0; i < report.classes_size(); ++i) {
    EXPECT_EQ(report.classes(i).label(), types[i][0]);
    ExpectClass(report.classes(i), types[i], /*skip=*/1);
  }
}

void ExpectWordMetrics(const EvaluationReport& report,
                       const nlohmann::json& words) {
  ASSERT_EQ(report.tags_size(), static_cast<int>(words["tags"].size()));
  for (int i = 0; i < report.tags_size(); ++i) {
    ExpectClass(report.tags(i), words["tags"][i]);
  }
  const auto& counts = report.confusion_matrix().counts();
  EXPECT_EQ(std::vector<int64_t>(counts.begin(), counts.end()),
            words["confusion"].get<std::vector<int64_t>>());
}

TEST(EntityMetrics, EqualSeqevals) {
  std::ifstream file("tests/golden/entity_metrics.json");
  ASSERT_TRUE(file.is_open());
  const nlohmann::json golden = nlohmann::json::parse(file);
  const nlohmann::json& cases = golden["cases"];
  ASSERT_EQ(cases.size(), 1200u);
  int num_with_words = 0;
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(i);
    const nlohmann::json& tags =
        golden["tag_sets"][cases[i]["set"].get<size_t>()];

    const EvaluationReport report =
        EntityReport(tags, cases[i]["right"], cases[i]["given"]);

    ExpectEntityMetrics(report, cases[i]);
    if (cases[i].contains("words")) {
      ExpectWordMetrics(report, cases[i]["words"]);
      ++num_with_words;
    }
  }
  EXPECT_EQ(num_with_words, 60);
}

TEST(EntityMetrics, KeepTheOrderOfTheTagsAndSortTheTypes) {
  const EvaluationReport report =
      EntityReport({"B-zebra", "O", "B-ant", "B-Bee"}, {{0, 2}}, {{0, 3}});

  ASSERT_EQ(report.tags_size(), 4);
  EXPECT_EQ(report.tags(0).label(), "B-zebra");
  EXPECT_EQ(report.tags(3).label(), "B-Bee");
  EXPECT_EQ(report.confusion_matrix().labels(2), "B-ant");
  EXPECT_EQ(report.confusion_matrix().counts(2 * 4 + 3), 1);
  ASSERT_EQ(report.classes_size(), 3);
  EXPECT_EQ(report.classes(0).label(), "Bee");
  EXPECT_EQ(report.classes(1).label(), "ant");
  EXPECT_EQ(report.classes(2).label(), "zebra");
}

TEST(EntityMetrics, AnEntityCountsOnlyAsAWhole) {
  const std::vector<std::string> tags = {"O", "B-A", "I-A"};

  const EvaluationReport report =
      EntityReport(tags, {{1, 2, 0, 1}, {1, 2, 2}}, {{1, 2, 2, 0}, {1, 2, 2}});

  EXPECT_DOUBLE_EQ(report.metrics().at("micro_precision"), 0.5);
  EXPECT_DOUBLE_EQ(report.metrics().at("micro_recall"), 1.0 / 3);
  EXPECT_DOUBLE_EQ(report.metrics().at("accuracy"), 5.0 / 7);
}

TEST(EntityMetrics, AnEntityDoesNotReachIntoTheNextRow) {
  const EvaluationReport report =
      EntityReport({"O", "B-A", "I-A"}, {{0, 1}, {2, 0}}, {{0, 1}, {0, 0}});

  EXPECT_EQ(report.classes(0).support(), 2);
  EXPECT_DOUBLE_EQ(report.classes(0).precision(), 1);
}

TEST(EntityMetrics, LeaveTheRestOfTheReport) {
  EvaluationReport report;
  report.set_num_rows(3);
  (*report.mutable_metrics())["other"] = 0.5;
  const std::vector<std::string> tags = {"O", "B-A"};

  AddEntityMetrics(*TagScheme::Create(tags), tags, RowsOfTags{{1}},
                   RowsOfTags{{1}}, report);

  EXPECT_EQ(report.num_rows(), 3);
  EXPECT_DOUBLE_EQ(report.metrics().at("other"), 0.5);
  EXPECT_DOUBLE_EQ(report.metrics().at("macro_f1"), 1);
}

TEST(EntityMetrics, OfNoRowsAreZero) {
  const EvaluationReport report = EntityReport({"O", "B-A"}, {}, {});

  EXPECT_EQ(report.metrics().size(), 10u);
  for (const auto& [name, value] : report.metrics()) {
    EXPECT_EQ(value, 0) << name;
  }
  EXPECT_EQ(report.classes_size(), 0);
  EXPECT_EQ(report.tags_size(), 2);
}

}  // namespace
}  // namespace attune::worker
