#include "server/jobs/worker_instances.h"

#include <string>

#include "gtest/gtest.h"

namespace attune::server {
namespace {

TEST(WorkerInstances, TheNewestProcessReplacesTheOneBefore) {
  WorkerInstances instances;
  EXPECT_FALSE(instances.IsCurrent("w", "1"));
  EXPECT_TRUE(instances.Admit("w", "1"));
  EXPECT_TRUE(instances.Admit("w", "2"));
  EXPECT_TRUE(instances.Admit("w", "2"));

  EXPECT_FALSE(instances.Admit("w", "1"));

  EXPECT_TRUE(instances.IsCurrent("w", "2"));
  EXPECT_FALSE(instances.IsCurrent("w", "1"));
}

TEST(WorkerInstances, WorkersHaveProcessesOfTheirOwn) {
  WorkerInstances instances;
  EXPECT_TRUE(instances.Admit("w", "1"));
  EXPECT_TRUE(instances.Admit("v", "1"));
  EXPECT_TRUE(instances.Admit("v", "2"));

  EXPECT_TRUE(instances.IsCurrent("w", "1"));
}

TEST(WorkerInstances, OnlyTheLastFewAreRemembered) {
  WorkerInstances instances;
  for (int i = 0; i <= 17; ++i) {
    ASSERT_TRUE(instances.Admit("w", std::to_string(i)));
  }

  EXPECT_FALSE(instances.Admit("w", "1"));
  EXPECT_TRUE(instances.Admit("w", "0")) << "forgotten";
}

}  // namespace
}  // namespace attune::server
