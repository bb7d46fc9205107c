#include "worker/tuning/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace attune::worker {

double LearningRateFactor(
    attune::v1::TrainingConfig::LearningRateSchedule schedule, int step,
    int warmup_steps, int max_steps) {
  using attune::v1::TrainingConfig;
  if (step < warmup_steps) {
    return static_cast<double>(step + 1) / warmup_steps;
  }
  const double done = static_cast<double>(step - warmup_steps) /
                      std::max(1, max_steps - warmup_steps);
  switch (schedule) {
    case TrainingConfig::LEARNING_RATE_SCHEDULE_CONSTANT:
      return 1;
    case TrainingConfig::LEARNING_RATE_SCHEDULE_COSINE:
      return std::max(0.0, 0.5 * (1 + std::cos(std::numbers::pi * done)));
    default:
      return std::max(0.0, 1 - done);
  }
}

}  // namespace attune::worker
