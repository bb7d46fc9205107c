#include "worker/tuning/progress_tracker.h"

#include <algorithm>

namespace attune::worker {
namespace {

using attune::v1::TuningProgress;

constexpr int kStepsBeforeEstimate = 10;
// Weight of the newest step in the running mean of the speed.
constexpr double kNewestPace = 0.1;

bool IsTraining(TuningProgress::Phase phase) {
  return phase == TuningProgress::PHASE_TRAINING ||
         phase == TuningProgress::PHASE_VALIDATING;
}

}  // namespace

ProgressTracker::ProgressTracker(const Clock& clock, AttemptListener& listener)
    : clock_(clock),
      listener_(listener),
      phase_start_(clock.Monotonic()),
      training_start_(phase_start_) {}

void ProgressTracker::SetPlan(int max_steps, int64_t num_train_rows,
                              const std::string& metric_name) {
  progress_.set_max_steps(max_steps);
  progress_.set_validation_metric_name(metric_name);
  num_train_rows_ = num_train_rows;
}

void ProgressTracker::SetCounters(const v1::CheckpointManifest& counters) {
  progress_.set_step(counters.step());
  progress_.set_epoch(
      static_cast<double>(counters.rows_taken()) /
      static_cast<double>(std::max<int64_t>(1, num_train_rows_)));
  progress_.set_loss(counters.smoothed_loss());
  progress_.set_num_trained_tokens(counters.num_trained_tokens());
  progress_.set_num_nonfinite_steps(counters.num_nonfinite_steps());
  if (counters.has_best()) {
    progress_.set_best_validation_metric(counters.best_metric());
    progress_.set_best_step(counters.best_step());
  }
}

void ProgressTracker::EnterPhase(TuningProgress::Phase phase, int64_t total) {
  const absl::Duration now = clock_.Monotonic();
  if (progress_.phase() == TuningProgress::PHASE_EVALUATING_BASE) {
    base_evaluation_ = now - phase_start_;
  }
  if (IsTraining(phase) && !IsTraining(progress_.phase())) {
    training_start_ = now;
  }
  phase_start_ = now;
  progress_.set_phase(phase);
  progress_.set_phase_done(0);
  progress_.set_phase_total(total);
  Tell();
}

void ProgressTracker::SetPhaseDone(int64_t done) {
  progress_.set_phase_done(done);
  Tell();
}

void ProgressTracker::AddStep(const StepFacts& step,
                              const v1::CheckpointManifest& counters) {
  ++steps_here_;
  const double seconds = absl::ToDoubleSeconds(step.duration);
  if (seconds > 0) {
    const double pace = static_cast<double>(step.num_rows) / seconds;
    rows_per_second_ =
        rows_per_second_ == 0
            ? pace
            : rows_per_second_ + kNewestPace * (pace - rows_per_second_);
  }
  SetCounters(counters);
  progress_.set_learning_rate(step.learning_rate);
  if (step.finite) progress_.set_grad_norm(step.grad_norm);
  if (step.front.has_value()) {
    progress_.set_prompt_norm(step.front->norm);
    progress_.set_prompt_drift(step.front->drift);
  }
  progress_.set_tokens_per_second(rows_per_second_);
  Tell();
}

void ProgressTracker::SetValidation(double metric,
                                    const v1::CheckpointManifest& counters) {
  progress_.set_validation_metric(metric);
  SetCounters(counters);
  Tell();
}

void ProgressTracker::Tell() {
  progress_.set_remaining_seconds(RemainingSeconds());
  listener_.OnProgress(progress_);
}

double ProgressTracker::RemainingSeconds() const {
  const absl::Duration now = clock_.Monotonic();
  // The tuned evaluation takes about as long as the base's.
  if (progress_.phase() == TuningProgress::PHASE_EVALUATING_TUNED) {
    return std::max(
        0.0, absl::ToDoubleSeconds(base_evaluation_ - (now - phase_start_)));
  }
  if (!IsTraining(progress_.phase()) || steps_here_ < kStepsBeforeEstimate) {
    return 0;
  }
  const double per_step =
      absl::ToDoubleSeconds(now - training_start_) / steps_here_;
  return per_step * (progress_.max_steps() - progress_.step()) +
         absl::ToDoubleSeconds(base_evaluation_);
}

}  // namespace attune::worker
