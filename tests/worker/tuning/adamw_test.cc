#include "worker/tuning/adamw.h"

#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

namespace attune::worker {
namespace {

nlohmann::json Golden() {
  std::ifstream file("tests/golden/optimiser.json");
  EXPECT_TRUE(file.is_open());
  return nlohmann::json::parse(file);
}

at::Tensor TensorOf(const nlohmann::json& values) {
  return at::tensor(values.get<std::vector<float>>());
}

TEST(AdamW, EqualsPyTorchs) {
  const nlohmann::json cases = Golden()["adamw"];
  ASSERT_EQ(cases.size(), 3u);
  for (const nlohmann::json& golden : cases) {
    const nlohmann::json& options = golden["options"];
    at::Tensor parameters = TensorOf(golden["start"]);
    at::Tensor exp_avg = at::zeros_like(parameters);
    at::Tensor exp_avg_sq = at::zeros_like(parameters);
    for (size_t step = 0; step < golden["gradients"].size(); ++step) {
      AdamWUpdate({.beta1 = options["beta1"],
                   .beta2 = options["beta2"],
                   .epsilon = options["epsilon"],
                   .weight_decay = options["weight_decay"]},
                  options["learning_rate"], static_cast<int64_t>(step) + 1,
                  TensorOf(golden["gradients"][step]), parameters, exp_avg,
                  exp_avg_sq);

      // Both are fp32; the order of a few products may differ.
      EXPECT_TRUE(
          parameters.allclose(TensorOf(golden["after"][step]), 1e-6, 1e-6))
          << "step " << step;
    }
  }
}

TEST(AdamW, AStepWithoutAGradientOnlyDecays) {
  at::Tensor parameters = at::tensor({2.0f, -4.0f});
  at::Tensor exp_avg = at::zeros({2});
  at::Tensor exp_avg_sq = at::zeros({2});

  AdamWUpdate({.weight_decay = 0.5}, /*learning_rate=*/0.1, /*update=*/1,
              at::zeros({2}), parameters, exp_avg, exp_avg_sq);

  EXPECT_TRUE(parameters.allclose(at::tensor({1.9f, -3.8f})));
}

TEST(ClipGradients, EqualsPyTorchs) {
  for (const nlohmann::json& golden : Golden()["clip"]) {
    at::Tensor gradient = TensorOf(golden["gradient"]);

    const double norm = ClipGradients({&gradient, 1}, golden["max_norm"]);

    EXPECT_NEAR(norm, golden["norm"].get<double>(), 1e-5 * norm);
    EXPECT_TRUE(gradient.allclose(TensorOf(golden["clipped"]), 1e-5, 1e-7));
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
