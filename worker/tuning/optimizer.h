#ifndef ATTUNE_WORKER_TUNING_OPTIMIZER_H_
#define ATTUNE_WORKER_TUNING_OPTIMIZER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "attune/v1/training.pb.h"
#include "worker/models/safetensors.h"

namespace attune::worker {

// What an update is made with beside the tensors.
struct UpdateFacts {
  double learning_rate = 0;
  double weight_decay = 0;
  int64_t update = 1;  // how many there are with this one, from 1
};

// A rule that moves a tensor along its gradient. What it remembers of a tensor
// lies in named slots beside the tensor, so that a checkpoint can hold it; the
// optimiser itself is const and may be used on any thread.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  // The slots of `value` before its first update, by name: zeros of at least
  // one dimension, fp32, on the CPU.
  virtual TensorMap MakeSlots(const at::Tensor& value) const = 0;

  // One update of `value` and its slots in place. All tensors are fp32 on the
  // CPU; gradient: of the shape of `value`, finite.
  virtual void Update(const UpdateFacts& facts, const at::Tensor& gradient,
                      at::Tensor& value, TensorMap& slots) const = 0;
};

// The optimiser of a resolved config.
std::unique_ptr<const Optimizer> MakeOptimizer(
    const attune::v1::TrainingConfig& training);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_OPTIMIZER_H_
