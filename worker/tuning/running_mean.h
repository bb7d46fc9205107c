#ifndef ATTUNE_WORKER_TUNING_RUNNING_MEAN_H_
#define ATTUNE_WORKER_TUNING_RUNNING_MEAN_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "attune/v1/training.pb.h"

namespace attune::worker {

// A mean over the newest values of what is trained (Polyak and Juditsky 1992,
// with exponential weights). The values themselves jump about where they would
// come to rest as long as the learning rate is large, and their mean does not.

// Whether a resolved config asks for one.
bool HasRunningMean(const attune::v1::TrainingConfig& training);

// The share of the mean that is kept when the values after update `update`,
// counted from 1, are taken in: `ema_decay`, at the beginning less, so that the
// values training began with are forgotten soon and the mean is over more
// values the more there are (polynomial-decay averaging, Shamir and Zhang
// 2013).
double KeptShareOfMean(double ema_decay, int64_t update);

// Takes the values after that update into `mean`, which has their shape.
void AddToRunningMean(double ema_decay, int64_t update, const at::Tensor& value,
                      at::Tensor& mean);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_RUNNING_MEAN_H_
