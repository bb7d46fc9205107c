#include "client/commands/job_preflight.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/status.h"
#include "tests/client/fake_attune.h"
#include "tests/testing/temp_directory.h"

namespace attune::client {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr char kPreflightFile[] =
    "spec:\n"
    "  base_model: models/m\n"
    "  training: {max_steps: 10}\n";

class JobPreflightTest : public testing::Test {
 protected:
  JobPreflightTest() {
    WriteBytes(directory_ / "job.yaml", kPreflightFile);
    fake_.scripts.preflight_job =
        [this](const auto& request, v1::PreflightTuningJobResponse& response) {
          request_ = request;
          response = response_;
          return absl::OkStatus();
        };
  }

  RunResult Run(std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"jobs", "preflight", "-f",
                                          directory_ / "job.yaml"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunClient(fake_.address(), std::move(arguments));
  }

  v1::PreflightFinding& AddFinding(v1::PreflightFinding::Severity severity,
                                   const std::string& message) {
    v1::PreflightFinding& finding = *response_.add_findings();
    finding.set_severity(severity);
    finding.set_message(message);
    const bool error = severity == v1::PreflightFinding::SEVERITY_ERROR;
    response_.set_num_errors(response_.num_errors() + (error ? 1 : 0));
    response_.set_num_warnings(response_.num_warnings() + (error ? 0 : 1));
    return finding;
  }

  TempDirectory directory_;
  // What the script touches outlives the server, which waits for it.
  v1::PreflightTuningJobRequest request_;
  v1::PreflightTuningJobResponse response_;
  FakeAttune fake_;
};

TEST_F(JobPreflightTest, SendsTheFilesSpecWithItsSettings) {
  const RunResult run =
      Run({"--set", "spec.training.max_steps=7", "--samples", "5"});

  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(request_.spec().base_model(), "models/m");
  EXPECT_EQ(request_.spec().training().max_steps(), 7);
  EXPECT_EQ(request_.num_samples(), 5);
  EXPECT_EQ(run.out, "0 errors, 0 warnings: the job can be created\n");
}

TEST_F(JobPreflightTest, ListsFindingsWithTheirPlacesAndFails) {
  v1::PreflightFinding& row =
      AddFinding(v1::PreflightFinding::SEVERITY_ERROR, "'up' is unknown");
  row.set_reason("INVALID_DATA");
  row.set_row(4);
  row.set_num_rows(1235);
  row.set_row_field("label");
  AddFinding(v1::PreflightFinding::SEVERITY_ERROR, "line 1")
      .set_field("spec.task.template");
  AddFinding(v1::PreflightFinding::SEVERITY_WARNING, "two\nlines \x1b[31m");

  const RunResult run = Run();

  EXPECT_EQ(run.exit_code, 1);
  EXPECT_EQ(run.out,
            "error:   row 4 and 1,234 more, field label: 'up' is unknown "
            "(INVALID_DATA)\n"
            "error:   spec.task.template: line 1\n"
            "warning: two lines \uFFFD[31m\n"
            "2 errors, 1 warning\n");
}

TEST_F(JobPreflightTest, SaysHowManyFindingsAreLeftOut) {
  AddFinding(v1::PreflightFinding::SEVERITY_ERROR, "one");
  response_.set_num_errors(1001);

  EXPECT_THAT(Run().out, HasSubstr("and 1,000 findings more\n"
                                   "1,001 errors, 0 warnings\n"));
}

TEST_F(JobPreflightTest, ShowsSplitsSamplesAndCost) {
  AddFinding(v1::PreflightFinding::SEVERITY_WARNING, "look");
  v1::SplitSummary& split = *response_.add_splits();
  split.set_split("train");
  split.set_num_rows(1200);
  v1::RenderedSample& sample = *response_.add_samples();
  sample.set_split("train");
  sample.set_row(3);
  sample.set_input("Text: a");
  v1::TuningCost& cost = *response_.mutable_cost();
  cost.set_num_trained_parameters(11520);
  cost.set_artifact_bytes(46080);
  cost.set_training_memory_bytes(int64_t{3} << 20);
  cost.set_max_steps(400);
  cost.set_num_training_tokens(1234567);
  cost.set_training_seconds(133);

  const RunResult run = Run();

  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out,
              AllOf(StartsWith("warning: look\n"), HasSubstr("1,200"),
                    HasSubstr("train row 3"), HasSubstr("  | Text: a\n")));
  EXPECT_THAT(run.out,
              HasSubstr("cost, at most\n"
                        "trained: 11,520 numbers\n"
                        "version: 45 KiB\n"
                        "memory:  3.0 MiB beside the model (estimated)\n"
                        "steps:   400\n"
                        "tokens:  1,234,567\n"
                        "time:    2m 13s of training, by one step on that "
                        "worker\n"));
}

TEST_F(JobPreflightTest, SaysThatNothingIsTrained) {
  response_.mutable_cost();

  EXPECT_THAT(Run().out, HasSubstr("nothing is trained\n"));
}

TEST_F(JobPreflightTest, PrintsJson) {
  AddFinding(v1::PreflightFinding::SEVERITY_ERROR, "one");

  const RunResult run = Run({"-o", "json"});

  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.out, HasSubstr("\"message\": \"one\""));
  EXPECT_THAT(run.out, Not(HasSubstr("error:")));
}

TEST_F(JobPreflightTest, AnErrorOfTheCallIsShownAsAnError) {
  fake_.scripts.preflight_job = [](const auto&, auto&) {
    return NotFound("dataset", "datasets/d");
  };

  const RunResult run = Run();

  EXPECT_EQ(run.exit_code, 3);
  EXPECT_THAT(run.err, HasSubstr("datasets/d"));
}

TEST_F(JobPreflightTest, RefusesMoreSamplesThanThereMayBe) {
  EXPECT_EQ(Run({"--samples", "21"}).exit_code, 2);
}

}  // namespace
}  // namespace attune::client
