#ifndef ATTUNE_WORKER_TUNING_TRAINER_H_
#define ATTUNE_WORKER_TUNING_TRAINER_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "attune/v1/report.pb.h"
#include "attune/v1/tuning_service.pb.h"
#include "proto/cc/clock.h"
#include "worker/tasks/batch_loss.h"
#include "worker/tasks/prepared_example.h"
#include "worker/tasks/task_program.h"
#include "worker/tuning/attempt.h"
#include "worker/tuning/checkpoint.h"
#include "worker/tuning/data_order.h"
#include "worker/tuning/front_drift.h"
#include "worker/tuning/memory_guard.h"
#include "worker/tuning/optimizer.h"
#include "worker/tuning/progress_tracker.h"

namespace attune::worker {

// What a trainer works with. Everything outlives it.
struct TrainerInput {
  const TaskProgram& program;
  absl::Span<const PreparedExample> train;
  absl::Span<const PreparedExample> validation;
  const attune::v1::TuningJobSpec& spec;  // resolved
  // What training began with, by name, for the drift; empty: not measured.
  TensorMap start = {};
};

// How the gradient of a batch is worked out.
struct GradientOptions {
  // Samples that go through the model at once at most.
  size_t max_samples = std::numeric_limits<size_t>::max();
  LossOptions loss = {};
  // Decides what dropout leaves out.
  uint64_t dropout_seed = 0;
};

// The mean loss of a batch and its gradient.
struct BatchGradient {
  double loss = 0;
  TensorMap gradients;   // as the values: fp32, CPU
  int64_t num_rows = 0;  // that went through the model
};

// Gradient of the mean loss over `batch` with regard to `values`, which are
// named as in TrainingState and belong to the resolved `method`. The prompt of
// a causal model stands in front of all samples once, that of another kind
// before each; the batch is run in several parts only if its rows would go
// beyond `max_rows` or its samples beyond options.max_samples; the mean is over
// the whole batch either way.
absl::StatusOr<BatchGradient> ComputeGradient(
    const TaskProgram& program, const attune::v1::TuningMethod& method,
    const TensorMap& values, absl::Span<const PreparedExample* const> batch,
    int64_t max_rows, const GradientOptions& options = {});

// Trains a prompt and what is learned beside it, from any state on. Runs on one
// thread.
class Trainer {
 public:
  // `clock`, `listener` and `tracker` outlive the trainer.
  Trainer(const TrainerInput& input, const Clock& clock,
          AttemptListener& listener, ProgressTracker& tracker);

  // Makes the steps that are left and validates; afterwards state.Best()
  // is the result. CANCELLED when the listener asked to stop, after handing it
  // a checkpoint; kNonfiniteLoss after 3 steps in a row without a finite loss
  // and gradient, or without a single finite validation; kOutOfMemory when
  // memory does not suffice for a single sample.
  absl::StatusOr<attune::v1::TuningReport::StopReason> Run(
      TrainingState& state);

  // Makes the step that comes, and nothing else: Run is made of these, and who
  // wants to know what a step takes makes one alone. kNonfiniteLoss and
  // kOutOfMemory as above.
  absl::Status Step(TrainingState& state);

 private:
  using StopReason = attune::v1::TuningReport::StopReason;

  // UNSPECIFIED while training goes on.
  StopReason FindStopReason(const TrainingState& state) const;
  bool ValidationIsDue(const TrainingState& state) const;
  absl::Status Validate(TrainingState& state);
  // Takes a validation of the state's values into the best so far and into what
  // early stopping and plateaus count. One that is not finite is never the
  // best.
  void Judge(const attune::v1::EvaluationReport& report, TrainingState& state);
  // Of the step that comes: the same whenever it is tried, in whatever attempt.
  uint64_t DropoutSeed(const TrainingState& state) const;
  // Puts the step's gradient into the state; false if it is not finite.
  bool Apply(BatchGradient& gradient, TrainingState& state, StepFacts& facts);
  absl::Status CountNonfinite(const StepFacts& facts, TrainingState& state);
  absl::Status HandOverCheckpoint(const TrainingState& state);
  bool CheckpointIsDue(const TrainingState& state) const;

  const TrainerInput input_;
  const attune::v1::TrainingConfig& training_;
  const Clock& clock_;
  AttemptListener& listener_;
  ProgressTracker& tracker_;
  MemoryGuard memory_;
  const FrontDrift drift_;
  const std::unique_ptr<const Optimizer> optimizer_;
  DataOrder order_;
  int nonfinite_in_row_ = 0;
  bool checkpoints_too_large_ = false;
  int checkpoint_step_ = 0;  // of the newest checkpoint
  absl::Duration checkpoint_time_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_TRAINER_H_
