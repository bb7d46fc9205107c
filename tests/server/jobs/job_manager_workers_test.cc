// Leases, reports and ends of attempts. Time moves by hand: a lease is 30 s,
// delays after losses are 1 s, 5 s and so on.

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "server/jobs/job_manager.h"
#include "server/store/row_store.h"
#include "tests/testing/server_state.h"
#include "tests/testing/status_matchers.h"

namespace attune::server {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using worker::v1::AttemptDirective;
using worker::v1::FinishAttemptRequest;
using worker::v1::SynchronizeRequest;
using worker::v1::SynchronizeResponse;
using J = v1::TuningJob;

constexpr auto kContinue = AttemptDirective::ACTION_CONTINUE;
constexpr auto kCancel = AttemptDirective::ACTION_CANCEL;
constexpr auto kAbandon = AttemptDirective::ACTION_ABANDON;

// What is said of the one attempt that was reported.
AttemptDirective::Action ActionOf(const SynchronizeResponse& response) {
  EXPECT_EQ(response.directives_size(), 1);
  return response.directives_size() == 1 ? response.directives(0).action()
                                         : AttemptDirective::ACTION_UNSPECIFIED;
}

// Notes what it is told as words.
class NotingObserver final : public JobObserver {
 public:
  void OnLeaseGranted(absl::Duration wait) override {
    Note(Concat("granted after ", absl::ToInt64Seconds(wait)));
  }
  void OnLeaseExpired() override { Note("expired"); }
  void OnLeaseFenced(std::string_view method) override {
    Note(Concat("fenced ", method));
  }
  void OnAttemptEnded(std::string_view outcome) override {
    Note(Concat("attempt ", outcome));
  }
  void OnJobFinished(JobState state, std::optional<Reason> reason,
                     absl::Duration duration) override {
    Note(Concat("job ", JobStateName(state), " after ",
                absl::ToInt64Seconds(duration), reason ? " with reason" : ""));
  }
  std::vector<std::string> notes;

 private:
  void Note(std::string note) { notes.push_back(std::move(note)); }
};

class JobManagerWorkersTest : public testing::Test {
 protected:
  JobManager& jobs() { return *state_.jobs; }

  static SynchronizeRequest MakeReport(const std::string& worker,
                                       const std::string& job, int attempt) {
    SynchronizeRequest request;
    *request.mutable_worker() = MakeWorker(worker);
    request.mutable_worker()->set_free_job_slots(0);
    worker::v1::AttemptState& state = *request.add_attempts();
    state.set_tuning_job(Concat("tuningJobs/", job));
    state.set_attempt(attempt);
    return request;
  }
  SynchronizeResponse Sync(const SynchronizeRequest& request) {
    auto response = jobs().Synchronize(request);
    EXPECT_OK(response);
    return response.ok() ? *response : SynchronizeResponse();
  }
  void ReportCheckpoint(const std::string& worker, const std::string& job,
                        int attempt, int step) {
    SynchronizeRequest request = MakeReport(worker, job, attempt);
    request.mutable_attempts(0)->set_checkpoint_digest(
        state_.StoreArtifact(Concat(job, " step ", step)));
    request.mutable_attempts(0)->set_checkpoint_step(step);
    EXPECT_EQ(ActionOf(Sync(request)), kContinue);
  }
  void Pass(absl::Duration duration) {
    state_.clock.Advance(duration);
    EXPECT_OK(jobs().ExpireLeases());
  }
  // Lets the lease of the job's attempt end, and the delay after it.
  void LoseLease() {
    Pass(absl::Seconds(30));
    Pass(absl::Seconds(5));
  }
  absl::StatusOr<J> Fail(const std::string& job, int attempt, Reason reason,
                         const std::string& message = "it broke") {
    FinishAttemptRequest request;
    request.set_tuning_job(Concat("tuningJobs/", job));
    request.set_attempt(attempt);
    *request.mutable_failed() = ToRpcStatus(MakeError(reason, message));
    auto response = jobs().FinishAttempt(request);
    if (!response.ok()) return response.status();
    return response->tuning_job();
  }
  FinishAttemptRequest MakeFinish(const std::string& job, int attempt) {
    FinishAttemptRequest request;
    request.set_tuning_job(Concat("tuningJobs/", job));
    request.set_attempt(attempt);
    return request;
  }
  Reason ErrorOf(const std::string& job) {
    return ReasonOf(FromRpcStatus(jobs().GetJob(job)->error()));
  }
  std::vector<std::string> Messages(const std::string& id) {
    std::vector<std::string> messages;
    const JobEvents events = jobs().EventsAfter(id, 0, 1000).value();
    for (const auto& event : events.events) {
      if (event.has_state_change()) {
        messages.push_back(event.state_change().message());
      } else if (event.has_notice()) {
        messages.push_back(event.notice().message());
      } else {
        messages.push_back(Concat("step ", event.progress().step()));
      }
    }
    return messages;
  }

  ServerState state_;
};

TEST_F(JobManagerWorkersTest, AnIdleWorkerGetsTheOldestJob) {
  state_.CreateJob("a");
  state_.CreateJob("b");
  state_.clock.Advance(absl::Seconds(4));
  SynchronizeRequest request;
  *request.mutable_worker() = MakeWorker("w1");

  SynchronizeResponse response = Sync(request);

  EXPECT_EQ(response.assignment().tuning_job().name(), "tuningJobs/a");
  EXPECT_EQ(response.assignment().tuning_job().state(), J::STATE_RUNNING);
  EXPECT_EQ(response.assignment().attempt(), 1);
  EXPECT_EQ(response.assignment().checkpoint_digest(), "");
  EXPECT_EQ(response.lease_duration().seconds(), 30);
  EXPECT_EQ(response.next_call().seconds(), 10);
  auto job = jobs().GetJob("a");
  EXPECT_EQ(job->worker(), "w1");
  EXPECT_EQ(job->start_time().seconds(), 1704067204);
  EXPECT_EQ(state_.TakeJob("w2").tuning_job().name(), "tuningJobs/b");
  EXPECT_FALSE(state_.TakeJob("w3").has_tuning_job());
}

TEST_F(JobManagerWorkersTest, AWorkerGetsNoJobItCannotOrWillNotDo) {
  state_.CreateJob("a");
  SynchronizeRequest other_model;
  *other_model.mutable_worker() = MakeWorker("w1");
  other_model.mutable_worker()->mutable_models(0)->set_name("models/other");
  SynchronizeRequest draining;
  *draining.mutable_worker() = MakeWorker("w2");
  draining.mutable_worker()->set_accepts_jobs(false);

  EXPECT_FALSE(Sync(other_model).has_assignment());
  EXPECT_FALSE(Sync(draining).has_assignment());
  EXPECT_EQ(state_.StateOf("a"), J::STATE_QUEUED);
}

TEST_F(JobManagerWorkersTest, NoJobIsGivenOutWhileDraining) {
  state_.CreateJob("a");
  int woken = 0;
  auto registration = jobs().OnWork([&] { ++woken; });

  jobs().StopGranting();

  EXPECT_EQ(woken, 1);
  EXPECT_FALSE(state_.TakeJob("w1").has_tuning_job());
}

TEST_F(JobManagerWorkersTest, ALostAnswerIsGivenAgain) {
  state_.CreateJob("a");
  EXPECT_EQ(state_.TakeJob("w1").attempt(), 1);

  worker::v1::Assignment again = state_.TakeJob("w1");

  EXPECT_EQ(again.tuning_job().name(), "tuningJobs/a");
  EXPECT_EQ(again.attempt(), 1) << "no new attempt";
}

TEST_F(JobManagerWorkersTest, AWorkerThatDrainsGivesALostAnswerBack) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  SynchronizeRequest draining;
  *draining.mutable_worker() = MakeWorker("w1");
  draining.mutable_worker()->set_accepts_jobs(false);

  EXPECT_FALSE(Sync(draining).has_assignment());

  EXPECT_EQ(state_.TakeJob("w2").attempt(), 2);
}

TEST_F(JobManagerWorkersTest, ReportsRenewTheLease) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  for (int i = 0; i < 10; ++i) {
    Pass(absl::Seconds(29));
    EXPECT_EQ(ActionOf(state_.Report("w1", "a", 1)), kContinue);
  }
  EXPECT_EQ(state_.StateOf("a"), J::STATE_RUNNING);
}

TEST_F(JobManagerWorkersTest, ASilentWorkerLosesItsJobToTheNext) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  Pass(absl::Milliseconds(29'999));
  EXPECT_EQ(state_.StateOf("a"), J::STATE_RUNNING);

  Pass(absl::Milliseconds(1));

  EXPECT_EQ(state_.StateOf("a"), J::STATE_QUEUED);
  EXPECT_EQ(jobs().GetJob("a")->worker(), "");
  EXPECT_FALSE(state_.TakeJob("w2").has_tuning_job()) << "after 1 s only";
  int woken = 0;
  auto registration = jobs().OnWork([&] { ++woken; });
  Pass(absl::Seconds(1));
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(state_.TakeJob("w2").attempt(), 2);
}

TEST_F(JobManagerWorkersTest, ALateWorkerIsFencedAndChangesNothing) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  LoseLease();
  ASSERT_EQ(state_.TakeJob("w2").attempt(), 2);
  std::string before = jobs().GetJob("a")->SerializeAsString();

  SynchronizeRequest report = MakeReport("w1", "a", 1);
  report.mutable_attempts(0)->mutable_progress()->set_step(999);
  report.mutable_attempts(0)->add_notices("from the grave");
  report.mutable_attempts(0)->set_checkpoint_digest(state_.StoreArtifact("x"));
  EXPECT_EQ(ActionOf(Sync(report)), kAbandon);
  EXPECT_THAT(state_.Succeed("a", 1),
              ReasonIs(Reason::kLeaseLost, HasSubstr("tuningJobs/a")));
  EXPECT_THAT(Fail("a", 1, Reason::kInvalidData),
              ReasonIs(Reason::kLeaseLost, HasSubstr("attempt 1")));
  EXPECT_THAT(jobs().CheckAttempt("tuningJobs/a", 1, "UploadArtifact"),
              ReasonIs(Reason::kLeaseLost, HasSubstr("attempt 1")));
  EXPECT_THAT(jobs().OpenSnapshot("tuningJobs/a", 1),
              ReasonIs(Reason::kLeaseLost, HasSubstr("attempt 1")));

  EXPECT_EQ(jobs().GetJob("a")->SerializeAsString(), before);
  EXPECT_OK(jobs().CheckAttempt("tuningJobs/a", 2, "UploadArtifact"));
  EXPECT_OK(state_.Succeed("a", 2));
}

TEST_F(JobManagerWorkersTest, AWorkerOfADeletedJobIsFencedOffItsNamesake) {
  state_.CreateJob("a");
  ASSERT_EQ(state_.TakeJob("w1").attempt(), 1);
  ASSERT_OK(jobs().CancelJob("a"));
  LoseLease();
  ASSERT_OK(jobs().DeleteJob("a"));
  state_.CreateJob("a");
  ASSERT_EQ(state_.TakeJob("w2").attempt(), 2);

  EXPECT_THAT(state_.Succeed("a", 1, "result of the old job"),
              ReasonIs(Reason::kLeaseLost, HasSubstr("attempt 1")));

  EXPECT_EQ(state_.StateOf("a"), J::STATE_RUNNING);
  EXPECT_OK(state_.Succeed("a", 2));
}

TEST_F(JobManagerWorkersTest, AnotherWorkerCannotReportForTheHolder) {
  state_.CreateJob("a");
  state_.TakeJob("w1");

  EXPECT_EQ(ActionOf(state_.Report("w2", "a", 1)), kAbandon);
  EXPECT_EQ(ActionOf(state_.Report("w1", "b", 1)), kAbandon);
  EXPECT_EQ(ActionOf(state_.Report("w1", "a", 1)), kContinue);
}

TEST_F(JobManagerWorkersTest, ARestartedWorkerVoidsItsEarlierSelf) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  SynchronizeRequest renewed;
  *renewed.mutable_worker() = MakeWorker("w1", "w1-2");

  EXPECT_FALSE(Sync(renewed).has_assignment()) << "after 1 s only";
  EXPECT_EQ(state_.StateOf("a"), J::STATE_QUEUED);
  Pass(absl::Seconds(1));
  EXPECT_EQ(Sync(renewed).assignment().attempt(), 2);

  // The old process is still there, cut off for a while.
  EXPECT_EQ(ActionOf(state_.Report("w1", "a", 1)), kAbandon);
  EXPECT_FALSE(state_.TakeJob("w1").has_tuning_job());
  EXPECT_EQ(state_.StateOf("a"), J::STATE_RUNNING);
  EXPECT_OK(jobs().CheckAttempt("tuningJobs/a", 2, "x"));
}

TEST_F(JobManagerWorkersTest, AJobFailsAfterThreeLossesInARow) {
  state_.CreateJob("a");
  for (int attempt = 1; attempt <= 3; ++attempt) {
    ASSERT_EQ(state_.TakeJob("w1").attempt(), attempt);
    Pass(absl::Seconds(30));
    if (attempt < 3) {
      EXPECT_EQ(state_.StateOf("a"), J::STATE_QUEUED);
      Pass(absl::Seconds(attempt == 1 ? 1 : 5));
    }
  }

  EXPECT_EQ(state_.StateOf("a"), J::STATE_FAILED);
  EXPECT_EQ(ErrorOf("a"), Reason::kAttemptsExhausted);
  EXPECT_THAT(jobs().GetJob("a")->error().message(), HasSubstr("WORKER_LOST"));
}

TEST_F(JobManagerWorkersTest, AJobThatGetsOnMayLoseAnyNumberOfWorkers) {
  state_.CreateJob("a");
  for (int attempt = 1; attempt <= 20; ++attempt) {
    ASSERT_EQ(state_.TakeJob("w1").attempt(), attempt);
    ReportCheckpoint("w1", "a", attempt, attempt * 50);
    LoseLease();
    ASSERT_EQ(state_.StateOf("a"), J::STATE_QUEUED);
  }
  worker::v1::Assignment last = state_.TakeJob("w1");
  EXPECT_EQ(last.attempt(), 21);
  EXPECT_TRUE(state_.artifacts->Contains(last.checkpoint_digest()));
  ASSERT_OK(state_.Succeed("a", 21));
  EXPECT_EQ(state_.registry->GetPrompt("intent")->num_versions(), 1);
}

TEST_F(JobManagerWorkersTest, AnOldCheckpointAgainIsNoProgress) {
  state_.CreateJob("a");
  for (int attempt = 1; attempt <= 4; ++attempt) {
    ASSERT_EQ(state_.TakeJob("w1").attempt(), attempt);
    ReportCheckpoint("w1", "a", attempt, 50);
    LoseLease();
    // The first loss counts after the checkpoint, the others without one.
    EXPECT_EQ(state_.StateOf("a"),
              attempt < 3 ? J::STATE_QUEUED : J::STATE_FAILED);
    if (attempt == 3) break;
  }
}

TEST_F(JobManagerWorkersTest, AServerRestartGivesRunningJobsAFreshLease) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  Pass(absl::Seconds(29));
  state_.Restart();

  Pass(absl::Seconds(29));
  EXPECT_EQ(state_.StateOf("a"), J::STATE_RUNNING);
  EXPECT_EQ(jobs().GetJob("a")->attempt(), 1) << "the attempt is kept";
  EXPECT_EQ(ActionOf(state_.Report("w1", "a", 1)), kContinue);
  Pass(absl::Seconds(29));
  EXPECT_EQ(ActionOf(state_.Report("w1", "a", 1)), kContinue);
  EXPECT_OK(state_.Succeed("a", 1));
}

TEST_F(JobManagerWorkersTest, ARestartAloneIsNoLossButSilenceAfterItIs) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  for (int i = 0; i < 5; ++i) state_.Restart();
  EXPECT_EQ(state_.StateOf("a"), J::STATE_RUNNING);

  Pass(absl::Seconds(30));

  EXPECT_EQ(state_.StateOf("a"), J::STATE_QUEUED);
  Pass(absl::Seconds(1));
  EXPECT_EQ(state_.TakeJob("w2").attempt(), 2);
}

TEST_F(JobManagerWorkersTest, AfterBothAreKilledTheWorkersSuccessorVoids) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  state_.Restart();
  SynchronizeRequest renewed;
  *renewed.mutable_worker() = MakeWorker("w1", "w1-2");

  Sync(renewed);
  Pass(absl::Seconds(1));

  EXPECT_EQ(Sync(renewed).assignment().attempt(), 2);
}

TEST_F(JobManagerWorkersTest, ASuccessStoresVersionStateAndEventAtOnce) {
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

TEST_F(JobManagerWorkersTest, TheSameEndAgainIsAnsweredOkOnce) {
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

TEST_F(JobManagerWorkersTest, ACrashBeforeTheCommitOfASuccessLeavesTheAttempt) {
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

TEST_F(JobManagerWorkersTest, AFullDiskTakesNoJobAwayFromALivingWorker) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  state_.before_commit = [] { return MakeError(Reason::kStorageFull, "full"); };
  for (int i = 0; i < 4; ++i) {
    state_.clock.Advance(absl::Seconds(20));
    EXPECT_THAT(jobs().Synchronize(MakeReport("w1", "a", 1)),
                ReasonIs(Reason::kStorageFull, "full"));
  }
  state_.before_commit = nullptr;

  Pass(absl::ZeroDuration());

  EXPECT_EQ(state_.StateOf("a"), J::STATE_RUNNING);
  EXPECT_EQ(ActionOf(state_.Report("w1", "a", 1)), kContinue);
}

TEST_F(JobManagerWorkersTest, AnExpiryThatCannotBeStoredIsTriedAgain) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  state_.before_commit = [] { return MakeError(Reason::kStorageFull, "full"); };
  state_.clock.Advance(absl::Seconds(30));
  EXPECT_THAT(jobs().ExpireLeases(), ReasonIs(Reason::kStorageFull, "full"));
  state_.before_commit = nullptr;
  EXPECT_EQ(state_.StateOf("a"), J::STATE_RUNNING);

  EXPECT_OK(jobs().ExpireLeases());

  EXPECT_EQ(state_.StateOf("a"), J::STATE_QUEUED);
}

TEST_F(JobManagerWorkersTest, AResultMustBeStoredAndWhole) {
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

TEST_F(JobManagerWorkersTest, AFinalReasonFailsTheJobAtOnce) {
  state_.CreateJob("a");
  state_.TakeJob("w1");

  auto job = Fail("a", 1, Reason::kNonfiniteLoss, "loss is NaN at step 7");

  EXPECT_EQ(job->state(), J::STATE_FAILED);
  EXPECT_EQ(ErrorOf("a"), Reason::kNonfiniteLoss);
  EXPECT_EQ(job->error().message(), "loss is NaN at step 7");
  EXPECT_TRUE(job->has_end_time());
  EXPECT_EQ(state_.TakeJob("w1").attempt(), 0);
}

TEST_F(JobManagerWorkersTest, ARetryableReasonIsTriedAgainUpToThreeTimes) {
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

TEST_F(JobManagerWorkersTest, ARetryByHandGoesOnFromTheLastCheckpoint) {
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

TEST_F(JobManagerWorkersTest, ADamagedCheckpointIsDroppedForTheOneBefore) {
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

TEST_F(JobManagerWorkersTest, DamageWithoutACheckpointIsFinal) {
  state_.CreateJob("a");
  state_.TakeJob("w1");

  EXPECT_EQ(Fail("a", 1, Reason::kCorruptArtifact)->state(), J::STATE_FAILED);
  EXPECT_EQ(ErrorOf("a"), Reason::kCorruptArtifact);
}

TEST_F(JobManagerWorkersTest, AReleasedAttemptDoesNotCountAndRunsAtOnce) {
  state_.CreateJob("a");
  for (int attempt = 1; attempt <= 5; ++attempt) {
    ASSERT_EQ(state_.TakeJob("w1").attempt(), attempt);
    FinishAttemptRequest request = MakeFinish("a", attempt);
    request.mutable_released();
    EXPECT_EQ(jobs().FinishAttempt(request)->tuning_job().state(),
              J::STATE_QUEUED);
  }
}

TEST_F(JobManagerWorkersTest, ACancelReachesTheWorkerAndEndsTheJob) {
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

TEST_F(JobManagerWorkersTest, WhateverTheEndACancellingJobIsCancelled) {
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

TEST_F(JobManagerWorkersTest, NobodyMayCancelWhatWasNotToBeCancelled) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  FinishAttemptRequest request = MakeFinish("a", 1);
  request.mutable_cancelled();

  EXPECT_THAT(jobs().FinishAttempt(request),
              ReasonIs(Reason::kIllegalState, HasSubstr("release")));
  EXPECT_EQ(state_.StateOf("a"), J::STATE_RUNNING);
}

TEST_F(JobManagerWorkersTest, ProgressIsStoredOnceASecondAndShownAlways) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  auto report = [&](int step) {
    SynchronizeRequest request = MakeReport("w1", "a", 1);
    request.mutable_attempts(0)->mutable_progress()->set_step(step);
    Sync(request);
    EXPECT_EQ(jobs().GetJob("a")->progress().step(), step);
  };
  report(1);
  state_.clock.Advance(absl::Milliseconds(999));
  report(2);
  state_.clock.Advance(absl::Milliseconds(1));
  report(3);
  state_.clock.Advance(absl::Seconds(5));
  report(3);

  EXPECT_THAT(Messages("a"),
              ElementsAre("created", "started", "step 1", "step 3"));
  EXPECT_FALSE(jobs().ListJobs({})->items[0].has_progress());
}

TEST_F(JobManagerWorkersTest, TheLastProgressIsStoredAtTheEnd) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  for (int step : {1, 2}) {
    SynchronizeRequest request = MakeReport("w1", "a", 1);
    request.mutable_attempts(0)->mutable_progress()->set_step(step);
    Sync(request);
  }
  ASSERT_OK(state_.Succeed("a", 1));

  EXPECT_THAT(Messages("a"), ElementsAre("created", "started", "step 1",
                                         "step 2", "the version is stored"));
  state_.Restart();
  EXPECT_EQ(jobs().GetJob("a")->progress().step(), 2);
}

TEST_F(JobManagerWorkersTest, NoticesOfALostAnswerAreStoredOnce) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  SynchronizeRequest request = MakeReport("w1", "a", 1);
  request.mutable_attempts(0)->add_notices("2 rows were cut");
  Sync(request);
  Sync(request);
  request.mutable_attempts(0)->set_notices(0, "resumed");
  Sync(request);

  EXPECT_THAT(Messages("a"),
              ElementsAre("created", "started", "2 rows were cut", "resumed"));
}

TEST_F(JobManagerWorkersTest, NoticesAddedToALostReportAreStoredAlone) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  SynchronizeRequest request = MakeReport("w1", "a", 1);
  request.mutable_attempts(0)->add_notices("one");
  Sync(request);
  request.mutable_attempts(0)->add_notices("two");
  Sync(request);

  EXPECT_THAT(Messages("a"), ElementsAre("created", "started", "one", "two"));
}

TEST_F(JobManagerWorkersTest, ANoticeMayComeAgainLater) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  SynchronizeRequest noticed = MakeReport("w1", "a", 1);
  noticed.mutable_attempts(0)->add_notices("step left out");
  Sync(noticed);
  state_.Report("w1", "a", 1);
  Sync(noticed);

  EXPECT_THAT(Messages("a"), ElementsAre("created", "started", "step left out",
                                         "step left out"));
}

TEST_F(JobManagerWorkersTest, ALongNoticeIsCutBetweenCharacters) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  SynchronizeRequest request = MakeReport("w1", "a", 1);
  request.mutable_attempts(0)->add_notices(std::string(4095, 'x') + "\xC3\xA9");
  Sync(request);

  ASSERT_OK(jobs().EventsAfter("a", 0, 10)) << "events are text";
  EXPECT_EQ(Messages("a").back(), std::string(4095, 'x'));
}

TEST_F(JobManagerWorkersTest, TheResolvedSpecIsShownWithoutRows) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  SynchronizeRequest request = MakeReport("w1", "a", 1);
  v1::TuningJobSpec& spec =
      *request.mutable_attempts(0)->mutable_resolved_spec();
  spec.mutable_training()->set_max_steps(200);
  spec.mutable_data()->mutable_inline_()->add_rows();
  Sync(request);

  state_.Restart();

  EXPECT_EQ(jobs().GetJob("a")->resolved_spec().training().max_steps(), 200);
  EXPECT_EQ(jobs().GetJob("a")->resolved_spec().data().inline_().rows_size(),
            0);
}

TEST_F(JobManagerWorkersTest, AReportThatSaysNothingNewWritesNothing) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  SynchronizeRequest request = MakeReport("w1", "a", 1);
  request.mutable_attempts(0)->mutable_progress()->set_step(1);
  Sync(request);
  std::string before = jobs().GetJob("a")->SerializeAsString();
  state_.clock.Advance(absl::Seconds(10));

  Sync(request);

  EXPECT_EQ(jobs().GetJob("a")->SerializeAsString(), before);
}

TEST_F(JobManagerWorkersTest, ACheckpointMustBeStoredFirst) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  SynchronizeRequest request = MakeReport("w1", "a", 1);
  request.mutable_attempts(0)->set_checkpoint_digest(std::string(64, 'a'));

  request.mutable_attempts(0)->mutable_progress()->set_step(7);

  const SynchronizeResponse response = Sync(request);

  EXPECT_EQ(ActionOf(response), kContinue);
  EXPECT_TRUE(response.directives(0).checkpoint_unknown());
  EXPECT_EQ(jobs().GetJob("a")->progress().step(), 7)
      << "the rest of the report is taken";
}

TEST_F(JobManagerWorkersTest, ASuccessDropsTheCheckpoints) {
  state_.CreateJob("a");
  state_.TakeJob("w1");
  ReportCheckpoint("w1", "a", 1, 50);
  ASSERT_OK(state_.Succeed("a", 1));

  state_.clock.JumpWallClock(absl::Hours(24 * 365 * 30));

  EXPECT_EQ(jobs().SweepArtifacts().value(), 1);
}

TEST_F(JobManagerWorkersTest, TheHolderReadsTheRowsOfTheSnapshot) {
  state_.CreateJob("a");
  state_.TakeJob("w1");

  auto reader = jobs().OpenSnapshot("tuningJobs/a", 1);

  ASSERT_OK(reader);
  EXPECT_THAT(reader->Next().value(),
              ElementsAre(R"({"label":"greeting","text":"hello"})",
                          R"({"label":"farewell","text":"bye"})"));
  EXPECT_THAT(reader->Next().value(), IsEmpty());
}

TEST_F(JobManagerWorkersTest, ManyWorkersAtOnceShareTheJobsOut) {
  constexpr int kJobs = 12;
  for (int i = 0; i < kJobs; ++i) state_.CreateJob(Concat("j", i));
  std::vector<std::thread> workers;
  std::atomic<int> finished = 0;
  for (int w = 0; w < 4; ++w) {
    workers.emplace_back([&, id = Concat("w", w)] {
      while (true) {
        const worker::v1::Assignment assignment = state_.TakeJob(id);
        if (!assignment.has_tuning_job()) return;
        EXPECT_EQ(assignment.attempt(), 1);
        const std::string job = assignment.tuning_job().name().substr(11);
        EXPECT_EQ(ActionOf(state_.Report(id, job, 1)), kContinue);
        EXPECT_OK(state_.Succeed(job, 1, job));
        ++finished;
      }
    });
  }
  for (std::thread& worker : workers) worker.join();

  EXPECT_EQ(finished, kJobs);
  EXPECT_EQ(state_.registry->GetPrompt("intent")->num_versions(), kJobs);
}

TEST_F(JobManagerWorkersTest, AResultIsNeverSweptAsItIsTakenIntoUse) {
  state_.clock.JumpWallClock(absl::Hours(24 * 365 * 30));
  for (int i = 0; i < 40; ++i) {
    const std::string id = Concat("j", i);
    state_.CreateJob(id);
    state_.TakeJob("w1");
    const std::string digest = state_.StoreArtifact(id);
    absl::StatusOr<worker::v1::FinishAttemptResponse> finished;
    std::thread worker(
        [&] { finished = jobs().FinishAttempt(MakeSuccess(id, 1, digest)); });
    EXPECT_OK(jobs().SweepArtifacts());
    worker.join();
    if (finished.ok()) {
      ASSERT_OK(state_.artifacts->Verify(digest)) << "round " << i;
    } else {
      // Swept before: the worker sends it again.
      ASSERT_OK(state_.Succeed(id, 1, id));
    }
  }
}

TEST_F(JobManagerWorkersTest, WrongRequestsAreRefusedByName) {
  EXPECT_THAT(jobs().Synchronize({}),
              ReasonIs(Reason::kInvalidField, HasSubstr("worker.id")));
  EXPECT_THAT(jobs().FinishAttempt(MakeFinish("a", 1)),
              ReasonIs(Reason::kInvalidField, HasSubstr("outcome")));
  FinishAttemptRequest request = MakeFinish("a", 1);
  request.mutable_released();
  EXPECT_THAT(jobs().FinishAttempt(request),
              ReasonIs(Reason::kLeaseLost, HasSubstr("tuningJobs/a")));
  request.set_tuning_job("a");
  EXPECT_THAT(jobs().FinishAttempt(request),
              ReasonIs(Reason::kInvalidField, HasSubstr("tuning_job")));
}

TEST_F(JobManagerWorkersTest, TheObserverHearsOfEverything) {
  NotingObserver observer;
  state_.observer = &observer;
  state_.Restart();
  state_.CreateJob("a");
  state_.clock.Advance(absl::Seconds(3));
  state_.TakeJob("w1");
  LoseLease();
  state_.Report("w1", "a", 1);
  state_.TakeJob("w2");
  ASSERT_OK(Fail("a", 2, Reason::kInvalidData));
  EXPECT_THAT(state_.Succeed("a", 1),
              ReasonIs(Reason::kLeaseLost, HasSubstr("attempt 1")));

  EXPECT_THAT(
      observer.notes,
      ElementsAre("granted after 3", "expired", "attempt lost",
                  "fenced Synchronize", "granted after 5", "attempt failed",
                  "job FAILED after 38 with reason", "fenced FinishAttempt"));
}

}  // namespace
}  // namespace attune::server
