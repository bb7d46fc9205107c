#include "worker/tuning/parameter_groups.h"

#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

namespace attune::worker {
namespace {

using attune::v1::TrainingConfig;

TrainingConfig GroupConfig() {
  TrainingConfig training;
  training.mutable_learning_rate()->set_value(0.1);
  training.mutable_head_learning_rate()->set_value(0.2);
  training.set_weight_decay(0.3);
  return training;
}

TEST(ParameterGroups, AHeadHasALearningRateOfItsOwn) {
  for (const char* name :
       {"prompt", "prefix.keys", "encoder.up.weight",
        "weights.encoder.layer.0.output.dense.weight", "weights.head.weight"}) {
    EXPECT_EQ(LargestLearningRate(GroupConfig(), name), 0.1) << name;
  }
  for (const char* name : {"head.weight", "head.bias"}) {
    EXPECT_EQ(LargestLearningRate(GroupConfig(), name), 0.2) << name;
  }
}

TEST(ParameterGroups, BiasesAndNormsDoNotDecay) {
  const at::Tensor matrix = at::zeros({3, 4});
  for (const char* name :
       {"prompt", "head.weight", "encoder.up.weight", "weights.q.weight"}) {
    EXPECT_EQ(WeightDecayOf(GroupConfig(), name, matrix), 0.3) << name;
  }
  EXPECT_EQ(
      WeightDecayOf(GroupConfig(), "prefix.keys", at::zeros({2, 1, 3, 4})),
      0.3);
  EXPECT_EQ(WeightDecayOf(GroupConfig(), "head.bias", at::zeros({3})), 0);
  EXPECT_EQ(WeightDecayOf(GroupConfig(), "encoder.lstm.bias", matrix), 0);
  EXPECT_EQ(WeightDecayOf(GroupConfig(), "weights.norm.weight", at::zeros({4})),
            0);
}

}  // namespace
}  // namespace attune::worker
