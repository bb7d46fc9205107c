#include "worker/tuning/defaults.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/tasks/dataset.h"
#include "worker/tuning/trained_adaptation.h"

namespace attune::worker {
namespace {

using attune::v1::EvaluationConfig;
using attune::v1::PrefixTuning;
using attune::v1::PromptTuning;
using attune::v1::TaskSpec;
using attune::v1::TrainingConfig;
using attune::v1::TuningJobSpec;
using attune::v1::TuningMethod;

constexpr int kDefaultVirtualTokens = 20;
constexpr int kMaxVirtualTokens = 1024;
constexpr size_t kMaxInitTextBytes = 16'384;
constexpr int kDefaultPasses = 8;
constexpr int kMinDefaultSteps = 50;
constexpr int kMaxDefaultSteps = 1'000;
constexpr int kMaxSteps = 1'000'000;
constexpr int kDefaultBatchSize = 16;
constexpr int kMaxBatchSize = 1024;
constexpr double kLearningRatePerRms = 0.1;
// Keys and values are of order one in every model.
constexpr double kPrefixLearningRate = 0.005;
constexpr double kDefaultHeadLearningRate = 0.005;
constexpr double kDefaultWarmupRatio = 0.06;
constexpr int kMinValidationInterval = 10;
constexpr int kDefaultCheckpointInterval = 50;
constexpr int kMaxPatience = 1'000;

bool IsClassification(const TaskSpec& task) {
  return task.type() == attune::v1::TASK_TYPE_TEXT_CLASSIFICATION;
}

// Three significant digits: a resolved spec must not depend on the order in
// which a sum was taken.
double Rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.2e", value);
  return std::strtod(text, nullptr);
}

// Resolves one spec. Made for one call of ResolveSpec.
class Resolver {
 public:
  Resolver(const TuningJobSpec& spec, const JobFacts& facts)
      : spec_(spec), facts_(facts) {}

  absl::StatusOr<TuningJobSpec> Run() {
    if (spec_.data().has_inline_()) {
      spec_.mutable_data()->mutable_inline_()->clear_rows();
    }
    FillDataDefaults(*spec_.mutable_data());
    ResolveMethod();
    ResolveSteps();
    ResolveLearningRate();
    ResolveAdamW();
    ResolveIntervals();
    ResolveEvaluation();
    RefuseUnserved();
    ATTUNE_RETURN_IF_ERROR(violations_.ToStatus());
    ATTUNE_RETURN_IF_ERROR(ResolvePrecision());
    return std::move(spec_);
  }

 private:
  TrainingConfig& training() { return *spec_.mutable_training(); }

  void Require(bool holds, std::string_view path, std::string_view rule) {
    if (!holds) violations_.Add(path, rule);
  }
  void RequireTraining(bool holds, std::string_view field,
                       std::string_view rule) {
    Require(holds, Concat("spec.training.", field), rule);
  }

  void ResolveMethod() {
    TuningMethod& method = *spec_.mutable_method();
    if (method.method_case() == TuningMethod::METHOD_NOT_SET) {
      method.mutable_prompt_tuning();
    }
    if (method.has_prompt_tuning()) {
      ResolvePromptTuning(*method.mutable_prompt_tuning());
    } else if (method.has_prefix_tuning()) {
      ResolvePrefixTuning(*method.mutable_prefix_tuning());
    } else if (method.has_head()) {
      ResolveHead(method.head());
    } else if (!AdaptsModel(method)) {
      violations_.AddUnsupported("spec.method",
                                 "hard_prompt is not served by this release");
    }
  }

  void ResolveHead(const attune::v1::Head& head) {
    Require(spec_.task().label_scoring() == attune::v1::LABEL_SCORING_HEAD,
            "spec.method.head",
            "trains nothing where no head scores: needs "
            "task.label_scoring LABEL_SCORING_HEAD");
    Require(head.dropout() == 0, "spec.method.head.dropout", "must be 0");
  }

  void ResolvePromptTuning(PromptTuning& tuning) {
    const std::string path = "spec.method.prompt_tuning.";
    ResolveRows(tuning, path);
    if (tuning.initialisation() == PromptTuning::INITIALISATION_VERSION ||
        !tuning.init_version().empty()) {
      violations_.AddUnsupported(path + "init_version",
                                 "starting from a version is not served by "
                                 "this release");
    }
    if (tuning.reparameterisation() ==
        PromptTuning::REPARAMETERISATION_UNSPECIFIED) {
      tuning.set_reparameterisation(PromptTuning::REPARAMETERISATION_NONE);
    }
    if (tuning.reparameterisation() != PromptTuning::REPARAMETERISATION_NONE) {
      violations_.AddUnsupported(
          path + "reparameterisation",
          "only REPARAMETERISATION_NONE is trained by this release");
    }
  }

  void ResolvePrefixTuning(PrefixTuning& tuning) {
    const std::string path = "spec.method.prefix_tuning.";
    ResolveRows(tuning, path);
    if (tuning.initialisation() == PromptTuning::INITIALISATION_VERSION) {
      violations_.AddUnsupported(path + "initialisation",
                                 "starting from a version is not served by "
                                 "this release");
    }
    if (tuning.projection()) {
      violations_.AddUnsupported(path + "projection",
                                 "no projection is trained by this release");
    }
    if (tuning.first_layer() != 0 || tuning.num_layers() != 0) {
      violations_.AddUnsupported(
          path + (tuning.first_layer() != 0 ? "first_layer" : "num_layers"),
          "a prefix stands before every layer in this release");
    }
  }

  // How many rows there are and where they start. Tuning: PromptTuning or
  // PrefixTuning.
  template <typename Tuning>
  void ResolveRows(Tuning& tuning, const std::string& path) {
    const int longest = static_cast<int>(
        std::min<int64_t>(kMaxVirtualTokens, facts_.context_length / 2));
    if (!tuning.has_num_virtual_tokens()) {
      tuning.set_num_virtual_tokens(std::min(kDefaultVirtualTokens, longest));
    }
    Require(tuning.num_virtual_tokens() >= 1 &&
                tuning.num_virtual_tokens() <= longest,
            path + "num_virtual_tokens",
            Concat("must be 1 to ", longest, " for a model with a context of ",
                   facts_.context_length));
    if (tuning.initialisation() == PromptTuning::INITIALISATION_UNSPECIFIED) {
      tuning.set_initialisation(
          !tuning.init_text().empty()
              ? PromptTuning::INITIALISATION_TEXT
              : (IsClassification(spec_.task())
                     ? PromptTuning::INITIALISATION_CLASS_LABELS
                     : PromptTuning::INITIALISATION_SAMPLED_VOCABULARY));
    }
    const bool from_text =
        tuning.initialisation() == PromptTuning::INITIALISATION_TEXT;
    Require(from_text == !tuning.init_text().empty(), path + "init_text",
            "goes with INITIALISATION_TEXT and only with it");
    Require(tuning.init_text().size() <= kMaxInitTextBytes, path + "init_text",
            "must have at most 16,384 bytes");
    Require(IsClassification(spec_.task()) ||
                tuning.initialisation() !=
                    PromptTuning::INITIALISATION_CLASS_LABELS,
            path + "initialisation",
            "INITIALISATION_CLASS_LABELS needs a classification");
  }

  void ResolveSteps() {
    if (training().batch_size() == 0) {
      training().set_batch_size(static_cast<int>(
          std::min<int64_t>(kDefaultBatchSize, facts_.num_train_rows)));
    }
    RequireTraining(training().batch_size() >= 1 &&
                        training().batch_size() <= kMaxBatchSize,
                    "batch_size", "must be 1 to 1,024");
    if (training().max_steps() == 0) {
      const int64_t batch = std::max(1, training().batch_size());
      const int64_t steps =
          (kDefaultPasses * facts_.num_train_rows + batch - 1) / batch;
      training().set_max_steps(static_cast<int>(
          std::clamp<int64_t>(steps, kMinDefaultSteps, kMaxDefaultSteps)));
    }
    RequireTraining(
        training().max_steps() >= 1 && training().max_steps() <= kMaxSteps,
        "max_steps", "must be 1 to 1,000,000");
  }

  void ResolveLearningRate() {
    if (!training().has_learning_rate()) {
      training().mutable_learning_rate()->set_value(
          spec_.method().has_prefix_tuning()
              ? kPrefixLearningRate
              : Rounded(kLearningRatePerRms * facts_.embedding_rms));
    }
    const double rate = training().learning_rate().value();
    RequireTraining(std::isfinite(rate) && rate > 0 && rate <= 10,
                    "learning_rate", "must be above 0 and at most 10");
    ResolveHeadLearningRate();
    if (training().learning_rate_schedule() ==
        TrainingConfig::LEARNING_RATE_SCHEDULE_UNSPECIFIED) {
      training().set_learning_rate_schedule(
          TrainingConfig::LEARNING_RATE_SCHEDULE_LINEAR);
    }
    RequireTraining(TrainingConfig::LearningRateSchedule_IsValid(
                        training().learning_rate_schedule()),
                    "learning_rate_schedule", "is unknown");
    if (training().has_warmup_steps()) {
      RequireTraining(!training().has_warmup_ratio(), "warmup_ratio",
                      "can't be set together with warmup_steps");
      const int steps = training().warmup_steps().value();
      RequireTraining(steps >= 0 && steps <= training().max_steps(),
                      "warmup_steps", "must be 0 to max_steps");
      return;
    }
    if (!training().has_warmup_ratio()) {
      training().mutable_warmup_ratio()->set_value(kDefaultWarmupRatio);
    }
    const double ratio = training().warmup_ratio().value();
    RequireTraining(ratio >= 0 && ratio <= 1, "warmup_ratio", "must be 0 to 1");
  }

  void ResolveHeadLearningRate() {
    if (spec_.task().label_scoring() != attune::v1::LABEL_SCORING_HEAD) {
      RequireTraining(!training().has_head_learning_rate(),
                      "head_learning_rate",
                      "goes with LABEL_SCORING_HEAD, which this task has not");
      return;
    }
    if (!training().has_head_learning_rate()) {
      training().mutable_head_learning_rate()->set_value(
          kDefaultHeadLearningRate);
    }
    const double rate = training().head_learning_rate().value();
    RequireTraining(std::isfinite(rate) && rate > 0 && rate <= 10,
                    "head_learning_rate", "must be above 0 and at most 10");
  }

  void ResolveAdamW() {
    if (training().optimizer() == TrainingConfig::OPTIMIZER_UNSPECIFIED) {
      training().set_optimizer(TrainingConfig::OPTIMIZER_ADAMW);
    }
    if (training().optimizer() != TrainingConfig::OPTIMIZER_ADAMW) {
      violations_.AddUnsupported("spec.training.optimizer",
                                 "only OPTIMIZER_ADAMW is served by this "
                                 "release");
    }
    if (!training().has_max_grad_norm()) {
      training().mutable_max_grad_norm()->set_value(1);
    }
    if (!training().has_adam_beta1()) {
      training().mutable_adam_beta1()->set_value(0.9);
    }
    if (!training().has_adam_beta2()) {
      training().mutable_adam_beta2()->set_value(0.999);
    }
    if (!training().has_adam_epsilon()) {
      training().mutable_adam_epsilon()->set_value(1e-8);
    }
    const double decay = training().weight_decay();
    RequireTraining(decay >= 0 && decay <= 1, "weight_decay", "must be 0 to 1");
    const double norm = training().max_grad_norm().value();
    RequireTraining(std::isfinite(norm) && norm >= 0, "max_grad_norm",
                    "must be finite and at least 0");
    const double beta1 = training().adam_beta1().value();
    RequireTraining(beta1 >= 0 && beta1 < 1, "adam_beta1",
                    "must be at least 0 and below 1");
    const double beta2 = training().adam_beta2().value();
    RequireTraining(beta2 >= 0 && beta2 < 1, "adam_beta2",
                    "must be at least 0 and below 1");
    const double epsilon = training().adam_epsilon().value();
    RequireTraining(epsilon > 0 && epsilon <= 1, "adam_epsilon",
                    "must be above 0 and at most 1");
  }

  void ResolveIntervals() {
    const int max_steps = training().max_steps();
    if (training().validation_interval_steps() == 0) {
      training().set_validation_interval_steps(std::min(
          max_steps, std::max(kMinValidationInterval, max_steps / 10)));
    }
    if (training().checkpoint_interval_steps() == 0) {
      training().set_checkpoint_interval_steps(
          std::min(max_steps, kDefaultCheckpointInterval));
    }
    const auto in_range = [&](int steps) {
      return steps >= 1 && steps <= max_steps;
    };
    RequireTraining(in_range(training().validation_interval_steps()),
                    "validation_interval_steps", "must be 1 to max_steps");
    RequireTraining(in_range(training().checkpoint_interval_steps()),
                    "checkpoint_interval_steps", "must be 1 to max_steps");
    const attune::v1::EarlyStopping& early = training().early_stopping();
    RequireTraining(early.patience() >= 0 && early.patience() <= kMaxPatience,
                    "early_stopping.patience", "must be 0 to 1,000");
    RequireTraining(std::isfinite(early.min_delta()) && early.min_delta() >= 0,
                    "early_stopping.min_delta",
                    "must be finite and at least 0");
    RequireTraining(!training().has_max_duration() ||
                        training().max_duration().seconds() >= 1,
                    "max_duration", "must be at least one second");
  }

  void ResolveEvaluation() {
    EvaluationConfig& evaluation = *spec_.mutable_evaluation();
    const bool classifies = IsClassification(spec_.task());
    if (evaluation.metric().empty()) {
      evaluation.set_metric(classifies ? "accuracy" : "loss");
    }
    const std::string& metric = evaluation.metric();
    const bool known =
        metric == "loss" ||
        (classifies ? metric == "accuracy" || metric == "macro_f1"
                    : metric == "exact_match");
    Require(known, "spec.evaluation.metric",
            classifies ? "must be 'accuracy', 'macro_f1' or 'loss' for a "
                         "classification"
                       : "must be 'exact_match' or 'loss' for a generation");
    Require(evaluation.max_test_rows() >= 0, "spec.evaluation.max_test_rows",
            "must be at least 0");
    Require(evaluation.max_validation_rows() >= 0,
            "spec.evaluation.max_validation_rows", "must be at least 0");
  }

  void RefuseUnserved() {
    if (training().gradient_accumulation_steps() > 1) {
      violations_.AddUnsupported("spec.training.gradient_accumulation_steps",
                                 "only 0 and 1 are served by this release");
    }
    RequireTraining(training().gradient_accumulation_steps() >= 0,
                    "gradient_accumulation_steps", "must be at least 0");
    if (training().label_smoothing() != 0) {
      violations_.AddUnsupported("spec.training.label_smoothing",
                                 "only 0 is served by this release");
    }
  }

  absl::Status ResolvePrecision() {
    const bool is_fp32 = facts_.dtype == c10::ScalarType::Float;
    const TrainingConfig::Precision actual =
        is_fp32 ? TrainingConfig::PRECISION_FP32
                : TrainingConfig::PRECISION_BF16;
    const TrainingConfig::Precision asked = training().precision();
    if (asked != TrainingConfig::PRECISION_UNSPECIFIED &&
        asked != TrainingConfig::PRECISION_AUTO && asked != actual) {
      return MakeError(
          Reason::kIllegalState,
          Concat("spec.training.precision asks for ",
                 TrainingConfig::Precision_Name(asked),
                 ", but this worker runs ", is_fp32 ? "fp32" : "bf16",
                 ": start a worker with another --dtype, or leave it open"));
    }
    training().set_precision(actual);
    return absl::OkStatus();
  }

  TuningJobSpec spec_;
  const JobFacts& facts_;
  FieldViolations violations_;
};

}  // namespace

absl::StatusOr<TuningJobSpec> ResolveSpec(const TuningJobSpec& spec,
                                          const JobFacts& facts) {
  return Resolver(spec, facts).Run();
}

int NumVirtualTokens(const TuningMethod& method) {
  return method.has_prefix_tuning()
             ? method.prefix_tuning().num_virtual_tokens()
             : method.prompt_tuning().num_virtual_tokens();
}

int WarmupSteps(const TrainingConfig& training) {
  if (training.has_warmup_steps()) return training.warmup_steps().value();
  return static_cast<int>(
      std::ceil(training.warmup_ratio().value() * training.max_steps()));
}

}  // namespace attune::worker
