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
    report_.mutable_before()->set_loss(2.31);
    (*report_.mutable_before()->mutable_metrics())["accuracy"] = 0.0867;
    v1::EvaluationReport& after = *report_.mutable_after();
    after.set_split("test");
    after.set_num_rows(150);
    after.set_loss(0.31);
    (*after.mutable_metrics())["accuracy"] = 0.9133;
    (*after.mutable_metrics())["macro_f1"] = 0.91;
    report_.set_num_steps(150);
    report_.set_best_step(120);

    job_.set_name("tuningJobs/a");
    job_.set_state(v1::TuningJob::STATE_SUCCEEDED);
    job_.mutable_spec()->set_prompt("prompts/intent");
    job_.mutable_spec()->mutable_task()->set_template_("Say: {{ text }}");
    job_.mutable_spec()->mutable_task()->set_type(
        v1::TASK_TYPE_TEXT_CLASSIFICATION);
    job_.mutable_start_time()->set_seconds(1000);
    job_.mutable_end_time()->set_seconds(1133);
    job_.set_prompt_version("prompts/intent/versions/1");
    *job_.mutable_report() = report_;
  }

  v1::TuningReport report_;
  v1::TuningJob job_;
  std::ostringstream out_;
  std::ostringstream err_;
  Console console_{{&out_}, {&err_}};
};

TEST_F(JobReportTest, PutsBeforeAndAfterSideBySide) {
  PrintTuningReport(report_, console_);

  EXPECT_EQ(out_.str(),
            "METRIC    BEFORE  AFTER        CHANGE\n"
            "accuracy    8.7%  91.3%  +82.7 points\n"
            "loss       2.310  0.310        -2.000\n"
            "macro_f1       -  91.0%             -\n"
            "on 150 rows of test, after 150 steps (best: step 120)\n");
}

TEST_F(JobReportTest, SaysThatNothingWasTrained) {
  report_.set_stop_reason(v1::TuningReport::STOP_REASON_NOTHING_TO_TRAIN);

  PrintTuningReport(report_, console_);

  EXPECT_THAT(out_.str(), HasSubstr("on 150 rows of test, nothing trained\n"));
}

TEST_F(JobReportTest, WithoutABaselineShowsTheTunedOneOnly) {
  report_.clear_before();

  PrintTuningReport(report_, console_);

  EXPECT_EQ(out_.str(),
            "METRIC    TUNED\n"
            "accuracy  91.3%\n"
            "loss      0.310\n"
            "macro_f1  91.0%\n"
            "on 150 rows of test, after 150 steps (best: step 120)\n");
}

TEST_F(JobReportTest, ShowsHowTrainingWent) {
  const auto add = [&](const std::string& name, std::vector<double> values) {
    v1::TrainingSeries& series = *report_.add_series();
    series.set_name(name);
    for (size_t i = 0; i < values.size(); ++i) {
      series.add_steps(static_cast<int>(i) + 1);
      series.add_values(values[i]);
    }
  };
  add("loss", {2.4, 2.4, 1.2, 0.6, 0.3});
  add("grad_norm", {9, 8, 7});
  add("validation_accuracy", {0.5, 0.75, 1});
  add("validation_loss", {1});  // one point is no curve

  PrintTuningReport(report_, console_);

  EXPECT_THAT(out_.str(), testing::EndsWith(
                              "(best: step 120)\n"
                              "training loss        @@=._  2.400 -> 0.300\n"
                              "validation accuracy  _+@    50.0% -> 100.0%\n"));
}

TEST_F(JobReportTest, ASuccessEndsWithTheVersionAndHowToUseIt) {
  PrintJobEnd(job_, console_);

  EXPECT_THAT(out_.str(),
              testing::StartsWith("SUCCEEDED tuningJobs/a in 2m 13s\n\n"));
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
  EXPECT_THAT(out_.str(), HasSubstr("accuracy    8.7%  91.3%  +82.7 points"));
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

TEST(ExampleCall, UsesTheFirstFieldOfTheTemplate) {
  v1::TaskSpec task;
  task.set_template_("Q: {{- question | trim }} C: {{ context }}");
  EXPECT_EQ(ExampleCall("prompts/qa", task),
            "attune predict qa --field question=\"...\"");

  task.set_type(v1::TASK_TYPE_TEXT_GENERATION);
  task.set_template_("no field");
  EXPECT_EQ(ExampleCall("prompts/g", task), "attune generate g --text \"...\"");
}

TEST(MethodText, NamesTheMethod) {
  v1::TuningMethod method;
  EXPECT_EQ(MethodText(method), "prompt tuning");
  method.mutable_prefix_tuning();
  EXPECT_EQ(MethodText(method), "prefix tuning");
  method.mutable_hard_prompt();
  EXPECT_EQ(MethodText(method), "hard prompt");
  method.mutable_hard_prompt()->set_num_demonstrations(8);
  EXPECT_EQ(MethodText(method), "hard prompt, 8 demonstrations");
}

TEST(TaskText, CountsLabels) {
  v1::TaskSpec task;
  task.set_type(v1::TASK_TYPE_TEXT_CLASSIFICATION);
  EXPECT_EQ(TaskText(task), "text classification");
  task.add_labels();
  task.add_labels();
  EXPECT_EQ(TaskText(task), "text classification, 2 labels");
}

}  // namespace
}  // namespace attune::client
