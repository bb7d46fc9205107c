#include "worker/inference/compute_budget.h"

#include <gtest/gtest.h>

namespace attune::worker {
namespace {

TEST(ComputeBudget, AloneEachHasAllThreads) {
  ComputeBudget budget(4);

  EXPECT_EQ(budget.TrainingThreads(), 4);
  EXPECT_EQ(budget.ServingThreads(), 4);
}

TEST(ComputeBudget, TogetherTheyAddUpToAllThreads) {
  ComputeBudget budget(4);
  const auto training = budget.Train();
  const auto serving = budget.Serve();

  EXPECT_EQ(budget.TrainingThreads(), 3);
  EXPECT_EQ(budget.ServingThreads(), 1);
}

TEST(ComputeBudget, TrainingGetsTheThreadsBack) {
  ComputeBudget budget(2);
  const auto training = budget.Train();
  {
    const auto serving = budget.Serve();
    EXPECT_EQ(budget.TrainingThreads(), 1);
  }

  EXPECT_EQ(budget.TrainingThreads(), 2);
}

TEST(ComputeBudget, OneThreadIsLeftForEach) {
  ComputeBudget budget(1);
  const auto training = budget.Train();
  const auto serving = budget.Serve();

  EXPECT_EQ(budget.TrainingThreads(), 1);
  EXPECT_EQ(budget.ServingThreads(), 1);
}

}  // namespace
}  // namespace attune::worker
