#ifndef ATTUNE_WORKER_TUNING_TRAINING_DEFAULTS_H_
#define ATTUNE_WORKER_TUNING_TRAINING_DEFAULTS_H_

#include "attune/v1/method.pb.h"
#include "attune/v1/task.pb.h"
#include "attune/v1/training.pb.h"
#include "proto/cc/status.h"
#include "worker/tuning/defaults.h"

namespace attune::worker {

// Fills in every default of `training` but its precision, as the protos say,
// for a resolved `method` and `task`. Fields of another optimiser or schedule
// than the chosen one stay unset. Adds a violation for every field (as
// "spec.training.<path>") that is out of its range or has no use.
void ResolveTraining(const attune::v1::TuningMethod& method,
                     const attune::v1::TaskSpec& task, const JobFacts& facts,
                     attune::v1::TrainingConfig& training,
                     FieldViolations& violations);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_TRAINING_DEFAULTS_H_
