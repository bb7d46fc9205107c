#ifndef ATTUNE_WORKER_TUNING_ADAMW_H_
#define ATTUNE_WORKER_TUNING_ADAMW_H_

#include "worker/tuning/optimizer.h"

namespace attune::worker {

// Settings of AdamW.
struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
};

// AdamW (Loshchilov and Hutter 2019), with decoupled weight decay. Its slots
// are "exp_avg" and "exp_avg_sq", both of the tensor's shape.
class AdamW : public Optimizer {
 public:
  explicit AdamW(const AdamWOptions& options) : options_(options) {}

  TensorMap MakeSlots(const at::Tensor& value) const override;
  void Update(const UpdateFacts& facts, const at::Tensor& gradient,
              at::Tensor& value, TensorMap& slots) const override;

 private:
  const AdamWOptions options_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_ADAMW_H_
