// Leases and reports of attempts.

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "server/jobs/job_manager.h"
#include "server/store/row_store.h"
#include "tests/server/jobs/job_workers_fixture.h"
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

class JobManagerWorkersTest : public JobWorkersFixture {};

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
