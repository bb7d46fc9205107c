#include "client/commands/job_report.h"

#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attune::client {
namespace {

using testing::HasSubstr;

class JobReportTest : public testing::Test {
 protected:
  JobReportTest() {
    job_.set_name("tuningJobs/a");
    job_.set_state(v1::TuningJob::STATE_SUCCEEDED);
    job_.mutable_spec()->set_prompt("prompts/intent");
    job_.mutable_spec()->mutable_task()->set_template_("Say: {{ text }}");
    job_.mutable_spec()->mutable_task()->set_type(
        v1::TASK_TYPE_TEXT_CLASSIFICATION);
    job_.mutable_start_time()->set_seconds(1000);
    job_.mutable_end_time()->set_seconds(1133);
    job_.set_prompt_version("prompts/intent/versions/1");
    job_.mutable_report()->mutable_after()->set_num_rows(150);
  }

  v1::TuningJob job_;
  std::ostringstream out_;
  std::ostringstream err_;
  Console console_{{&out_}, {&err_}};
};

TEST_F(JobReportTest, ASuccessEndsWithTheVersionAndHowToUseIt) {
  PrintJobEnd(job_, console_);

  EXPECT_THAT(out_.str(), testing::StartsWith(
                              "SUCCEEDED tuningJobs/a in 2m 13s\n\nMETRIC"));
  EXPECT_THAT(
      out_.str(),
      testing::EndsWith("version  prompts/intent/versions/1\n"
                        "try it   attune predict intent --text \"...\"\n"));
  EXPECT_EQ(err_.str(), "");
}

TEST_F(JobReportTest, AFailureEndsWithItsReason) {
  job_.set_state(v1::TuningJob::STATE_FAILED);
  job_.mutable_error()->set_code(9);
  job_.mutable_error()->set_message("the loss is not finite");

  PrintJobEnd(job_, console_);

  EXPECT_EQ(out_.str(), "");
  EXPECT_EQ(err_.str(), "error: tuningJobs/a failed: the loss is not finite\n");
}

TEST_F(JobReportTest, ACancelledJobSaysSo) {
  job_.set_state(v1::TuningJob::STATE_CANCELLED);

  PrintJobEnd(job_, console_);

  EXPECT_EQ(out_.str(), "tuningJobs/a CANCELLED\n");
}

TEST_F(JobReportTest, DetailsShowWhatWasChosen) {
  *job_.mutable_resolved_spec() = job_.spec();
  job_.mutable_resolved_spec()
      ->mutable_method()
      ->mutable_prompt_tuning()
      ->set_num_virtual_tokens(20);
  job_.mutable_snapshot()->set_dataset("datasets/d");
  job_.mutable_snapshot()->set_num_rows(1500);
  (*job_.mutable_annotations())["team"] = "cards";

  PrintJobDetails(job_, console_);

  EXPECT_THAT(out_.str(), HasSubstr("name:       tuningJobs/a\n"));
  EXPECT_THAT(out_.str(), HasSubstr("state:      SUCCEEDED\n"));
  EXPECT_THAT(out_.str(), HasSubstr("task:       text classification\n"));
  EXPECT_THAT(out_.str(), HasSubstr("method:     prompt tuning, 20 rows\n"));
  EXPECT_THAT(out_.str(), HasSubstr("data:       datasets/d, 1,500 rows\n"));
  EXPECT_THAT(out_.str(), HasSubstr("note team:  cards\n"));
  EXPECT_THAT(out_.str(), HasSubstr("\non 150 rows of the test split, after"));
}

TEST_F(JobReportTest, DetailsOfARunningJobShowItsProgress) {
  job_.set_state(v1::TuningJob::STATE_RUNNING);
  job_.clear_end_time();
  job_.clear_report();
  job_.mutable_progress()->set_phase(v1::TuningProgress::PHASE_TRAINING);
  job_.mutable_progress()->set_step(3);
  job_.mutable_progress()->set_max_steps(10);
  job_.mutable_progress()->set_loss(1);

  PrintJobDetails(job_, console_);

  EXPECT_THAT(out_.str(),
              HasSubstr("progress:   training  step 3/10  loss 1.000\n"));
}

}  // namespace
}  // namespace attune::client
