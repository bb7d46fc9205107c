#include "worker/tuning/running_mean.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

namespace attune::worker {

bool HasRunningMean(const attune::v1::TrainingConfig& training) {
  return training.ema_decay().value() > 0;
}

double KeptShareOfMean(double ema_decay, int64_t update) {
  const auto made = static_cast<double>(update);
  return std::min(ema_decay, made / (made + 9));
}

void AddToRunningMean(double ema_decay, int64_t update, const at::Tensor& value,
                      at::Tensor& mean) {
  const at::NoGradGuard no_grad;
  mean.lerp_(value, 1 - KeptShareOfMean(ema_decay, update));
}

}  // namespace attune::worker
