#include "worker/tuning/running_mean.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

namespace attune::worker {
namespace {

TEST(RunningMean, IsAskedForByADecay) {
  attune::v1::TrainingConfig training;
  EXPECT_FALSE(HasRunningMean(training));
  training.mutable_ema_decay()->set_value(0);
  EXPECT_FALSE(HasRunningMean(training));
  training.mutable_ema_decay()->set_value(0.5);
  EXPECT_TRUE(HasRunningMean(training));
}

TEST(RunningMean, ForgetsTheBeginningSoonAndIsExponentialLater) {
  EXPECT_DOUBLE_EQ(KeptShareOfMean(0.9, 1), 0.2);
  EXPECT_DOUBLE_EQ(KeptShareOfMean(0.9, 4), 0.5);
  EXPECT_DOUBLE_EQ(KeptShareOfMean(0.9, 36), 0.9);
  EXPECT_DOUBLE_EQ(KeptShareOfMean(0.9, 1'000'000), 0.9);
  EXPECT_DOUBLE_EQ(KeptShareOfMean(0.05, 1), 0.05);
}

TEST(RunningMean, TakesInTheRestOfTheNewValues) {
  const at::Tensor value = at::randn({3, 4});
  at::Tensor mean = at::full({3, 4}, 2.0);

  AddToRunningMean(0.75, 100, value, mean);

  EXPECT_TRUE(at::allclose(mean, 0.75 * 2 + 0.25 * value));
}

TEST(RunningMean, OfValuesThatStayIsThoseValues) {
  const at::Tensor value = at::randn({3, 4});
  at::Tensor mean = value.clone();

  for (int update = 1; update <= 200; ++update) {
    AddToRunningMean(0.9, update, value, mean);
  }

  EXPECT_TRUE(mean.equal(value));
}

}  // namespace
}  // namespace attune::worker
