#ifndef ATTUNE_WORKER_TUNING_TUNING_COST_H_
#define ATTUNE_WORKER_TUNING_TUNING_COST_H_

#include <functional>

#include "absl/status/statusor.h"
#include "attune/v1/preflight.pb.h"
#include "proto/cc/clock.h"
#include "worker/tuning/job_preparation.h"

namespace attune::worker {

// What training the prepared `job`, which has no faults, would cost. Makes one
// step of the trainer with the longest training rows, as many as a batch or
// 8,192 tokens have, and reckons from its time; what it learns is thrown away.
// Nothing where nothing is trained.
//
// Memory is counted, not measured: what the backward keeps of the largest part
// of that step (micro_batches.h), and of everything that is trained the value,
// its gradient, the best so far and what the optimiser remembers. A version to
// start from is not fetched: other numbers of the same size stand for it.
//
// `before_step` is called before the step and may block. Errors of
// MakeInitialFront, and kOutOfMemory or kNonfiniteLoss of the step.
absl::StatusOr<attune::v1::TuningCost> MeasureTuningCost(
    const PreparedJob& job, const Clock& clock,
    const std::function<void()>& before_step);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_TUNING_COST_H_
