#include "worker/tuning/defaults.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"

namespace attune::worker {
namespace {

using ::attune::v1::HardPrompt;
using ::attune::v1::PromptTuning;
using ::attune::v1::TrainingConfig;
using ::attune::v1::TuningJobSpec;
using ::testing::HasSubstr;

TuningJobSpec Spec() {
  TuningJobSpec spec;
  spec.mutable_task()->set_type(attune::v1::TASK_TYPE_TEXT_CLASSIFICATION);
  return spec;
}

JobFacts Facts() {
  return {.num_train_rows = 300,
          .context_length = 2048,
          .embedding_rms = 0.136,
          .dtype = c10::ScalarType::Float,
          .embedding_dim = 576,
          .num_layers = 30};
}

TuningJobSpec Resolved(const TuningJobSpec& spec = Spec()) {
  const auto resolved = ResolveSpec(spec, Facts());
  EXPECT_OK(resolved);
  return *resolved;
}

// Expects that changing the spec with `change` is refused naming `path`.
template <typename Change>
void ExpectRefused(Reason reason, const std::string& path, Change change) {
  TuningJobSpec spec = Spec();
  change(spec);
  EXPECT_THAT(ResolveSpec(spec, Facts()), ReasonIs(reason, HasSubstr(path)));
}

TEST(Defaults, FillsEveryUnsetField) {
  const TuningJobSpec spec = Resolved();
  const TrainingConfig& training = spec.training();

  EXPECT_DOUBLE_EQ(spec.data().fractions().validation(), 0.1);
  EXPECT_DOUBLE_EQ(spec.data().fractions().test(), 0.1);
  EXPECT_EQ(spec.method().prompt_tuning().num_virtual_tokens(), 20);
  EXPECT_EQ(spec.method().prompt_tuning().initialisation(),
            PromptTuning::INITIALISATION_CLASS_LABELS);
  EXPECT_EQ(spec.method().prompt_tuning().reparameterisation(),
            PromptTuning::REPARAMETERISATION_NONE);
  EXPECT_EQ(training.max_steps(), 150);
  EXPECT_EQ(training.batch_size(), 16);
  EXPECT_DOUBLE_EQ(training.learning_rate().value(), 0.0544);
  EXPECT_EQ(training.learning_rate_schedule(),
            TrainingConfig::LEARNING_RATE_SCHEDULE_LINEAR);
  EXPECT_DOUBLE_EQ(training.warmup_ratio().value(), 0.06);
  EXPECT_EQ(training.optimizer(), TrainingConfig::OPTIMIZER_ADAMW);
  EXPECT_DOUBLE_EQ(training.max_grad_norm().value(), 1);
  EXPECT_DOUBLE_EQ(training.adam_beta1().value(), 0.9);
  EXPECT_DOUBLE_EQ(training.adam_beta2().value(), 0.999);
  EXPECT_DOUBLE_EQ(training.adam_epsilon().value(), 1e-8);
  EXPECT_EQ(training.validation_interval_steps(), 15);
  EXPECT_EQ(training.checkpoint_interval_steps(), 50);
  EXPECT_EQ(training.gradient_accumulation_steps(), 1);
  EXPECT_EQ(training.precision(), TrainingConfig::PRECISION_FP32);
  EXPECT_EQ(spec.evaluation().metric(), "accuracy");
}

TEST(Defaults, AHeadHasALearningRateOfItsOwn) {
  TuningJobSpec spec = Spec();
  spec.mutable_task()->set_label_scoring(attune::v1::LABEL_SCORING_HEAD);

  EXPECT_FALSE(Resolved().training().has_head_learning_rate());
  EXPECT_DOUBLE_EQ(Resolved(spec).training().head_learning_rate().value(),
                   0.005);
  ExpectRefused(Reason::kInvalidField, "spec.training.head_learning_rate",
                [](TuningJobSpec& without_head) {
                  without_head.mutable_training()
                      ->mutable_head_learning_rate()
                      ->set_value(0.01);
                });
  ExpectRefused(
      Reason::kInvalidField, "spec.training.head_learning_rate",
      [](TuningJobSpec& of_zero) {
        of_zero.mutable_task()->set_label_scoring(
            attune::v1::LABEL_SCORING_HEAD);
        of_zero.mutable_training()->mutable_head_learning_rate()->set_value(0);
      });
}

TEST(Defaults, ResolvingAgainChangesNothing) {
  std::vector<TuningJobSpec> specs(4, Spec());
  specs[1].mutable_training()->set_optimizer(TrainingConfig::OPTIMIZER_SGD);
  specs[1].mutable_training()->set_learning_rate_schedule(
      TrainingConfig::LEARNING_RATE_SCHEDULE_POLYNOMIAL);
  specs[2].mutable_training()->set_optimizer(
      TrainingConfig::OPTIMIZER_ADAFACTOR);
  specs[2].mutable_training()->set_learning_rate_schedule(
      TrainingConfig::LEARNING_RATE_SCHEDULE_REDUCE_ON_PLATEAU);
  specs[3].mutable_training()->set_max_epochs(2.5);
  for (const TuningJobSpec& spec : specs) {
    const TuningJobSpec once = Resolved(spec);

    EXPECT_EQ(Resolved(once).SerializeAsString(), once.SerializeAsString());
  }
}

TEST(Defaults, GenerationsHaveTheirOwn) {
  TuningJobSpec spec = Spec();
  spec.mutable_task()->set_type(attune::v1::TASK_TYPE_TEXT_GENERATION);

  EXPECT_EQ(Resolved(spec).evaluation().metric(), "loss");
  EXPECT_EQ(Resolved(spec).method().prompt_tuning().initialisation(),
            PromptTuning::INITIALISATION_SAMPLED_VOCABULARY);
}

TEST(Defaults, InitTextMeansInitialisationFromIt) {
  TuningJobSpec spec = Spec();
  spec.mutable_method()->mutable_prompt_tuning()->set_init_text("Classify:");

  EXPECT_EQ(Resolved(spec).method().prompt_tuning().initialisation(),
            PromptTuning::INITIALISATION_TEXT);
}

TEST(Defaults, FollowTheNumberOfRows) {
  const auto steps = [](int64_t rows) {
    JobFacts facts = Facts();
    facts.num_train_rows = rows;
    return ResolveSpec(Spec(), facts)->training().max_steps();
  };

  EXPECT_EQ(steps(3), 50);
  EXPECT_EQ(steps(300), 150);
  EXPECT_EQ(steps(100'000), 1'000);
}

TEST(Defaults, ASmallJobHasASmallBatch) {
  JobFacts facts = Facts();
  facts.num_train_rows = 5;

  EXPECT_EQ(ResolveSpec(Spec(), facts)->training().batch_size(), 5);
}

TEST(Defaults, TheLearningRateDoesNotDependOnTheOrderOfASum) {
  JobFacts facts = Facts();
  facts.embedding_rms = 0.136 * (1 + 1e-7);

  EXPECT_DOUBLE_EQ(
      ResolveSpec(Spec(), facts)->training().learning_rate().value(), 0.0544);
}

TEST(Defaults, InlineRowsAreLeftOut) {
  TuningJobSpec spec = Spec();
  spec.mutable_data()->mutable_inline_()->add_rows();

  EXPECT_TRUE(Resolved(spec).data().has_inline_());
  EXPECT_EQ(Resolved(spec).data().inline_().rows_size(), 0);
}

TEST(Defaults, PrecisionIsTheWorkers) {
  JobFacts facts = Facts();
  facts.dtype = c10::ScalarType::BFloat16;
  TuningJobSpec spec = Spec();
  EXPECT_EQ(ResolveSpec(spec, facts)->training().precision(),
            TrainingConfig::PRECISION_BF16);

  spec.mutable_training()->set_precision(TrainingConfig::PRECISION_FP32);

  EXPECT_THAT(ResolveSpec(spec, facts),
              ReasonIs(Reason::kIllegalState, HasSubstr("runs bf16")));
}

TEST(Defaults, RefusesTooManyVirtualTokens) {
  for (int tokens : {-1, 1025}) {
    ExpectRefused(Reason::kInvalidField, "num_virtual_tokens",
                  [&](TuningJobSpec& spec) {
                    spec.mutable_method()
                        ->mutable_prompt_tuning()
                        ->set_num_virtual_tokens(tokens);
                  });
  }
}

TEST(Defaults, RefusesMoreThanHalfTheContext) {
  JobFacts facts = Facts();
  facts.context_length = 100;
  TuningJobSpec spec = Spec();
  spec.mutable_method()->mutable_prompt_tuning()->set_num_virtual_tokens(51);

  EXPECT_THAT(ResolveSpec(spec, facts),
              ReasonIs(Reason::kInvalidField, HasSubstr("must be 1 to 50")));
}

TEST(Defaults, RefusesNumbersOutOfRange) {
  const auto refuse = [](const std::string& path, auto change) {
    ExpectRefused(
        Reason::kInvalidField, "spec.training." + path,
        [&](TuningJobSpec& spec) { change(*spec.mutable_training()); });
  };
  refuse("max_steps", [](TrainingConfig& t) { t.set_max_steps(-1); });
  refuse("batch_size", [](TrainingConfig& t) { t.set_batch_size(2'000); });
  refuse("gradient_accumulation_steps",
         [](TrainingConfig& t) { t.set_gradient_accumulation_steps(1'025); });
  for (double smoothing : {-0.1, 1.1}) {
    refuse("label_smoothing",
           [&](TrainingConfig& t) { t.set_label_smoothing(smoothing); });
  }
  refuse("weight_decay", [](TrainingConfig& t) { t.set_weight_decay(2); });
  refuse("warmup_ratio",
         [](TrainingConfig& t) { t.mutable_warmup_ratio()->set_value(1.5); });
  refuse("warmup_steps",
         [](TrainingConfig& t) { t.mutable_warmup_steps()->set_value(-1); });
  refuse("warmup_ratio", [](TrainingConfig& t) {
    t.mutable_warmup_steps()->set_value(1);
    t.mutable_warmup_ratio()->set_value(0.1);
  });
  refuse("max_grad_norm",
         [](TrainingConfig& t) { t.mutable_max_grad_norm()->set_value(-1); });
  refuse("adam_beta1",
         [](TrainingConfig& t) { t.mutable_adam_beta1()->set_value(1); });
  refuse("adam_beta2",
         [](TrainingConfig& t) { t.mutable_adam_beta2()->set_value(-0.1); });
  refuse("adam_epsilon",
         [](TrainingConfig& t) { t.mutable_adam_epsilon()->set_value(0); });
  refuse("validation_interval_steps",
         [](TrainingConfig& t) { t.set_validation_interval_steps(151); });
  refuse("checkpoint_interval_steps",
         [](TrainingConfig& t) { t.set_checkpoint_interval_steps(-1); });
  refuse("early_stopping.patience", [](TrainingConfig& t) {
    t.mutable_early_stopping()->set_patience(1'001);
  });
  refuse("max_duration",
         [](TrainingConfig& t) { t.mutable_max_duration()->set_nanos(5); });
}

TEST(Defaults, RefusesMetricsOfOtherTasks) {
  ExpectRefused(Reason::kInvalidField, "spec.evaluation.metric",
                [](TuningJobSpec& spec) {
                  spec.mutable_evaluation()->set_metric("exact_match");
                });
}

TEST(Defaults, InitTextBelongsToItsInitialisation) {
  ExpectRefused(Reason::kInvalidField, "init_text", [](TuningJobSpec& spec) {
    PromptTuning& tuning = *spec.mutable_method()->mutable_prompt_tuning();
    tuning.set_init_text("a");
    tuning.set_initialisation(PromptTuning::INITIALISATION_SCALED_RANDOM);
  });
  ExpectRefused(Reason::kInvalidField, "init_text", [](TuningJobSpec& spec) {
    spec.mutable_method()->mutable_prompt_tuning()->set_initialisation(
        PromptTuning::INITIALISATION_TEXT);
  });
}

TEST(Defaults, AHardPromptHasNothingToTrain) {
  TuningJobSpec spec = Spec();
  spec.mutable_method()->mutable_hard_prompt()->set_num_demonstrations(4);
  spec.mutable_training()->set_seed(7);

  const TuningJobSpec resolved = Resolved(spec);

  EXPECT_EQ(resolved.method().hard_prompt().selection(),
            HardPrompt::SELECTION_BALANCED);
  EXPECT_EQ(resolved.training().max_steps(), 0);
  EXPECT_EQ(resolved.training().seed(), 7u);
  EXPECT_EQ(resolved.training().precision(), TrainingConfig::PRECISION_FP32);
  EXPECT_EQ(resolved.evaluation().metric(), "accuracy");
  EXPECT_EQ(Resolved(resolved).SerializeAsString(),
            resolved.SerializeAsString());
}

TEST(Defaults, ABaseThatWritesIsAskedForInstructions) {
  TuningJobSpec spec = Spec();
  attune::v1::TemplateSearch& search =
      *spec.mutable_method()->mutable_hard_prompt()->mutable_template_search();

  EXPECT_EQ(
      Resolved(spec).method().hard_prompt().template_search().num_generated(),
      8);
  search.set_num_generated(0);
  EXPECT_EQ(Resolved(spec).SerializeAsString(),
            Resolved(Resolved(spec)).SerializeAsString());
}

TEST(Defaults, ASearchForATemplateHasLimits) {
  const auto expect_refused = [](const char* field, auto change) {
    ExpectRefused(Reason::kInvalidField, field, [&](TuningJobSpec& spec) {
      spec.clear_training();
      change(spec, *spec.mutable_method()
                        ->mutable_hard_prompt()
                        ->mutable_template_search());
    });
  };
  expect_refused("template_search.num_generated",
                 [](TuningJobSpec&, attune::v1::TemplateSearch& search) {
                   search.set_num_generated(65);
                 });
  expect_refused("template_search.templates",
                 [](TuningJobSpec&, attune::v1::TemplateSearch& search) {
                   for (int i = 0; i < 65; ++i) search.add_templates("a");
                 });
  expect_refused(
      "template_search.label_words",
      [](TuningJobSpec& spec, attune::v1::TemplateSearch& search) {
        spec.mutable_task()->set_type(attune::v1::TASK_TYPE_TEXT_GENERATION);
        search.set_label_words(true);
      });
  expect_refused("template_search",
                 [](TuningJobSpec& spec, attune::v1::TemplateSearch&) {
                   spec.mutable_task()->add_demonstrations()->set_answer("a");
                 });
  expect_refused("template_search",
                 [](TuningJobSpec& spec, attune::v1::TemplateSearch&) {
                   spec.mutable_task()->add_more_templates("a");
                 });
  expect_refused("template_search.ensemble_size",
                 [](TuningJobSpec&, attune::v1::TemplateSearch& search) {
                   search.set_ensemble_size(9);
                 });
  expect_refused(
      "template_search.ensemble_size",
      [](TuningJobSpec& spec, attune::v1::TemplateSearch& search) {
        spec.mutable_task()->set_type(attune::v1::TASK_TYPE_TEXT_GENERATION);
        search.set_ensemble_size(2);
      });
}

TEST(Defaults, NothingIsTrainedBehindSeveralTemplates) {
  ExpectRefused(Reason::kInvalidField, "spec.task.more_templates",
                [](TuningJobSpec& spec) {
                  spec.mutable_task()->add_more_templates("{{ text }}:");
                });
}

TEST(Defaults, AHardPromptOfAGenerationShowsAnyRows) {
  TuningJobSpec spec = Spec();
  spec.mutable_task()->set_type(attune::v1::TASK_TYPE_TEXT_GENERATION);
  spec.mutable_method()->mutable_hard_prompt();

  EXPECT_EQ(Resolved(spec).method().hard_prompt().selection(),
            HardPrompt::SELECTION_RANDOM);
}

TEST(Defaults, AHardPromptCountsTheDemonstrationsOfItsTask) {
  TuningJobSpec spec = Spec();
  spec.mutable_method()->mutable_hard_prompt();
  spec.mutable_task()->add_demonstrations()->set_answer("a");

  EXPECT_EQ(Resolved(spec).method().hard_prompt().num_demonstrations(), 1);
}

TEST(Defaults, AHardPromptShowsTheNearestOfItsTasksDemonstrations) {
  TuningJobSpec spec = Spec();
  spec.mutable_method()->mutable_hard_prompt();
  for (int i = 0; i < 300; ++i) {
    spec.mutable_task()->add_demonstrations()->set_answer("a");
  }
  spec.mutable_task()->set_num_nearest_demonstrations(3);

  const TuningJobSpec resolved = Resolved(spec);

  EXPECT_EQ(resolved.method().hard_prompt().num_demonstrations(), 3);
  EXPECT_EQ(resolved.method().hard_prompt().selection(),
            HardPrompt::SELECTION_NEAREST);
  EXPECT_EQ(Resolved(resolved).SerializeAsString(),
            resolved.SerializeAsString());
}

TEST(Defaults, TheNearestTrainingRowsMayBeAskedForOfAnyTask) {
  TuningJobSpec spec = Spec();
  spec.mutable_task()->set_type(attune::v1::TASK_TYPE_TEXT_GENERATION);
  HardPrompt& hard = *spec.mutable_method()->mutable_hard_prompt();
  hard.set_num_demonstrations(4);
  hard.set_selection(HardPrompt::SELECTION_NEAREST);

  const TuningJobSpec resolved = Resolved(spec);

  EXPECT_EQ(resolved.method().hard_prompt().num_demonstrations(), 4);
  EXPECT_EQ(resolved.method().hard_prompt().selection(),
            HardPrompt::SELECTION_NEAREST);
}

TEST(Defaults, RefusesHardPromptsThatCannotBe) {
  const auto hard = [](TuningJobSpec& spec) -> HardPrompt& {
    return *spec.mutable_method()->mutable_hard_prompt();
  };
  ExpectRefused(
      Reason::kInvalidField, "hard_prompt.num_demonstrations",
      [&](TuningJobSpec& spec) { hard(spec).set_num_demonstrations(257); });
  ExpectRefused(Reason::kInvalidField, "hard_prompt.num_demonstrations",
                [&](TuningJobSpec& spec) {
                  hard(spec).set_num_demonstrations(2);
                  spec.mutable_task()->add_demonstrations()->set_answer("a");
                });
  ExpectRefused(Reason::kInvalidField, "hard_prompt.selection",
                [&](TuningJobSpec& spec) {
                  hard(spec).set_selection(HardPrompt::SELECTION_NEAREST);
                  spec.mutable_task()->add_demonstrations()->set_answer("a");
                });
  ExpectRefused(Reason::kInvalidField, "hard_prompt.selection",
                [&](TuningJobSpec& spec) {
                  hard(spec).set_selection(HardPrompt::SELECTION_RANDOM);
                  spec.mutable_task()->add_demonstrations()->set_answer("a");
                  spec.mutable_task()->set_num_nearest_demonstrations(1);
                });
  ExpectRefused(
      Reason::kInvalidField, "hard_prompt.selection", [&](TuningJobSpec& spec) {
        spec.mutable_task()->set_type(attune::v1::TASK_TYPE_TEXT_GENERATION);
        hard(spec).set_selection(HardPrompt::SELECTION_BALANCED);
      });
  ExpectRefused(Reason::kInvalidField, "spec.training",
                [&](TuningJobSpec& spec) {
                  hard(spec);
                  spec.mutable_training()->set_max_steps(5);
                });
  ExpectRefused(
      Reason::kInvalidField, "spec.method.hard_prompt",
      [&](TuningJobSpec& spec) {
        hard(spec);
        spec.mutable_task()->set_label_scoring(attune::v1::LABEL_SCORING_HEAD);
      });
}

TEST(Defaults, AHeadAloneNeedsATaskThatAHeadScores) {
  ExpectRefused(
      Reason::kInvalidField, "spec.method.head",
      [](TuningJobSpec& spec) { spec.mutable_method()->mutable_head(); });
}

PromptTuning ResolvedNetwork(PromptTuning::Reparameterisation network,
                             int64_t embedding_dim) {
  TuningJobSpec spec = Spec();
  spec.mutable_method()->mutable_prompt_tuning()->set_reparameterisation(
      network);
  JobFacts facts = Facts();
  facts.embedding_dim = embedding_dim;
  const auto resolved = ResolveSpec(spec, facts);
  EXPECT_OK(resolved);
  return resolved->method().prompt_tuning();
}

TEST(Defaults, ANetworkIsAsWideAsTheModelUpToALimit) {
  const auto mlp = PromptTuning::REPARAMETERISATION_MLP;
  const auto lstm = PromptTuning::REPARAMETERISATION_LSTM;

  EXPECT_EQ(ResolvedNetwork(mlp, 128).encoder_hidden_size(), 128);
  EXPECT_EQ(ResolvedNetwork(mlp, 4096).encoder_hidden_size(), 512);
  EXPECT_EQ(ResolvedNetwork(lstm, 128).encoder_hidden_size(), 128);
  EXPECT_EQ(ResolvedNetwork(lstm, 4096).encoder_hidden_size(), 256);
  EXPECT_FALSE(Resolved().method().prompt_tuning().has_encoder_hidden_size());
}

TEST(Defaults, NetworksLearnMoreSlowly) {
  const auto rate = [](auto set) {
    TuningJobSpec spec = Spec();
    set(*spec.mutable_method());
    return Resolved(spec).training().learning_rate().value();
  };
  const auto with = [&](PromptTuning::Reparameterisation network) {
    return rate([&](attune::v1::TuningMethod& method) {
      method.mutable_prompt_tuning()->set_reparameterisation(network);
    });
  };

  EXPECT_DOUBLE_EQ(with(PromptTuning::REPARAMETERISATION_MLP), 0.001);
  EXPECT_DOUBLE_EQ(with(PromptTuning::REPARAMETERISATION_LSTM), 0.001);
  EXPECT_DOUBLE_EQ(with(PromptTuning::REPARAMETERISATION_RESIDUAL_MLP),
                   0.00408);
  EXPECT_DOUBLE_EQ(rate([](attune::v1::TuningMethod& method) {
                     method.mutable_prefix_tuning()->set_projection(true);
                   }),
                   0.001);
}

TEST(Defaults, AProjectionHasAWidth) {
  TuningJobSpec spec = Spec();
  spec.mutable_method()->mutable_prefix_tuning()->set_projection(true);
  const TuningJobSpec once = Resolved(spec);

  EXPECT_EQ(once.method().prefix_tuning().encoder_hidden_size(), 512);
  EXPECT_EQ(Resolved(once).SerializeAsString(), once.SerializeAsString());
}

TEST(Defaults, RefusesWidthsOutOfRangeOrWithoutANetwork) {
  for (int width : {0, -1, 8'193}) {
    ExpectRefused(
        Reason::kInvalidField, "prompt_tuning.encoder_hidden_size",
        [&](TuningJobSpec& spec) {
          PromptTuning& tuning =
              *spec.mutable_method()->mutable_prompt_tuning();
          tuning.set_reparameterisation(PromptTuning::REPARAMETERISATION_MLP);
          tuning.set_encoder_hidden_size(width);
        });
  }
  ExpectRefused(
      Reason::kInvalidField, "prefix_tuning.encoder_hidden_size",
      [](TuningJobSpec& spec) {
        spec.mutable_method()->mutable_prefix_tuning()->set_encoder_hidden_size(
            8);
      });
}

TEST(Defaults, InitVersionMeansInitialisationFromIt) {
  TuningJobSpec spec = Spec();
  spec.mutable_method()->mutable_prompt_tuning()->set_init_version(
      "prompts/x/versions/1");
  TuningJobSpec prefix = Spec();
  prefix.mutable_method()->mutable_prefix_tuning()->set_init_version(
      "prompts/x/versions/1");

  EXPECT_EQ(Resolved(spec).method().prompt_tuning().initialisation(),
            PromptTuning::INITIALISATION_VERSION);
  EXPECT_EQ(Resolved(prefix).method().prefix_tuning().initialisation(),
            PromptTuning::INITIALISATION_VERSION);
}

TEST(Defaults, InitVersionBelongsToItsInitialisation) {
  ExpectRefused(Reason::kInvalidField, "init_version", [](TuningJobSpec& spec) {
    spec.mutable_method()->mutable_prompt_tuning()->set_initialisation(
        PromptTuning::INITIALISATION_VERSION);
  });
  ExpectRefused(Reason::kInvalidField, "init_version", [](TuningJobSpec& spec) {
    PromptTuning& tuning = *spec.mutable_method()->mutable_prompt_tuning();
    tuning.set_init_text("a");
    tuning.set_init_version("prompts/x/versions/1");
  });
}

TEST(Defaults, ZerosAreForPrefixesOnly) {
  TuningJobSpec prefix = Spec();
  prefix.mutable_method()->mutable_prefix_tuning()->set_initialisation(
      PromptTuning::INITIALISATION_ZERO);

  EXPECT_EQ(Resolved(prefix).method().prefix_tuning().initialisation(),
            PromptTuning::INITIALISATION_ZERO);
  ExpectRefused(
      Reason::kInvalidField, "INITIALISATION_ZERO", [](TuningJobSpec& spec) {
        spec.mutable_method()->mutable_prompt_tuning()->set_initialisation(
            PromptTuning::INITIALISATION_ZERO);
      });
}

TEST(Defaults, NamesEveryWrongFieldAtOnce) {
  TuningJobSpec spec = Spec();
  spec.mutable_training()->set_max_steps(-1);
  spec.mutable_training()->set_weight_decay(2);

  const absl::Status status = ResolveSpec(spec, Facts()).status();

  EXPECT_THAT(status.ToString(), HasSubstr("max_steps"));
  EXPECT_THAT(status.ToString(), HasSubstr("weight_decay"));
}

TEST(Defaults, APrefixHasAllLayersOrThoseThatAreAskedFor) {
  TuningJobSpec spec = Spec();
  auto& prefix = *spec.mutable_method()->mutable_prefix_tuning();

  EXPECT_EQ(Resolved(spec).method().prefix_tuning().num_layers(), 30);

  prefix.set_first_layer(10);
  const TuningJobSpec once = Resolved(spec);

  EXPECT_EQ(once.method().prefix_tuning().num_layers(), 20);
  EXPECT_EQ(Resolved(once).SerializeAsString(), once.SerializeAsString());

  prefix.set_num_layers(5);

  EXPECT_EQ(Resolved(spec).method().prefix_tuning().num_layers(), 5);
}

TEST(Defaults, RefusesLayersThatTheModelLacks) {
  const auto refuse = [](const std::string& field, int first, int count) {
    ExpectRefused(Reason::kInvalidField, "spec.method.prefix_tuning." + field,
                  [&](TuningJobSpec& spec) {
                    auto& prefix =
                        *spec.mutable_method()->mutable_prefix_tuning();
                    prefix.set_first_layer(first);
                    prefix.set_num_layers(count);
                  });
  };
  refuse("first_layer", 30, 0);
  refuse("first_layer", -1, 0);
  refuse("num_layers", 29, 2);
  refuse("num_layers", 0, -1);
}

}  // namespace
}  // namespace attune::worker
