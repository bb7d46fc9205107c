#ifndef ATTUNE_WORKER_TUNING_PROGRESS_TRACKER_H_
#define ATTUNE_WORKER_TUNING_PROGRESS_TRACKER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "attune/v1/tuning_service.pb.h"
#include "attune/worker/v1/manifest.pb.h"
#include "proto/cc/clock.h"
#include "worker/tuning/attempt.h"

namespace attune::worker {

// How large what is trained is (the 2-norm over all of it), and how far from
// what it began with.
struct FrontNorms {
  double norm = 0;
  double drift = 0;
};

// What one optimiser step was like.
struct StepFacts {
  double loss = 0;
  double learning_rate = 0;
  double grad_norm = 0;
  int64_t num_rows = 0;  // that went through the model
  absl::Duration duration = absl::ZeroDuration();
  bool finite = true;
  std::optional<FrontNorms> front = std::nullopt;  // where it was measured
};

// Keeps the progress of an attempt and tells its listener. Only the training
// thread uses it.
class ProgressTracker {
 public:
  // Both outlive the tracker.
  ProgressTracker(const Clock& clock, AttemptListener& listener);

  // The steps that the job has, and the metric that picks the best checkpoint.
  void SetPlan(int max_steps, int64_t num_train_rows,
               const std::string& metric_name);
  // Takes over the counters of a checkpoint or of the step just made.
  void SetCounters(const v1::CheckpointManifest& counters);

  void EnterPhase(attune::v1::TuningProgress::Phase phase, int64_t total = 0);
  void SetPhaseDone(int64_t done);
  void AddStep(const StepFacts& step, const v1::CheckpointManifest& counters);
  void SetValidation(double metric, const v1::CheckpointManifest& counters);

  const attune::v1::TuningProgress& progress() const { return progress_; }

 private:
  void Tell();
  double RemainingSeconds() const;

  const Clock& clock_;
  AttemptListener& listener_;
  attune::v1::TuningProgress progress_;
  int64_t num_train_rows_ = 0;
  absl::Duration phase_start_;
  absl::Duration training_start_;
  absl::Duration base_evaluation_;  // how long it took; 0: not measured here
  int steps_here_ = 0;              // made by this attempt
  double rows_per_second_ = 0;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_PROGRESS_TRACKER_H_
