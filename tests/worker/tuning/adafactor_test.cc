#include "worker/tuning/adafactor.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "tests/worker/tuning/optimiser_golden.h"

namespace attune::worker {
namespace {

TEST(Adafactor, EqualsTransformersForTensorsOfEveryRank) {
  const nlohmann::json cases = OptimiserGolden()["adafactor"];
  ASSERT_EQ(cases.size(), 5u);
  std::set<size_t> ranks;
  for (const nlohmann::json& golden : cases) {
    const nlohmann::json& options = golden["options"];
    ranks.insert(golden["shape"].size());

    ExpectGoldenUpdates(
        Adafactor({.decay_rate = options["decay_rate"],
                   .clip_threshold = options["clip_threshold"],
                   .scale_parameter = options["scale_parameter"]}),
        golden);
  }
  EXPECT_EQ(ranks, (std::set<size_t>{1, 2, 3}));
}

TEST(Adafactor, KeepsMeansOfRowsAndColumnsOnly) {
  const TensorMap slots = Adafactor({}).MakeSlots(at::zeros({2, 3, 5}));

  ASSERT_EQ(slots.size(), 2u);
  EXPECT_EQ(slots.at("row").sizes(), at::IntArrayRef({2, 3}));
  EXPECT_EQ(slots.at("column").sizes(), at::IntArrayRef({2, 5}));
  EXPECT_EQ(Adafactor({}).MakeSlots(at::zeros({4})).at("exp_avg_sq").sizes(),
            at::IntArrayRef({4}));
}

TEST(Adafactor, AGradientOfZerosMovesNothing) {
  const Adafactor adafactor({});
  at::Tensor value = at::ones({3, 4});
  TensorMap slots = adafactor.MakeSlots(value);

  adafactor.Update({.learning_rate = 0.1}, at::zeros({3, 4}), value, slots);

  EXPECT_TRUE(value.equal(at::ones({3, 4})));
  EXPECT_TRUE(at::isfinite(slots.at("row")).all().item<bool>());
}

TEST(Adafactor, StepsRelativeToTheValuesLeaveZero) {
  const Adafactor adafactor({.scale_parameter = true});
  at::Tensor value = at::zeros({3, 4});
  TensorMap slots = adafactor.MakeSlots(value);

  adafactor.Update({.learning_rate = 0.1}, at::ones({3, 4}), value, slots);

  // An update of one, times the least scale of 0.001.
  EXPECT_TRUE(value.allclose(at::ones({3, 4}) * -1e-4));
}

}  // namespace
}  // namespace attune::worker
