#include "worker/agent/train_metrics.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/testing/fake_clock.h"

namespace attune::worker {
namespace {

class TrainMetricsTest : public testing::Test {
 protected:
  double Value(const std::string& name, const std::string& label = "") {
    for (const auto& family : metrics_.Collect()) {
      if (family.name != name) continue;
      for (const auto& metric : family.metric) {
        if (!label.empty() && metric.label.at(0).value != label) continue;
        switch (family.type) {
          case prometheus::MetricType::Counter:
            return metric.counter.value;
          case prometheus::MetricType::Histogram:
            return metric.histogram.sample_sum;
          default:
            return metric.gauge.value;
        }
      }
    }
    return -1;
  }

  Metrics metrics_;
  FakeClock clock_;
  TrainMetrics train_{metrics_, clock_};
};

TEST_F(TrainMetricsTest, CountsWhatHappenedBetweenTwoReports) {
  attune::v1::TuningProgress before;
  before.set_step(10);
  before.set_num_trained_tokens(1000);
  before.set_num_nonfinite_steps(1);
  attune::v1::TuningProgress now;
  now.set_step(11);
  now.set_num_trained_tokens(1100);
  now.set_num_nonfinite_steps(2);

  train_.CountProgress(before, now, absl::Milliseconds(1500));

  EXPECT_EQ(Value("attune_train_steps_total"), 1);
  EXPECT_EQ(Value("attune_train_tokens_total"), 100);
  EXPECT_EQ(Value("attune_train_nonfinite_steps_total"), 1);
  EXPECT_EQ(Value("attune_train_step_seconds"), 1.5);
  EXPECT_EQ(Value("attune_worker_last_progress_timestamp_seconds"), 1704067200);
}

TEST_F(TrainMetricsTest, AReportWithoutAStepCountsNone) {
  train_.CountProgress({}, {}, absl::Seconds(1));

  EXPECT_EQ(Value("attune_train_steps_total"), 0);
  EXPECT_EQ(Value("attune_train_step_seconds"), 0);
}

TEST_F(TrainMetricsTest, CountsCheckpointsByResult) {
  train_.CountCheckpoint(/*stored=*/true, absl::Milliseconds(250));
  train_.CountCheckpoint(/*stored=*/false, absl::Seconds(9));

  EXPECT_EQ(Value("attune_checkpoints_total", "ok"), 1);
  EXPECT_EQ(Value("attune_checkpoints_total", "error"), 1);
  EXPECT_EQ(Value("attune_checkpoint_seconds"), 0.25);
  EXPECT_EQ(Value("attune_checkpoint_last_timestamp_seconds"), 1704067200);
}

TEST_F(TrainMetricsTest, ShowsHowManyJobsRun) {
  EXPECT_EQ(Value("attune_worker_active_jobs"), 0);
  train_.AddActiveJobs(1);
  train_.AddActiveJobs(1);
  EXPECT_EQ(Value("attune_worker_active_jobs"), 2);
  train_.AddActiveJobs(-1);
  EXPECT_EQ(Value("attune_worker_active_jobs"), 1);
}

TEST_F(TrainMetricsTest, StepsOfTheAttemptsBeforeAreNotCountedAgain) {
  attune::v1::TuningProgress before;
  before.set_phase(attune::v1::TuningProgress::PHASE_PREPARING);
  attune::v1::TuningProgress now;
  now.set_phase(attune::v1::TuningProgress::PHASE_TRAINING);
  now.set_step(100);
  now.set_num_trained_tokens(1000);
  now.set_num_nonfinite_steps(1);

  train_.CountProgress(before, now, absl::Seconds(1));

  EXPECT_EQ(Value("attune_train_steps_total"), 0);
  EXPECT_EQ(Value("attune_train_tokens_total"), 0);
  EXPECT_EQ(Value("attune_train_nonfinite_steps_total"), 0);
  EXPECT_EQ(Value("attune_worker_last_progress_timestamp_seconds"), 1704067200);
}

}  // namespace
}  // namespace attune::worker
