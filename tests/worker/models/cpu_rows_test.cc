#include "worker/models/cpu_rows.h"

#include <bit>
#include <cmath>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

// The layers' tests compare these loops with LibTorch; here are the borders.
namespace attune::worker::cpu_rows {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::FloatNear;

std::vector<float> Random(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> values(count);
  for (float& value : values) {
    value = static_cast<float>(random() % 2000) / 1000 - 1;
  }
  return values;
}

TEST(CpuRows, SoftmaxSpansBothPieces) {
  for (const int64_t shared : {0, 1, 5, 16, 37}) {
    for (const int64_t own : {1, 7, 16, 40}) {
      std::vector<float> a = Random(shared, 1);
      std::vector<float> b = Random(own, 2);
      double sum = 0;
      for (float x : a) sum += std::exp(x);
      for (float x : b) sum += std::exp(x);
      const std::vector<float> before = b;

      Softmax({a.data(), shared, b.data(), own, /*hidden=*/0, /*visible=*/own,
               nullptr});

      for (int64_t i = 0; i < own; ++i) {
        EXPECT_NEAR(b[i], std::exp(before[i]) / sum, 1e-6);
      }
    }
  }
}

TEST(CpuRows, SoftmaxHidesWhatComesLater) {
  std::vector<float> own = {1, 1, 900, 900};

  Softmax({nullptr, 0, own.data(), 4, /*hidden=*/0, /*visible=*/2, nullptr});

  EXPECT_THAT(own, ElementsAre(0.5f, 0.5f, 0.0f, 0.0f));
}

TEST(CpuRows, SoftmaxHidesTheFirstKeysOfBothPieces) {
  std::vector<float> shared = {900, 900, 1};
  std::vector<float> own = {1, 1};

  Softmax(
      {shared.data(), 3, own.data(), 2, /*hidden=*/2, /*visible=*/1, nullptr});
  EXPECT_THAT(shared, ElementsAre(0.0f, 0.0f, 0.5f));
  EXPECT_THAT(own, ElementsAre(0.5f, 0.0f));

  shared = {900, 900, 900};
  own = {900, 1};
  Softmax(
      {shared.data(), 3, own.data(), 2, /*hidden=*/4, /*visible=*/2, nullptr});
  EXPECT_THAT(shared, ElementsAre(0.0f, 0.0f, 0.0f));
  EXPECT_THAT(own, ElementsAre(0.0f, 1.0f));
}

TEST(CpuRows, SoftmaxAddsTheBiasFirst) {
  const float bias[] = {1, -1, 2};
  std::vector<float> shared = {2};
  std::vector<float> own = {4, 1};

  Softmax({shared.data(), 1, own.data(), 2, /*hidden=*/0, /*visible=*/2, bias});

  EXPECT_THAT(shared, ElementsAre(FloatNear(1.0f / 3, 1e-6f)));
  EXPECT_THAT(
      own, ElementsAre(FloatNear(1.0f / 3, 1e-6f), FloatNear(1.0f / 3, 1e-6f)));
}

TEST(CpuRows, SoftmaxSurvivesLargeScores) {
  std::vector<float> own = {1000, 1000, -1000};

  Softmax({nullptr, 0, own.data(), 3, /*hidden=*/0, /*visible=*/3, nullptr});

  EXPECT_THAT(own, ElementsAre(FloatNear(0.5f, 1e-6f), FloatNear(0.5f, 1e-6f),
                               FloatNear(0, 1e-30f)));
}

TEST(CpuRows, SoftmaxPassesNotANumberOn) {
  std::vector<float> own = {1, std::nanf(""), 2};

  Softmax({nullptr, 0, own.data(), 3, /*hidden=*/0, /*visible=*/3, nullptr});

  EXPECT_TRUE(std::isnan(own[0]) || std::isnan(own[1]));
}

TEST(CpuRows, SwiGluIsExactToFloatRounding) {
  const int64_t ffn = 101;
  std::vector<float> gate_up = Random(2 * ffn, 3);
  for (int64_t i = 0; i < ffn; ++i) gate_up[i] *= 30;
  std::vector<float> out(ffn);

  SwiGlu(gate_up.data(), out.data(), ffn, 0, 1);

  for (int64_t i = 0; i < ffn; ++i) {
    const double gate = gate_up[i];
    const double expected = gate / (1 + std::exp(-gate)) * gate_up[ffn + i];
    EXPECT_NEAR(out[i], expected, 1e-6 * std::max(1.0, std::abs(expected)));
  }
}

TEST(CpuRows, SwiGluHasLimits) {
  const std::vector<float> gate_up = {200, -200, 1, 1};
  std::vector<float> out(2);

  SwiGlu(gate_up.data(), out.data(), 2, 0, 1);

  EXPECT_THAT(out, ElementsAre(200.0f, FloatNear(0, 1e-30f)));
}

uint16_t BitsOf(float value) {
  return static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
}

TEST(CpuRows, SwiGluRoundsNarrowRowsToTheNearest) {
  // At 64 the sigmoid is 1, so the result is 64 times what stands behind.
  const std::vector<uint16_t> gate_up = {BitsOf(64),         BitsOf(64),
                                         BitsOf(64),         BitsOf(-3),
                                         BitsOf(0.0078125f), BitsOf(NAN)};
  std::vector<uint16_t> out(3);

  SwiGluBf16(gate_up.data(), out.data(), 3, 0, 1);

  EXPECT_EQ(out[0], BitsOf(-192));
  EXPECT_EQ(out[1], BitsOf(0.5f));
  EXPECT_TRUE(
      std::isnan(std::bit_cast<float>(static_cast<uint32_t>(out[2]) << 16)));
}

TEST(CpuRows, SwiGluRoundsDownWhereThatIsNearer) {
  // silu(1) = 0.7310586: times 1 between two numbers of bf16, 0.73046875 and
  // 0.734375, nearer to the first.
  const std::vector<uint16_t> gate_up = {BitsOf(1), BitsOf(1)};
  std::vector<uint16_t> out(1);

  SwiGluBf16(gate_up.data(), out.data(), 1, 0, 1);

  EXPECT_EQ(out[0], BitsOf(0.73046875f));
}

TEST(CpuRows, NarrowRoundsToTheNearestAndTheEven) {
  // 1 + 2^-8 lies between 1 and 1 + 2^-7, 1 + 3 * 2^-8 above that.
  std::vector<float> in = {1.0f, 1.00390625f, 1.01171875f, -1.0f,
                           std::numeric_limits<float>::infinity()};
  // More than a register holds, and a rest.
  while (in.size() < 21) in.push_back(0.1f);
  std::vector<uint16_t> out(in.size());

  Narrow(in.data(), out.data(), static_cast<int64_t>(in.size()));

  EXPECT_EQ(out[0], 0x3f80);
  EXPECT_EQ(out[1], 0x3f80);
  EXPECT_EQ(out[2], 0x3f82);
  EXPECT_EQ(out[3], 0xbf80);
  EXPECT_EQ(out[4], 0x7f80);
  for (size_t i = 5; i < out.size(); ++i) EXPECT_EQ(out[i], 0x3dcd);
}

TEST(CpuRows, NarrowRowsLeavesWhatLiesBetweenThem) {
  std::vector<float> in(3 * 20);
  for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(i);
  std::vector<uint16_t> out(3 * 25, 7);

  NarrowRows(in.data(), /*in_stride=*/20, out.data(), /*out_stride=*/25,
             /*rows=*/3, /*columns=*/18);

  for (int64_t row = 0; row < 3; ++row) {
    for (int64_t i = 0; i < 25; ++i) {
      const auto bits = std::bit_cast<uint32_t>(in[row * 20 + i % 20]);
      EXPECT_EQ(out[row * 25 + i], i < 18 ? bits >> 16 : 7);
    }
  }
}

TEST(CpuRows, SoftmaxBackwardReadsNarrowProbabilities) {
  const std::vector<float> probabilities = {0.5f, 0.125f, 0.25f, 0.125f};
  std::vector<uint16_t> narrow(4);
  Narrow(probabilities.data(), narrow.data(), 4);
  std::vector<float> wide_grads = {1, 2, 3, 4};
  std::vector<float> narrow_grads = wide_grads;
  const auto pieces = [](std::vector<float>& grads) {
    return ScorePieces{.shared = grads.data(),
                       .shared_length = 2,
                       .own = grads.data() + 2,
                       .own_length = 2,
                       .hidden = 0,
                       .visible = 2,
                       .bias = nullptr};
  };

  SoftmaxBackward(pieces(wide_grads), probabilities.data(),
                  probabilities.data() + 2);
  SoftmaxBackwardBf16(pieces(narrow_grads), narrow.data(), narrow.data() + 2);

  EXPECT_EQ(narrow_grads, wide_grads);
}

TEST(CpuRows, WidenIsExact) {
  const std::vector<uint16_t> bits = {0x3f80, 0xc000, 0x0000, 0x7f80, 0x3f81};
  std::vector<float> out(5);

  Widen(bits.data(), out.data(), 5);

  EXPECT_THAT(out, ElementsAre(1.0f, -2.0f, 0.0f, INFINITY, 1.0078125f));
}

TEST(CpuRows, SmallLinearsSumOverAnyDepth) {
  for (const int64_t depth : {1, 15, 16, 17, 100}) {
    const std::vector<float> x(3 * depth, 2.0f);
    const std::vector<float> weight(2 * depth, 0.5f);
    const std::vector<uint16_t> bits(
        2 * depth, static_cast<uint16_t>(std::bit_cast<uint32_t>(0.5f) >> 16));
    std::vector<float> out(6, -1);
    std::vector<float> narrow_out(6, -1);

    SmallLinearFp32(x.data(), weight.data(), out.data(), 3, depth, 2, 0, 2);
    SmallLinearBf16(x.data(), bits.data(), narrow_out.data(), 3, depth, 2, 0,
                    2);

    EXPECT_THAT(out, Each(static_cast<float>(depth)));
    EXPECT_THAT(narrow_out, Each(static_cast<float>(depth)));
  }
}

TEST(CpuRows, ColumnsOutsideTheRangeStayUntouched) {
  const std::vector<float> x = {1};
  const std::vector<float> weight = {5, 6, 7};
  std::vector<float> out(3, -1);

  SmallLinearFp32(x.data(), weight.data(), out.data(), 1, 1, 3, 1, 2);

  EXPECT_THAT(out, ElementsAre(-1.0f, 6.0f, -1.0f));
}

}  // namespace
}  // namespace attune::worker::cpu_rows
