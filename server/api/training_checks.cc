#include "server/api/training_checks.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_join.h"
#include "google/protobuf/util/time_util.h"
#include "proto/cc/resource_names.h"
#include "proto/cc/task_metrics.h"
#include "proto/cc/text.h"
#include "server/api/task_checks.h"
#include "server/api/template_checks.h"
#include "server/api/tuning_checks.h"

namespace attune::server {
namespace {

using google::protobuf::util::TimeUtil;

// Adds violations of one message's fields. Numbers that are not finite are left
// to the walk over all fields in unsupported.cc, which names each of them.
class Fields {
 public:
  Fields(std::string_view path, FieldViolations& violations)
      : path_(path), violations_(violations) {}

  std::string Path(std::string_view field) const {
    return Concat(path_, ".", field);
  }
  void Add(std::string_view field, std::string_view what) {
    violations_.Add(Path(field), what);
  }
  // 0 stands for the default.
  void CheckCount(std::string_view field, int32_t value, int32_t max) {
    if (value >= 0 && value <= max) return;
    Add(field, Concat("is ", value, "; 1 to ", max, ", or 0 for the default"));
  }
  void CheckRange(std::string_view field, double value, double min,
                  double max) {
    if (!std::isfinite(value) || (value >= min && value <= max)) return;
    Add(field, Concat("is ", value, "; ", min, " to ", max, " are allowed"));
  }
  void CheckNotNegative(std::string_view field, double value) {
    if (!std::isfinite(value) || value >= 0) return;
    Add(field, Concat("is ", value, "; must be at least 0"));
  }
  void CheckAbove0(std::string_view field, double value, double max) {
    if (!std::isfinite(value) || (value > 0 && value <= max)) return;
    Add(field, Concat("is ", value, "; must be above 0 and at most ", max));
  }
  void CheckBelow1(std::string_view field, double value) {
    if (!std::isfinite(value) || (value >= 0 && value < 1)) return;
    Add(field, Concat("is ", value, "; must be at least 0 and below 1"));
  }
  void CheckBetween0And1(std::string_view field, double value) {
    if (!std::isfinite(value) || (value > 0 && value < 1)) return;
    Add(field, Concat("is ", value, "; must be above 0 and below 1"));
  }
  void CheckDecayRate(std::string_view field, double value) {
    if (!std::isfinite(value) || (value >= -1 && value < 0)) return;
    Add(field, Concat("is ", value, "; must be at least -1 and below 0"));
  }

 private:
  const std::string path_;
  FieldViolations& violations_;
};

// How the rows or the prefix start. Tuning: PromptTuning or PrefixTuning.
template <typename Tuning>
void CheckStart(const Tuning& tuning, v1::TaskType task, Fields fields,
                FieldViolations& violations) {
  const auto init = tuning.initialisation();
  const bool unset = init == v1::PromptTuning::INITIALISATION_UNSPECIFIED;
  const bool by_text = init == v1::PromptTuning::INITIALISATION_TEXT;
  const bool by_version = init == v1::PromptTuning::INITIALISATION_VERSION;
  if (by_text && tuning.init_text().empty()) {
    fields.Add("init_text", "is required with INITIALISATION_TEXT");
  }
  if (!by_text && !unset && !tuning.init_text().empty()) {
    fields.Add("init_text", "is only for INITIALISATION_TEXT");
  }
  if (tuning.init_text().size() > kMaxInitTextBytes) {
    fields.Add("init_text", Concat("has ", tuning.init_text().size(),
                                   " bytes; at most ", kMaxInitTextBytes));
  }
  if (by_version && tuning.init_version().empty()) {
    fields.Add("init_version", "is required with INITIALISATION_VERSION");
  } else if (!tuning.init_version().empty()) {
    if (!by_version && !unset) {
      fields.Add("init_version", "is only for INITIALISATION_VERSION");
    } else if (unset && !tuning.init_text().empty()) {
      fields.Add("init_version", "cannot be set together with init_text");
    }
    violations.AddAll("", ParsePromptReference(tuning.init_version(),
                                               fields.Path("init_version"))
                              .status());
  }
  if (init == v1::PromptTuning::INITIALISATION_CLASS_LABELS &&
      task != v1::TASK_TYPE_TEXT_CLASSIFICATION &&
      task != v1::TASK_TYPE_UNSPECIFIED) {
    fields.Add("initialisation",
               "INITIALISATION_CLASS_LABELS is only for "
               "TASK_TYPE_TEXT_CLASSIFICATION");
  }
}

// What rows and prefixes have in common. has_network: whether one helps.
template <typename Tuning>
void CheckRows(const Tuning& tuning, bool has_network, v1::TaskType task,
               Fields fields, FieldViolations& violations) {
  if (tuning.has_num_virtual_tokens()) {
    fields.CheckRange("num_virtual_tokens", tuning.num_virtual_tokens(), 1,
                      kMaxVirtualTokens);
  }
  CheckStart(tuning, task, fields, violations);
  if (!tuning.has_encoder_hidden_size()) return;
  if (!has_network) {
    fields.Add("encoder_hidden_size", "is only for methods with a network");
  }
  fields.CheckRange("encoder_hidden_size", tuning.encoder_hidden_size(), 1,
                    kMaxEncoderHiddenSize);
}

void CheckPromptTuning(const v1::PromptTuning& tuning, v1::TaskType task,
                       Fields fields, FieldViolations& violations) {
  const auto network = tuning.reparameterisation();
  CheckRows(tuning,
            network != v1::PromptTuning::REPARAMETERISATION_UNSPECIFIED &&
                network != v1::PromptTuning::REPARAMETERISATION_NONE,
            task, fields, violations);
  if (tuning.initialisation() == v1::PromptTuning::INITIALISATION_ZERO) {
    fields.Add("initialisation",
               "INITIALISATION_ZERO is only for prefix_tuning: rows of zeros "
               "are far from everything that a model was made for");
  }
}

void CheckWarmup(const v1::TrainingConfig& training, Fields fields) {
  if (training.has_warmup_ratio()) {
    fields.CheckRange("warmup_ratio", training.warmup_ratio().value(), 0, 1);
    if (training.has_warmup_steps()) {
      fields.Add("warmup_steps", "cannot be set together with warmup_ratio");
    }
  }
  if (!training.has_warmup_steps()) return;
  const int max = training.max_steps() > 0 ? training.max_steps() : kMaxSteps;
  fields.CheckRange("warmup_steps", training.warmup_steps().value(), 0, max);
}

// One message's fields that have a use only with one choice of an enum.
class FieldsOf {
 public:
  FieldsOf(std::string_view choice, bool chosen, Fields& fields)
      : rule_(Concat("is only for ", choice)),
        chosen_(chosen),
        fields_(fields) {}

  // Whether the field is set and its value is to be checked.
  bool Has(std::string_view field, bool is_set) {
    if (is_set && !chosen_) fields_.Add(field, rule_);
    return is_set && chosen_;
  }

 private:
  const std::string rule_;
  const bool chosen_;
  Fields& fields_;
};

void CheckOptimizer(const v1::TrainingConfig& t, Fields fields) {
  fields.CheckRange("weight_decay", t.weight_decay(), 0, 1);
  const auto optimizer = t.optimizer();
  FieldsOf adamw("OPTIMIZER_ADAMW",
                 optimizer == v1::TrainingConfig::OPTIMIZER_ADAMW ||
                     optimizer == v1::TrainingConfig::OPTIMIZER_UNSPECIFIED,
                 fields);
  if (adamw.Has("adam_beta1", t.has_adam_beta1())) {
    fields.CheckBelow1("adam_beta1", t.adam_beta1().value());
  }
  if (adamw.Has("adam_beta2", t.has_adam_beta2())) {
    fields.CheckBelow1("adam_beta2", t.adam_beta2().value());
  }
  if (adamw.Has("adam_epsilon", t.has_adam_epsilon())) {
    fields.CheckAbove0("adam_epsilon", t.adam_epsilon().value(), 1);
  }
  FieldsOf sgd("OPTIMIZER_SGD", optimizer == v1::TrainingConfig::OPTIMIZER_SGD,
               fields);
  if (sgd.Has("sgd_momentum", t.has_sgd_momentum())) {
    fields.CheckBelow1("sgd_momentum", t.sgd_momentum().value());
  }
  FieldsOf adafactor("OPTIMIZER_ADAFACTOR",
                     optimizer == v1::TrainingConfig::OPTIMIZER_ADAFACTOR,
                     fields);
  if (adafactor.Has("adafactor_decay_rate", t.has_adafactor_decay_rate())) {
    fields.CheckDecayRate("adafactor_decay_rate",
                          t.adafactor_decay_rate().value());
  }
  if (adafactor.Has("adafactor_clip_threshold",
                    t.has_adafactor_clip_threshold())) {
    fields.CheckAbove0("adafactor_clip_threshold",
                       t.adafactor_clip_threshold().value(),
                       std::numeric_limits<double>::max());
  }
  adafactor.Has("adafactor_scale_parameter", t.adafactor_scale_parameter());
}

void CheckSchedule(const v1::TrainingConfig& t, Fields fields) {
  const auto schedule = t.learning_rate_schedule();
  FieldsOf polynomial(
      "LEARNING_RATE_SCHEDULE_POLYNOMIAL",
      schedule == v1::TrainingConfig::LEARNING_RATE_SCHEDULE_POLYNOMIAL,
      fields);
  if (polynomial.Has("polynomial_power", t.has_polynomial_power())) {
    fields.CheckAbove0("polynomial_power", t.polynomial_power().value(),
                       kMaxPolynomialPower);
  }
  if (polynomial.Has("polynomial_end_factor", t.has_polynomial_end_factor())) {
    fields.CheckRange("polynomial_end_factor",
                      t.polynomial_end_factor().value(), 0, 1);
  }
  FieldsOf plateau(
      "LEARNING_RATE_SCHEDULE_REDUCE_ON_PLATEAU",
      schedule == v1::TrainingConfig::LEARNING_RATE_SCHEDULE_REDUCE_ON_PLATEAU,
      fields);
  if (plateau.Has("plateau_factor", t.has_plateau_factor())) {
    fields.CheckBetween0And1("plateau_factor", t.plateau_factor().value());
  }
  if (plateau.Has("plateau_patience", t.plateau_patience() != 0)) {
    fields.CheckCount("plateau_patience", t.plateau_patience(), kMaxPatience);
  }
  if (plateau.Has("plateau_min_factor", t.has_plateau_min_factor())) {
    fields.CheckRange("plateau_min_factor", t.plateau_min_factor().value(), 0,
                      1);
  }
}

void CheckMaxDuration(const google::protobuf::Duration& duration,
                      Fields fields) {
  if (duration.seconds() < 1) {
    fields.Add("max_duration", "must be at least one second");
  } else if (duration.seconds() > TimeUtil::kDurationMaxSeconds ||
             duration.nanos() < 0 || duration.nanos() > 999'999'999) {
    fields.Add("max_duration",
               "is not a duration: seconds or nanos are out of "
               "range");
  }
}

void CheckLora(const v1::Lora& lora, Fields fields) {
  if (lora.has_rank()) fields.CheckRange("rank", lora.rank(), 1, kMaxLoraRank);
  if (lora.has_alpha()) {
    fields.CheckAbove0("alpha", lora.alpha(), kMaxLoraAlpha);
  }
  fields.CheckBelow1("dropout", lora.dropout());
  if (lora.target_modules_size() > kMaxTargetModules) {
    fields.Add("target_modules", Concat("has ", lora.target_modules_size(),
                                        " names; at most ", kMaxTargetModules));
  }
  for (int i = 0; i < lora.target_modules_size(); ++i) {
    const size_t size = lora.target_modules(i).size();
    if (size >= 1 && size <= kMaxTargetModuleBytes) continue;
    fields.Add(Concat("target_modules[", i, "]"),
               Concat("has ", size, " bytes; 1 to ", kMaxTargetModuleBytes,
                      " are allowed"));
  }
}

// What the task itself is needed for stands in tuning_checks.cc.
void CheckSearch(const v1::TemplateSearch& search, v1::TaskType task,
                 const std::string& path, FieldViolations& violations) {
  Fields fields(path, violations);
  CheckTemplates(search.templates(), kMaxSearchTemplates,
                 fields.Path("templates"), violations);
  if (search.has_num_generated()) {
    fields.CheckRange("num_generated", search.num_generated(), 0,
                      kMaxGeneratedInstructions);
  }
  const bool generates = task == v1::TASK_TYPE_TEXT_GENERATION;
  if (search.label_words() &&
      (generates || task == v1::TASK_TYPE_MULTIPLE_CHOICE)) {
    fields.Add("label_words", "is only for TASK_TYPE_TEXT_CLASSIFICATION");
  }
  if (search.ensemble_size() > 1 && generates) {
    fields.Add("ensemble_size",
               "is only for TASK_TYPE_TEXT_CLASSIFICATION and "
               "TASK_TYPE_MULTIPLE_CHOICE");
  } else {
    fields.CheckRange("ensemble_size", search.ensemble_size(), 0,
                      kMaxEnsembleSize);
  }
}

void CheckHardPromptRanges(const v1::HardPrompt& hard, v1::TaskType task,
                           const std::string& path,
                           FieldViolations& violations) {
  Fields fields(path, violations);
  fields.CheckRange("num_demonstrations", hard.num_demonstrations(), 0,
                    kMaxDemonstrations);
  const bool has_labels = task != v1::TASK_TYPE_TEXT_GENERATION &&
                          task != v1::TASK_TYPE_MULTIPLE_CHOICE;
  if (!has_labels && hard.selection() == v1::HardPrompt::SELECTION_BALANCED) {
    fields.Add("selection",
               "SELECTION_BALANCED is only for TASK_TYPE_TEXT_CLASSIFICATION");
  }
  CheckSearch(hard.template_search(), task, fields.Path("template_search"),
              violations);
}

}  // namespace

void CheckMethod(const v1::TuningMethod& method, v1::TaskType task,
                 std::string_view path, FieldViolations& violations) {
  if (method.has_lora()) {
    CheckLora(method.lora(), Fields(Concat(path, ".lora"), violations));
  }
  if (method.has_top_layers() && method.top_layers().has_num_layers() &&
      method.top_layers().num_layers() < 1) {
    violations.Add(Concat(path, ".top_layers.num_layers"),
                   Concat("is ", method.top_layers().num_layers(),
                          "; must be at least 1"));
  }
  if (method.has_hard_prompt()) {
    CheckHardPromptRanges(method.hard_prompt(), task,
                          Concat(path, ".hard_prompt"), violations);
  }
  if (method.has_head() && method.head().dropout() != 0) {
    violations.Add(Concat(path, ".head.dropout"),
                   "a learned head has no dropout; leave it 0");
  }
  if (method.has_prompt_tuning()) {
    CheckPromptTuning(method.prompt_tuning(), task,
                      Fields(Concat(path, ".prompt_tuning"), violations),
                      violations);
  } else if (method.has_prefix_tuning()) {
    const v1::PrefixTuning& tuning = method.prefix_tuning();
    Fields fields(Concat(path, ".prefix_tuning"), violations);
    CheckRows(tuning, tuning.projection(), task, fields, violations);
    fields.CheckNotNegative("first_layer", tuning.first_layer());
    fields.CheckNotNegative("num_layers", tuning.num_layers());
  }
}

void CheckTraining(const v1::TrainingConfig& training, std::string_view path,
                   FieldViolations& violations) {
  Fields fields(path, violations);
  fields.CheckCount("max_steps", training.max_steps(), kMaxSteps);
  fields.CheckRange("max_epochs", training.max_epochs(), 0, kMaxEpochs);
  fields.CheckCount("batch_size", training.batch_size(), kMaxBatchSize);
  fields.CheckCount("gradient_accumulation_steps",
                    training.gradient_accumulation_steps(),
                    kMaxAccumulationSteps);
  if (training.has_learning_rate()) {
    fields.CheckAbove0("learning_rate", training.learning_rate().value(),
                       kMaxLearningRate);
  }
  if (training.has_head_learning_rate()) {
    fields.CheckAbove0("head_learning_rate",
                       training.head_learning_rate().value(), kMaxLearningRate);
  }
  CheckSchedule(training, fields);
  CheckWarmup(training, fields);
  CheckOptimizer(training, fields);
  if (training.has_max_grad_norm()) {
    fields.CheckNotNegative("max_grad_norm", training.max_grad_norm().value());
  }
  if (training.has_ema_decay()) {
    fields.CheckBelow1("ema_decay", training.ema_decay().value());
  }
  fields.CheckRange("label_smoothing", training.label_smoothing(), 0, 1);
  if (training.stratify_labels().value() && training.group_by_length()) {
    fields.Add("stratify_labels",
               "can't be on together with group_by_length: rows are ordered by "
               "one of them");
  }
  const int max_steps =
      training.max_steps() > 0 ? training.max_steps() : kMaxSteps;
  fields.CheckCount("validation_interval_steps",
                    training.validation_interval_steps(), max_steps);
  fields.CheckRange("validation_interval_epochs",
                    training.validation_interval_epochs(), 0, kMaxEpochs);
  fields.CheckCount("checkpoint_interval_steps",
                    training.checkpoint_interval_steps(), max_steps);
  fields.CheckRange("early_stopping.patience",
                    training.early_stopping().patience(), 0, kMaxPatience);
  fields.CheckNotNegative("early_stopping.min_delta",
                          training.early_stopping().min_delta());
  if (training.has_max_duration()) {
    CheckMaxDuration(training.max_duration(), fields);
  }
}

void CheckEvaluation(const v1::EvaluationConfig& evaluation,
                     const v1::TaskSpec& task, std::string_view path,
                     FieldViolations& violations) {
  Fields fields(path, violations);
  fields.CheckNotNegative("max_test_rows", evaluation.max_test_rows());
  fields.CheckNotNegative("max_validation_rows",
                          evaluation.max_validation_rows());
  if (evaluation.metric().empty()) return;
  const std::vector<std::string> metrics = TaskMetrics(task);
  if (metrics.empty()) return;  // the type itself is refused
  if (!absl::c_linear_search(metrics, evaluation.metric())) {
    fields.Add("metric",
               Concat("'", evaluation.metric(), "' is not one of this task's: ",
                      absl::StrJoin(metrics, ", ")));
  }
}

}  // namespace attune::server
