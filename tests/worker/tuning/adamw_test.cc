#include "worker/tuning/adamw.h"

#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/worker/tuning/optimiser_golden.h"

namespace attune::worker {
namespace {

TEST(AdamW, EqualsPyTorchs) {
  const nlohmann::json cases = OptimiserGolden()["adamw"];
  ASSERT_EQ(cases.size(), 3u);
  for (const nlohmann::json& golden : cases) {
    const nlohmann::json& options = golden["options"];

    ExpectGoldenUpdates(AdamW({.beta1 = options["beta1"],
                               .beta2 = options["beta2"],
                               .epsilon = options["epsilon"]}),
                        golden);
  }
}

TEST(AdamW, AStepWithoutAGradientOnlyDecays) {
  const AdamW adamw({});
  at::Tensor value = at::tensor({2.0f, -4.0f});
  TensorMap slots = adamw.MakeSlots(value);

  adamw.Update({.learning_rate = 0.1, .weight_decay = 0.5}, at::zeros({2}),
               value, slots);

  EXPECT_TRUE(value.allclose(at::tensor({1.9f, -3.8f})));
}

}  // namespace
}  // namespace attune::worker
