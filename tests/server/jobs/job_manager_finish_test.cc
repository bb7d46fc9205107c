// Ends of attempts, as JobManager takes them.

#include <functional>
#include <string>

#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "server/jobs/job_manager.h"
#include "tests/server/jobs/job_workers_fixture.h"
#include "tests/testing/server_state.h"
#include "tests/testing/status_matchers.h"

namespace attune::server {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using J = v1::TuningJob;

class JobManagerFinishTest : public JobWorkersFixture {};

TEST_F(JobManagerFinishTest, ASuccessStoresVersionStateAndEventAtOnce) {
  v1::CreateTuningJobRequest request = MakeCreateRequest("a");
  request.mutable_tuning_job()->mutable_spec()->add_aliases("prod");
  ASSERT_OK(jobs().CreateJob(request, MakeRows()));
  state_.TakeJob("w1");

  auto job = state_.Succeed("a", 1);

  ASSERT_OK(job);
  EXPECT_EQ(job->state(), J::STATE_SUCCEEDED);
  EXPECT_EQ(job->prompt_version(), "prompts/intent/versions/1");
  EXPECT_EQ(job->report().num_steps(), 100);
  EXPECT_EQ(job->resolved_spec().method().prompt_tuning().num_virtual_tokens(),
            20);
  EXPECT_EQ(job->resolved_spec().data().inline_().rows_size(), 0);
  auto version = state_.registry->GetVersion({"intent", "prod"});
  ASSERT_OK(version);
  EXPECT_EQ(version->tuning_job(), "tuningJobs/a");
  EXPECT_EQ(version->snapshot().digest(), job->snapshot().digest());
  EXPECT_EQ(version->files(0).name(), "adapter_model.safetensors");
  EXPECT_EQ(state_.registry->Resolve({"intent", "latest"}).value()->name,
            "prompts/intent/versions/1");
  auto events = jobs().EventsAfter("a", 0, 10);
  EXPECT_TRUE(events->ended);
  EXPECT_EQ(events->events.back().state_change().prompt_version(),
            "prompts/intent/versions/1");
}

TEST_F(JobManagerFinishTest, TheSameEndAgainIsAnsweredOkOnce) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  auto first = state_.Succeed("a", 1);
  ASSERT_OK(first);
  state_.Restart();

  auto second = state_.Succeed("a", 1);

  ASSERT_OK(second);
  EXPECT_EQ(second->SerializeAsString(), first->SerializeAsString());
  EXPECT_EQ(state_.registry->GetPrompt("intent")->num_versions(), 1);
  EXPECT_THAT(Fail("a", 1, Reason::kInternal),
              ReasonIs(Reason::kLeaseLost, HasSubstr("attempt 1")));
  EXPECT_THAT(state_.Succeed("a", 2),
              ReasonIs(Reason::kLeaseLost, HasSubstr("attempt 2")));
}

TEST_F(JobManagerFinishTest, ACrashBeforeTheCommitOfASuccessLeavesTheAttempt) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  state_.before_commit = [] { return MakeError(Reason::kStorageFull, "full"); };
  EXPECT_THAT(state_.Succeed("a", 1), ReasonIs(Reason::kStorageFull, "full"));
  state_.before_commit = nullptr;

  EXPECT_EQ(state_.StateOf("a"), J::STATE_RUNNING);
  EXPECT_THAT(state_.registry->GetPrompt("intent"),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("intent")));
  state_.Restart();
  ASSERT_OK(state_.Succeed("a", 1));

  EXPECT_EQ(jobs().GetJob("a")->prompt_version(), "prompts/intent/versions/1");
}

TEST_F(JobManagerFinishTest, AResultMustBeStoredAndWhole) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  EXPECT_THAT(jobs().FinishAttempt(MakeSuccess("a", 1, std::string(64, '0'))),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("artifact")));
  std::string digest = state_.StoreArtifact("tensors");
  std::string path =
      state_.directory / Concat("artifacts/", digest.substr(0, 2), "/", digest,
                                "/adapter_model.safetensors");
  WriteBytes(path, "tenzors");
  EXPECT_THAT(jobs().FinishAttempt(MakeSuccess("a", 1, digest)),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("adapter_model.safetensors")));
  EXPECT_EQ(state_.StateOf("a"), J::STATE_RUNNING);

  EXPECT_OK(state_.Succeed("a", 1)) << "stored again, it is whole again";
}

TEST_F(JobManagerFinishTest, AFinalReasonFailsTheJobAtOnce) {
  state_.CreateJob("a");
  state_.TakeJob("w1");

  auto job = Fail("a", 1, Reason::kNonfiniteLoss, "loss is NaN at step 7");

  EXPECT_EQ(job->state(), J::STATE_FAILED);
  EXPECT_EQ(ErrorOf("a"), Reason::kNonfiniteLoss);
  EXPECT_EQ(job->error().message(), "loss is NaN at step 7");
  EXPECT_TRUE(job->has_end_time());
  EXPECT_EQ(state_.TakeJob("w1").attempt(), 0);
}

TEST_F(JobManagerFinishTest, ARetryableReasonIsTriedAgainUpToThreeTimes) {
  state_.CreateJob("a");
  for (int attempt = 1; attempt <= 3; ++attempt) {
    ASSERT_EQ(state_.TakeJob("w1").attempt(), attempt);
    ASSERT_OK(Fail("a", attempt, Reason::kOutOfMemory, "9 GB needed"));
    Pass(absl::Seconds(5));
  }

  EXPECT_EQ(state_.StateOf("a"), J::STATE_FAILED);
  EXPECT_EQ(ErrorOf("a"), Reason::kAttemptsExhausted);
  EXPECT_THAT(jobs().GetJob("a")->error().message(), HasSubstr("9 GB needed"));
}

TEST_F(JobManagerFinishTest, ARetryByHandGoesOnFromTheLastCheckpoint) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  ReportCheckpoint("w1", "a", 1, 50);
  ASSERT_OK(Fail("a", 1, Reason::kNonfiniteLoss));
  ASSERT_OK(jobs().RetryJob("a"));

  worker::v1::Assignment assignment = state_.TakeJob("w1");

  EXPECT_EQ(assignment.attempt(), 2);
  EXPECT_NE(assignment.checkpoint_digest(), "");
  EXPECT_FALSE(assignment.tuning_job().has_error());
}

TEST_F(JobManagerFinishTest, ADamagedCheckpointIsDroppedForTheOneBefore) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  ReportCheckpoint("w1", "a", 1, 50);
  ReportCheckpoint("w1", "a", 1, 100);
  LoseLease();
  std::string damaged = state_.TakeJob("w1").checkpoint_digest();
  ASSERT_OK(Fail("a", 2, Reason::kCorruptArtifact));
  Pass(absl::Seconds(5));

  std::string before = state_.TakeJob("w1").checkpoint_digest();

  EXPECT_NE(before, damaged);
  EXPECT_NE(before, "");
}

TEST_F(JobManagerFinishTest, DamageWithoutACheckpointIsFinal) {
  state_.CreateJob("a");
  state_.TakeJob("w1");

  EXPECT_EQ(Fail("a", 1, Reason::kCorruptArtifact)->state(), J::STATE_FAILED);
  EXPECT_EQ(ErrorOf("a"), Reason::kCorruptArtifact);
}

TEST_F(JobManagerFinishTest, AReleasedAttemptDoesNotCountAndRunsAtOnce) {
  state_.CreateJob("a");
  for (int attempt = 1; attempt <= 5; ++attempt) {
    ASSERT_EQ(state_.TakeJob("w1").attempt(), attempt);
    FinishAttemptRequest request = MakeFinish("a", attempt);
    request.mutable_released();
    EXPECT_EQ(jobs().FinishAttempt(request)->tuning_job().state(),
              J::STATE_QUEUED);
  }
}

TEST_F(JobManagerFinishTest, ACancelReachesTheWorkerAndEndsTheJob) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  EXPECT_EQ(jobs().CancelJob("a")->state(), J::STATE_CANCELLING);
  EXPECT_EQ(jobs().CancelJob("a")->state(), J::STATE_CANCELLING);

  EXPECT_EQ(ActionOf(state_.Report("w1", "a", 1)), kCancel);
  FinishAttemptRequest request = MakeFinish("a", 1);
  request.mutable_cancelled();
  EXPECT_EQ(jobs().FinishAttempt(request)->tuning_job().state(),
            J::STATE_CANCELLED);
  EXPECT_OK(jobs().FinishAttempt(request));
}

TEST_F(JobManagerFinishTest, WhateverTheEndACancellingJobIsCancelled) {
  const auto expect_cancelled = [&](const std::string& id,
                                    std::function<void()> end) {
    state_.CreateJob(id);
    ASSERT_EQ(state_.TakeJob("w1").attempt(), 1);
    ASSERT_OK(jobs().CancelJob(id));
    end();
    EXPECT_EQ(state_.StateOf(id), J::STATE_CANCELLED) << id;
  };
  expect_cancelled("success", [&] { EXPECT_OK(state_.Succeed("success", 1)); });
  expect_cancelled(
      "failure", [&] { EXPECT_OK(Fail("failure", 1, Reason::kInvalidData)); });
  expect_cancelled("release", [&] {
    FinishAttemptRequest request = MakeFinish("release", 1);
    request.mutable_released();
    EXPECT_OK(jobs().FinishAttempt(request));
  });
  expect_cancelled("expiry", [&] { LoseLease(); });
  expect_cancelled("idle", [&] { state_.TakeJob("w1"); });
  expect_cancelled("restart", [&] {
    SynchronizeRequest renewed;
    *renewed.mutable_worker() = MakeWorker("w1", "w1-2");
    Sync(renewed);
  });
  EXPECT_THAT(state_.registry->ListPrompts({})->items, IsEmpty());
}

TEST_F(JobManagerFinishTest, NobodyMayCancelWhatWasNotToBeCancelled) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  FinishAttemptRequest request = MakeFinish("a", 1);
  request.mutable_cancelled();

  EXPECT_THAT(jobs().FinishAttempt(request),
              ReasonIs(Reason::kIllegalState, HasSubstr("release")));
  EXPECT_EQ(state_.StateOf("a"), J::STATE_RUNNING);
}

TEST_F(JobManagerFinishTest, ASuccessDropsTheCheckpoints) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  ReportCheckpoint("w1", "a", 1, 50);
  ASSERT_OK(state_.Succeed("a", 1));

  state_.clock.JumpWallClock(absl::Hours(24 * 365 * 30));

  EXPECT_EQ(jobs().SweepArtifacts().value(), 1);
}

}  // namespace
}  // namespace attune::server
