#include "worker/tuning/progress_tracker.h"

#include <gtest/gtest.h>

#include "tests/testing/fake_clock.h"
#include "tests/worker/tuning/recording_listener.h"

namespace attune::worker {
namespace {

using attune::v1::TuningProgress;

class ProgressTrackerTest : public testing::Test {
 protected:
  // Makes a step of two seconds.
  void Step(double loss) {
    clock_.Advance(absl::Seconds(2));
    counters_.set_step(counters_.step() + 1);
    counters_.set_rows_taken(counters_.rows_taken() + 4);
    counters_.set_smoothed_loss(loss);
    tracker_.AddStep({.loss = loss,
                      .learning_rate = 0.5,
                      .grad_norm = 3,
                      .num_rows = 100,
                      .duration = absl::Seconds(2),
                      .front = FrontNorms{.norm = 7, .drift = 0.25}},
                     counters_);
  }

  FakeClock clock_;
  RecordingListener listener_;
  ProgressTracker tracker_{clock_, listener_};
  v1::CheckpointManifest counters_;
};

TEST_F(ProgressTrackerTest, TellsOfEveryStep) {
  tracker_.SetPlan(20, /*num_train_rows=*/8, "accuracy");
  tracker_.EnterPhase(TuningProgress::PHASE_TRAINING);
  Step(0.7);

  const TuningProgress& progress = listener_.reports.back();
  EXPECT_EQ(listener_.reports.size(), 2u);
  EXPECT_EQ(progress.step(), 1);
  EXPECT_EQ(progress.max_steps(), 20);
  EXPECT_DOUBLE_EQ(progress.epoch(), 0.5);
  EXPECT_DOUBLE_EQ(progress.loss(), 0.7);
  EXPECT_DOUBLE_EQ(progress.learning_rate(), 0.5);
  EXPECT_DOUBLE_EQ(progress.grad_norm(), 3);
  EXPECT_DOUBLE_EQ(progress.tokens_per_second(), 50);
  EXPECT_DOUBLE_EQ(progress.prompt_norm(), 7);
  EXPECT_DOUBLE_EQ(progress.prompt_drift(), 0.25);
  EXPECT_EQ(progress.validation_metric_name(), "accuracy");
}

TEST_F(ProgressTrackerTest, EstimatesTheTimeLeftAfterTenSteps) {
  tracker_.SetPlan(20, 8, "accuracy");
  tracker_.EnterPhase(TuningProgress::PHASE_TRAINING);
  for (int i = 0; i < 9; ++i) Step(1);
  EXPECT_DOUBLE_EQ(listener_.reports.back().remaining_seconds(), 0);

  Step(1);

  EXPECT_DOUBLE_EQ(listener_.reports.back().remaining_seconds(), 20);
}

TEST_F(ProgressTrackerTest, ValidationsAndTheLastEvaluationCountToo) {
  tracker_.SetPlan(20, 8, "accuracy");
  tracker_.EnterPhase(TuningProgress::PHASE_EVALUATING_BASE, 30);
  clock_.Advance(absl::Seconds(7));
  tracker_.EnterPhase(TuningProgress::PHASE_TRAINING);
  for (int i = 0; i < 10; ++i) Step(1);
  tracker_.EnterPhase(TuningProgress::PHASE_VALIDATING, 5);
  clock_.Advance(absl::Seconds(10));
  tracker_.EnterPhase(TuningProgress::PHASE_TRAINING);

  // 30 seconds for 10 steps, so 30 for the other 10, and 7 at the end.
  EXPECT_DOUBLE_EQ(listener_.reports.back().remaining_seconds(), 37);
}

TEST_F(ProgressTrackerTest, CountsTheRowsOfAnEvaluation) {
  tracker_.EnterPhase(TuningProgress::PHASE_EVALUATING_BASE, 30);
  tracker_.SetPhaseDone(12);
  EXPECT_EQ(listener_.reports.back().phase_done(), 12);
  EXPECT_EQ(listener_.reports.back().phase_total(), 30);

  tracker_.EnterPhase(TuningProgress::PHASE_TRAINING);

  EXPECT_EQ(listener_.reports.back().phase_done(), 0);
  EXPECT_EQ(listener_.reports.back().phase_total(), 0);
}

TEST_F(ProgressTrackerTest, ShowsNewestAndBestValidation) {
  counters_.set_has_best(true);
  counters_.set_best_metric(0.9);
  counters_.set_best_step(10);

  tracker_.SetValidation(0.8, counters_);

  EXPECT_DOUBLE_EQ(listener_.reports.back().validation_metric(), 0.8);
  EXPECT_DOUBLE_EQ(listener_.reports.back().best_validation_metric(), 0.9);
  EXPECT_EQ(listener_.reports.back().best_step(), 10);
}

TEST_F(ProgressTrackerTest, AResumedAttemptShowsWhereItStands) {
  tracker_.SetPlan(20, 8, "accuracy");
  counters_.set_step(15);
  counters_.set_rows_taken(60);
  tracker_.SetCounters(counters_);
  tracker_.EnterPhase(TuningProgress::PHASE_TRAINING);

  EXPECT_EQ(listener_.reports.back().step(), 15);
  EXPECT_DOUBLE_EQ(listener_.reports.back().epoch(), 7.5);
}

}  // namespace
}  // namespace attune::worker
