#ifndef ATTUNE_WORKER_TASKS_BATCH_LOSS_H_
#define ATTUNE_WORKER_TASKS_BATCH_LOSS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace attune::worker {

// The loss of a batch and what it took. The mean loss is sum / weight.
struct BatchLoss {
  at::Tensor sum;        // scalar, fp32, differentiable
  double weight = 0;     // samples, or their answers' tokens or words
  int64_t num_rows = 0;  // that went through the model
};

// How the loss of a batch is worked out in training.
struct LossOptions {
  // The share of the right answer's probability mass that all possible ones get
  // alike.
  double label_smoothing = 0;
  // Runs a causal model's rows that are the same for all samples once. Off
  // where dropout is to differ between samples.
  bool share_beginnings = true;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_BATCH_LOSS_H_
