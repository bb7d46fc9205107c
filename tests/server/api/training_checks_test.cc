#include "server/api/training_checks.h"

#include <functional>
#include <string>
#include <vector>

#include "tests/server/api/api_test.h"

namespace attune::server {
namespace {

v1::TaskSpec TaskOf(v1::TaskType type) {
  v1::TaskSpec task;
  task.set_type(type);
  return task;
}

TEST(TrainingChecks, DefaultsPass) {
  FieldViolations violations;
  CheckTraining({}, "t", violations);
  CheckMethod({}, v1::TASK_TYPE_TEXT_GENERATION, "m", violations);
  CheckEvaluation({}, TaskOf(v1::TASK_TYPE_TEXT_GENERATION), "e", violations);

  EXPECT_OK(violations.ToStatus());
}

TEST(TrainingChecks, EveryWrongFieldOfTheTrainingIsNamed) {
  struct Case {
    std::function<void(v1::TrainingConfig&)> spoil;
    std::string field;
  };
  const std::vector<Case> cases = {
      {[](auto& t) { t.set_max_steps(-1); }, "t.max_steps"},
      {[](auto& t) { t.set_max_steps(1'000'001); }, "t.max_steps"},
      {[](auto& t) { t.set_max_epochs(-1); }, "t.max_epochs"},
      {[](auto& t) { t.set_batch_size(1'025); }, "t.batch_size"},
      {[](auto& t) { t.set_gradient_accumulation_steps(1'025); },
       "t.gradient_accumulation_steps"},
      {[](auto& t) { t.set_label_smoothing(1.5); }, "t.label_smoothing"},
      {[](auto& t) { t.mutable_head_learning_rate()->set_value(0); },
       "t.head_learning_rate"},
      {[](auto& t) { t.mutable_learning_rate()->set_value(0); },
       "t.learning_rate"},
      {[](auto& t) { t.mutable_learning_rate()->set_value(10.5); },
       "t.learning_rate"},
      {[](auto& t) { t.mutable_warmup_ratio()->set_value(1.5); },
       "t.warmup_ratio"},
      {[](auto& t) {
         t.mutable_warmup_ratio()->set_value(0.1);
         t.mutable_warmup_steps()->set_value(1);
       },
       "t.warmup_steps"},
      {[](auto& t) {
         t.set_max_steps(10);
         t.mutable_warmup_steps()->set_value(11);
       },
       "t.warmup_steps"},
      {[](auto& t) { t.set_weight_decay(1.5); }, "t.weight_decay"},
      {[](auto& t) { t.mutable_ema_decay()->set_value(1); }, "t.ema_decay"},
      {[](auto& t) { t.mutable_ema_decay()->set_value(-0.1); }, "t.ema_decay"},
      {[](auto& t) {
         t.mutable_stratify_labels()->set_value(true);
         t.set_group_by_length(true);
       },
       "t.stratify_labels"},
      {[](auto& t) { t.mutable_max_grad_norm()->set_value(-1); },
       "t.max_grad_norm"},
      {[](auto& t) { t.mutable_adam_beta1()->set_value(1); }, "t.adam_beta1"},
      {[](auto& t) { t.mutable_adam_beta2()->set_value(-0.1); },
       "t.adam_beta2"},
      {[](auto& t) { t.mutable_adam_epsilon()->set_value(0); },
       "t.adam_epsilon"},
      {[](auto& t) {
         t.set_max_steps(10);
         t.set_validation_interval_steps(11);
       },
       "t.validation_interval_steps"},
      {[](auto& t) { t.set_checkpoint_interval_steps(-1); },
       "t.checkpoint_interval_steps"},
      {[](auto& t) { t.mutable_early_stopping()->set_patience(1'001); },
       "t.early_stopping.patience"},
      {[](auto& t) { t.mutable_early_stopping()->set_min_delta(-1); },
       "t.early_stopping.min_delta"},
      {[](auto& t) { t.mutable_max_duration()->set_nanos(5); },
       "t.max_duration"},
      {[](auto& t) {
         t.mutable_max_duration()->set_seconds(1);
         t.mutable_max_duration()->set_nanos(-999'999'999);
       },
       "t.max_duration"},
      {[](auto& t) { t.mutable_max_duration()->set_seconds(int64_t{1} << 62); },
       "t.max_duration"}};
  for (const Case& one : cases) {
    v1::TrainingConfig training;
    one.spoil(training);
    FieldViolations violations;
    CheckTraining(training, "t", violations);

    EXPECT_THAT(violations.ToStatus(),
                NamesField(Reason::kInvalidField, one.field));
  }
}

TEST(TrainingChecks, OptionsOfOptimisersAreChecked) {
  v1::TrainingConfig sgd;
  sgd.set_optimizer(v1::TrainingConfig::OPTIMIZER_SGD);
  sgd.mutable_sgd_momentum()->set_value(1);
  v1::TrainingConfig adafactor;
  adafactor.set_optimizer(v1::TrainingConfig::OPTIMIZER_ADAFACTOR);
  adafactor.mutable_adafactor_decay_rate()->set_value(0);
  adafactor.mutable_adafactor_clip_threshold()->set_value(0);
  FieldViolations of_sgd;
  FieldViolations of_adafactor;
  CheckTraining(sgd, "t", of_sgd);
  CheckTraining(adafactor, "t", of_adafactor);

  EXPECT_THAT(FieldsOf(of_sgd.ToStatus()),
              testing::ElementsAre("t.sgd_momentum"));
  EXPECT_THAT(FieldsOf(of_adafactor.ToStatus()),
              testing::ElementsAre("t.adafactor_decay_rate",
                                   "t.adafactor_clip_threshold"));
}

TEST(TrainingChecks, OptionsOfSchedulesAreChecked) {
  v1::TrainingConfig polynomial;
  polynomial.set_learning_rate_schedule(
      v1::TrainingConfig::LEARNING_RATE_SCHEDULE_POLYNOMIAL);
  polynomial.mutable_polynomial_power()->set_value(11);
  polynomial.mutable_polynomial_end_factor()->set_value(2);
  v1::TrainingConfig plateau;
  plateau.set_learning_rate_schedule(
      v1::TrainingConfig::LEARNING_RATE_SCHEDULE_REDUCE_ON_PLATEAU);
  plateau.mutable_plateau_factor()->set_value(1);
  plateau.set_plateau_patience(1'001);
  plateau.mutable_plateau_min_factor()->set_value(-1);
  FieldViolations of_polynomial;
  FieldViolations of_plateau;
  CheckTraining(polynomial, "t", of_polynomial);
  CheckTraining(plateau, "t", of_plateau);

  EXPECT_THAT(
      FieldsOf(of_polynomial.ToStatus()),
      testing::ElementsAre("t.polynomial_power", "t.polynomial_end_factor"));
  EXPECT_THAT(FieldsOf(of_plateau.ToStatus()),
              testing::ElementsAre("t.plateau_factor", "t.plateau_patience",
                                   "t.plateau_min_factor"));
}

TEST(TrainingChecks, FieldsOfAnotherOptimiserOrScheduleAreNamed) {
  v1::TrainingConfig adamw;
  adamw.mutable_sgd_momentum()->set_value(0.9);
  adamw.set_adafactor_scale_parameter(true);
  adamw.mutable_polynomial_power()->set_value(1);
  adamw.set_plateau_patience(3);
  v1::TrainingConfig sgd;
  sgd.set_optimizer(v1::TrainingConfig::OPTIMIZER_SGD);
  sgd.mutable_adam_beta1()->set_value(0.9);
  sgd.mutable_adam_epsilon()->set_value(1e-8);
  FieldViolations of_adamw;
  FieldViolations of_sgd;
  CheckTraining(adamw, "t", of_adamw);
  CheckTraining(sgd, "t", of_sgd);

  EXPECT_THAT(FieldsOf(of_adamw.ToStatus()),
              testing::UnorderedElementsAre(
                  "t.sgd_momentum", "t.adafactor_scale_parameter",
                  "t.polynomial_power", "t.plateau_patience"));
  EXPECT_THAT(FieldsOf(of_sgd.ToStatus()),
              testing::ElementsAre("t.adam_beta1", "t.adam_epsilon"));
}

TEST(TrainingChecks, EveryWrongFieldOfPromptTuningIsNamed) {
  struct Case {
    std::function<void(v1::PromptTuning&)> spoil;
    std::string field;
  };
  const std::vector<Case> cases = {
      {[](auto& p) { p.set_num_virtual_tokens(-1); },
       "m.prompt_tuning.num_virtual_tokens"},
      {[](auto& p) { p.set_num_virtual_tokens(0); },
       "m.prompt_tuning.num_virtual_tokens"},
      {[](auto& p) { p.set_num_virtual_tokens(1'025); },
       "m.prompt_tuning.num_virtual_tokens"},
      {[](auto& p) {
         p.set_initialisation(v1::PromptTuning::INITIALISATION_TEXT);
       },
       "m.prompt_tuning.init_text"},
      {[](auto& p) {
         p.set_initialisation(v1::PromptTuning::INITIALISATION_SCALED_RANDOM);
         p.set_init_text("x");
       },
       "m.prompt_tuning.init_text"},
      {[](auto& p) { p.set_init_text(std::string(16'385, 'x')); },
       "m.prompt_tuning.init_text"},
      {[](auto& p) {
         p.set_initialisation(v1::PromptTuning::INITIALISATION_CLASS_LABELS);
       },
       "m.prompt_tuning.initialisation"},
      {[](auto& p) {
         p.set_initialisation(v1::PromptTuning::INITIALISATION_ZERO);
       },
       "m.prompt_tuning.initialisation"},
      {[](auto& p) {
         p.set_initialisation(v1::PromptTuning::INITIALISATION_VERSION);
       },
       "m.prompt_tuning.init_version"},
      {[](auto& p) {
         p.set_initialisation(v1::PromptTuning::INITIALISATION_SCALED_RANDOM);
         p.set_init_version("prompts/x/versions/1");
       },
       "m.prompt_tuning.init_version"},
      {[](auto& p) {
         p.set_init_text("x");
         p.set_init_version("prompts/x/versions/1");
       },
       "m.prompt_tuning.init_version"},
      {[](auto& p) { p.set_init_version("versions/1"); },
       "m.prompt_tuning.init_version"},
      {[](auto& p) { p.set_encoder_hidden_size(8); },
       "m.prompt_tuning.encoder_hidden_size"},
      {[](auto& p) {
         p.set_reparameterisation(v1::PromptTuning::REPARAMETERISATION_LSTM);
         p.set_encoder_hidden_size(8'193);
       },
       "m.prompt_tuning.encoder_hidden_size"}};
  for (const Case& one : cases) {
    v1::TuningMethod method;
    one.spoil(*method.mutable_prompt_tuning());
    FieldViolations violations;
    CheckMethod(method, v1::TASK_TYPE_TEXT_GENERATION, "m", violations);

    EXPECT_THAT(violations.ToStatus(),
                NamesField(Reason::kInvalidField, one.field));
  }
}

TEST(TrainingChecks, MethodsThatTrainWeightsKeepToTheirRanges) {
  struct Case {
    std::function<void(v1::TuningMethod&)> spoil;
    const char* field;
  };
  const Case cases[] = {
      {[](auto& m) { m.mutable_lora()->set_rank(0); }, "m.lora.rank"},
      {[](auto& m) { m.mutable_lora()->set_rank(257); }, "m.lora.rank"},
      {[](auto& m) { m.mutable_lora()->set_alpha(0); }, "m.lora.alpha"},
      {[](auto& m) { m.mutable_lora()->set_dropout(1); }, "m.lora.dropout"},
      {[](auto& m) { m.mutable_lora()->add_target_modules(""); },
       "m.lora.target_modules[0]"},
      {[](auto& m) {
         for (int i = 0; i < 65; ++i) m.mutable_lora()->add_target_modules("q");
       },
       "m.lora.target_modules"},
      {[](auto& m) { m.mutable_top_layers()->set_num_layers(0); },
       "m.top_layers.num_layers"},
      {[](auto& m) { m.mutable_head()->set_dropout(0.1); }, "m.head.dropout"}};
  for (const Case& one : cases) {
    v1::TuningMethod method;
    one.spoil(method);
    FieldViolations violations;
    CheckMethod(method, v1::TASK_TYPE_TEXT_CLASSIFICATION, "m", violations);

    EXPECT_THAT(violations.ToStatus(),
                NamesField(Reason::kInvalidField, one.field));
  }
  v1::TuningMethod defaults;
  defaults.mutable_lora();
  FieldViolations none;
  CheckMethod(defaults, v1::TASK_TYPE_TEXT_CLASSIFICATION, "m", none);
  EXPECT_OK(none.ToStatus());
}

TEST(TrainingChecks, EveryWrongFieldOfATemplateSearchIsNamed) {
  struct Case {
    std::function<void(v1::TemplateSearch&)> spoil;
    std::string field;
  };
  const std::vector<Case> cases = {
      {[](auto& s) {
         for (int i = 0; i < 65; ++i) s.add_templates(std::string(i + 1, 'x'));
       },
       "templates"},
      {[](auto& s) {
         for (const char letter : {'a', 'b', 'c', 'd'}) {
           s.add_templates(std::string(65'536, letter));
         }
         s.add_templates("e");
       },
       "templates"},
      {[](auto& s) {
         s.add_templates("a");
         s.add_templates("");
       },
       "templates[1]"},
      {[](auto& s) { s.add_templates(std::string(65'537, 'x')); },
       "templates[0]"},
      {[](auto& s) {
         for (const char* text : {"a", "b", "a"}) s.add_templates(text);
       },
       "templates[2]"},
      {[](auto& s) { s.set_num_generated(-1); }, "num_generated"},
      {[](auto& s) { s.set_num_generated(65); }, "num_generated"},
      {[](auto& s) { s.set_label_words(true); }, "label_words"},
      {[](auto& s) { s.set_ensemble_size(-1); }, "ensemble_size"},
      // Of a generation there is nothing to average.
      {[](auto& s) { s.set_ensemble_size(2); }, "ensemble_size"},
      {[](auto& s) { s.set_ensemble_size(9); }, "ensemble_size"}};
  for (const Case& one : cases) {
    v1::TuningMethod method;
    one.spoil(*method.mutable_hard_prompt()->mutable_template_search());
    FieldViolations violations;
    CheckMethod(method, v1::TASK_TYPE_TEXT_GENERATION, "m", violations);

    EXPECT_THAT(
        FieldsOf(violations.ToStatus()),
        testing::ElementsAre("m.hard_prompt.template_search." + one.field));
  }
}

TEST(TrainingChecks, ATemplateSearchMayGoToItsLimits) {
  v1::TuningMethod method;
  v1::TemplateSearch& search =
      *method.mutable_hard_prompt()->mutable_template_search();
  search.set_num_generated(64);
  search.set_skip_patterns(true);
  search.set_label_words(true);
  for (int i = 0; i < 60; ++i) search.add_templates(std::string(i + 1, 'x'));
  for (const char letter : {'a', 'b', 'c'}) {
    search.add_templates(std::string(65'536, letter));
  }
  // 256 KiB in all.
  search.add_templates(std::string(65'536 - 60 * 61 / 2, 'd'));
  FieldViolations violations;
  CheckMethod(method, v1::TASK_TYPE_TEXT_CLASSIFICATION, "m", violations);
  search.set_num_generated(0);
  CheckMethod(method, v1::TASK_TYPE_TEXT_CLASSIFICATION, "m", violations);

  EXPECT_EQ(search.templates_size(), 64);
  EXPECT_OK(violations.ToStatus());
}

TEST(TrainingChecks, AnEnsembleOfATemplateSearchHasAtMostEight) {
  for (const v1::TaskType type :
       {v1::TASK_TYPE_TEXT_CLASSIFICATION, v1::TASK_TYPE_MULTIPLE_CHOICE}) {
    v1::TuningMethod method;
    v1::TemplateSearch& search =
        *method.mutable_hard_prompt()->mutable_template_search();
    search.set_ensemble_size(8);
    FieldViolations none;
    CheckMethod(method, type, "m", none);
    EXPECT_OK(none.ToStatus());

    search.set_ensemble_size(9);
    FieldViolations violations;
    CheckMethod(method, type, "m", violations);
    EXPECT_THAT(
        FieldsOf(violations.ToStatus()),
        testing::ElementsAre("m.hard_prompt.template_search.ensemble_size"));
  }
  v1::TuningMethod method;
  method.mutable_hard_prompt()->mutable_template_search()->set_ensemble_size(1);
  FieldViolations none;
  CheckMethod(method, v1::TASK_TYPE_TEXT_GENERATION, "m", none);
  EXPECT_OK(none.ToStatus());
}

TEST(TrainingChecks, EveryWrongFieldOfPrefixTuningIsNamed) {
  struct Case {
    std::function<void(v1::PrefixTuning&)> spoil;
    std::string field;
  };
  const std::vector<Case> cases = {
      {[](auto& p) { p.set_num_virtual_tokens(0); },
       "m.prefix_tuning.num_virtual_tokens"},
      {[](auto& p) {
         p.set_initialisation(v1::PromptTuning::INITIALISATION_TEXT);
       },
       "m.prefix_tuning.init_text"},
      {[](auto& p) { p.set_init_version("x"); },
       "m.prefix_tuning.init_version"},
      {[](auto& p) { p.set_encoder_hidden_size(8); },
       "m.prefix_tuning.encoder_hidden_size"},
      {[](auto& p) { p.set_first_layer(-1); }, "m.prefix_tuning.first_layer"},
      {[](auto& p) { p.set_num_layers(-1); }, "m.prefix_tuning.num_layers"}};
  for (const Case& one : cases) {
    v1::TuningMethod method;
    one.spoil(*method.mutable_prefix_tuning());
    FieldViolations violations;
    CheckMethod(method, v1::TASK_TYPE_TEXT_GENERATION, "m", violations);

    EXPECT_THAT(violations.ToStatus(),
                NamesField(Reason::kInvalidField, one.field));
  }
}

TEST(TrainingChecks, NetworksAndVersionsPass) {
  v1::TuningMethod prompt;
  prompt.mutable_prompt_tuning()->set_reparameterisation(
      v1::PromptTuning::REPARAMETERISATION_MLP);
  prompt.mutable_prompt_tuning()->set_encoder_hidden_size(64);
  prompt.mutable_prompt_tuning()->set_init_version("prompts/x@prod");
  v1::TuningMethod prefix;
  prefix.mutable_prefix_tuning()->set_projection(true);
  prefix.mutable_prefix_tuning()->set_encoder_hidden_size(64);
  prefix.mutable_prefix_tuning()->set_initialisation(
      v1::PromptTuning::INITIALISATION_ZERO);
  FieldViolations violations;
  CheckMethod(prompt, v1::TASK_TYPE_TEXT_GENERATION, "m", violations);
  CheckMethod(prefix, v1::TASK_TYPE_TEXT_GENERATION, "m", violations);

  EXPECT_OK(violations.ToStatus());
}

TEST(TrainingChecks, AMetricMustBeOneOfTheTask) {
  v1::EvaluationConfig evaluation;
  evaluation.set_metric("accuracy");
  FieldViolations classification;
  FieldViolations generation;
  CheckEvaluation(evaluation, TaskOf(v1::TASK_TYPE_TEXT_CLASSIFICATION), "e",
                  classification);
  CheckEvaluation(evaluation, TaskOf(v1::TASK_TYPE_TEXT_GENERATION), "e",
                  generation);

  FieldViolations unserved;
  CheckEvaluation(evaluation, TaskOf(static_cast<v1::TaskType>(77)), "e",
                  unserved);

  EXPECT_OK(classification.ToStatus());
  EXPECT_OK(unserved.ToStatus());  // CheckSupported refuses the type
  EXPECT_THAT(generation.ToStatus(),
              NamesField(Reason::kInvalidField, "e.metric"));
}

TEST(TrainingChecks, EveryTaskHasMetricsOfItsOwn) {
  v1::TaskSpec several = TaskOf(v1::TASK_TYPE_TEXT_CLASSIFICATION);
  several.set_multi_label(true);
  const std::vector<std::pair<v1::TaskSpec, std::string>> sound = {
      {several, "exact_match"},
      {TaskOf(v1::TASK_TYPE_TOKEN_CLASSIFICATION), "micro_f1"},
      {TaskOf(v1::TASK_TYPE_MULTIPLE_CHOICE), "accuracy"},
      {TaskOf(v1::TASK_TYPE_REGRESSION), "spearman"}};
  for (const auto& [task, metric] : sound) {
    v1::EvaluationConfig evaluation;
    FieldViolations violations;
    evaluation.set_metric(metric);
    CheckEvaluation(evaluation, task, "e", violations);
    EXPECT_OK(violations.ToStatus()) << metric;
    evaluation.set_metric("bleu");
    CheckEvaluation(evaluation, task, "e", violations);
    EXPECT_THAT(violations.ToStatus(),
                NamesField(Reason::kInvalidField, "e.metric"));
  }
}

TEST(TrainingChecks, RowLimitsAreNotNegative) {
  v1::EvaluationConfig evaluation;
  evaluation.set_max_test_rows(-1);
  evaluation.set_max_validation_rows(-1);
  FieldViolations violations;
  CheckEvaluation(evaluation, TaskOf(v1::TASK_TYPE_TEXT_CLASSIFICATION), "e",
                  violations);

  EXPECT_THAT(FieldsOf(violations.ToStatus()),
              testing::ElementsAre("e.max_test_rows", "e.max_validation_rows"));
}

}  // namespace
}  // namespace attune::server
