#include "worker/tuning/clip_gradients.h"

#include <cmath>

namespace attune::worker {

double ClipGradients(absl::Span<at::Tensor> gradients, double max_norm) {
  double norm = 0;
  for (const at::Tensor& gradient : gradients) {
    norm = std::hypot(norm, gradient.norm().item<double>());
  }
  if (max_norm > 0 && norm > max_norm) {
    for (at::Tensor& gradient : gradients) gradient.mul_(max_norm / norm);
  }
  return norm;
}

}  // namespace attune::worker
