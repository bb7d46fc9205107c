#ifndef ATTUNE_TESTS_WORKER_TASKS_FINITE_DIFFERENCES_H_
#define ATTUNE_TESTS_WORKER_TASKS_FINITE_DIFFERENCES_H_

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/randn_like.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <functional>
#include <vector>

namespace attune::worker {

// Expects that the gradient of `loss_at`, a scalar of order one in fp32, with
// regard to each of `values` tells how it changes in a random direction.
inline void ExpectGradientsEqualFiniteDifferences(
    const std::function<at::Tensor(const std::vector<at::Tensor>&)>& loss_at,
    std::vector<at::Tensor> values) {
  for (at::Tensor& value : values) value.requires_grad_();
  const auto gradients = torch::autograd::grad({loss_at(values)}, values);

  const at::NoGradGuard no_grad;
  constexpr double kDistance = 1e-2;
  for (size_t i = 0; i < values.size(); ++i) {
    at::manual_seed(5);
    const at::Tensor direction = at::randn_like(values[i]);
    const auto moved = [&](double distance) {
      std::vector<at::Tensor> others = values;
      others[i] = values[i] + distance * direction;
      return loss_at(others).item<double>();
    };
    const double slope =
        (moved(kDistance) - moved(-kDistance)) / (2 * kDistance);
    const double expected = (gradients[i] * direction).sum().item<double>();
    // Differences of fp32 losses, and their third derivative.
    EXPECT_NEAR(slope, expected, 2e-3 + 0.01 * std::abs(expected)) << i;
  }
}

}  // namespace attune::worker

#endif  // ATTUNE_TESTS_WORKER_TASKS_FINITE_DIFFERENCES_H_
