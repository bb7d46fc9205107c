#include "worker/tuning/front_drift.h"

#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <optional>

namespace attune::worker {
namespace {

TEST(FrontDrift, IsTheDistanceFromTheStart) {
  const FrontDrift drift({{"prompt", at::tensor({1.0f, 2.0f})}});

  const std::optional<FrontNorms> norms =
      drift.Measure({{"prompt", at::tensor({4.0f, -2.0f})}}, 1);

  ASSERT_TRUE(norms.has_value());
  // sqrt(20) and a distance of (3, -4), in fp32.
  EXPECT_NEAR(norms->norm, 4.4721360, 1e-6);
  EXPECT_NEAR(norms->drift, 5, 1e-6);
}

TEST(FrontDrift, AddsUpAllTensors) {
  const FrontDrift drift(
      {{"prefix.keys", at::zeros({2, 2})}, {"prefix.values", at::zeros({1})}});

  const std::optional<FrontNorms> norms =
      drift.Measure({{"prefix.keys", at::full({2, 2}, 2.0f)},
                     {"prefix.values", at::full({1}, 3.0f)}},
                    1);

  EXPECT_NEAR(norms->norm, 5, 1e-6);
  EXPECT_NEAR(norms->drift, 5, 1e-6);
}

TEST(FrontDrift, LeavesOutTheHead) {
  const TensorMap start = {{"prompt", at::full({4}, 1.0f)},
                           {"head.weight", at::zeros({2, 4})},
                           {"head.bias", at::zeros({2})}};
  TensorMap values = start;
  values["head.weight"] = at::full({2, 4}, 9.0f);

  const std::optional<FrontNorms> norms = FrontDrift(start).Measure(values, 1);

  EXPECT_NEAR(norms->norm, 2, 1e-6);
  EXPECT_EQ(norms->drift, 0);
}

TEST(FrontDrift, WithoutAStartNothingIsMeasured) {
  EXPECT_EQ(FrontDrift({}).Measure({{"prompt", at::zeros({1})}}, 1),
            std::nullopt);
}

TEST(FrontDrift, MeasuresVeryManyNumbersEveryTenthStepOnly) {
  const TensorMap start = {{"prompt", at::zeros({(1 << 22) + 1})}};
  const FrontDrift drift(start);

  EXPECT_EQ(drift.Measure(start, 19), std::nullopt);
  EXPECT_TRUE(drift.Measure(start, 20).has_value());
}

}  // namespace
}  // namespace attune::worker
