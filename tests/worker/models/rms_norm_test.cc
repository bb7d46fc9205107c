#include "worker/models/rms_norm.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/tensor.h>

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/worker/models/gradients.h"
#include "worker/models/device.h"
#include "worker/models/kept_rows.h"

namespace attune::worker {
namespace {

constexpr double kEpsilon = 1e-5;

// Both outputs side by side, the textbook's way.
at::Tensor Reference(const at::Tensor& x, const at::Tensor& delta,
                     const at::Tensor& weight) {
  const at::Tensor sum = delta.defined() ? x + delta : x;
  const at::Tensor scale =
      at::rsqrt(at::mean(sum * sum, {1}, /*keepdim=*/true) + kEpsilon);
  return at::cat({sum, sum * scale * weight}, 1);
}

at::Tensor Ours(const at::Tensor& x, const at::Tensor& delta,
                const at::Tensor& weight) {
  const auto out = RmsNorm(weight, kEpsilon).Forward(x, delta);
  return at::cat({out.residual, out.normalised}, 1);
}

// The same as training in bf16 hands it on.
at::Tensor NarrowOurs(const at::Tensor& x, const at::Tensor& delta,
                      const at::Tensor& weight) {
  const KeptRows kept(at::kBFloat16);
  const auto out = RmsNorm(weight, kEpsilon).ForwardNarrow(x, delta);
  return at::cat({out.residual, out.normalised.to(at::kFloat)}, 1);
}

TEST(RmsNorm, NormalisesALiteralRow) {
  const at::Tensor x = at::tensor({3.0f, -4.0f}).view({1, 2});
  const RmsNorm norm(at::tensor({1.0f, 2.0f}), /*epsilon=*/0);

  const at::Tensor out = norm.Forward(x, at::Tensor()).normalised;

  // rms = sqrt((9 + 16) / 2)
  EXPECT_NEAR(out[0][0].item<float>(), 3 / 3.5355339, 1e-6);
  EXPECT_NEAR(out[0][1].item<float>(), -8 / 3.5355339, 1e-6);
}

TEST(RmsNorm, EqualsTheTextbook) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    const at::Tensor weight = RandomTensor({50}, 1, dtype);
    const at::Tensor x = RandomTensor({37, 50}, 2, dtype);
    const at::Tensor delta = RandomTensor({37, 50}, 3, dtype);

    EXPECT_LT(RelativeDifference(Ours(x, at::Tensor(), weight),
                                 Reference(x, at::Tensor(), weight)),
              1e-6);
    const at::Tensor expected = Reference(x, delta, weight);
    EXPECT_LT(RelativeDifference(Ours(x, delta.clone(), weight), expected),
              1e-6);
  }
}

TEST(RmsNorm, GradientsEqualTheTextbook) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    const at::Tensor weight = RandomTensor({50}, 1, dtype);
    const std::vector<at::Tensor> inputs = {RandomTensor({37, 50}, 2, dtype),
                                            RandomTensor({37, 50}, 3, dtype)};

    const auto ours = Gradients(
        [&](const auto& in) { return Ours(in[0], in[1], weight); }, inputs);
    const auto expected = Gradients(
        [&](const auto& in) { return Reference(in[0], in[1], weight); },
        inputs);

    EXPECT_LT(RelativeDifference(ours[0], expected[0]), 1e-6);
    EXPECT_LT(RelativeDifference(ours[1], expected[1]), 1e-6);
  }
}

TEST(RmsNorm, GradientsEqualTheTextbookWithNothingToAdd) {
  const at::Tensor weight = RandomTensor({50}, 1);
  const std::vector<at::Tensor> inputs = {RandomTensor({5, 50}, 2)};

  const auto ours = Gradients(
      [&](const auto& in) { return Ours(in[0], at::Tensor(), weight); },
      inputs);
  const auto expected = Gradients(
      [&](const auto& in) { return Reference(in[0], at::Tensor(), weight); },
      inputs);

  EXPECT_LT(RelativeDifference(ours[0], expected[0]), 1e-6);
}

TEST(RmsNorm, LeavesItsInputAlone) {
  const at::Tensor x = RandomTensor({4, 50}, 2);
  const at::Tensor before = x.clone();

  RmsNorm(RandomTensor({50}, 1), kEpsilon).Forward(x, RandomTensor({4, 50}, 3));

  EXPECT_TRUE(x.equal(before));
}

TEST(RmsNorm, NarrowRowsAreTheTextbooksRounded) {
  const at::Tensor weight = RandomTensor({50}, 1);
  const at::Tensor x = RandomTensor({37, 50}, 2);
  const at::Tensor delta = RandomTensor({37, 50}, 3).to(at::kBFloat16);
  for (const bool has_delta : {true, false}) {
    const auto ours = [&](const std::vector<at::Tensor>& in) {
      return NarrowOurs(in[0], has_delta ? in[1] : at::Tensor(), weight);
    };
    const auto expected = [&](const std::vector<at::Tensor>& in) {
      return Reference(in[0], has_delta ? in[1] : at::Tensor(), weight);
    };
    std::vector<at::Tensor> inputs = {x};
    if (has_delta) inputs.push_back(delta);
    const auto grads = Gradients(ours, inputs);
    const auto exact = Gradients(expected, inputs);

    EXPECT_LT(RelativeDifference(ours(inputs), expected(inputs)), 3e-3);
    for (size_t i = 0; i < inputs.size(); ++i) {
      EXPECT_EQ(grads[i].scalar_type(), inputs[i].scalar_type());
      EXPECT_LT(
          RelativeDifference(grads[i].to(at::kFloat), exact[i].to(at::kFloat)),
          5e-3)
          << has_delta << i;
    }
  }
}

TEST(RmsNorm, OnlyWhatTakesNarrowRowsGetsThem) {
  const RmsNorm norm(RandomTensor({8}, 1), kEpsilon);
  const at::Tensor x = RandomTensor({3, 8}, 2).requires_grad_();
  const at::Tensor wide_delta = RandomTensor({3, 8}, 3);
  const KeptRows kept(at::kBFloat16);

  EXPECT_EQ(norm.ForwardNarrow(x, {}).normalised.scalar_type(),
            CpuHasBf16() ? at::kBFloat16 : at::kFloat);
  EXPECT_EQ(norm.ForwardNarrow(x, wide_delta).normalised.scalar_type(),
            at::kFloat);
  EXPECT_EQ(
      norm.Forward(x, wide_delta.to(at::kBFloat16)).normalised.scalar_type(),
      at::kFloat);
}

}  // namespace
}  // namespace attune::worker
