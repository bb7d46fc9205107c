#include "worker/tuning/sgd.h"

#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/worker/tuning/optimiser_golden.h"

namespace attune::worker {
namespace {

TEST(Sgd, EqualsPyTorchs) {
  const nlohmann::json cases = OptimiserGolden()["sgd"];
  ASSERT_EQ(cases.size(), 3u);
  for (const nlohmann::json& golden : cases) {
    ExpectGoldenUpdates(Sgd(golden["options"]["momentum"].get<double>()),
                        golden);
  }
}

TEST(Sgd, RemembersNothingWithoutMomentum) {
  const at::Tensor value = at::tensor({1.0f, 2.0f});

  EXPECT_TRUE(Sgd(0).MakeSlots(value).empty());
  EXPECT_EQ(Sgd(0.5).MakeSlots(value).size(), 1u);
}

TEST(Sgd, LeavesTheGradientAsItIs) {
  const Sgd sgd(0.9);
  const at::Tensor gradient = at::tensor({1.0f, -1.0f});
  at::Tensor value = at::tensor({2.0f, 3.0f});
  TensorMap slots = sgd.MakeSlots(value);

  for (int64_t update : {1, 2}) {
    sgd.Update({.learning_rate = 0.1, .weight_decay = 0.1, .update = update},
               gradient, value, slots);
  }

  EXPECT_TRUE(gradient.equal(at::tensor({1.0f, -1.0f})));
}

}  // namespace
}  // namespace attune::worker
