#include "worker/tuning/adamw.h"

#include <ATen/ops/norm.h>

#include <cmath>

namespace attune::worker {

void AdamWUpdate(const AdamWOptions& options, double learning_rate,
                 int64_t update, const at::Tensor& gradient,
                 at::Tensor& parameters, at::Tensor& exp_avg,
                 at::Tensor& exp_avg_sq) {
  parameters.mul_(1 - learning_rate * options.weight_decay);
  exp_avg.lerp_(gradient, 1 - options.beta1);
  exp_avg_sq.mul_(options.beta2)
      .addcmul_(gradient, gradient, 1 - options.beta2);

  const double count = static_cast<double>(update);
  const double correction1 = 1 - std::pow(options.beta1, count);
  const double correction2 = 1 - std::pow(options.beta2, count);
  const at::Tensor denominator =
      exp_avg_sq.sqrt().div_(std::sqrt(correction2)).add_(options.epsilon);
  parameters.addcdiv_(exp_avg, denominator, -learning_rate / correction1);
}

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
