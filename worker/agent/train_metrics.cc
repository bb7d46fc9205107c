#include "worker/agent/train_metrics.h"

#include <algorithm>

namespace attune::worker {
namespace {

constexpr char kCheckpointsHelp[] = "Checkpoints by whether they were stored.";

}  // namespace

TrainMetrics::TrainMetrics(Metrics& metrics, const Clock& clock)
    : clock_(clock),
      steps_(metrics.Counter("attune_train_steps_total", "Optimiser steps.")),
      tokens_(
          metrics.Counter("attune_train_tokens_total",
                          "Tokens through the model in training, prompt rows "
                          "included.")),
      step_seconds_(metrics.MakeHistogram(
          "attune_train_step_seconds", "Time of one optimiser step.",
          {0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30})),
      nonfinite_steps_(metrics.Counter(
          "attune_train_nonfinite_steps_total",
          "Steps left out because loss or gradient was not finite.")),
      checkpoints_stored_(metrics.Counter(
          "attune_checkpoints_total", kCheckpointsHelp, {{"result", "ok"}})),
      checkpoints_failed_(metrics.Counter(
          "attune_checkpoints_total", kCheckpointsHelp, {{"result", "error"}})),
      checkpoint_seconds_(metrics.MakeHistogram(
          "attune_checkpoint_seconds",
          "Time to store a checkpoint on the server.",
          {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30})),
      last_checkpoint_(
          metrics.MakeGauge("attune_checkpoint_last_timestamp_seconds",
                            "When the newest checkpoint was stored.")),
      last_progress_(
          metrics.MakeGauge("attune_worker_last_progress_timestamp_seconds",
                            "When a running job last made progress.")),
      active_jobs_(metrics.MakeGauge("attune_worker_active_jobs",
                                     "Tuning jobs that run here.")) {}

void TrainMetrics::CountProgress(const attune::v1::TuningProgress& before,
                                 const attune::v1::TuningProgress& now,
                                 absl::Duration duration) {
  last_progress_.Set(absl::ToDoubleSeconds(clock_.Now() - absl::UnixEpoch()));
  if (before.phase() != now.phase()) {
    return;
  }
  const int steps = now.step() - before.step();
  if (steps > 0) {
    steps_.Increment(steps);
    step_seconds_.Observe(absl::ToDoubleSeconds(duration));
  }
  tokens_.Increment(static_cast<double>(std::max<int64_t>(
      0, now.num_trained_tokens() - before.num_trained_tokens())));
  nonfinite_steps_.Increment(
      std::max(0, now.num_nonfinite_steps() - before.num_nonfinite_steps()));
}

void TrainMetrics::CountCheckpoint(bool stored, absl::Duration duration) {
  (stored ? checkpoints_stored_ : checkpoints_failed_).Increment();
  if (stored) {
    checkpoint_seconds_.Observe(absl::ToDoubleSeconds(duration));
    last_checkpoint_.Set(
        absl::ToDoubleSeconds(clock_.Now() - absl::UnixEpoch()));
  }
}

void TrainMetrics::AddActiveJobs(int change) { active_jobs_.Add(change); }

}  // namespace attune::worker
