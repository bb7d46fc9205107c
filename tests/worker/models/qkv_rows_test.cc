#include "worker/models/qkv_rows.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>

#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/worker/models/gradients.h"
#include "worker/models/bf16_factors.h"

namespace attune::worker {
namespace {

using ::testing::ElementsAre;

const HeadShape kShape = {
    .heads = 6, .kv_heads = 2, .head_dim = 4, .scale = 0.5};

RotaryAngles AnglesAt(std::vector<int64_t> positions, int64_t rotary_dim = 4) {
  return Rotary({.theta = 100}, rotary_dim, at::Device(at::kCPU))
      .At(at::tensor(positions, at::kLong));
}

at::Tensor Joined(const QkvRows& rows) {
  return at::cat({rows.q.flatten(), rows.k.flatten(), rows.v.flatten()});
}

TEST(QkvRows, LaysHeadsOutForAttention) {
  const at::Tensor qkv = RandomTensor({3, 10 * 4}, 1);

  const QkvRows rows = SplitQkv(qkv, kShape, AnglesAt({0, 0, 0}));

  EXPECT_THAT(rows.q.sizes(), ElementsAre(2, 9, 4));
  EXPECT_THAT(rows.k.sizes(), ElementsAre(2, 3, 4));
  // Position 0 rotates nothing. Row 1 of query head 5: key head 1, group row
  // 1 * 3 + 2; queries carry the scale.
  EXPECT_TRUE(rows.q[1][5].equal(qkv[1].narrow(0, 5 * 4, 4) * 0.5));
  EXPECT_TRUE(rows.k[1][2].equal(qkv[2].narrow(0, 7 * 4, 4)));
  EXPECT_TRUE(rows.v[0][1].equal(qkv[1].narrow(0, 8 * 4, 4)));
}

TEST(QkvRows, RotatesHalvesByTheAngle) {
  const at::Tensor qkv = RandomTensor({1, 10 * 4}, 1);

  const QkvRows rows = SplitQkv(qkv, kShape, AnglesAt({7}));

  // Frequencies are 1 and 1/10; elements 0 and 2 form a pair.
  const float a = qkv[0][6 * 4].item<float>();
  const float b = qkv[0][6 * 4 + 2].item<float>();
  EXPECT_NEAR(rows.k[0][0][0].item<float>(),
              a * std::cos(7.0) - b * std::sin(7.0), 1e-5);
  EXPECT_NEAR(rows.k[0][0][2].item<float>(),
              b * std::cos(7.0) + a * std::sin(7.0), 1e-5);
}

TEST(QkvRows, RotatesAPartOfEachHead) {
  const at::Tensor qkv = RandomTensor({1, 10 * 4}, 1);

  const QkvRows rows = SplitQkv(qkv, kShape, AnglesAt({7}, /*rotary_dim=*/2));

  const at::Tensor key = qkv[0].narrow(0, 6 * 4, 4);
  const float a = key[0].item<float>();
  const float b = key[1].item<float>();
  EXPECT_NEAR(rows.k[0][0][0].item<float>(),
              a * std::cos(7.0) - b * std::sin(7.0), 1e-5);
  EXPECT_NEAR(rows.k[0][0][1].item<float>(),
              b * std::cos(7.0) + a * std::sin(7.0), 1e-5);
  EXPECT_TRUE(rows.k[0][0].narrow(0, 2, 2).equal(key.narrow(0, 2, 2)));
}

// Both implementations, at several angles and at none.
TEST(QkvRows, BothImplementationsAgree) {
  const std::vector<at::Tensor> inputs = {RandomTensor({5, 10 * 4}, 1)};
  const std::vector<at::Tensor> wide = {inputs[0].to(at::kDouble)};
  for (const RotaryAngles& angles :
       {AnglesAt({0, 1, 2, 63, 5}), AnglesAt({4, 1, 9, 2, 5}, 2),
        RotaryAngles()}) {
    const auto run = [&](const auto& in) {
      return Joined(SplitQkv(in[0], kShape, angles));
    };

    EXPECT_LT(RelativeDifference(run(inputs), run(wide)), 1e-6);
    // The weights of the sum are drawn per dtype; make them the same.
    const auto sum = [&](const auto& in) {
      return (run(in) * RandomTensor({5 * 10 * 4}, 3).to(in[0].scalar_type()))
          .sum()
          .view({1});
    };
    const auto ours = Gradients(sum, inputs);
    const auto expected = Gradients(sum, wide);
    const double factor = RandomTensor({1}, 99, at::kDouble).item<double>() /
                          RandomTensor({1}, 99, at::kFloat).item<float>();
    EXPECT_LT(RelativeDifference(ours[0] * factor, expected[0]), 1e-6);
  }
}

TEST(QkvRows, NarrowRowsGiveNarrowOnesWithRoomForProducts) {
  const at::Tensor narrow = RandomTensor({5, 10 * 4}, 1).to(at::kBFloat16);
  const RotaryAngles angles = AnglesAt({0, 1, 2, 63, 5});
  const auto run = [&](const auto& in) {
    return Joined(SplitQkv(in[0], kShape, angles));
  };
  const std::vector<at::Tensor> inputs = {narrow};
  const std::vector<at::Tensor> wide = {narrow.to(at::kFloat)};

  const QkvRows rows = SplitQkv(narrow, kShape, angles);
  for (const at::Tensor& one : {rows.q, rows.k, rows.v}) {
    EXPECT_EQ(one.scalar_type(), at::kBFloat16);
    EXPECT_TRUE(bf16_factors::HasRoom(one));
  }
  EXPECT_TRUE(run(inputs).equal(run(wide).to(at::kBFloat16)));
  // The gradients' weights are drawn in fp32 for both.
  const auto widened = [&](const auto& in) { return run(in).to(at::kFloat); };
  const at::Tensor ours = Gradients(widened, inputs)[0];
  EXPECT_EQ(ours.scalar_type(), at::kBFloat16);
  EXPECT_LT(RelativeDifference(ours.to(at::kFloat), Gradients(run, wide)[0]),
            5e-3);
}

}  // namespace
}  // namespace attune::worker
