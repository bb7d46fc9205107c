#include "worker/tuning/training_defaults.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "worker/tuning/schedule.h"

namespace attune::worker {
namespace {

using ::attune::v1::TrainingConfig;
using ::attune::v1::TuningJobSpec;
using ::testing::HasSubstr;

TuningJobSpec ClassifyingSpec() {
  TuningJobSpec spec;
  spec.mutable_task()->set_type(attune::v1::TASK_TYPE_TEXT_CLASSIFICATION);
  return spec;
}

JobFacts FactsOf300Rows() {
  return {.num_train_rows = 300,
          .context_length = 2048,
          .embedding_rms = 0.136,
          .dtype = c10::ScalarType::Float};
}

TuningJobSpec ResolvedOf300Rows(const TuningJobSpec& spec = ClassifyingSpec()) {
  const auto resolved = ResolveSpec(spec, FactsOf300Rows());
  EXPECT_OK(resolved);
  return *resolved;
}

// Expects that changing the spec with `change` is refused naming `path`.
template <typename Change>
void ExpectTrainingRefused(Reason reason, const std::string& path,
                           Change change) {
  TuningJobSpec spec = ClassifyingSpec();
  change(spec);
  EXPECT_THAT(ResolveSpec(spec, FactsOf300Rows()),
              ReasonIs(reason, HasSubstr(path)));
}

TEST(TrainingDefaults, AveragePlainPromptsOnly) {
  const auto decay_of = [](auto change) {
    TuningJobSpec spec = ClassifyingSpec();
    change(spec);
    const TrainingConfig training = ResolvedOf300Rows(spec).training();
    EXPECT_TRUE(training.has_ema_decay());
    return training.ema_decay().value();
  };
  EXPECT_DOUBLE_EQ(decay_of([](TuningJobSpec&) {}), 0.99);
  EXPECT_DOUBLE_EQ(decay_of([](TuningJobSpec& spec) {
                     auto& tuning =
                         *spec.mutable_method()->mutable_prompt_tuning();
                     tuning.set_reparameterisation(
                         attune::v1::PromptTuning::REPARAMETERISATION_MLP);
                     tuning.set_encoder_hidden_size(8);
                   }),
                   0);
  EXPECT_DOUBLE_EQ(decay_of([](TuningJobSpec& spec) {
                     spec.mutable_method()->mutable_bias_only();
                   }),
                   0);
  EXPECT_DOUBLE_EQ(decay_of([](TuningJobSpec& spec) {
                     spec.mutable_training()->mutable_ema_decay()->set_value(0);
                   }),
                   0);
  for (double bad : {-0.1, 1.0, std::nan("")}) {
    ExpectTrainingRefused(
        Reason::kInvalidField, "spec.training.ema_decay",
        [bad](TuningJobSpec& spec) {
          spec.mutable_training()->mutable_ema_decay()->set_value(bad);
        });
  }
}

TEST(TrainingDefaults, StratifyWhereRowsHaveOneLabel) {
  const auto stratified = [](const TuningJobSpec& spec) {
    return ResolvedOf300Rows(spec).training().stratify_labels().value();
  };
  EXPECT_TRUE(stratified(ClassifyingSpec()));
  TuningJobSpec grouped = ClassifyingSpec();
  grouped.mutable_training()->set_group_by_length(true);
  EXPECT_FALSE(stratified(grouped));
  TuningJobSpec many = ClassifyingSpec();
  many.mutable_task()->set_multi_label(true);
  EXPECT_FALSE(stratified(many));
  TuningJobSpec generating;
  generating.mutable_task()->set_type(attune::v1::TASK_TYPE_TEXT_GENERATION);
  EXPECT_FALSE(stratified(generating));

  const std::string path = "spec.training.stratify_labels";
  ExpectTrainingRefused(Reason::kInvalidField, path, [](TuningJobSpec& spec) {
    spec.mutable_training()->mutable_stratify_labels()->set_value(true);
    spec.mutable_training()->set_group_by_length(true);
  });
  ExpectTrainingRefused(Reason::kInvalidField, path, [](TuningJobSpec& spec) {
    spec.mutable_training()->mutable_stratify_labels()->set_value(true);
    spec.mutable_task()->set_multi_label(true);
  });
}

TEST(TrainingDefaults, FillOnlyTheFieldsOfTheChosenOptimiser) {
  TuningJobSpec spec = ClassifyingSpec();
  spec.mutable_training()->set_optimizer(TrainingConfig::OPTIMIZER_SGD);
  const TrainingConfig sgd = ResolvedOf300Rows(spec).training();
  spec.mutable_training()->set_optimizer(TrainingConfig::OPTIMIZER_ADAFACTOR);
  const TrainingConfig adafactor = ResolvedOf300Rows(spec).training();

  EXPECT_DOUBLE_EQ(sgd.sgd_momentum().value(), 0.9);
  EXPECT_FALSE(sgd.has_adam_beta1());
  EXPECT_FALSE(sgd.has_adafactor_decay_rate());
  EXPECT_DOUBLE_EQ(adafactor.adafactor_decay_rate().value(), -0.8);
  EXPECT_DOUBLE_EQ(adafactor.adafactor_clip_threshold().value(), 1);
  EXPECT_FALSE(adafactor.adafactor_scale_parameter());
  EXPECT_FALSE(adafactor.has_adam_epsilon());
  EXPECT_FALSE(adafactor.has_sgd_momentum());
  EXPECT_FALSE(ResolvedOf300Rows().training().has_sgd_momentum());
}

TEST(TrainingDefaults, LabelSmoothingNeedsOneRightLabel) {
  ExpectTrainingRefused(Reason::kInvalidField, "label_smoothing",
                        [](TuningJobSpec& spec) {
                          spec.mutable_training()->set_label_smoothing(0.1);
                          spec.mutable_task()->set_multi_label(true);
                        });
  ExpectTrainingRefused(
      Reason::kInvalidField, "label_smoothing", [](TuningJobSpec& spec) {
        spec.mutable_training()->set_label_smoothing(0.1);
        spec.mutable_task()->set_type(attune::v1::TASK_TYPE_REGRESSION);
      });
}

TEST(TrainingDefaults, FillOnlyTheFieldsOfTheChosenSchedule) {
  TuningJobSpec spec = ClassifyingSpec();
  spec.mutable_training()->set_learning_rate_schedule(
      TrainingConfig::LEARNING_RATE_SCHEDULE_POLYNOMIAL);
  const TrainingConfig polynomial = ResolvedOf300Rows(spec).training();
  spec.mutable_training()->set_learning_rate_schedule(
      TrainingConfig::LEARNING_RATE_SCHEDULE_REDUCE_ON_PLATEAU);
  const TrainingConfig plateau = ResolvedOf300Rows(spec).training();

  EXPECT_DOUBLE_EQ(polynomial.polynomial_power().value(), 1);
  EXPECT_TRUE(polynomial.has_polynomial_end_factor());
  EXPECT_FALSE(polynomial.has_plateau_factor());
  EXPECT_DOUBLE_EQ(plateau.plateau_factor().value(), 0.5);
  EXPECT_EQ(plateau.plateau_patience(), 2);
  EXPECT_DOUBLE_EQ(plateau.plateau_min_factor().value(), 0.01);
  EXPECT_FALSE(plateau.has_polynomial_power());
}

TEST(TrainingDefaults, TheLearningRateSuitsTheOptimiser) {
  TuningJobSpec spec = ClassifyingSpec();
  const auto rate = [&] {
    return ResolvedOf300Rows(spec).training().learning_rate();
  };
  spec.mutable_training()->set_optimizer(TrainingConfig::OPTIMIZER_SGD);
  EXPECT_DOUBLE_EQ(rate().value(), 0.136);

  spec.mutable_training()->set_optimizer(TrainingConfig::OPTIMIZER_ADAFACTOR);
  EXPECT_DOUBLE_EQ(rate().value(), 0.0544);

  spec.mutable_training()->set_adafactor_scale_parameter(true);
  EXPECT_DOUBLE_EQ(rate().value(), 0.4);
}

TEST(TrainingDefaults, ALargeTableGivesNoLearningRateOutOfRange) {
  JobFacts facts = FactsOf300Rows();
  facts.embedding_rms = 60;
  TuningJobSpec spec = ClassifyingSpec();
  for (auto optimizer :
       {TrainingConfig::OPTIMIZER_ADAMW, TrainingConfig::OPTIMIZER_SGD}) {
    spec.mutable_training()->set_optimizer(optimizer);

    EXPECT_DOUBLE_EQ(
        ResolveSpec(spec, facts)->training().learning_rate().value(), 10);
  }
}

TEST(TrainingDefaults, EpochsBecomeSteps) {
  const auto steps = [](double epochs, int max_steps, int accumulation) {
    TuningJobSpec spec = ClassifyingSpec();
    spec.mutable_training()->set_max_epochs(epochs);
    spec.mutable_training()->set_max_steps(max_steps);
    spec.mutable_training()->set_gradient_accumulation_steps(accumulation);
    const TuningJobSpec resolved = ResolvedOf300Rows(spec);
    EXPECT_DOUBLE_EQ(resolved.training().max_epochs(), epochs);
    return resolved.training().max_steps();
  };

  // 300 rows, 16 a step.
  EXPECT_EQ(steps(1, 0, 0), 19);
  EXPECT_EQ(steps(2, 0, 0), 38);
  EXPECT_EQ(steps(0.001, 0, 0), 1);
  EXPECT_EQ(steps(2, 0, 4), 10);
  EXPECT_EQ(steps(2, 10, 0), 10);
  EXPECT_EQ(steps(2, 100, 0), 38);
}

TEST(TrainingDefaults, RefusesEpochsOfTooManySteps) {
  for (double epochs :
       {-1.0, 1e6, 1e7, std::numeric_limits<double>::quiet_NaN()}) {
    ExpectTrainingRefused(Reason::kInvalidField, "spec.training.max_epochs",
                          [&](TuningJobSpec& spec) {
                            spec.mutable_training()->set_max_epochs(epochs);
                          });
  }
}

TEST(TrainingDefaults, MicroBatchesOfAStepCountInThePasses) {
  TuningJobSpec spec = ClassifyingSpec();
  spec.mutable_training()->set_batch_size(4);
  spec.mutable_training()->set_gradient_accumulation_steps(4);

  EXPECT_EQ(ResolvedOf300Rows(spec).training().max_steps(), 150);
}

TEST(TrainingDefaults, RefusesFieldsOfAnotherOptimiserOrSchedule) {
  const auto refuse = [](const std::string& path,
                         TrainingConfig::Optimizer optimizer, auto change) {
    ExpectTrainingRefused(Reason::kInvalidField, "spec.training." + path,
                          [&](TuningJobSpec& spec) {
                            spec.mutable_training()->set_optimizer(optimizer);
                            change(*spec.mutable_training());
                          });
  };
  const auto sgd = TrainingConfig::OPTIMIZER_SGD;
  const auto adamw = TrainingConfig::OPTIMIZER_ADAMW;
  refuse("adam_beta1", sgd, [](auto& t) { t.mutable_adam_beta1(); });
  refuse("adam_beta2", sgd, [](auto& t) { t.mutable_adam_beta2(); });
  refuse("adam_epsilon", sgd, [](auto& t) { t.mutable_adam_epsilon(); });
  refuse("sgd_momentum", adamw, [](auto& t) { t.mutable_sgd_momentum(); });
  refuse("adafactor_decay_rate", adamw,
         [](auto& t) { t.mutable_adafactor_decay_rate(); });
  refuse("adafactor_clip_threshold", adamw,
         [](auto& t) { t.mutable_adafactor_clip_threshold(); });
  refuse("adafactor_scale_parameter", sgd,
         [](auto& t) { t.set_adafactor_scale_parameter(true); });
  refuse("polynomial_power", adamw,
         [](auto& t) { t.mutable_polynomial_power(); });
  refuse("polynomial_end_factor", adamw,
         [](auto& t) { t.mutable_polynomial_end_factor(); });
  refuse("plateau_factor", adamw, [](auto& t) { t.mutable_plateau_factor(); });
  refuse("plateau_patience", adamw, [](auto& t) { t.set_plateau_patience(1); });
  refuse("plateau_min_factor", adamw,
         [](auto& t) { t.mutable_plateau_min_factor(); });
}

TEST(TrainingDefaults, RefusesOptionsOfOptimisersAndSchedulesOutOfRange) {
  const auto refuse = [](const std::string& path, auto change) {
    ExpectTrainingRefused(
        Reason::kInvalidField, "spec.training." + path,
        [&](TuningJobSpec& spec) { change(*spec.mutable_training()); });
  };
  refuse("sgd_momentum", [](TrainingConfig& t) {
    t.set_optimizer(TrainingConfig::OPTIMIZER_SGD);
    t.mutable_sgd_momentum()->set_value(1);
  });
  for (double rate : {0.0, -1.5}) {
    refuse("adafactor_decay_rate", [&](TrainingConfig& t) {
      t.set_optimizer(TrainingConfig::OPTIMIZER_ADAFACTOR);
      t.mutable_adafactor_decay_rate()->set_value(rate);
    });
  }
  refuse("adafactor_clip_threshold", [](TrainingConfig& t) {
    t.set_optimizer(TrainingConfig::OPTIMIZER_ADAFACTOR);
    t.mutable_adafactor_clip_threshold()->set_value(0);
  });
  const auto polynomial = [](TrainingConfig& t) {
    t.set_learning_rate_schedule(
        TrainingConfig::LEARNING_RATE_SCHEDULE_POLYNOMIAL);
  };
  refuse("polynomial_power", [&](TrainingConfig& t) {
    polynomial(t);
    t.mutable_polynomial_power()->set_value(0);
  });
  refuse("polynomial_end_factor", [&](TrainingConfig& t) {
    polynomial(t);
    t.mutable_polynomial_end_factor()->set_value(1.5);
  });
  const auto plateau = [](TrainingConfig& t) {
    t.set_learning_rate_schedule(
        TrainingConfig::LEARNING_RATE_SCHEDULE_REDUCE_ON_PLATEAU);
  };
  refuse("plateau_factor", [&](TrainingConfig& t) {
    plateau(t);
    t.mutable_plateau_factor()->set_value(1);
  });
  refuse("plateau_patience", [&](TrainingConfig& t) {
    plateau(t);
    t.set_plateau_patience(-1);
  });
  refuse("plateau_min_factor", [&](TrainingConfig& t) {
    plateau(t);
    t.mutable_plateau_min_factor()->set_value(-0.1);
  });
}

TEST(TrainingDefaults, IntervalsStayWithinTheSteps) {
  TuningJobSpec spec = ClassifyingSpec();
  spec.mutable_training()->set_max_steps(3);

  EXPECT_EQ(ResolvedOf300Rows(spec).training().validation_interval_steps(), 3);
  EXPECT_EQ(ResolvedOf300Rows(spec).training().checkpoint_interval_steps(), 3);
}

TEST(TrainingDefaults, ValidationsMayGoByPassesOverTheRows) {
  TuningJobSpec spec = ClassifyingSpec();
  attune::v1::TrainingConfig& training = *spec.mutable_training();
  training.set_batch_size(16);
  training.set_max_epochs(5);
  training.set_validation_interval_epochs(1);

  // 300 rows in steps of 16.
  EXPECT_EQ(ResolvedOf300Rows(spec).training().validation_interval_steps(), 19);
  training.set_validation_interval_steps(7);
  EXPECT_EQ(ResolvedOf300Rows(spec).training().validation_interval_steps(), 7);
  training.set_validation_interval_steps(0);
  training.set_validation_interval_epochs(0.01);
  EXPECT_EQ(ResolvedOf300Rows(spec).training().validation_interval_steps(), 1);
  training.set_validation_interval_epochs(100);
  EXPECT_EQ(ResolvedOf300Rows(spec).training().validation_interval_steps(),
            ResolvedOf300Rows(spec).training().max_steps());
  training.set_validation_interval_epochs(-1);
  ExpectTrainingRefused(
      Reason::kInvalidField, "spec.training.validation_interval_epochs",
      [](TuningJobSpec& one) {
        one.mutable_training()->set_validation_interval_epochs(-1);
      });
}

TEST(TrainingDefaults, WarmupIsAShareOrANumberOfSteps) {
  TuningJobSpec spec = ClassifyingSpec();
  spec.mutable_training()->set_max_steps(90);
  EXPECT_EQ(WarmupSteps(ResolvedOf300Rows(spec).training()), 6);

  spec.mutable_training()->mutable_warmup_steps()->set_value(0);
  EXPECT_EQ(WarmupSteps(ResolvedOf300Rows(spec).training()), 0);
}

TEST(TrainingDefaults, RefusesLearningRatesOutOfRange) {
  for (double rate : {0.0, -1.0, 10.5, std::numeric_limits<double>::quiet_NaN(),
                      std::numeric_limits<double>::infinity()}) {
    ExpectTrainingRefused(
        Reason::kInvalidField, "spec.training.learning_rate",
        [&](TuningJobSpec& spec) {
          spec.mutable_training()->mutable_learning_rate()->set_value(rate);
        });
  }
}

}  // namespace
}  // namespace attune::worker
