#include "worker/tasks/data_warnings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/worker/tasks/tiny_model.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

SplitAudit Audit(const std::string& split, int64_t num_rows,
                 const std::vector<int64_t>& labels = {}) {
  SplitAudit audit;
  audit.summary.set_split(split);
  audit.summary.set_num_rows(num_rows);
  for (size_t i = 0; i < labels.size(); ++i) {
    attune::v1::LabelCount& count = *audit.summary.add_labels();
    count.set_label("l" + std::to_string(i));
    count.set_count(labels[i]);
  }
  return audit;
}

std::vector<DataWarning> Warnings(
    const SplitAudit& audit,
    const attune::v1::TaskSpec& task = LabelTask({"yes", "no"}),
    const std::string& model = "tiny") {
  return FindDataWarnings(*CompileTask(task, 0, model), {&audit, 1});
}

TEST(DataWarnings, OfSoundRowsThereAreNone) {
  EXPECT_THAT(Warnings(Audit("train", 100, {60, 40})), IsEmpty());
  EXPECT_THAT(Warnings(Audit("train", 0, {0, 0})), IsEmpty());
}

TEST(DataWarnings, DuplicatesCountFromAHundredthOn) {
  SplitAudit audit = Audit("train", 1000);
  audit.summary.set_num_duplicate_rows(9);
  audit.first_duplicate_row = 17;
  EXPECT_THAT(Warnings(audit), IsEmpty());

  audit.summary.set_num_duplicate_rows(10);
  const std::vector<DataWarning> warnings = Warnings(audit);

  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_EQ(warnings[0].row, 17);
  EXPECT_EQ(warnings[0].num_rows, 10);
  EXPECT_THAT(warnings[0].message, AllOf(HasSubstr("10 of 1000 rows of train"),
                                         HasSubstr("the first: row 17")));
}

TEST(DataWarnings, OneRowThatTrainingSeesIsEnough) {
  SplitAudit audit = Audit("test", 1000);
  audit.summary.set_num_leaked_rows(1);
  audit.first_leaked_row = 3;

  const std::vector<DataWarning> warnings = Warnings(audit);

  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_EQ(warnings[0].row, 3);
  EXPECT_THAT(warnings[0].message, HasSubstr("rows that training sees"));
}

TEST(DataWarnings, InputsWithoutRoomForTheirDemonstrationsAreCounted) {
  SplitAudit audit = Audit("test", 1000);
  audit.num_crowded_rows = 12;
  audit.first_crowded_row = 5;
  attune::v1::TaskSpec task = LabelTask({"yes", "no"});
  attune::v1::Demonstration& shown = *task.add_demonstrations();
  (*shown.mutable_fields()->mutable_fields())["text"].set_string_value("a");
  shown.set_answer("yes");
  task.set_num_nearest_demonstrations(1);

  const std::vector<DataWarning> warnings = Warnings(audit, task);

  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_EQ(warnings[0].row, 5);
  EXPECT_EQ(warnings[0].num_rows, 12);
  EXPECT_THAT(warnings[0].message,
              AllOf(HasSubstr("12 of 1000 inputs of test"),
                    HasSubstr("all 1 nearest"), HasSubstr("row 5")));
}

TEST(DataWarnings, SeveralAnswersAreUsualForAGenerationOnly) {
  SplitAudit audit = Audit("train", 1000);
  audit.summary.set_num_contradictory_rows(2);
  audit.first_contradictory_row = 8;

  EXPECT_THAT(Warnings(audit, TextTask(4)), IsEmpty());
  const std::vector<DataWarning> warnings = Warnings(audit);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_EQ(warnings[0].row, 8);
  EXPECT_THAT(warnings[0].message, HasSubstr("no model can be right on both"));
}

TEST(DataWarnings, NameLabelsWithoutRows) {
  const std::vector<DataWarning> warnings =
      Warnings(Audit("test", 20, {10, 0, 10, 0, 0, 0, 0, 0}));

  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_THAT(warnings[0].message,
              AllOf(HasSubstr("6 of 8 labels have no rows in test"),
                    HasSubstr("'l1', 'l3', 'l4', 'l5', 'l6' and 1 more")));
}

TEST(DataWarnings, ARareLabelHasLessThanATenthOfAnEvenShare) {
  EXPECT_THAT(Warnings(Audit("train", 200, {190, 10})), IsEmpty());

  const std::vector<DataWarning> warnings =
      Warnings(Audit("train", 200, {191, 9}));

  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_THAT(warnings[0].message, AllOf(HasSubstr("'l1' has only 9 of 200"),
                                         HasSubstr("it would have 100")));
}

TEST(DataWarnings, TagsAreRareByNature) {
  EXPECT_THAT(
      Warnings(Audit("train", 50, {990, 10}), TagTask({"O", "B-N"}), "encoder"),
      IsEmpty());
}

}  // namespace
}  // namespace attune::worker
