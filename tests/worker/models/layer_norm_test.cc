#include "worker/models/layer_norm.h"

#include <ATen/TensorOperators.h>

#include <cmath>

#include "gtest/gtest.h"
#include "tests/worker/models/gradients.h"

namespace attune::worker {
namespace {

TEST(LayerNorm, NormalisesEveryRow) {
  const at::Tensor x = RandomTensor({4, 6}, 1, at::kDouble) * 3 + 1;
  const at::Tensor weight = RandomTensor({6}, 2, at::kDouble);
  const at::Tensor bias = RandomTensor({6}, 3, at::kDouble);

  const at::Tensor out = LayerNorm(weight, bias, 0.25).Forward(x);

  for (int64_t row = 0; row < 4; ++row) {
    double mean = 0;
    double variance = 0;
    for (int64_t i = 0; i < 6; ++i) mean += x[row][i].item<double>() / 6;
    for (int64_t i = 0; i < 6; ++i) {
      const double distance = x[row][i].item<double>() - mean;
      variance += distance * distance / 6;
    }
    for (int64_t i = 0; i < 6; ++i) {
      const double expected = (x[row][i].item<double>() - mean) /
                                  std::sqrt(variance + 0.25) *
                                  weight[i].item<double>() +
                              bias[i].item<double>();
      EXPECT_NEAR(out[row][i].item<double>(), expected, 1e-12);
    }
  }
}

}  // namespace
}  // namespace attune::worker
