#include "worker/tuning/training_defaults.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "proto/cc/text.h"

namespace attune::worker {
namespace {

using attune::v1::PromptTuning;
using attune::v1::TrainingConfig;
using attune::v1::TuningMethod;

constexpr int kDefaultPasses = 8;
constexpr int kMinDefaultSteps = 50;
constexpr int kMaxDefaultSteps = 1'000;
constexpr int kMaxSteps = 1'000'000;
constexpr double kMaxEpochs = 1e6;
constexpr int kDefaultBatchSize = 16;
constexpr int kMaxBatchSize = 1024;
constexpr int kMaxAccumulationSteps = 1024;
// Of the root mean square of the embedding table. The running mean lets it be
// this large; measured with tests/bench/quality.py, where 0.2 and 0.7 take more
// steps to the same loss.
constexpr double kLearningRatePerRms = 0.4;
// Keys and values are of order one in every model.
constexpr double kPrefixLearningRate = 0.005;
// A step of AdamW moves every weight of the last layer by the learning rate, so
// what a network adds moves by that times the sum over its hidden numbers: at
// 512 of them about as far as plain rows move at their own rate.
constexpr double kNetworkLearningRate = 0.001;
// The norm keeps what a bottleneck adds to its gain, so only the rows' own way
// and the gain's add up, with the turning of what is normalised. There is no
// running mean by default.
constexpr double kResidualRatePerRms = 0.03;
// Of low-rank additions and biases: few numbers, which begin at nothing or near
// it. More weights, and those that know something already, move less.
constexpr double kSmallPartLearningRate = 0.001;
constexpr double kTopLayersLearningRate = 0.0001;
constexpr double kAllParametersLearningRate = 0.00005;
constexpr double kDefaultHeadLearningRate = 0.005;
// AdamW moves every value by about the learning rate, SGD all of them together
// by that times a norm of at most 1: many values need more, momentum less.
constexpr double kSgdLearningRates = 10;
constexpr double kSgdRatePerRms = 0.1;  // before that
constexpr double kMaxLearningRate = 10;
constexpr double kDefaultWarmupRatio = 0.06;
// Reached after 396 updates. Measured on prompts only (tests/bench/quality.py),
// with 200 updates, where the beginning's share decides (running_mean.h).
constexpr double kDefaultPromptEmaDecay = 0.99;
constexpr int kMinValidationInterval = 10;
constexpr int kDefaultCheckpointInterval = 50;
constexpr int kMaxPatience = 1'000;
constexpr int kDefaultPlateauPatience = 2;
constexpr double kMaxPolynomialPower = 10;

// Three significant digits: a resolved spec must not depend on the order in
// which a sum was taken.
double Rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.2e", value);
  return std::strtod(text, nullptr);
}

// Resolves one config. Made for one call of ResolveTraining.
class TrainingResolver {
 public:
  TrainingResolver(const attune::v1::TuningMethod& method,
                   const attune::v1::TaskSpec& task, const JobFacts& facts,
                   TrainingConfig& training, FieldViolations& violations)
      : method_(method),
        task_(task),
        facts_(facts),
        training_(training),
        violations_(violations) {}

  void Run() {
    ResolveBatch();
    ResolveSteps();
    ResolveOptimizer();
    ResolveLearningRates();
    ResolveRunningMean();
    ResolveOrder();
    ResolveSchedule();
    ResolveWarmup();
    ResolveIntervals();
    CheckStops();
  }

 private:
  void Require(bool holds, std::string_view field, std::string_view rule) {
    if (!holds) violations_.Add(Concat("spec.training.", field), rule);
  }

  void ResolveBatch() {
    if (training_.batch_size() == 0) {
      training_.set_batch_size(static_cast<int>(
          std::min<int64_t>(kDefaultBatchSize, facts_.num_train_rows)));
    }
    Require(
        training_.batch_size() >= 1 && training_.batch_size() <= kMaxBatchSize,
        "batch_size", "must be 1 to 1,024");
    if (training_.gradient_accumulation_steps() == 0) {
      training_.set_gradient_accumulation_steps(1);
    }
    Require(
        training_.gradient_accumulation_steps() >= 1 &&
            training_.gradient_accumulation_steps() <= kMaxAccumulationSteps,
        "gradient_accumulation_steps", "must be 1 to 1,024");
    const double smoothing = training_.label_smoothing();
    Require(smoothing >= 0 && smoothing <= 1, "label_smoothing",
            "must be 0 to 1");
    Require(
        smoothing == 0 || (!task_.multi_label() &&
                           task_.type() != attune::v1::TASK_TYPE_REGRESSION),
        "label_smoothing",
        "is not for multi_label and regression: there is no one label to "
        "share with the others");
  }

  // Rows of one optimiser step, also of a config that will be refused.
  int64_t StepRows() const {
    return int64_t{std::max(1, training_.batch_size())} *
           std::max(1, training_.gradient_accumulation_steps());
  }

  void ResolveSteps() {
    const double epochs = training_.max_epochs();
    const bool by_epochs = epochs > 0 && epochs <= kMaxEpochs;
    Require(epochs == 0 || by_epochs, "max_epochs",
            "must be above 0 and at most 1,000,000");
    if (by_epochs) {
      TakeEpochs(epochs);
    } else if (training_.max_steps() == 0) {
      const int64_t steps =
          (kDefaultPasses * facts_.num_train_rows + StepRows() - 1) /
          StepRows();
      training_.set_max_steps(static_cast<int>(
          std::clamp<int64_t>(steps, kMinDefaultSteps, kMaxDefaultSteps)));
    }
    Require(training_.max_steps() >= 1 && training_.max_steps() <= kMaxSteps,
            "max_steps", "must be 1 to 1,000,000");
  }

  // Whichever of max_steps and max_epochs comes first becomes max_steps.
  void TakeEpochs(double epochs) {
    const double steps = std::max(
        1.0, std::ceil(epochs * static_cast<double>(facts_.num_train_rows) /
                       static_cast<double>(StepRows())));
    if (training_.max_steps() == 0) {
      Require(steps <= kMaxSteps, "max_epochs",
              Concat("comes to ", static_cast<int64_t>(steps),
                     " steps; 1,000,000 are allowed"));
      training_.set_max_steps(
          static_cast<int>(std::min<double>(steps, kMaxSteps)));
    } else if (steps < training_.max_steps()) {
      training_.set_max_steps(static_cast<int>(steps));
    }
  }

  void ResolveOptimizer() {
    if (training_.optimizer() == TrainingConfig::OPTIMIZER_UNSPECIFIED) {
      training_.set_optimizer(TrainingConfig::OPTIMIZER_ADAMW);
    }
    const TrainingConfig::Optimizer chosen = training_.optimizer();
    Require(TrainingConfig::Optimizer_IsValid(chosen), "optimizer",
            "is unknown");
    ResolveAdamW(chosen == TrainingConfig::OPTIMIZER_ADAMW);
    ResolveSgd(chosen == TrainingConfig::OPTIMIZER_SGD);
    ResolveAdafactor(chosen == TrainingConfig::OPTIMIZER_ADAFACTOR);
    const double decay = training_.weight_decay();
    Require(decay >= 0 && decay <= 1, "weight_decay", "must be 0 to 1");
    if (!training_.has_max_grad_norm()) {
      training_.mutable_max_grad_norm()->set_value(1);
    }
    const double norm = training_.max_grad_norm().value();
    Require(std::isfinite(norm) && norm >= 0, "max_grad_norm",
            "must be finite and at least 0");
  }

  void ResolveAdamW(bool chosen) {
    constexpr char kRule[] = "is only for OPTIMIZER_ADAMW";
    if (!chosen) {
      Require(!training_.has_adam_beta1(), "adam_beta1", kRule);
      Require(!training_.has_adam_beta2(), "adam_beta2", kRule);
      Require(!training_.has_adam_epsilon(), "adam_epsilon", kRule);
      return;
    }
    if (!training_.has_adam_beta1()) {
      training_.mutable_adam_beta1()->set_value(0.9);
    }
    if (!training_.has_adam_beta2()) {
      training_.mutable_adam_beta2()->set_value(0.999);
    }
    if (!training_.has_adam_epsilon()) {
      training_.mutable_adam_epsilon()->set_value(1e-8);
    }
    const double beta1 = training_.adam_beta1().value();
    Require(beta1 >= 0 && beta1 < 1, "adam_beta1",
            "must be at least 0 and below 1");
    const double beta2 = training_.adam_beta2().value();
    Require(beta2 >= 0 && beta2 < 1, "adam_beta2",
            "must be at least 0 and below 1");
    const double epsilon = training_.adam_epsilon().value();
    Require(epsilon > 0 && epsilon <= 1, "adam_epsilon",
            "must be above 0 and at most 1");
  }

  void ResolveSgd(bool chosen) {
    if (!chosen) {
      Require(!training_.has_sgd_momentum(), "sgd_momentum",
              "is only for OPTIMIZER_SGD");
      return;
    }
    if (!training_.has_sgd_momentum()) {
      training_.mutable_sgd_momentum()->set_value(0.9);
    }
    const double momentum = training_.sgd_momentum().value();
    Require(momentum >= 0 && momentum < 1, "sgd_momentum",
            "must be at least 0 and below 1");
  }

  void ResolveAdafactor(bool chosen) {
    constexpr char kRule[] = "is only for OPTIMIZER_ADAFACTOR";
    if (!chosen) {
      Require(!training_.has_adafactor_decay_rate(), "adafactor_decay_rate",
              kRule);
      Require(!training_.has_adafactor_clip_threshold(),
              "adafactor_clip_threshold", kRule);
      Require(!training_.adafactor_scale_parameter(),
              "adafactor_scale_parameter", kRule);
      return;
    }
    if (!training_.has_adafactor_decay_rate()) {
      training_.mutable_adafactor_decay_rate()->set_value(-0.8);
    }
    if (!training_.has_adafactor_clip_threshold()) {
      training_.mutable_adafactor_clip_threshold()->set_value(1);
    }
    const double rate = training_.adafactor_decay_rate().value();
    Require(rate >= -1 && rate < 0, "adafactor_decay_rate",
            "must be at least -1 and below 0");
    const double threshold = training_.adafactor_clip_threshold().value();
    Require(std::isfinite(threshold) && threshold > 0,
            "adafactor_clip_threshold", "must be finite and above 0");
  }

  bool IsSgd() const {
    return training_.optimizer() == TrainingConfig::OPTIMIZER_SGD;
  }

  // A default for AdamW as it suits the chosen optimiser.
  double ForOptimizer(double rate) const {
    return std::min(kMaxLearningRate,
                    IsSgd() ? Rounded(kSgdLearningRates * rate) : rate);
  }

  double DefaultLearningRate() const {
    switch (method_.method_case()) {
      case TuningMethod::kLora:
      case TuningMethod::kBiasOnly:
        return kSmallPartLearningRate;
      case TuningMethod::kTopLayers:
        return kTopLayersLearningRate;
      case TuningMethod::kAllParameters:
        return kAllParametersLearningRate;
      case TuningMethod::kHead:
        return kDefaultHeadLearningRate;  // nothing else is trained
      default:
        break;
    }
    const PromptTuning::Reparameterisation network =
        method_.prompt_tuning().reparameterisation();
    if (method_.prefix_tuning().projection() ||
        network == PromptTuning::REPARAMETERISATION_MLP ||
        network == PromptTuning::REPARAMETERISATION_LSTM) {
      return kNetworkLearningRate;
    }
    if (method_.has_prefix_tuning()) return kPrefixLearningRate;
    // The values begin at about the table's size, by which it is multiplied.
    if (training_.adafactor_scale_parameter()) return kLearningRatePerRms;
    if (network == PromptTuning::REPARAMETERISATION_RESIDUAL_MLP) {
      return Rounded(kResidualRatePerRms * facts_.embedding_rms);
    }
    return Rounded((IsSgd() ? kSgdRatePerRms : kLearningRatePerRms) *
                   facts_.embedding_rms);
  }

  void RequireLearningRate(double rate, std::string_view field) {
    Require(std::isfinite(rate) && rate > 0 && rate <= kMaxLearningRate, field,
            "must be above 0 and at most 10");
  }

  void ResolveLearningRates() {
    if (!training_.has_learning_rate()) {
      training_.mutable_learning_rate()->set_value(
          ForOptimizer(DefaultLearningRate()));
    }
    RequireLearningRate(training_.learning_rate().value(), "learning_rate");
    if (task_.label_scoring() != attune::v1::LABEL_SCORING_HEAD) {
      Require(!training_.has_head_learning_rate(), "head_learning_rate",
              "goes with LABEL_SCORING_HEAD, which this task has not");
      return;
    }
    if (!training_.has_head_learning_rate()) {
      training_.mutable_head_learning_rate()->set_value(
          ForOptimizer(kDefaultHeadLearningRate));
    }
    RequireLearningRate(training_.head_learning_rate().value(),
                        "head_learning_rate");
  }

  void ResolveRunningMean() {
    if (!training_.has_ema_decay()) {
      const bool plain_prompt = method_.has_prompt_tuning() &&
                                method_.prompt_tuning().reparameterisation() ==
                                    PromptTuning::REPARAMETERISATION_NONE;
      training_.mutable_ema_decay()->set_value(
          plain_prompt ? kDefaultPromptEmaDecay : 0);
    }
    const double decay = training_.ema_decay().value();
    Require(decay >= 0 && decay < 1, "ema_decay",
            "must be at least 0 and below 1");
  }

  void ResolveOrder() {
    const bool has_labels =
        task_.type() == attune::v1::TASK_TYPE_TEXT_CLASSIFICATION &&
        !task_.multi_label();
    if (!training_.has_stratify_labels()) {
      training_.mutable_stratify_labels()->set_value(
          has_labels && !training_.group_by_length());
    }
    if (!training_.stratify_labels().value()) return;
    Require(has_labels, "stratify_labels",
            "is for text classification with one label a row");
    Require(!training_.group_by_length(), "stratify_labels",
            "can't be on together with group_by_length: rows are ordered by "
            "one of them");
  }

  void ResolveSchedule() {
    if (training_.learning_rate_schedule() ==
        TrainingConfig::LEARNING_RATE_SCHEDULE_UNSPECIFIED) {
      training_.set_learning_rate_schedule(
          TrainingConfig::LEARNING_RATE_SCHEDULE_LINEAR);
    }
    const auto chosen = training_.learning_rate_schedule();
    Require(TrainingConfig::LearningRateSchedule_IsValid(chosen),
            "learning_rate_schedule", "is unknown");
    ResolvePolynomial(chosen ==
                      TrainingConfig::LEARNING_RATE_SCHEDULE_POLYNOMIAL);
    ResolvePlateau(chosen ==
                   TrainingConfig::LEARNING_RATE_SCHEDULE_REDUCE_ON_PLATEAU);
  }

  void ResolvePolynomial(bool chosen) {
    constexpr char kRule[] = "is only for LEARNING_RATE_SCHEDULE_POLYNOMIAL";
    if (!chosen) {
      Require(!training_.has_polynomial_power(), "polynomial_power", kRule);
      Require(!training_.has_polynomial_end_factor(), "polynomial_end_factor",
              kRule);
      return;
    }
    if (!training_.has_polynomial_power()) {
      training_.mutable_polynomial_power()->set_value(1);
    }
    training_.mutable_polynomial_end_factor();  // 0 where it is unset
    const double power = training_.polynomial_power().value();
    Require(power > 0 && power <= kMaxPolynomialPower, "polynomial_power",
            "must be above 0 and at most 10");
    const double end = training_.polynomial_end_factor().value();
    Require(end >= 0 && end <= 1, "polynomial_end_factor", "must be 0 to 1");
  }

  void ResolvePlateau(bool chosen) {
    constexpr char kRule[] =
        "is only for LEARNING_RATE_SCHEDULE_REDUCE_ON_PLATEAU";
    if (!chosen) {
      Require(!training_.has_plateau_factor(), "plateau_factor", kRule);
      Require(training_.plateau_patience() == 0, "plateau_patience", kRule);
      Require(!training_.has_plateau_min_factor(), "plateau_min_factor", kRule);
      return;
    }
    if (!training_.has_plateau_factor()) {
      training_.mutable_plateau_factor()->set_value(0.5);
    }
    if (training_.plateau_patience() == 0) {
      training_.set_plateau_patience(kDefaultPlateauPatience);
    }
    if (!training_.has_plateau_min_factor()) {
      training_.mutable_plateau_min_factor()->set_value(0.01);
    }
    const double factor = training_.plateau_factor().value();
    Require(factor > 0 && factor < 1, "plateau_factor",
            "must be above 0 and below 1");
    Require(training_.plateau_patience() >= 1 &&
                training_.plateau_patience() <= kMaxPatience,
            "plateau_patience", "must be 1 to 1,000");
    const double least = training_.plateau_min_factor().value();
    Require(least >= 0 && least <= 1, "plateau_min_factor", "must be 0 to 1");
  }

  void ResolveWarmup() {
    if (training_.has_warmup_steps()) {
      Require(!training_.has_warmup_ratio(), "warmup_ratio",
              "can't be set together with warmup_steps");
      const int steps = training_.warmup_steps().value();
      Require(
          steps >= 0 && steps <= training_.max_steps(), "warmup_steps",
          Concat("must be 0 to max_steps, which is ", training_.max_steps()));
      return;
    }
    if (!training_.has_warmup_ratio()) {
      training_.mutable_warmup_ratio()->set_value(kDefaultWarmupRatio);
    }
    const double ratio = training_.warmup_ratio().value();
    Require(ratio >= 0 && ratio <= 1, "warmup_ratio", "must be 0 to 1");
  }

  void ResolveIntervals() {
    const int max_steps = training_.max_steps();
    ResolveValidationEpochs();
    if (training_.validation_interval_steps() == 0) {
      training_.set_validation_interval_steps(std::min(
          max_steps, std::max(kMinValidationInterval, max_steps / 10)));
    }
    if (training_.checkpoint_interval_steps() == 0) {
      training_.set_checkpoint_interval_steps(
          std::min(max_steps, kDefaultCheckpointInterval));
    }
    const std::string rule =
        Concat("must be 1 to max_steps, which is ", max_steps);
    const auto in_range = [&](int steps) {
      return steps >= 1 && steps <= max_steps;
    };
    Require(in_range(training_.validation_interval_steps()),
            "validation_interval_steps", rule);
    Require(in_range(training_.checkpoint_interval_steps()),
            "checkpoint_interval_steps", rule);
  }

  // Whichever of the two intervals is shorter becomes the one in steps.
  void ResolveValidationEpochs() {
    const double epochs = training_.validation_interval_epochs();
    if (epochs == 0) return;
    if (!(epochs > 0 && epochs <= kMaxSteps)) {
      Require(false, "validation_interval_epochs",
              "must be above 0 and at most 1,000,000");
      return;
    }
    const double steps =
        std::ceil(epochs * static_cast<double>(facts_.num_train_rows) /
                  static_cast<double>(StepRows()));
    const int own = training_.validation_interval_steps() > 0
                        ? training_.validation_interval_steps()
                        : training_.max_steps();
    training_.set_validation_interval_steps(
        static_cast<int>(std::clamp<double>(steps, 1, std::max(own, 1))));
  }

  void CheckStops() {
    const attune::v1::EarlyStopping& early = training_.early_stopping();
    Require(early.patience() >= 0 && early.patience() <= kMaxPatience,
            "early_stopping.patience", "must be 0 to 1,000");
    Require(std::isfinite(early.min_delta()) && early.min_delta() >= 0,
            "early_stopping.min_delta", "must be finite and at least 0");
    Require(!training_.has_max_duration() ||
                training_.max_duration().seconds() >= 1,
            "max_duration", "must be at least one second");
  }

  const attune::v1::TuningMethod& method_;
  const attune::v1::TaskSpec& task_;
  const JobFacts& facts_;
  TrainingConfig& training_;
  FieldViolations& violations_;
};

}  // namespace

void ResolveTraining(const attune::v1::TuningMethod& method,
                     const attune::v1::TaskSpec& task, const JobFacts& facts,
                     TrainingConfig& training, FieldViolations& violations) {
  TrainingResolver(method, task, facts, training, violations).Run();
}

}  // namespace attune::worker
