#include "worker/tuning/optimizer.h"

#include <ATen/ops/ones.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

namespace attune::worker {
namespace {

using attune::v1::TrainingConfig;

std::set<std::string> SlotNames(const TrainingConfig& training) {
  std::set<std::string> names;
  for (const auto& [name, slot] :
       MakeOptimizer(training)->MakeSlots(at::ones({3, 4}))) {
    names.insert(name);
  }
  return names;
}

TEST(Optimizer, IsTheChosenOne) {
  TrainingConfig training;
  training.mutable_sgd_momentum()->set_value(0.9);
  EXPECT_EQ(SlotNames(training),
            (std::set<std::string>{"exp_avg", "exp_avg_sq"}));

  training.set_optimizer(TrainingConfig::OPTIMIZER_SGD);
  EXPECT_EQ(SlotNames(training), std::set<std::string>{"momentum"});

  training.set_optimizer(TrainingConfig::OPTIMIZER_ADAFACTOR);
  EXPECT_EQ(SlotNames(training), (std::set<std::string>{"column", "row"}));
}

TEST(Optimizer, TakesItsOptionsFromTheConfig) {
  TrainingConfig training;
  training.set_optimizer(TrainingConfig::OPTIMIZER_SGD);
  training.mutable_sgd_momentum()->set_value(0.5);
  const auto optimizer = MakeOptimizer(training);
  at::Tensor value = at::ones({2});
  TensorMap slots = optimizer->MakeSlots(value);

  for (int64_t update : {1, 2}) {
    optimizer->Update({.learning_rate = 0.1, .update = update}, at::ones({2}),
                      value, slots);
  }

  // 1 - 0.1 * 1 - 0.1 * 1.5.
  EXPECT_NEAR(value[0].item<double>(), 0.75, 1e-6);
}

}  // namespace
}  // namespace attune::worker
