#include "worker/metrics/entity_rows.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace attune::worker {
namespace {

using Entities = std::vector<std::pair<int, ClassCount>>;

EntityRows TwoRows() {
  EntityRows rows({"LOC", "PER"});
  rows.Add(Entities{{0, {.right = 1, .given = 1, .both = 1}}}, /*num_words=*/4,
           /*num_right_words=*/4);
  rows.Add(Entities{{1, {.right = 2, .given = 1}}}, /*num_words=*/6,
           /*num_right_words=*/1);
  return rows;
}

TEST(EntityRows, CountEntitiesByTypeAndWordsApart) {
  MetricValues values;

  TwoRows().MeasureAll(values);

  EXPECT_DOUBLE_EQ(values["accuracy"], 0.5);
  EXPECT_DOUBLE_EQ(values["micro_precision"], 0.5);
  EXPECT_DOUBLE_EQ(values["micro_recall"], 1.0 / 3);
  EXPECT_DOUBLE_EQ(values["macro_f1"], 0.5);
  EXPECT_EQ(values.size(), 10u);
}

TEST(EntityRows, LeaveOutTypesThatTheDrawnRowsDoNotHave) {
  MetricValues values;

  TwoRows().Measure({0, 0}, values);

  EXPECT_DOUBLE_EQ(values["macro_f1"], 1);
  EXPECT_DOUBLE_EQ(values["accuracy"], 1);
}

TEST(EntityRows, OfNothingAreZero) {
  MetricValues values;

  EntityRows({}).MeasureAll(values);

  for (const auto& [name, value] : values) EXPECT_EQ(value, 0) << name;
}

}  // namespace
}  // namespace attune::worker
