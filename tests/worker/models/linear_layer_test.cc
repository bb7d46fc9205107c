#include "worker/models/linear_layer.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/mm.h>

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/worker/models/gradients.h"
#include "worker/models/device.h"

namespace attune::worker {
namespace {

using ::testing::ElementsAre;

// Rows on both sides of the loop for few rows; more columns than a block of
// widened weights holds.
constexpr int64_t kRows[] = {1, 3, 6, 7, 16, 33};

TEST(LinearLayer, EqualsAMatrixProduct) {
  const at::Tensor weight = RandomTensor({1200, 500}, 1);
  const LinearLayer linear(weight);
  for (const int64_t rows : kRows) {
    const at::Tensor x = RandomTensor({rows, 500}, 2);

    const at::Tensor y = linear.Forward(x);

    EXPECT_THAT(y.sizes(), ElementsAre(rows, 1200));
    EXPECT_LT(RelativeDifference(y, at::mm(x, weight.t())), 1e-6) << rows;
  }
}

TEST(LinearLayer, Bf16WeightsGiveThePrecisionOfTheCpu) {
  const at::Tensor weight = RandomTensor({1200, 500}, 1).to(at::kBFloat16);
  const LinearLayer linear(weight);
  for (const int64_t rows : kRows) {
    const at::Tensor x = RandomTensor({rows, 500}, 2);

    const at::Tensor y = linear.Forward(x);

    EXPECT_EQ(y.scalar_type(), at::kFloat);
    // Widened weights are exact; a CPU with bf16 products rounds x as well.
    EXPECT_LT(RelativeDifference(y, at::mm(x, weight.to(at::kFloat).t())), 5e-3)
        << rows;
  }
}

TEST(LinearLayer, GradientIsTheTransposedProduct) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const at::Tensor weight = RandomTensor({1200, 500}, 1).to(dtype);
    const at::Tensor wide = weight.to(at::kFloat);
    const LinearLayer linear(weight);
    const double tolerance = dtype == at::kFloat ? 1e-6 : 5e-3;
    for (const int64_t rows : kRows) {
      const std::vector<at::Tensor> inputs = {RandomTensor({rows, 500}, 2)};

      const auto ours = Gradients(
          [&](const auto& in) { return linear.Forward(in[0]); }, inputs);
      const auto expected = Gradients(
          [&](const auto& in) { return at::mm(in[0], wide.t()); }, inputs);

      EXPECT_LT(RelativeDifference(ours[0], expected[0]), tolerance) << rows;
    }
  }
}

TEST(LinearLayer, NarrowRowsAreTheWideOnesOfTheSameProduct) {
  const LinearLayer linear(RandomTensor({1200, 500}, 1).to(at::kBFloat16));
  for (const int64_t rows : kRows) {
    const std::vector<at::Tensor> inputs = {RandomTensor({rows, 500}, 2)};
    const auto narrow_of = [&](const auto& in) {
      return linear.ForwardNarrow(in[0]).to(at::kFloat);
    };
    const auto wide_of = [&](const auto& in) { return linear.Forward(in[0]); };
    const at::ScalarType dtype = CpuHasBf16() ? at::kBFloat16 : at::kFloat;

    EXPECT_TRUE(
        narrow_of(inputs).equal(wide_of(inputs).to(dtype).to(at::kFloat)))
        << rows;
    // The gradient of the narrow rows is rounded before the product as that of
    // the wide ones is.
    EXPECT_TRUE(
        Gradients(narrow_of, inputs)[0].equal(Gradients(wide_of, inputs)[0]))
        << rows;
    EXPECT_EQ(linear.ForwardNarrow(inputs[0]).scalar_type(), dtype) << rows;
  }
}

TEST(LinearLayer, ARowIsTheSameAloneAndAmongOthers) {
  const LinearLayer linear(RandomTensor({1200, 512}, 1).to(at::kBFloat16));
  const at::Tensor rows = RandomTensor({9, 512}, 2);
  const at::Tensor among = linear.Forward(rows);

  for (const int64_t count : {1, 2, 3}) {
    // Sums in another order.
    EXPECT_LT(RelativeDifference(linear.Forward(rows.narrow(0, 0, count)),
                                 among.narrow(0, 0, count)),
              1e-6);
  }
}

TEST(LinearLayer, RowsToWhichSomethingIsAddedStayWide) {
  const at::Tensor weight = RandomTensor({30, 50}, 1).to(at::kBFloat16);
  const at::Tensor x = RandomTensor({17, 50}, 2);

  EXPECT_EQ(
      LinearLayer(weight, RandomTensor({30}, 3)).ForwardNarrow(x).scalar_type(),
      at::kFloat);
  EXPECT_EQ(
      LinearLayer(weight, {},
                  {RandomTensor({4, 50}, 3), RandomTensor({30, 4}, 4), 0, {}})
          .ForwardNarrow(x)
          .scalar_type(),
      at::kFloat);
  EXPECT_EQ(LinearLayer(weight.to(at::kFloat)).ForwardNarrow(x).scalar_type(),
            at::kFloat);
}

TEST(LinearLayer, NarrowRowsGoInAsTheyAre) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const at::Tensor weight = RandomTensor({1200, 500}, 1).to(dtype);
    const LinearLayer linear(weight);
    const at::Tensor x = RandomTensor({33, 500}, 2).to(at::kBFloat16);

    const at::Tensor y = linear.Forward(x);

    EXPECT_EQ(y.scalar_type(), at::kFloat);
    EXPECT_LT(RelativeDifference(
                  y, at::mm(x.to(at::kFloat), weight.to(at::kFloat).t())),
              dtype == at::kFloat ? 1e-6 : 5e-3);
  }
}

TEST(LinearLayer, OtherDtypesTakeLibTorchsWay) {
  const at::Tensor weight = RandomTensor({7, 5}, 1, at::kDouble);
  const at::Tensor x = RandomTensor({2, 5}, 2, at::kDouble);

  EXPECT_LT(
      RelativeDifference(LinearLayer(weight).Forward(x), at::mm(x, weight.t())),
      1e-14);
}

TEST(LinearLayer, RemembersNothingWithoutGradients) {
  const LinearLayer linear(RandomTensor({8, 8}, 1));

  EXPECT_FALSE(linear.Forward(RandomTensor({9, 8}, 2)).requires_grad());
}

TEST(LinearLayer, TrainedWeightsGetTheirGradients) {
  const std::vector<at::Tensor> inputs = {RandomTensor({7, 50}, 1),
                                          RandomTensor({30, 50}, 2),
                                          RandomTensor({30}, 3)};

  const auto ours = Gradients(
      [](const auto& in) { return LinearLayer(in[1], in[2]).Forward(in[0]); },
      inputs);
  const auto expected = Gradients(
      [](const auto& in) { return at::mm(in[0], in[1].t()) + in[2]; }, inputs);

  for (size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_LT(RelativeDifference(ours[i], expected[i]), 1e-5) << i;
  }
}

TEST(LinearLayer, TrainedWeightsNeedNoGradientOfTheRows) {
  const at::Tensor x = RandomTensor({7, 50}, 1);

  const auto ours =
      Gradients([&](const auto& in) { return LinearLayer(in[0]).Forward(x); },
                {RandomTensor({30, 50}, 2)});
  const auto expected =
      Gradients([&](const auto& in) { return at::mm(x, in[0].t()); },
                {RandomTensor({30, 50}, 2)});

  EXPECT_LT(RelativeDifference(ours[0], expected[0]), 1e-5);
}

TEST(LinearLayer, AddsItsLowRankPart) {
  const at::Tensor weight = RandomTensor({30, 50}, 2);
  const std::vector<at::Tensor> inputs = {RandomTensor({7, 50}, 1),
                                          RandomTensor({4, 50}, 3),
                                          RandomTensor({30, 4}, 4)};
  const auto ours_of = [&](const auto& in) {
    return LinearLayer(weight, {}, {in[1], in[2], 0, {}}).Forward(in[0]);
  };
  const auto expected_of = [&](const auto& in) {
    return at::mm(in[0], (weight + at::mm(in[2], in[1])).t());
  };

  EXPECT_LT(RelativeDifference(ours_of(inputs), expected_of(inputs)), 1e-5);
  const auto ours = Gradients(ours_of, inputs);
  const auto expected = Gradients(expected_of, inputs);
  for (size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_LT(RelativeDifference(ours[i], expected[i]), 1e-5) << i;
  }
}

}  // namespace
}  // namespace attune::worker
