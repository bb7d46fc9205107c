#include "worker/metrics/class_counts.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace attune::worker {
namespace {

using Row = std::vector<std::pair<int, ClassCount>>;

TEST(ClassCountRows, SumRowsAsOftenAsTheyAreDrawn) {
  ClassCountRows rows(2);
  rows.Add(Row{{0, {.right = 1}}, {1, {.given = 2}}});
  rows.Add(Row{});
  rows.Add(Row{{1, {.right = 3, .given = 3, .both = 3}}});

  const std::vector<ClassCount> sums = rows.Sum({2, 0, 2, 1});

  EXPECT_EQ(rows.num_rows(), 3u);
  EXPECT_EQ(sums[0].right, 1);
  EXPECT_EQ(sums[1].right, 6);
  EXPECT_EQ(sums[1].given, 8);
  EXPECT_EQ(sums[1].both, 6);
  EXPECT_EQ(rows.Sum()[1].given, 5);
}

TEST(ClassMeans, LeaveOutWhatDoesNotOccurWhereAsked) {
  const std::vector<ClassCount> counts = {
      {.right = 1, .given = 1, .both = 1}, {}, {.given = 1}};
  MetricValues all;
  MetricValues occurring;

  SetClassMeans(counts, MeanOf::kAllClasses, all);
  SetClassMeans(counts, MeanOf::kOccurringClasses, occurring);

  EXPECT_DOUBLE_EQ(all["macro_f1"], 1.0 / 3);
  EXPECT_DOUBLE_EQ(occurring["macro_f1"], 1.0 / 2);
  EXPECT_DOUBLE_EQ(occurring["weighted_f1"], 1);
}

TEST(MicroMean, IsOfAllClassesTogether) {
  MetricValues values;

  SetMicroMean({{.right = 2, .given = 1, .both = 1}, {.right = 1, .given = 3}},
               values);

  EXPECT_DOUBLE_EQ(values["micro_precision"], 1.0 / 4);
  EXPECT_DOUBLE_EQ(values["micro_recall"], 1.0 / 3);
}

TEST(ClassReports, KeepTheOrderOfTheLabels) {
  attune::v1::EvaluationReport report;

  AddClassReports({{.right = 2, .given = 2, .both = 1}, {}}, {"z", "a"},
                  report);

  ASSERT_EQ(report.classes_size(), 2);
  EXPECT_EQ(report.classes(0).label(), "z");
  EXPECT_DOUBLE_EQ(report.classes(0).f1(), 0.5);
  EXPECT_EQ(report.classes(1).support(), 0);
}

}  // namespace
}  // namespace attune::worker
