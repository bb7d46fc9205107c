#ifndef ATTUNE_WORKER_TUNING_SGD_H_
#define ATTUNE_WORKER_TUNING_SGD_H_

#include "worker/tuning/optimizer.h"

namespace attune::worker {

// Gradient descent with momentum (Polyak 1964) as PyTorch defines it: the
// direction is momentum times the last one plus the gradient, and weight decay
// is coupled, so it is part of the gradient. Its slot is "momentum", of the
// tensor's shape; without momentum there is none.
class Sgd : public Optimizer {
 public:
  // momentum: at least 0, below 1.
  explicit Sgd(double momentum) : momentum_(momentum) {}

  TensorMap MakeSlots(const at::Tensor& value) const override;
  void Update(const UpdateFacts& facts, const at::Tensor& gradient,
              at::Tensor& value, TensorMap& slots) const override;

 private:
  const double momentum_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_SGD_H_
