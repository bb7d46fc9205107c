#ifndef ATTUNE_WORKER_TUNING_ADAFACTOR_H_
#define ATTUNE_WORKER_TUNING_ADAFACTOR_H_

#include "worker/tuning/optimizer.h"

namespace attune::worker {

// Settings of Adafactor.
struct AdafactorOptions {
  double decay_rate = -0.8;      // below 0
  double clip_threshold = 1;     // above 0
  bool scale_parameter = false;  // whether steps are relative to the values
};

// Adafactor (Shazeer and Stern 2018) without a first moment, at the learning
// rate that it is given, with decoupled weight decay. A tensor of two or more
// dimensions has the slots "row" and "column": means of its squared gradients
// over the last dimension and over the last but one. One of one dimension has
// the slot "exp_avg_sq", of its shape.
class Adafactor : public Optimizer {
 public:
  explicit Adafactor(const AdafactorOptions& options) : options_(options) {}

  TensorMap MakeSlots(const at::Tensor& value) const override;
  void Update(const UpdateFacts& facts, const at::Tensor& gradient,
              at::Tensor& value, TensorMap& slots) const override;

 private:
  const AdafactorOptions options_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_ADAFACTOR_H_
