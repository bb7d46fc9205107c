#include "tests/worker/models/gradients.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Generator.h>
#include <ATen/ops/randn.h>
#include <c10/core/GradMode.h>

namespace attune::worker {

at::Tensor RandomTensor(std::vector<int64_t> shape, uint64_t seed,
                        at::ScalarType dtype) {
  return at::randn(shape, at::detail::createCPUGenerator(seed),
                   at::TensorOptions().dtype(dtype));
}

std::vector<at::Tensor> Gradients(
    const std::function<at::Tensor(const std::vector<at::Tensor>&)>& function,
    const std::vector<at::Tensor>& inputs) {
  at::AutoGradMode grad(true);
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& input : inputs) {
    leaves.push_back(input.detach().clone().requires_grad_(true));
  }
  const at::Tensor out = function(leaves);
  const at::Tensor weights =
      RandomTensor(out.sizes().vec(), /*seed=*/99, out.scalar_type());
  (out * weights).sum().backward();
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& leaf : leaves) gradients.push_back(leaf.grad());
  return gradients;
}

double RelativeDifference(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor wide_a = a.detach().to(at::kDouble);
  const at::Tensor wide_b = b.detach().to(at::kDouble);
  return ((wide_a - wide_b).norm() / wide_b.norm()).item<double>();
}

}  // namespace attune::worker
