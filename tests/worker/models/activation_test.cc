#include "worker/models/activation.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>

#include <cmath>

#include "gtest/gtest.h"
#include "tests/worker/models/gradients.h"

namespace attune::worker {
namespace {

double At(double x, Activation activation) {
  return Activate(at::tensor({x}, at::kDouble), activation).item<double>();
}

TEST(Activation, ComputesWhatItsNameSays) {
  for (const double x : {-3.0, -0.5, 0.0, 0.7, 2.0}) {
    EXPECT_NEAR(At(x, Activation::kRelu), std::max(x, 0.0), 1e-12);
    EXPECT_NEAR(At(x, Activation::kSilu), x / (1 + std::exp(-x)), 1e-12);
    EXPECT_NEAR(At(x, Activation::kGelu),
                x * 0.5 * (1 + std::erf(x / std::sqrt(2.0))), 1e-12);
    const double inner = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
    EXPECT_NEAR(At(x, Activation::kGeluTanh), 0.5 * x * (1 + std::tanh(inner)),
                1e-12);
    EXPECT_NEAR(At(x, Activation::kTanh), std::tanh(x), 1e-12);
  }
}

TEST(Activation, IsFoundByTheNamesThatConfigsUse) {
  EXPECT_EQ(FindActivation("gelu"), Activation::kGelu);
  EXPECT_EQ(FindActivation("gelu_new"), Activation::kGeluTanh);
  EXPECT_EQ(FindActivation("gelu_pytorch_tanh"), Activation::kGeluTanh);
  EXPECT_EQ(FindActivation("swish"), Activation::kSilu);
  EXPECT_EQ(FindActivation("laplace"), std::nullopt);
}

TEST(Activation, TheGateComesFirst) {
  const at::Tensor gate_up = RandomTensor({5, 14}, 1);
  const at::Tensor gate = gate_up.narrow(1, 0, 7);
  const at::Tensor up = gate_up.narrow(1, 7, 7);
  for (const Activation activation :
       {Activation::kSilu, Activation::kGelu, Activation::kRelu}) {
    EXPECT_LT(RelativeDifference(ActivateGated(gate_up, activation),
                                 Activate(gate, activation) * up),
              1e-6);
  }
}

}  // namespace
}  // namespace attune::worker
