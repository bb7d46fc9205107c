#include "worker/tuning/job_preparation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"
#include "tests/worker/tuning/toy_job.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

absl::StatusOr<PreparedJob> PrepareToy(const AttemptInput& input,
                                       const PreparationHooks& hooks = {}) {
  return PrepareJob(input.job.spec(), input.rows, TinyModels(), hooks);
}

TEST(JobPreparation, MakesEverythingThatAnAttemptNeeds) {
  const absl::StatusOr<PreparedJob> job = PrepareToy(ToyJob(10));

  ASSERT_OK(job);
  EXPECT_THAT(job->train, SizeIs(48));
  EXPECT_THAT(job->validation, SizeIs(6));
  EXPECT_THAT(job->test, SizeIs(6));
  EXPECT_THAT(job->audits, SizeIs(3));
  EXPECT_EQ(job->num_train_rows, 48);
  EXPECT_EQ(job->program->num_prompt_rows(), 8);
  EXPECT_EQ(job->spec.task().labels_size(), 2);
  EXPECT_EQ(job->bare_program, nullptr);
}

TEST(JobPreparation, TellsOfTheSpecOnce) {
  std::vector<int64_t> told;
  int pauses = 0;
  PreparationHooks hooks;
  hooks.pause = [&pauses] { ++pauses; };
  hooks.on_resolved = [&told](const attune::v1::TuningJobSpec& spec,
                              int64_t num_train_rows) {
    told.push_back(spec.training().max_steps());
    told.push_back(num_train_rows);
  };

  ASSERT_OK(PrepareToy(ToyJob(10), hooks));

  EXPECT_EQ(told, (std::vector<int64_t>{10, 48}));
  EXPECT_GE(pauses, 4);
}

AttemptInput ToyNearest(int num_demonstrations) {
  AttemptInput input = ToyJob(0);
  attune::v1::TuningJobSpec& spec = *input.job.mutable_spec();
  spec.clear_training();
  attune::v1::HardPrompt& method =
      *spec.mutable_method()->mutable_hard_prompt();
  method.set_num_demonstrations(num_demonstrations);
  method.set_selection(attune::v1::HardPrompt::SELECTION_NEAREST);
  return input;
}

TEST(JobPreparation, ATaskListsTheRowsAmongWhichTheNearestAreFound) {
  std::vector<std::string> notices;
  PreparationHooks hooks;
  hooks.on_notice = [&notices](std::string message) {
    notices.push_back(std::move(message));
  };

  const absl::StatusOr<PreparedJob> job = PrepareToy(ToyNearest(3), hooks);

  ASSERT_OK(job);
  EXPECT_EQ(job->spec.task().demonstrations_size(), 48);
  EXPECT_EQ(job->spec.task().num_nearest_demonstrations(), 3);
  EXPECT_EQ(job->spec.method().hard_prompt().num_demonstrations(), 3);
  EXPECT_EQ(job->bare_program->task().num_nearest_demonstrations(), 0);
  EXPECT_EQ(job->bare_program->task().demonstrations_size(), 0);
  EXPECT_GT(job->test[0].input.ids.size(), job->bare_test[0].input.ids.size());
  EXPECT_THAT(notices, IsEmpty());
}

TEST(JobPreparation, TellsAmongHowManyRowsTheNearestAreFound) {
  AttemptInput input = ToyNearest(200);
  // 60 rows for training that ask three things, and some to measure on.
  for (int i = 0; i < 60; ++i) {
    input.rows[i] =
        absl::StrCat(R"({"split": "train", "text": ")", i % 3,
                     R"(", "label": ")", i % 3 == 0 ? "left" : "right", "\"}");
  }
  for (const char* split : {"dev", "test"}) {
    input.rows.push_back(absl::StrCat(R"({"split": ")", split,
                                      R"(", "text": "7", "label": "left"})"));
  }
  std::vector<std::string> notices;
  PreparationHooks hooks;
  hooks.on_notice = [&notices](std::string message) {
    notices.push_back(std::move(message));
  };

  const absl::StatusOr<PreparedJob> job = PrepareToy(input, hooks);

  ASSERT_OK(job);
  EXPECT_EQ(job->spec.task().demonstrations_size(), 3);
  EXPECT_EQ(job->spec.task().num_nearest_demonstrations(), 3);
  EXPECT_EQ(job->spec.method().hard_prompt().num_demonstrations(), 3);
  EXPECT_THAT(notices, ElementsAre(HasSubstr("only 3 of 200 demonstrations"),
                                   HasSubstr("among 3 of 60 training rows")));
}

TEST(JobPreparation, EndsAtTheFirstFault) {
  AttemptInput input = ToyJob(10);
  input.rows[3] = "oops";
  input.rows[5] = "oops";

  EXPECT_THAT(
      PrepareToy(input),
      ReasonIs(Reason::kInvalidData,
               AllOf(HasSubstr("row 4"), HasSubstr("not a JSON object"))));
}

TEST(JobPreparation, GoesOnBehindFaultsThatMayPass) {
  AttemptInput input = ToyJob(10);
  input.rows[3] = "oops";
  input.rows[5] = "oops";
  std::vector<std::string> faults;
  PreparationHooks hooks;
  hooks.on_fault = [&faults](const absl::Status& fault) {
    faults.emplace_back(fault.message());
    return absl::OkStatus();
  };

  const absl::StatusOr<PreparedJob> job = PrepareToy(input, hooks);

  ASSERT_OK(job);
  EXPECT_THAT(faults, SizeIs(2));
  EXPECT_EQ(job->train.size() + job->validation.size() + job->test.size(), 58u);
}

TEST(JobPreparation, WithoutATemplateThereIsNoProgram) {
  AttemptInput input = ToyJob(10);
  input.job.mutable_spec()->mutable_task()->set_template_("{{ text");
  int faults = 0;
  PreparationHooks hooks;
  hooks.on_fault = [&faults](const absl::Status&) {
    ++faults;
    return absl::OkStatus();
  };

  const absl::StatusOr<PreparedJob> job = PrepareToy(input, hooks);

  ASSERT_OK(job);
  EXPECT_EQ(faults, 1);
  EXPECT_EQ(job->program, nullptr);
  EXPECT_THAT(job->train, IsEmpty());
}

TEST(JobPreparation, AHandlersErrorEndsTheWork) {
  AttemptInput input = ToyJob(10);
  input.rows[3] = "oops";
  PreparationHooks hooks;
  hooks.on_fault = [](const absl::Status&) {
    return MakeError(Reason::kCancelled, "enough");
  };

  EXPECT_THAT(PrepareToy(input, hooks), ReasonIs(Reason::kCancelled, "enough"));
}

}  // namespace
}  // namespace attune::worker
