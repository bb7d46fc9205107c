#include "worker/agent/attempt_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/testing/fake_clock.h"
#include "worker/models/compute_threads.h"

namespace attune::worker {
namespace {

using attune::v1::TuningProgress;
using testing::ElementsAre;
using testing::IsEmpty;

v1::Assignment MakeAssignment() {
  v1::Assignment assignment;
  assignment.mutable_tuning_job()->set_name("tuningJobs/j");
  assignment.set_attempt(3);
  return assignment;
}

class AttemptSessionTest : public testing::Test {
 protected:
  Metrics metrics_;
  FakeClock clock_;
  TrainMetrics train_{metrics_, clock_};
  ComputeBudget budget_{4};
  TrainingTurns turns_{clock_};
  int wakes_ = 0;
  AttemptSession session_{MakeAssignment(), budget_, turns_, train_,
                          [this] { ++wakes_; }};
};

TEST_F(AttemptSessionTest, ReportsJobAttemptAndProgress) {
  TuningProgress progress;
  progress.set_step(5);
  session_.OnProgress(progress);
  attune::v1::TuningJobSpec spec;
  spec.set_prompt("prompts/p");
  session_.OnResolvedSpec(spec);

  const v1::AttemptState report = session_.Report();

  EXPECT_EQ(report.tuning_job(), "tuningJobs/j");
  EXPECT_EQ(report.attempt(), 3);
  EXPECT_EQ(report.progress().step(), 5);
  EXPECT_EQ(report.resolved_spec().prompt(), "prompts/p");
}

TEST_F(AttemptSessionTest, BeginsAsPreparing) {
  EXPECT_EQ(session_.Report().progress().phase(),
            TuningProgress::PHASE_PREPARING);
  EXPECT_EQ(session_.phase(), AttemptPhase::kTraining);
}

TEST_F(AttemptSessionTest, NoticesAreReportedUntilAcknowledged) {
  session_.OnNotice("one");
  const v1::AttemptState report = session_.Report();
  session_.OnNotice("two");
  EXPECT_THAT(session_.Report().notices(), ElementsAre("one", "two"));

  session_.Acknowledge(report);

  EXPECT_THAT(session_.Report().notices(), ElementsAre("two"));
  EXPECT_EQ(wakes_, 2);
}

TEST_F(AttemptSessionTest, AReportHoldsNoMoreNoticesThanTheServerTakes) {
  for (int i = 0; i < 40; ++i) session_.OnNotice("notice");

  EXPECT_EQ(session_.Report().notices_size(), 32);
}

TEST_F(AttemptSessionTest, TheStrongestCauseOfAStopWins) {
  EXPECT_FALSE(session_.StopRequested());
  session_.RequestStop(StopCause::kCancel);
  session_.RequestStop(StopCause::kDrain);
  EXPECT_EQ(session_.stop_cause(), StopCause::kCancel);

  session_.RequestStop(StopCause::kLeaseLost);

  EXPECT_EQ(session_.stop_cause(), StopCause::kLeaseLost);
  EXPECT_TRUE(session_.StopRequested());
}

TEST_F(AttemptSessionTest, SomeWaitsEndWithTheLeaseOnly) {
  session_.RequestStop(StopCause::kDrain);
  EXPECT_TRUE(session_.WaitForStop(absl::ZeroDuration(), false));
  EXPECT_FALSE(session_.WaitForStop(absl::ZeroDuration(), true));

  session_.RequestStop(StopCause::kLeaseLost);

  EXPECT_TRUE(session_.WaitForStop(absl::InfiniteDuration(), true));
}

TEST_F(AttemptSessionTest, TheNewestCheckpointReplacesOlderOnes) {
  session_.OnCheckpoint({{{"a", "1"}}}, 10);
  session_.OnCheckpoint({{{"a", "2"}}}, 20);

  const auto checkpoint = session_.WaitForCheckpoint();

  ASSERT_TRUE(checkpoint.has_value());
  EXPECT_EQ(checkpoint->step, 20);
  EXPECT_EQ(checkpoint->artifact.files.at("a"), "2");
  EXPECT_FALSE(session_.has_newer_checkpoint());
}

TEST_F(AttemptSessionTest, AStoredCheckpointIsUnreportedUntilAcknowledged) {
  EXPECT_FALSE(session_.checkpoint_unreported());
  session_.CheckpointStored("d1", 10);
  EXPECT_TRUE(session_.checkpoint_unreported());

  const v1::AttemptState report = session_.Report();
  session_.Acknowledge(report);

  EXPECT_EQ(report.checkpoint_digest(), "d1");
  EXPECT_EQ(report.checkpoint_step(), 10);
  EXPECT_FALSE(session_.checkpoint_unreported());
}

TEST_F(AttemptSessionTest, ADroppedCheckpointIsReportedNoMore) {
  session_.CheckpointStored("d1", 10);
  session_.DropCheckpoint("another");
  EXPECT_TRUE(session_.checkpoint_unreported());

  session_.DropCheckpoint("d1");

  EXPECT_FALSE(session_.checkpoint_unreported());
  EXPECT_EQ(session_.Report().checkpoint_digest(), "");
  EXPECT_EQ(session_.Report().checkpoint_step(), 0);
}

TEST_F(AttemptSessionTest, ClosingKeepsOrDropsTheLastCheckpoint) {
  session_.OnCheckpoint({}, 10);
  session_.CloseCheckpoints(/*keep_last=*/true);
  EXPECT_TRUE(session_.WaitForCheckpoint().has_value());
  EXPECT_FALSE(session_.WaitForCheckpoint().has_value());

  session_.OnCheckpoint({}, 20);
  session_.CloseCheckpoints(/*keep_last=*/false);
  EXPECT_FALSE(session_.WaitForCheckpoint().has_value());
}

TEST_F(AttemptSessionTest, EndWakesTheLoopWithTheOutcome) {
  session_.BeginPublishing();
  EXPECT_EQ(session_.phase(), AttemptPhase::kPublishing);
  EXPECT_EQ(session_.Report().progress().phase(),
            TuningProgress::PHASE_UPLOADING);
  v1::FinishAttemptRequest outcome;
  outcome.set_tuning_job("tuningJobs/j");

  session_.End(outcome);

  EXPECT_EQ(session_.phase(), AttemptPhase::kEnded);
  EXPECT_EQ(session_.outcome()->tuning_job(), "tuningJobs/j");
  EXPECT_EQ(wakes_, 1);
}

TEST_F(AttemptSessionTest, StepsFollowTheComputeBudget) {
  const auto serving = budget_.Serve();
  int threads = 0;

  std::thread training([&] {
    session_.BeforeStep();
    threads = ComputeThreads();
  });
  training.join();

  EXPECT_EQ(threads, 3);
}

TEST_F(AttemptSessionTest, AStopNeedNotWaitUntilOthersHaveHadAsMuchTime) {
  AttemptSession other(MakeAssignment(), budget_, turns_, train_, [] {});
  session_.BeforeStep();
  std::thread training([&] {
    other.BeforeStep();  // joins with as much time as the session has
    while (turns_.num_waiting() == 0) std::this_thread::yield();
    clock_.Advance(absl::Seconds(1));
    session_.RequestStop(StopCause::kLeaseLost);
    other.BeforeStep();  // would go on for the hour that the session is ahead
    EXPECT_EQ(session_.phase(), AttemptPhase::kEnded);
    other.EndComputing();
  });
  while (turns_.num_waiting() == 0) std::this_thread::yield();
  clock_.Advance(absl::Hours(1));
  session_.BeforeStep();
  EXPECT_TRUE(session_.StopRequested());
  session_.End(std::nullopt);
  session_.EndComputing();
  training.join();
}

TEST_F(AttemptSessionTest, OneComputesAtATimeUntilItHasEnded) {
  AttemptSession other(MakeAssignment(), budget_, turns_, train_, [] {});
  session_.BeforeStep();
  std::atomic<bool> computes = false;
  std::thread training([&] {
    other.BeforeStep();
    computes = true;
    other.EndComputing();
  });
  while (turns_.num_waiting() == 0) std::this_thread::yield();
  EXPECT_FALSE(computes);

  session_.EndComputing();
  training.join();

  EXPECT_TRUE(computes);
}

TEST_F(AttemptSessionTest, TheResolvedSpecIsReportedUntilAcknowledged) {
  attune::v1::TuningJobSpec spec;
  spec.set_prompt("prompts/p");
  session_.OnResolvedSpec(spec);
  const v1::AttemptState report = session_.Report();
  EXPECT_EQ(session_.Report().resolved_spec().prompt(), "prompts/p");

  session_.Acknowledge(report);
  EXPECT_FALSE(session_.Report().has_resolved_spec());

  spec.set_prompt("prompts/q");
  session_.OnResolvedSpec(spec);
  session_.Acknowledge(report);
  EXPECT_EQ(session_.Report().resolved_spec().prompt(), "prompts/q")
      << "another one than was reported";
}

}  // namespace
}  // namespace attune::worker
