#ifndef ATTUNE_WORKER_MODELS_FROZEN_LINEAR_H_
#define ATTUNE_WORKER_MODELS_FROZEN_LINEAR_H_

#include <ATen/core/Tensor.h>

namespace attune::worker {

// y = x W^T + b with weights that never change: nothing is saved for backward,
// which is dx = dy W. Rows go in and come out as fp32; the product runs in the
// weight's dtype where the device multiplies it in hardware. On a CPU without
// bf16 products, bf16 weights are widened to fp32 block by block as they are
// used, which costs a few per cent and is several times faster than LibTorch's
// bf16 fallback. Const after construction, thread-safe.
class FrozenLinear {
 public:
  FrozenLinear() = default;
  // weight: [out, in], fp32 or bf16, contiguous.
  // bias: [out], fp32; undefined for none.
  explicit FrozenLinear(at::Tensor weight, at::Tensor bias = {});

  // x: [n, in] -> [n, out]
  at::Tensor Forward(const at::Tensor& x) const;

  const at::Tensor& weight() const { return weight_; }
  const at::Tensor& bias() const { return bias_; }

 private:
  at::Tensor weight_;
  at::Tensor bias_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_FROZEN_LINEAR_H_
