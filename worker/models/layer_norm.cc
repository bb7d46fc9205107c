#include "worker/models/layer_norm.h"

#include <ATen/ops/layer_norm.h>

#include <utility>

namespace attune::worker {

LayerNorm::LayerNorm(at::Tensor weight, at::Tensor bias, double epsilon)
    : weight_(std::move(weight)), bias_(std::move(bias)), epsilon_(epsilon) {}

at::Tensor LayerNorm::Forward(const at::Tensor& x) const {
  return at::layer_norm(x, {x.size(-1)}, weight_, bias_, epsilon_);
}

}  // namespace attune::worker
