#ifndef ATTUNE_WORKER_TASKS_BATCH_LOSS_H_
#define ATTUNE_WORKER_TASKS_BATCH_LOSS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace attune::worker {

// The loss of a batch and what it took. The mean loss is sum / weight.
struct BatchLoss {
  at::Tensor sum;        // scalar, fp32, differentiable
  double weight = 0;     // samples, or answer tokens of a generation
  int64_t num_rows = 0;  // that went through the model
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_BATCH_LOSS_H_
