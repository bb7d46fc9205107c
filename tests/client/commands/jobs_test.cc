#include "client/commands/jobs.h"

#include <atomic>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/status.h"
#include "tests/client/fake_attune.h"
#include "tests/testing/temp_directory.h"

namespace attune::client {
namespace {

using testing::HasSubstr;

using WriteEvents = std::function<bool(const v1::WatchTuningJobResponse&)>;

constexpr char kJobFile[] =
    "spec:\n"
    "  prompt: prompts/p\n"
    "  base_model: models/m\n"
    "  training: {max_steps: 10}\n";

class JobsTest : public testing::Test {
 protected:
  JobsTest() {
    WriteBytes(directory_ / "job.yaml", kJobFile);
    fake_.scripts.create_job = [this](const auto& request, v1::TuningJob& job) {
      created_ = request;
      job = request.tuning_job();
      job.set_name("tuningJobs/a");
      job.set_state(v1::TuningJob::STATE_QUEUED);
      return absl::OkStatus();
    };
    fake_.scripts.get_job = [this](const auto& request, v1::TuningJob& job) {
      job = job_;
      job.set_name(request.name());
      return absl::OkStatus();
    };
    job_.set_state(v1::TuningJob::STATE_SUCCEEDED);
    job_.mutable_spec()->set_prompt("prompts/p");
    job_.set_prompt_version("prompts/p/versions/1");
    job_.set_last_sequence(9);
  }

  RunResult Run(std::vector<std::string> arguments, RunOptions options = {}) {
    arguments.insert(arguments.begin(), "jobs");
    return RunClient(fake_.address(), std::move(arguments), options);
  }

  // A stream of one training report.
  void ScriptWatch() {
    fake_.scripts.watch_job = [this](const auto& request,
                                     const WriteEvents& write) {
      watched_after_ = request.after_sequence();
      v1::WatchTuningJobResponse response;
      v1::TuningEvent& event = *response.mutable_event();
      event.set_sequence(request.after_sequence() + 1);
      event.mutable_progress()->set_phase(v1::TuningProgress::PHASE_TRAINING);
      event.mutable_progress()->set_step(5);
      event.mutable_progress()->set_max_steps(10);
      event.mutable_progress()->set_loss(0.5);
      write(response);
      return absl::OkStatus();
    };
  }

  TempDirectory directory_;
  // What the scripts touch outlives the server, which waits for them.
  Interrupt interrupt_;
  FakeAttune fake_;
  v1::TuningJob job_;
  v1::CreateTuningJobRequest created_;
  std::atomic<int64_t> watched_after_ = -1;
};

TEST_F(JobsTest, CreateSendsTheFile) {
  const RunResult run = Run({"create", "-f", directory_ / "job.yaml"});

  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out, "tuningJobs/a QUEUED\n");
  EXPECT_EQ(created_.tuning_job().spec().base_model(), "models/m");
  EXPECT_EQ(created_.tuning_job_id(), "");
  EXPECT_FALSE(created_.validate_only());
}

TEST_F(JobsTest, CreateAlwaysHasARequestIdSoThatItMayBeTriedAgain) {
  std::atomic<int> calls = 0;
  std::string first_id;
  fake_.scripts.create_job = [&](const auto& request, v1::TuningJob& job) {
    job.set_name("tuningJobs/a");
    if (++calls == 1) {
      first_id = request.request_id();
      return MakeError(Reason::kDraining, "shutting down");
    }
    EXPECT_EQ(request.request_id(), first_id);
    return absl::OkStatus();
  };

  const RunResult run = Run({"create", "-f", directory_ / "job.yaml"});

  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(first_id.size(), 36u);
}

TEST_F(JobsTest, CreateTakesIdSettingsAndStandardInput) {
  RunOptions options;
  options.input = kJobFile;
  const RunResult run =
      Run({"create", "-f", "-", "--id", "mine", "--request-id", "r-1", "--set",
           "spec.training.max_steps=7", "--set", "display_name=New"},
          options);

  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(created_.tuning_job_id(), "mine");
  EXPECT_EQ(created_.request_id(), "r-1");
  EXPECT_EQ(created_.tuning_job().spec().training().max_steps(), 7);
  EXPECT_EQ(created_.tuning_job().display_name(), "New");
}

TEST_F(JobsTest, ValidateOnlyStoresNothing) {
  const RunResult run =
      Run({"create", "-f", directory_ / "job.yaml", "--validate-only"});

  EXPECT_EQ(run.out, "the job is valid; nothing was stored\n");
  EXPECT_TRUE(created_.validate_only());
}

TEST_F(JobsTest, AWrongFileIsAUsageErrorWithItsLine) {
  WriteBytes(directory_ / "wrong.yaml", "spec:\n  promt: prompts/p\n");

  const RunResult run = Run({"create", "-f", directory_ / "wrong.yaml"});

  EXPECT_EQ(run.exit_code, 2);
  EXPECT_EQ(run.err, "error: " + (directory_ / "wrong.yaml") +
                         ":2: spec.promt: unknown field (did you mean "
                         "'prompt'?)\n");
}

TEST_F(JobsTest, TheServersFieldsAreNamed) {
  fake_.scripts.create_job = [](const auto&, v1::TuningJob&) {
    FieldViolations violations;
    violations.Add("tuning_job.spec.data", "is required");
    violations.Add("tuning_job.spec.task.template", "is required");
    return violations.ToStatus();
  };

  const RunResult run = Run({"create", "-f", directory_ / "job.yaml"});

  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.err, HasSubstr("  tuning_job.spec.data: is required\n"
                                 "  tuning_job.spec.task.template: is "
                                 "required\n"));
}

TEST_F(JobsTest, WatchShowsProgressAndThenTheReport) {
  ScriptWatch();

  const RunResult run =
      Run({"create", "-f", directory_ / "job.yaml", "--watch"});

  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.err,
            "tuningJobs/a\n"
            "training 50%  step 5/10  loss 0.500\n");
  EXPECT_THAT(run.out, HasSubstr("SUCCEEDED tuningJobs/a\n"));
  EXPECT_THAT(run.out, HasSubstr("version  prompts/p/versions/1\n"));
}

TEST_F(JobsTest, WatchDrawsABarOnATerminal) {
  ScriptWatch();
  RunOptions options;
  options.terminal = true;

  const RunResult run = Run({"watch", "a"}, options);

  EXPECT_EQ(run.err,
            "\r\x1b[Ktraining    [######------]  50%  step 5/10  loss 0.500"
            "\r\x1b[K");
}

TEST_F(JobsTest, WatchAsJsonPrintsEventsOnly) {
  ScriptWatch();

  const RunResult run = Run({"watch", "a", "--after", "4", "-o", "json"});

  EXPECT_EQ(run.exit_code, 0);
  EXPECT_EQ(watched_after_, 4);
  EXPECT_EQ(run.out,
            "{\"sequence\":\"5\",\"progress\":{\"phase\":\"PHASE_TRAINING\","
            "\"step\":5,\"maxSteps\":10,\"loss\":0.5}}\n");
  EXPECT_EQ(run.err, "");
}

TEST_F(JobsTest, WaitShowsTheEndOnly) {
  ScriptWatch();

  const RunResult run =
      Run({"create", "-f", directory_ / "job.yaml", "--wait", "-o", "json"});

  EXPECT_EQ(run.exit_code, 0);
  EXPECT_EQ(run.err, "");
  EXPECT_THAT(run.out, HasSubstr("\"state\": \"STATE_SUCCEEDED\""));
}

TEST_F(JobsTest, AFailedJobIsExitCodeOne) {
  ScriptWatch();
  job_.set_state(v1::TuningJob::STATE_FAILED);
  job_.mutable_error()->set_code(9);
  job_.mutable_error()->set_message("diverged");

  const RunResult run = Run({"watch", "a"});

  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.err, HasSubstr("error: tuningJobs/a failed: diverged\n"));
}

TEST_F(JobsTest, AnInterruptSaysHowToGoOn) {
  fake_.scripts.watch_job = [&](const auto&, const WriteEvents& write) {
    v1::WatchTuningJobResponse response;
    interrupt_.Raise();
    for (int i = 1; write(response); ++i) {
      response.mutable_event()->set_sequence(i);
    }
    return absl::OkStatus();
  };
  RunOptions options;
  options.interrupt = &interrupt_;

  const RunResult run = Run({"watch", "a", "-o", "json"}, options);

  EXPECT_EQ(run.exit_code, 130);
  EXPECT_EQ(run.err,
            "tuningJobs/a goes on.\n"
            "  watch it again: attune jobs watch a\n"
            "  stop it:        attune jobs cancel a\n"
            "interrupted\n");
}

TEST_F(JobsTest, GetShowsDetails) {
  const RunResult run = Run({"get", "tuningJobs/a"});

  EXPECT_EQ(run.exit_code, 0);
  EXPECT_THAT(run.out, HasSubstr("state:      SUCCEEDED\n"));
  EXPECT_THAT(run.out, HasSubstr("version:    prompts/p/versions/1\n"));
}

TEST_F(JobsTest, GetOfWhatIsNotThereIsExitCodeThree) {
  fake_.scripts.get_job = [](const auto& request, v1::TuningJob&) {
    return NotFound("tuning job", request.name());
  };

  const RunResult run = Run({"get", "none"});

  EXPECT_EQ(run.exit_code, 3);
  EXPECT_EQ(run.err,
            "error: tuning job 'tuningJobs/none' does not exist\n"
            "hint: see what there is: attune jobs list, attune datasets list, "
            "attune prompts list\n");
}

TEST_F(JobsTest, ListIsATableOverAllPages) {
  fake_.scripts.list_jobs = [](const auto& request, auto& response) {
    EXPECT_EQ(request.filter(),
              "state = \"RUNNING\" AND prompt = \"prompts/p\"");
    v1::TuningJob& job = *response.add_tuning_jobs();
    const bool first = request.page_token().empty();
    job.set_name(first ? "tuningJobs/newest" : "tuningJobs/b");
    job.set_state(v1::TuningJob::STATE_RUNNING);
    job.set_attempt(1);
    job.mutable_spec()->set_prompt("prompts/p");
    job.mutable_spec()->set_base_model("models/m");
    // The fake clock stands at 1704067200.
    job.mutable_create_time()->set_seconds(1704067200 - 300);
    if (first) job.mutable_start_time()->set_seconds(1704067200 - 72);
    if (first) response.set_next_page_token("2");
    return absl::OkStatus();
  };

  const RunResult run = Run({"list", "--state", "RUNNING", "--prompt", "p"});

  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out,
            "NAME    STATE    PROMPT  BASE MODEL  ATTEMPT  CREATED    TOOK\n"
            "newest  RUNNING  p       m                 1   5m ago  1m 12s\n"
            "b       RUNNING  p       m                 1   5m ago       -\n");
}

TEST_F(JobsTest, ListStopsAtItsLimit) {
  std::atomic<int> pages = 0;
  fake_.scripts.list_jobs = [&](const auto& request, auto& response) {
    ++pages;
    EXPECT_EQ(request.page_size(), 2);
    response.add_tuning_jobs()->set_name("tuningJobs/a");
    response.add_tuning_jobs()->set_name("tuningJobs/b");
    response.set_next_page_token("more");
    return absl::OkStatus();
  };

  const RunResult run = Run({"list", "--limit", "2", "-o", "json"});

  EXPECT_EQ(pages, 1);
  EXPECT_EQ(run.out,
            "[\n  {\n    \"name\": \"tuningJobs/a\"\n  },\n"
            "  {\n    \"name\": \"tuningJobs/b\"\n  }\n]\n");
}

TEST_F(JobsTest, CancelShowsTheNewState) {
  fake_.scripts.cancel_job = [](const auto& request, v1::TuningJob& job) {
    job.set_name(request.name());
    job.set_state(v1::TuningJob::STATE_CANCELLING);
    return absl::OkStatus();
  };

  EXPECT_EQ(Run({"cancel", "a"}).out, "tuningJobs/a CANCELLING\n");
}

TEST_F(JobsTest, RetryWatchesOnlyWhatIsNew) {
  ScriptWatch();
  fake_.scripts.retry_job = [](const auto& request, v1::TuningJob& job) {
    job.set_name(request.name());
    job.set_last_sequence(10);
    return absl::OkStatus();
  };

  const RunResult run = Run({"retry", "a", "--watch"});

  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(watched_after_, 9);
}

TEST_F(JobsTest, RetryIsNotRepeated) {
  std::atomic<int> calls = 0;
  fake_.scripts.retry_job = [&](const auto&, v1::TuningJob&) {
    ++calls;
    return MakeError(Reason::kDraining, "shutting down");
  };

  EXPECT_EQ(Run({"retry", "a"}).exit_code, 4);
  EXPECT_EQ(calls, 1);
}

TEST_F(JobsTest, DeleteSaysWhatIsGone) {
  std::string deleted;
  fake_.scripts.delete_job = [&](const auto& request, auto&) {
    deleted = request.name();
    return absl::OkStatus();
  };

  const RunResult run = Run({"delete", "a"});

  EXPECT_EQ(run.exit_code, 0);
  EXPECT_EQ(deleted, "tuningJobs/a");
  EXPECT_EQ(run.err, "tuningJobs/a deleted\n");
}

}  // namespace
}  // namespace attune::client
