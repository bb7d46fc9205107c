#include "worker/tuning/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace attune::worker {
namespace {

using attune::v1::TrainingConfig;

// The time scale of the inverse square root without a warm-up.
constexpr int kDefaultTimeScale = 10'000;

// Multiplied one by one, so that it is what was used before a resume.
double PlateauFactor(const TrainingConfig& training,
                     const v1::PlateauState& plateau) {
  const double least = training.plateau_min_factor().value();
  double factor = 1;
  for (int i = 0; i < plateau.num_reductions() && factor > least; ++i) {
    factor = std::max(least, factor * training.plateau_factor().value());
  }
  return factor;
}

}  // namespace

int WarmupSteps(const TrainingConfig& training) {
  if (training.has_warmup_steps()) return training.warmup_steps().value();
  return static_cast<int>(
      std::ceil(training.warmup_ratio().value() * training.max_steps()));
}

double LearningRateFactor(const TrainingConfig& training, int step,
                          const v1::PlateauState& plateau) {
  const int warmup = WarmupSteps(training);
  const double rise =
      step < warmup ? static_cast<double>(step + 1) / warmup : 1;
  if (training.learning_rate_schedule() ==
      TrainingConfig::LEARNING_RATE_SCHEDULE_REDUCE_ON_PLATEAU) {
    return rise * PlateauFactor(training, plateau);
  }
  if (step < warmup) return rise;
  const int since = step - warmup;
  const double left =
      std::max(0.0, 1 - static_cast<double>(since) /
                            std::max(1, training.max_steps() - warmup));
  switch (training.learning_rate_schedule()) {
    case TrainingConfig::LEARNING_RATE_SCHEDULE_CONSTANT:
      return 1;
    case TrainingConfig::LEARNING_RATE_SCHEDULE_COSINE:
      return 0.5 * (1 + std::cos(std::numbers::pi * (1 - left)));
    case TrainingConfig::LEARNING_RATE_SCHEDULE_POLYNOMIAL: {
      const double end = training.polynomial_end_factor().value();
      return end +
             (1 - end) * std::pow(left, training.polynomial_power().value());
    }
    case TrainingConfig::LEARNING_RATE_SCHEDULE_INVERSE_SQUARE_ROOT: {
      const double scale = warmup > 0 ? warmup : kDefaultTimeScale;
      return 1 / std::sqrt((since + scale) / scale);
    }
    default:
      return left;
  }
}

void AddValidation(const TrainingConfig& training, double metric,
                   bool lower_is_better, v1::PlateauState& plateau) {
  const double delta = training.early_stopping().min_delta();
  const double best = plateau.best_metric();
  const bool better =
      std::isfinite(metric) &&
      (!plateau.has_best() ||
       (lower_is_better ? metric < best - delta : metric > best + delta));
  if (better) {
    plateau.set_has_best(true);
    plateau.set_best_metric(metric);
    plateau.set_validations_without_improvement(0);
    return;
  }
  const int without = plateau.validations_without_improvement() + 1;
  const bool falls = without >= training.plateau_patience();
  plateau.set_validations_without_improvement(falls ? 0 : without);
  if (falls) plateau.set_num_reductions(plateau.num_reductions() + 1);
}

}  // namespace attune::worker
