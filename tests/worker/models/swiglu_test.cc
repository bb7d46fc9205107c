#include "worker/models/swiglu.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/silu.h>

#include <vector>

#include "gtest/gtest.h"
#include "tests/worker/models/gradients.h"

namespace attune::worker {
namespace {

at::Tensor Reference(const at::Tensor& gate_up) {
  const int64_t ffn = gate_up.size(1) / 2;
  return at::silu(gate_up.narrow(1, 0, ffn)) * gate_up.narrow(1, ffn, ffn);
}

TEST(SwiGlu, EqualsTheTextbook) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    const at::Tensor x = RandomTensor({19, 2 * 45}, 1, dtype) * 4;

    EXPECT_LT(RelativeDifference(SwiGlu(x), Reference(x)), 1e-6);
  }
}

TEST(SwiGlu, NarrowRowsAreComputedWide) {
  const at::Tensor x = (RandomTensor({19, 2 * 45}, 1) * 4).to(at::kBFloat16);
  const std::vector<at::Tensor> inputs = {x.to(at::kFloat)};

  const auto narrow = Gradients(
      [](const auto& in) {
        return SwiGlu(in[0].to(at::kBFloat16)).to(at::kFloat);
      },
      inputs);
  const auto wide =
      Gradients([](const auto& in) { return SwiGlu(in[0]); }, inputs);

  EXPECT_TRUE(SwiGlu(x).equal(SwiGlu(inputs[0]).to(at::kBFloat16)));
  // The gradient is rounded to 8 bits on its way in and on its way out.
  EXPECT_LT(RelativeDifference(narrow[0], wide[0]), 5e-3);
}

TEST(SwiGlu, GradientsEqualTheTextbook) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    const std::vector<at::Tensor> inputs = {
        RandomTensor({19, 2 * 45}, 1, dtype) * 4};

    const auto ours =
        Gradients([](const auto& in) { return SwiGlu(in[0]); }, inputs);
    const auto expected =
        Gradients([](const auto& in) { return Reference(in[0]); }, inputs);

    EXPECT_LT(RelativeDifference(ours[0], expected[0]), 1e-6);
  }
}

}  // namespace
}  // namespace attune::worker
