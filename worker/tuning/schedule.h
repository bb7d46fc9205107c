#ifndef ATTUNE_WORKER_TUNING_SCHEDULE_H_
#define ATTUNE_WORKER_TUNING_SCHEDULE_H_

#include "attune/v1/training.pb.h"
#include "attune/worker/v1/manifest.pb.h"

namespace attune::worker {

// The steps of the warm-up of a resolved config.
int WarmupSteps(const attune::v1::TrainingConfig& training);

// What the largest learning rates are multiplied with in step `step`, counted
// from 0, of a resolved config: it rises in a straight line over the warm-up
// and reaches 1 in its last step, then goes on as the schedule says. `plateau`
// counts where that depends on validations.
double LearningRateFactor(const attune::v1::TrainingConfig& training, int step,
                          const v1::PlateauState& plateau = {});

// Takes a validation into `plateau`: counts it if `metric` is not better than
// the last that was, by more than early_stopping.min_delta, and lowers the
// learning rate once there are plateau_patience of them. A metric that is not
// finite is never better. lower_is_better: as for a loss.
void AddValidation(const attune::v1::TrainingConfig& training, double metric,
                   bool lower_is_better, v1::PlateauState& plateau);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_SCHEDULE_H_
