#include "worker/tuning/schedule.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/worker/tuning/optimiser_golden.h"

namespace attune::worker {
namespace {

using attune::v1::TrainingConfig;

TrainingConfig ScheduleOf(TrainingConfig::LearningRateSchedule schedule,
                          int warmup, int max_steps) {
  TrainingConfig training;
  training.set_learning_rate_schedule(schedule);
  training.mutable_warmup_steps()->set_value(warmup);
  training.set_max_steps(max_steps);
  return training;
}

// After the warm-up the factors are those of transformers' schedules; in it
// ours is one step ahead, because a first step of 0 would be wasted.
TEST(Schedule, EqualsTransformersButForTheWastedFirstStep) {
  const nlohmann::json cases = OptimiserGolden()["schedules"];
  ASSERT_EQ(cases.size(), 8u);
  const std::map<std::string, TrainingConfig::LearningRateSchedule> schedules =
      {{"constant_with_warmup",
        TrainingConfig::LEARNING_RATE_SCHEDULE_CONSTANT},
       {"linear", TrainingConfig::LEARNING_RATE_SCHEDULE_LINEAR},
       {"cosine", TrainingConfig::LEARNING_RATE_SCHEDULE_COSINE},
       {"polynomial", TrainingConfig::LEARNING_RATE_SCHEDULE_POLYNOMIAL},
       {"inverse_sqrt",
        TrainingConfig::LEARNING_RATE_SCHEDULE_INVERSE_SQUARE_ROOT}};
  for (const nlohmann::json& golden : cases) {
    const int warmup = golden["warmup"];
    const int max_steps = golden["max_steps"];
    TrainingConfig training =
        ScheduleOf(schedules.at(golden["name"]), warmup, max_steps);
    training.mutable_polynomial_power()->set_value(
        golden["options"].value("power", 1.0));
    training.mutable_polynomial_end_factor()->set_value(
        golden["options"].value("lr_end", 0.0));
    for (int step = 0; step < max_steps; ++step) {
      const double expected =
          golden["factors"][step < warmup ? step + 1 : step];

      EXPECT_NEAR(LearningRateFactor(training, step), expected, 1e-12)
          << golden["name"] << " step " << step;
    }
  }
}

TEST(Schedule, NoStepIsWasted) {
  for (int warmup : {0, 1, 5}) {
    for (int step = 0; step < 20; ++step) {
      EXPECT_GT(LearningRateFactor(
                    ScheduleOf(TrainingConfig::LEARNING_RATE_SCHEDULE_LINEAR,
                               warmup, 20),
                    step),
                0);
    }
  }
}

TEST(Schedule, AWarmUpOverAllStepsReachesTheTop) {
  for (auto schedule :
       {TrainingConfig::LEARNING_RATE_SCHEDULE_COSINE,
        TrainingConfig::LEARNING_RATE_SCHEDULE_REDUCE_ON_PLATEAU}) {
    EXPECT_DOUBLE_EQ(LearningRateFactor(ScheduleOf(schedule, 10, 10), 9), 1);
  }
}

TEST(Schedule, WarmsUpByAShareOrANumberOfSteps) {
  TrainingConfig training;
  training.set_max_steps(90);
  training.mutable_warmup_ratio()->set_value(0.06);
  EXPECT_EQ(WarmupSteps(training), 6);

  training.mutable_warmup_steps()->set_value(0);
  EXPECT_EQ(WarmupSteps(training), 0);
}

// PyTorch lets `patience` validations pass and lowers in the next.
TEST(Schedule, FallsOnPlateausAsPyTorchs) {
  const nlohmann::json cases = OptimiserGolden()["plateau"];
  ASSERT_EQ(cases.size(), 3u);
  for (const nlohmann::json& golden : cases) {
    TrainingConfig training = ScheduleOf(
        TrainingConfig::LEARNING_RATE_SCHEDULE_REDUCE_ON_PLATEAU, 0, 100);
    training.mutable_plateau_factor()->set_value(golden["factor"]);
    training.set_plateau_patience(golden["patience"].get<int>() + 1);
    training.mutable_plateau_min_factor()->set_value(golden["min_factor"]);
    training.mutable_early_stopping()->set_min_delta(golden["threshold"]);
    v1::PlateauState plateau;
    for (size_t i = 0; i < golden["metrics"].size(); ++i) {
      AddValidation(training, golden["metrics"][i],
                    /*lower_is_better=*/golden["mode"] == "min", plateau);

      EXPECT_NEAR(LearningRateFactor(training, 50, plateau),
                  golden["factors"][i].get<double>(), 1e-12)
          << golden["mode"] << " validation " << i;
    }
  }
}

TEST(Schedule, AValidationThatIsNotFiniteIsNoImprovement) {
  TrainingConfig training;
  training.set_plateau_patience(2);
  v1::PlateauState plateau;
  for (int i = 0; i < 2; ++i) {
    AddValidation(training, std::numeric_limits<double>::quiet_NaN(),
                  /*lower_is_better=*/true, plateau);
  }

  EXPECT_FALSE(plateau.has_best());
  EXPECT_EQ(plateau.num_reductions(), 1);
  EXPECT_EQ(plateau.validations_without_improvement(), 0);
}

TEST(Schedule, PlateausLowerAWarmUpToo) {
  TrainingConfig training = ScheduleOf(
      TrainingConfig::LEARNING_RATE_SCHEDULE_REDUCE_ON_PLATEAU, 10, 100);
  training.mutable_plateau_factor()->set_value(0.5);
  v1::PlateauState plateau;
  plateau.set_num_reductions(2);

  EXPECT_DOUBLE_EQ(LearningRateFactor(training, 1, plateau), 0.2 * 0.25);
}

}  // namespace
}  // namespace attune::worker
