#ifndef ATTUNE_WORKER_MODELS_LAYER_NORM_H_
#define ATTUNE_WORKER_MODELS_LAYER_NORM_H_

#include <ATen/core/Tensor.h>

namespace attune::worker {

// Layer normalisation (Ba et al., 2016). Const after construction, thread-safe.
class LayerNorm {
 public:
  LayerNorm() = default;
  // weight, bias: [dim], fp32
  LayerNorm(at::Tensor weight, at::Tensor bias, double epsilon);

  // x: [n, dim] -> [n, dim]; differentiable, also with regard to the
  // weights.
  at::Tensor Forward(const at::Tensor& x) const;

 private:
  at::Tensor weight_;
  at::Tensor bias_;
  double epsilon_ = 0;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_LAYER_NORM_H_
