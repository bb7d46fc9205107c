#include "worker/models/rotary.h"

#include <ATen/ops/tensor.h>

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attune::worker {
namespace {

using ::testing::ElementsAre;

const at::Device kRotaryDevice(at::kCPU);

// Angle of pair `pair` at `position`, as its cosine says.
double AngleOf(const Rotary& rotary, int64_t position, int64_t pair) {
  const RotaryAngles angles = rotary.At(at::tensor({position}, at::kLong));
  return std::atan2(angles.sines[0][pair].item<double>(),
                    angles.cosines[0][pair].item<double>());
}

TEST(Rotary, AnglesGrowWithThePosition) {
  const Rotary rotary({.theta = 100}, /*rotary_dim=*/4, kRotaryDevice);

  const RotaryAngles angles = rotary.At(at::tensor({0, 7}, at::kLong));

  EXPECT_THAT(angles.cosines.sizes(), ElementsAre(2, 2));
  EXPECT_EQ(angles.rotary_dim(), 4);
  EXPECT_EQ(angles.cosines[0][1].item<float>(), 1);
  EXPECT_EQ(angles.sines[0][1].item<float>(), 0);
  // Frequencies are 1 and 1/10.
  EXPECT_NEAR(angles.cosines[1][0].item<double>(), std::cos(7.0), 1e-6);
  EXPECT_NEAR(angles.sines[1][1].item<double>(), std::sin(0.7), 1e-6);
}

TEST(Rotary, LinearScalingStretchesPositions) {
  RotaryConfig config = {.theta = 100};
  config.scaling = RotaryConfig::Scaling::kLinear;
  config.factor = 4;
  const Rotary rotary(config, 4, kRotaryDevice);

  EXPECT_NEAR(AngleOf(rotary, 8, 0), 2.0, 1e-6);
  EXPECT_NEAR(AngleOf(rotary, 8, 1), 0.2, 1e-6);
}

TEST(Rotary, Llama3ScalingStretchesLongWavesOnly) {
  RotaryConfig config = {.theta = 1e4};
  config.scaling = RotaryConfig::Scaling::kLlama3;
  config.factor = 8;
  config.low_frequency_factor = 1;
  config.high_frequency_factor = 4;
  config.original_context = 64;
  const Rotary rotary(config, 8, kRotaryDevice);

  // Wavelengths are 2 pi times 1, 10, 100 and 1000: the first is below 64 / 4,
  // the second lies between, the others are above 64.
  EXPECT_NEAR(AngleOf(rotary, 1, 0), 1.0, 1e-6);
  const double smooth = (64 / (20 * M_PI) - 1) / 3;
  EXPECT_NEAR(AngleOf(rotary, 1, 1), (1 - smooth) * 0.1 / 8 + smooth * 0.1,
              1e-7);
  EXPECT_NEAR(AngleOf(rotary, 1, 2), 0.01 / 8, 1e-7);
  EXPECT_NEAR(AngleOf(rotary, 1, 3), 0.001 / 8, 1e-7);
}

TEST(Rotary, NoAnglesRotateNothing) {
  EXPECT_EQ(RotaryAngles().rotary_dim(), 0);
}

}  // namespace
}  // namespace attune::worker
