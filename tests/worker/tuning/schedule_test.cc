#include "worker/tuning/schedule.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

namespace attune::worker {
namespace {

using attune::v1::TrainingConfig;

// After the warm-up the factors are those of transformers' schedules; in it
// ours is one step ahead, because a first step of 0 would be wasted.
TEST(Schedule, EqualsTransformersButForTheWastedFirstStep) {
  std::ifstream file("tests/golden/optimiser.json");
  ASSERT_TRUE(file.is_open());
  const nlohmann::json cases = nlohmann::json::parse(file)["schedules"];
  ASSERT_EQ(cases.size(), 4u);
  const std::map<std::string, TrainingConfig::LearningRateSchedule> schedules =
      {{"constant_with_warmup",
        TrainingConfig::LEARNING_RATE_SCHEDULE_CONSTANT},
       {"linear", TrainingConfig::LEARNING_RATE_SCHEDULE_LINEAR},
       {"cosine", TrainingConfig::LEARNING_RATE_SCHEDULE_COSINE}};
  for (const nlohmann::json& golden : cases) {
    const int warmup = golden["warmup"];
    const int max_steps = golden["max_steps"];
    for (int step = 0; step < max_steps; ++step) {
      const double expected =
          golden["factors"][step < warmup ? step + 1 : step];

      EXPECT_NEAR(LearningRateFactor(schedules.at(golden["name"]), step, warmup,
                                     max_steps),
                  expected, 1e-12)
          << golden["name"] << " step " << step;
    }
  }
}

TEST(Schedule, NoStepIsWasted) {
  for (int warmup : {0, 1, 5}) {
    for (int step = 0; step < 20; ++step) {
      EXPECT_GT(
          LearningRateFactor(TrainingConfig::LEARNING_RATE_SCHEDULE_LINEAR,
                             step, warmup, 20),
          0);
    }
  }
}

TEST(Schedule, AWarmUpOverAllStepsReachesTheTop) {
  EXPECT_DOUBLE_EQ(
      LearningRateFactor(TrainingConfig::LEARNING_RATE_SCHEDULE_COSINE, 9, 10,
                         10),
      1);
}

}  // namespace
}  // namespace attune::worker
