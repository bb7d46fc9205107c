#ifndef ATTUNE_WORKER_MODELS_CLASSIFIER_HEAD_H_
#define ATTUNE_WORKER_MODELS_CLASSIFIER_HEAD_H_

#include <ATen/core/Tensor.h>
#include <ATen/ops/linear.h>

namespace attune::worker {

// A linear output layer over one row per input. A value: whoever trains it
// holds tensors that ask for gradients.
struct ClassifierHead {
  at::Tensor weight;  // [labels, dim], fp32
  at::Tensor bias;    // [labels], fp32

  bool defined() const { return weight.defined(); }
  int64_t num_labels() const { return weight.size(0); }

  // rows: [n, dim] -> [n, labels]; differentiable with regard to all three.
  at::Tensor Logits(const at::Tensor& rows) const {
    return at::linear(rows, weight, bias);
  }
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_CLASSIFIER_HEAD_H_
