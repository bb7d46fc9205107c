#ifndef ATTUNE_WORKER_TUNING_ADAMW_H_
#define ATTUNE_WORKER_TUNING_ADAMW_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "absl/types/span.h"

namespace attune::worker {

// Settings of AdamW.
struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
};

// One update of AdamW (Loshchilov and Hutter 2019) in place. All tensors are
// fp32 on the CPU and of one shape. `update`: how many updates there are with
// this one, from 1.
void AdamWUpdate(const AdamWOptions& options, double learning_rate,
                 int64_t update, const at::Tensor& gradient,
                 at::Tensor& parameters, at::Tensor& exp_avg,
                 at::Tensor& exp_avg_sq);

// Scales all `gradients` down alike so that the 2-norm of all their elements
// together is at most `max_norm` (0: never); returns the norm they had.
double ClipGradients(absl::Span<at::Tensor> gradients, double max_norm);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_ADAMW_H_
