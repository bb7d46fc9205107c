#include "worker/tuning/trainer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <utility>

#include "google/protobuf/util/time_util.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/task_metrics.h"
#include "proto/cc/text.h"
#include "worker/models/kept_rows.h"
#include "worker/models/torch_errors.h"
#include "worker/tasks/choice_scorer.h"
#include "worker/tasks/evaluation.h"
#include "worker/tasks/generation_loss.h"
#include "worker/tasks/head_scorer.h"
#include "worker/tasks/label_scorer.h"
#include "worker/tasks/mask_scorer.h"
#include "worker/tasks/seeded_random.h"
#include "worker/tasks/span_scorer.h"
#include "worker/tasks/tag_scorer.h"
#include "worker/tuning/batch_rows.h"
#include "worker/tuning/clip_gradients.h"
#include "worker/tuning/micro_batches.h"
#include "worker/tuning/parameter_groups.h"
#include "worker/tuning/running_mean.h"
#include "worker/tuning/schedule.h"
#include "worker/tuning/step_front.h"
#include "worker/tuning/trained_values.h"
#include "worker/tuning/training_series.h"
#include "worker/tuning/validation_history.h"

namespace attune::worker {
namespace {

using attune::v1::TrainingConfig;
using attune::v1::TuningProgress;
using attune::v1::TuningReport;
using Batch = absl::Span<const PreparedExample* const>;

constexpr int kMaxNonfiniteInRow = 3;
// Keeps dropout apart from the seed's other uses; a step adds its number.
constexpr uint64_t kDropoutStream = 1'000'000;
constexpr absl::Duration kCheckpointInterval = absl::Seconds(30);
// Weight of the newest loss in the running mean that is shown.
constexpr double kNewestLoss = 0.1;

// Of a task that a head scores.
absl::StatusOr<BatchLoss> LossOfHead(const TaskProgram& program,
                                     const EncoderModel& model,
                                     const AttachedPrompt& front, Batch batch,
                                     double label_smoothing) {
  if (program.is_tagging()) {
    std::vector<TagSample> samples;
    for (const PreparedExample* one : batch) {
      samples.push_back({.text = one->input.ids,
                         .words = one->input.words.words,
                         .tags = one->tags});
    }
    return TagLoss(model, front, samples, label_smoothing);
  }
  if (program.is_extraction()) {
    std::vector<SpanSample> samples;
    for (const PreparedExample* one : batch) {
      for (const ContextWindow& window : one->input.context.windows) {
        samples.push_back(
            {.window = &window, .tokens = TokensOfFirst(window, one->spans)});
      }
    }
    return SpanLoss(model, front, samples, label_smoothing);
  }
  if (program.is_label_set()) {
    std::vector<LabelSetSample> samples;
    for (const PreparedExample* one : batch) {
      samples.push_back({.text = one->input.ids, .labels = one->labels});
    }
    return LabelSetLoss(model, front, samples);
  }
  if (program.is_regression()) {
    const attune::v1::NumberScale& scale = program.task().number_scale();
    std::vector<NumberSample> samples;
    for (const PreparedExample* one : batch) {
      samples.push_back(
          {.text = one->input.ids,
           .number = (one->number - scale.mean()) / scale.deviation()});
    }
    return NumberLoss(model, front, samples);
  }
  std::vector<HeadSample> samples;
  for (const PreparedExample* one : batch) {
    samples.push_back({.text = one->input.ids, .label = one->label});
  }
  return HeadLoss(model, front, samples, label_smoothing);
}

absl::StatusOr<BatchLoss> LossOf(const TaskProgram& program,
                                 const AttachedPrompt& front, Batch batch,
                                 const LossOptions& options) {
  const BaseModel& base = ModelWith(&front, program.model());
  if (program.scores_by_head()) {
    return LossOfHead(program, AsEncoder(base), front, batch,
                      options.label_smoothing);
  }
  if (program.scores_at_mask()) {
    std::vector<MaskSample> samples;
    samples.reserve(batch.size());
    for (const PreparedExample* one : batch) {
      samples.push_back(
          {.masked = MaskedTextOf(program, one->input), .label = one->label});
    }
    return MaskLoss(AsEncoder(base), front, samples, options.label_smoothing);
  }
  const LanguageModel& model = AsLanguage(base);
  if (program.is_classification()) {
    std::vector<LabelSample> samples;
    for (const PreparedExample* one : batch) {
      samples.push_back({.text = one->input.ids,
                         .trie = &program.trie(one->input),
                         .label = one->label});
    }
    return LabelLoss(model, front, samples, options);
  }
  if (program.is_choice()) {
    std::vector<ChoiceSample> samples;
    samples.reserve(batch.size());
    for (const PreparedExample* one : batch) {
      samples.push_back({.text = one->input.ids,
                         .choices = one->input.choices.ids,
                         .right = one->label});
    }
    return ChoiceLoss(model, front, samples, options);
  }
  std::vector<AnswerSample> samples;
  for (const PreparedExample* one : batch) {
    samples.push_back({.text = one->input.ids, .answer = one->answer_ids});
  }
  return AnswerLoss(model, front, samples, options);
}

// Whether `metric` is better than the best so far by more than `delta`.
bool IsBetter(const std::string& name, double metric, double best,
              double delta) {
  return LowerIsBetter(name) ? metric < best - delta : metric > best + delta;
}

DataOrder MakeOrder(const TrainerInput& input) {
  const attune::v1::TrainingConfig& training = input.spec.training();
  if (training.stratify_labels().value()) {
    std::vector<int> labels;
    for (const PreparedExample& one : input.train) labels.push_back(one.label);
    return DataOrder(labels, training.seed());
  }
  if (!training.group_by_length()) {
    return DataOrder(static_cast<int64_t>(input.train.size()), training.seed());
  }
  std::vector<int64_t> lengths;
  for (const PreparedExample& one : input.train) {
    lengths.push_back(one.input.num_tokens() + one.input.choices.num_tokens() +
                      static_cast<int64_t>(one.answer_ids.size()));
  }
  return DataOrder(std::move(lengths), training.batch_size(), training.seed());
}

}  // namespace

absl::StatusOr<BatchGradient> ComputeGradient(
    const TaskProgram& program, const attune::v1::TuningMethod& method,
    const TensorMap& values, Batch batch, int64_t max_rows,
    const GradientOptions& options) {
  return CatchTorchErrors("step", [&]() -> absl::StatusOr<BatchGradient> {
    const at::AutoGradMode grad_mode(true);
    const KeptRows kept_rows(program.model().model->dtype());
    const BatchRows rows = CountBatchRows(program, values, batch, options.loss);
    double total_weight = 0;
    for (const PreparedExample* one : batch) total_weight += one->weight();
    // Words that no tokenizer knows may be all there is.
    total_weight = std::max(1.0, total_weight);
    const std::vector<MicroBatch> parts =
        SplitBatch(rows.samples, rows.shared, max_rows, options.max_samples);
    absl::StatusOr<StepFront> trained =
        StepFront::Create(program.model(), method, values,
                          /*several_parts=*/parts.size() > 1,
                          /*at_marks=*/program.has_markers());
    if (!trained.ok()) return NameMemoryErrors(trained.status());
    BatchGradient result;
    result.num_rows = trained->num_rows();
    for (const MicroBatch& part : parts) {
      ATTUNE_ASSIGN_OR_RETURN(
          const AttachedPrompt front,
          trained->ForPart(options.dropout_seed + part.begin));
      absl::StatusOr<BatchLoss> loss = LossOf(
          program, front, batch.subspan(part.begin, part.count), options.loss);
      if (!loss.ok()) return NameMemoryErrors(loss.status());
      const at::Tensor mean = loss->sum / total_weight;
      trained->AddGradients(mean);
      result.loss += mean.item<double>();
      result.num_rows += loss->num_rows;
    }
    result.gradients = trained->TakeGradients();
    return result;
  });
}

Trainer::Trainer(const TrainerInput& input, const Clock& clock,
                 AttemptListener& listener, ProgressTracker& tracker)
    : input_(input),
      training_(input.spec.training()),
      clock_(clock),
      listener_(listener),
      tracker_(tracker),
      memory_(
          MaxTrainingRows(input.program.model().info.config, kActivationBytes),
          listener),
      drift_(input.start),
      optimizer_(MakeOptimizer(training_)),
      order_(MakeOrder(input)),
      checkpoint_time_(clock.Monotonic()) {}

absl::StatusOr<TuningReport::StopReason> Trainer::Run(TrainingState& state) {
  checkpoint_step_ = state.progress.step();
  checkpoint_time_ = clock_.Monotonic();
  tracker_.SetCounters(state.progress);
  tracker_.EnterPhase(TuningProgress::PHASE_TRAINING);
  StopReason reason = TuningReport::STOP_REASON_UNSPECIFIED;
  while (true) {
    if (ValidationIsDue(state)) ATTUNE_RETURN_IF_ERROR(Validate(state));
    reason = FindStopReason(state);
    if (reason != TuningReport::STOP_REASON_UNSPECIFIED) break;
    // May take a while, in which a stop may be asked for.
    listener_.BeforeStep();
    if (listener_.StopRequested()) {
      ATTUNE_RETURN_IF_ERROR(HandOverCheckpoint(state));
      return MakeError(
          Reason::kCancelled,
          Concat("stopped after ", state.progress.step(), " steps"));
    }
    if (CheckpointIsDue(state)) {
      ATTUNE_RETURN_IF_ERROR(HandOverCheckpoint(state));
    }
    ATTUNE_RETURN_IF_ERROR(Step(state));
  }
  if (state.progress.validated_step() < state.progress.step()) {
    ATTUNE_RETURN_IF_ERROR(Validate(state));
  }
  if (!state.progress.has_best()) {
    return MakeError(
        Reason::kNonfiniteLoss,
        Concat("no validation had a finite loss: lower training.learning_rate "
               "(it is ",
               training_.learning_rate().value(), ")"));
  }
  ATTUNE_RETURN_IF_ERROR(HandOverCheckpoint(state));
  return reason;
}

TuningReport::StopReason Trainer::FindStopReason(
    const TrainingState& state) const {
  if (state.progress.step() >= training_.max_steps()) {
    return TuningReport::STOP_REASON_MAX_STEPS;
  }
  const int patience = training_.early_stopping().patience();
  if (patience > 0 &&
      state.progress.validations_without_improvement() >= patience) {
    return TuningReport::STOP_REASON_EARLY_STOPPING;
  }
  if (training_.has_max_duration() &&
      state.progress.training_seconds() >=
          static_cast<double>(
              google::protobuf::util::TimeUtil::DurationToMilliseconds(
                  training_.max_duration())) /
              1000.0) {
    return TuningReport::STOP_REASON_MAX_DURATION;
  }
  return TuningReport::STOP_REASON_UNSPECIFIED;
}

bool Trainer::ValidationIsDue(const TrainingState& state) const {
  const int step = state.progress.step();
  return step > state.progress.validated_step() &&
         (step % training_.validation_interval_steps() == 0 ||
          step == training_.max_steps());
}

absl::Status Trainer::Validate(TrainingState& state) {
  v1::CheckpointManifest& progress = state.progress;
  const std::string& name = input_.spec.evaluation().metric();
  tracker_.EnterPhase(TuningProgress::PHASE_VALIDATING,
                      static_cast<int64_t>(input_.validation.size()));
  listener_.BeforeStep();
  ATTUNE_ASSIGN_OR_RETURN(
      const AttachedPrompt prompt,
      AttachValues(input_.program.model(), input_.spec.method(),
                   state.Measured(), input_.program.has_markers()));
  EvaluationOptions options;
  options.split = "validation";
  options.prompt = &prompt;
  options.decode_answers = name != "loss";
  options.before_pass = [&](int64_t done, int64_t) -> absl::Status {
    tracker_.SetPhaseDone(done);
    listener_.BeforeStep();
    if (!listener_.StopRequested()) return absl::OkStatus();
    // The next attempt begins with this validation.
    ATTUNE_RETURN_IF_ERROR(HandOverCheckpoint(state));
    return MakeError(
        Reason::kCancelled,
        Concat("stopped in the validation after ", progress.step(), " steps"));
  };
  absl::StatusOr<attune::v1::EvaluationReport> report =
      Evaluate(input_.program, input_.validation, options);
  if (!report.ok()) return NameMemoryErrors(report.status());

  Judge(*report, state);
  progress.set_validated_step(progress.step());
  RecordValidation(name, MetricOf(*report, name), report->loss(), progress);
  tracker_.SetValidation(MetricOf(*report, name), progress);
  KeepValidation(*std::move(report), tracker_.progress().epoch(), progress);
  tracker_.EnterPhase(TuningProgress::PHASE_TRAINING);
  return absl::OkStatus();
}

void Trainer::Judge(const attune::v1::EvaluationReport& report,
                    TrainingState& state) {
  v1::CheckpointManifest& progress = state.progress;
  const std::string& name = input_.spec.evaluation().metric();
  const double metric = MetricOf(report, name);
  // Comparisons with NaN hide it: a first one would stay the best for ever.
  const bool finite = std::isfinite(metric) && std::isfinite(report.loss());
  if (!finite) {
    listener_.OnNotice(Concat("the validation after step ", progress.step(),
                              " does not count: its loss is ", report.loss()));
  }
  const bool first = finite && !progress.has_best();
  const auto is_better_by = [&](double delta) {
    return first ||
           (finite && IsBetter(name, metric, progress.best_metric(), delta));
  };
  progress.set_validations_without_improvement(
      is_better_by(training_.early_stopping().min_delta())
          ? 0
          : progress.validations_without_improvement() + 1);
  if (training_.learning_rate_schedule() ==
      TrainingConfig::LEARNING_RATE_SCHEDULE_REDUCE_ON_PLATEAU) {
    AddValidation(training_, finite ? metric : std::nan(""),
                  LowerIsBetter(name), *progress.mutable_plateau());
  }
  const bool wins_tie = finite && metric == progress.best_metric() &&
                        report.loss() < progress.best_loss();
  if (is_better_by(0) || wins_tie) {
    for (auto& [tensor_name, trained] : state.tensors) {
      trained.best = trained.Measured().clone();
    }
    progress.set_has_best(true);
    progress.set_best_metric(metric);
    progress.set_best_loss(report.loss());
    progress.set_best_step(progress.step());
  }
}

uint64_t Trainer::DropoutSeed(const TrainingState& state) const {
  return SeededRandom(training_.seed(), kDropoutStream + state.progress.step())
      .Next();
}

absl::Status Trainer::Step(TrainingState& state) {
  const absl::Duration begin = clock_.Monotonic();
  v1::CheckpointManifest& progress = state.progress;
  const int64_t batch_rows =
      int64_t{training_.batch_size()} * training_.gradient_accumulation_steps();
  std::vector<const PreparedExample*> batch;
  std::deque<PreparedExample> windows;  // of rows that are read in several
  for (size_t row : order_.Take(progress.rows_taken(), batch_rows)) {
    if (input_.train[row].input.context.windows.size() <= 1) {
      batch.push_back(&input_.train[row]);
      continue;
    }
    for (PreparedExample& window : SplitWindows(input_.train[row])) {
      batch.push_back(&windows.emplace_back(std::move(window)));
    }
  }
  const TensorMap values = state.Values();
  const GradientOptions options = {
      .max_samples = static_cast<size_t>(training_.batch_size()),
      .loss = {.label_smoothing = training_.label_smoothing(),
               .share_beginnings = input_.spec.method().lora().dropout() == 0},
      .dropout_seed = DropoutSeed(state)};
  BatchRows rows = CountBatchRows(input_.program, values, batch, options.loss);
  rows.max_samples = options.max_samples;
  BatchGradient gradient;
  ATTUNE_RETURN_IF_ERROR(
      memory_.Run(rows, progress, [&](int64_t max_rows) -> absl::Status {
        ATTUNE_ASSIGN_OR_RETURN(
            gradient, ComputeGradient(input_.program, input_.spec.method(),
                                      values, batch, max_rows, options));
        return absl::OkStatus();
      }));
  StepFacts facts;
  facts.num_rows = gradient.num_rows;
  facts.finite = Apply(gradient, state, facts);
  progress.set_step(progress.step() + 1);
  progress.set_rows_taken(progress.rows_taken() + batch_rows);
  progress.set_num_trained_tokens(progress.num_trained_tokens() +
                                  gradient.num_rows);
  facts.front = drift_.Measure(state.Values(), progress.step());
  facts.duration = clock_.Monotonic() - begin;
  progress.set_training_seconds(progress.training_seconds() +
                                absl::ToDoubleSeconds(facts.duration));
  tracker_.AddStep(facts, progress);
  RecordStep(facts, tracker_.progress().remaining_seconds(), progress);
  if (!facts.finite) return CountNonfinite(facts, state);
  nonfinite_in_row_ = 0;
  return absl::OkStatus();
}

bool Trainer::Apply(BatchGradient& gradient, TrainingState& state,
                    StepFacts& facts) {
  v1::CheckpointManifest& progress = state.progress;
  const int step = progress.step();
  facts.loss = gradient.loss;
  std::vector<at::Tensor> gradients;
  for (auto& [name, tensor] : gradient.gradients) gradients.push_back(tensor);
  facts.grad_norm = ClipGradients(absl::MakeSpan(gradients),
                                  training_.max_grad_norm().value());
  const double factor = LearningRateFactor(training_, step, progress.plateau());
  facts.learning_rate = training_.learning_rate().value() * factor;
  if (!std::isfinite(facts.loss) || !std::isfinite(facts.grad_norm)) {
    return false;
  }
  const int64_t updates = step - progress.num_nonfinite_steps();
  for (auto& [name, trained] : state.tensors) {
    optimizer_->Update(
        {.learning_rate = LargestLearningRate(training_, name) * factor,
         .weight_decay = WeightDecayOf(training_, name, trained.value),
         .update = updates + 1},
        gradient.gradients.at(name), trained.value, trained.slots);
    if (trained.mean.defined()) {
      AddToRunningMean(training_.ema_decay().value(), updates + 1,
                       trained.value, trained.mean);
    }
  }
  progress.set_smoothed_loss(
      updates == 0 ? facts.loss
                   : progress.smoothed_loss() +
                         kNewestLoss * (facts.loss - progress.smoothed_loss()));
  return true;
}

absl::Status Trainer::CountNonfinite(const StepFacts& facts,
                                     TrainingState& state) {
  v1::CheckpointManifest& progress = state.progress;
  progress.set_num_nonfinite_steps(progress.num_nonfinite_steps() + 1);
  ++nonfinite_in_row_;
  listener_.OnNotice(Concat("step ", progress.step(),
                            " was left out: its loss is ", facts.loss,
                            " and its gradient's norm ", facts.grad_norm));
  if (nonfinite_in_row_ < kMaxNonfiniteInRow) return absl::OkStatus();
  return MakeError(
      Reason::kNonfiniteLoss,
      Concat("loss or gradient was not finite in ", nonfinite_in_row_,
             " steps in a row, up to step ", progress.step(), " (its loss is ",
             facts.loss, ", its gradient's norm ", facts.grad_norm,
             "): lower training.learning_rate (it is ",
             training_.learning_rate().value(), ")"));
}

bool Trainer::CheckpointIsDue(const TrainingState& state) const {
  const int step = state.progress.step();
  // How many steps in a row were left out is not stored, so none is stored
  // among them.
  return step > checkpoint_step_ && nonfinite_in_row_ == 0 &&
         (step % training_.checkpoint_interval_steps() == 0 ||
          clock_.Monotonic() - checkpoint_time_ >= kCheckpointInterval);
}

absl::Status Trainer::HandOverCheckpoint(const TrainingState& state) {
  if (state.progress.step() == checkpoint_step_ || nonfinite_in_row_ > 0) {
    return absl::OkStatus();
  }
  if (checkpoints_too_large_) return absl::OkStatus();
  ATTUNE_ASSIGN_OR_RETURN(Artifact checkpoint, EncodeCheckpoint(state));
  checkpoint_step_ = state.progress.step();
  checkpoint_time_ = clock_.Monotonic();
  int64_t bytes = 0;
  for (const auto& [name, file] : checkpoint.files) {
    bytes += static_cast<int64_t>(file.size());
  }
  if (bytes > kMaxArtifactBytes) {
    checkpoints_too_large_ = true;
    listener_.OnNotice(
        Concat("no checkpoints are kept: one takes ", bytes >> 20,
               " MiB, and at most ", kMaxArtifactBytes >> 20,
               " are stored; if the worker is lost, training begins anew"));
    return absl::OkStatus();
  }
  listener_.OnCheckpoint(std::move(checkpoint), checkpoint_step_);
  return absl::OkStatus();
}

}  // namespace attune::worker
