#ifndef ATTUNE_TESTS_WORKER_MODELS_GRADIENTS_H_
#define ATTUNE_TESTS_WORKER_MODELS_GRADIENTS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace attune::worker {

// Normal numbers from a seed.
at::Tensor RandomTensor(std::vector<int64_t> shape, uint64_t seed,
                        at::ScalarType dtype = at::kFloat);

// The gradients of sum(output * weights) with regard to `inputs`, where
// `weights` are random but the same for every call with this output shape.
std::vector<at::Tensor> Gradients(
    const std::function<at::Tensor(const std::vector<at::Tensor>&)>& function,
    const std::vector<at::Tensor>& inputs);

// |a - b| / |b| in the Frobenius norm.
double RelativeDifference(const at::Tensor& a, const at::Tensor& b);

}  // namespace attune::worker

#endif  // ATTUNE_TESTS_WORKER_MODELS_GRADIENTS_H_
