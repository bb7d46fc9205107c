#ifndef ATTUNE_WORKER_TUNING_SCHEDULE_H_
#define ATTUNE_WORKER_TUNING_SCHEDULE_H_

#include "attune/v1/training.pb.h"

namespace attune::worker {

// What the largest learning rate is multiplied with in step `step`, counted
// from 0: it rises in a straight line over `warmup_steps` and reaches 1 in the
// last of them, then goes on as `schedule` says, towards 0 at `max_steps`.
double LearningRateFactor(
    attune::v1::TrainingConfig::LearningRateSchedule schedule, int step,
    int warmup_steps, int max_steps);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_SCHEDULE_H_
