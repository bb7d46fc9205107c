#include "worker/tuning/clip_gradients.h"

#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "tests/worker/tuning/optimiser_golden.h"

namespace attune::worker {
namespace {

TEST(ClipGradients, EqualsPyTorchs) {
  const nlohmann::json cases = OptimiserGolden()["clip"];
  ASSERT_EQ(cases.size(), 2u);
  for (const nlohmann::json& golden : cases) {
    at::Tensor gradient = GoldenTensor(golden["gradient"]);

    const double norm = ClipGradients({&gradient, 1}, golden["max_norm"]);

    EXPECT_NEAR(norm, golden["norm"].get<double>(), 1e-5 * norm);
    EXPECT_TRUE(gradient.allclose(GoldenTensor(golden["clipped"]), 1e-5, 1e-7));
  }
}

TEST(ClipGradients, ZeroSwitchesItOff) {
  at::Tensor gradient = at::tensor({30.0f, 40.0f});

  EXPECT_DOUBLE_EQ(ClipGradients({&gradient, 1}, 0), 50);
  EXPECT_TRUE(gradient.equal(at::tensor({30.0f, 40.0f})));
}

TEST(ClipGradients, ReportsWhatIsNotFinite) {
  at::Tensor gradient =
      at::tensor({1.0f, std::numeric_limits<float>::quiet_NaN()});

  EXPECT_TRUE(std::isnan(ClipGradients({&gradient, 1}, 1)));
}

}  // namespace
}  // namespace attune::worker
