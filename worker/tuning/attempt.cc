#include "worker/tuning/attempt.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <optional>
#include <utility>

#include "proto/cc/resource_names.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/torch_errors.h"
#include "worker/prompts/prompt_codec.h"
#include "worker/prompts/soft_prompt.h"
#include "worker/tasks/answer_comparison.h"
#include "worker/tasks/dataset.h"
#include "worker/tasks/demonstrations.h"
#include "worker/tasks/evaluation.h"
#include "worker/tasks/prepared_example.h"
#include "worker/tasks/row_outcome.h"
#include "worker/tasks/seeded_random.h"
#include "worker/tasks/task_contract.h"
#include "worker/tasks/task_program.h"
#include "worker/tuning/checkpoint.h"
#include "worker/tuning/defaults.h"
#include "worker/tuning/event_file.h"
#include "worker/tuning/initialisation.h"
#include "worker/tuning/progress_tracker.h"
#include "worker/tuning/trained_adaptation.h"
#include "worker/tuning/trained_values.h"
#include "worker/tuning/trainer.h"
#include "worker/tuning/training_series.h"

namespace attune::worker {
namespace {

using attune::v1::EvaluationReport;
using attune::v1::HardPrompt;
using attune::v1::TaskSpec;
using attune::v1::TuningJobSpec;
using attune::v1::TuningProgress;
using attune::v1::TuningReport;

// Keeps the choice of rows to measure apart from the split's own seed.
constexpr uint64_t kSampleStream = 10;

// The model's error as the job's.
absl::Status ModelError(const absl::Status& status) {
  if (ReasonOf(status) != Reason::kInternal) return status;
  const std::string_view message = ToStd(status.message());
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
      return MakeError(Reason::kUnknownBaseModel, message);
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kUnimplemented:
      return MakeError(Reason::kCorruptModel, message);
    default:
      return NameMemoryErrors(status);
  }
}

// At most `limit` of the examples (0: all), drawn evenly, in their order.
std::vector<Example> Sample(std::vector<Example> examples, int limit,
                            uint64_t seed) {
  if (limit <= 0 || examples.size() <= static_cast<size_t>(limit)) {
    return examples;
  }
  std::vector<size_t> order(examples.size());
  std::iota(order.begin(), order.end(), size_t{0});
  SeededRandom(seed, kSampleStream).Shuffle(order);
  order.resize(limit);
  std::sort(order.begin(), order.end());
  std::vector<Example> drawn;
  for (size_t i : order) drawn.push_back(std::move(examples[i]));
  return drawn;
}

// Trained values as a version stores them.
absl::StatusOr<StoredPrompt> ToStored(const TensorMap& values,
                                      v1::PromptManifest manifest) {
  const attune::v1::TuningMethod& method = manifest.method();
  StoredPrompt stored;
  if (HasPrefix(values)) {
    stored.prefix = {values.at(std::string(kPrefixKeysValue)),
                     values.at(std::string(kPrefixValuesValue)),
                     method.prefix_tuning().first_layer()};
  } else if (HasPrompt(values)) {
    ATTUNE_ASSIGN_OR_RETURN(stored.rows, SoftPrompt::Create(PromptOf(values)));
  } else {
    stored.adaptation = AdaptationOf(method, values);
  }
  stored.head = HeadOf(values);
  stored.manifest = std::move(manifest);
  return stored;
}

// One attempt. Made for one call of RunAttempt.
class Attempt {
 public:
  Attempt(const AttemptInput& input, ModelStore& models, const Clock& clock,
          AttemptListener& listener)
      : input_(input),
        models_(models),
        clock_(clock),
        listener_(listener),
        tracker_(clock, listener) {}

  absl::StatusOr<AttemptResult> Run() {
    tracker_.EnterPhase(TuningProgress::PHASE_PREPARING);
    ATTUNE_RETURN_IF_ERROR(Prepare());
    ATTUNE_RETURN_IF_ERROR(RestoreOrBegin());
    ATTUNE_RETURN_IF_ERROR(MeasureBase());
    ATTUNE_RETURN_IF_ERROR(Train());
    ATTUNE_RETURN_IF_ERROR(MeasureTuned());
    return Publish();
  }

 private:
  absl::Status Prepare() {
    spec_ = input_.job.spec();
    ATTUNE_ASSIGN_OR_RETURN(
        const std::string model_id,
        ParseResourceName(kModelCollection, spec_.base_model(),
                          "spec.base_model"));
    FillTaskDefaults(*spec_.mutable_task());
    ATTUNE_RETURN_IF_ERROR(CheckTask(spec_.task()));
    listener_.BeforeStep();
    auto loaded = models_.Load(model_id);
    if (!loaded.ok()) return ModelError(loaded.status());
    model_ = *std::move(loaded);
    const ModelConfig& config = model_->info.config;
    FillModelDefaults(config.kind, *spec_.mutable_task());
    ATTUNE_RETURN_IF_ERROR(CheckFitsModel(spec_.task(), config));
    ATTUNE_ASSIGN_OR_RETURN(Splits splits, ReadSplits(input_.rows, spec_.data(),
                                                      *spec_.mutable_task()));
    embedding_rms_ = EmbeddingRms(*model_->model);
    ATTUNE_RETURN_IF_ERROR(ResolveAdaptation(*model_, *spec_.mutable_method()));
    ATTUNE_ASSIGN_OR_RETURN(
        spec_,
        ResolveSpec(
            spec_, {.num_train_rows = static_cast<int64_t>(splits.train.size()),
                    .context_length = config.context_length,
                    .embedding_rms = embedding_rms_,
                    .dtype = model_->model->dtype(),
                    .embedding_dim = config.embedding_dim,
                    .num_layers = config.NumCachedLayers()}));
    if (spec_.method().hard_prompt().num_demonstrations() > 0) {
      ATTUNE_RETURN_IF_ERROR(PrepareDemonstrations(splits.train));
    }
    ATTUNE_ASSIGN_OR_RETURN(
        program_, TaskProgram::Compile(spec_.task(), model_,
                                       NumVirtualTokens(spec_.method())));
    listener_.OnResolvedSpec(spec_);
    num_train_rows_ = static_cast<int64_t>(splits.train.size());
    tracker_.SetPlan(spec_.training().max_steps(), num_train_rows_,
                     spec_.evaluation().metric());
    return PrepareSplits(std::move(splits));
  }

  // Puts a hard prompt's demonstrations into the task, and compiles what it is
  // without them.
  absl::Status PrepareDemonstrations(const std::vector<Example>& train) {
    TaskSpec& task = *spec_.mutable_task();
    TaskSpec bare = task;
    bare.clear_demonstrations();
    ATTUNE_ASSIGN_OR_RETURN(
        bare_program_,
        TaskProgram::Compile(bare, model_, /*num_prompt_rows=*/0));
    if (task.demonstrations_size() > 0) return absl::OkStatus();
    HardPrompt& method = *spec_.mutable_method()->mutable_hard_prompt();
    ATTUNE_ASSIGN_OR_RETURN(std::vector<attune::v1::Demonstration> chosen,
                            ChooseDemonstrations(*bare_program_, train, method,
                                                 spec_.training().seed()));
    const int found = static_cast<int>(chosen.size());
    if (found < method.num_demonstrations()) {
      listener_.OnNotice(Concat(
          "only ", found, " of ", method.num_demonstrations(),
          " demonstrations: there are ", train.size(),
          " training rows, and half of the model's context is for the input"));
    }
    method.set_num_demonstrations(found);
    for (attune::v1::Demonstration& one : chosen) {
      *task.add_demonstrations() = std::move(one);
    }
    return absl::OkStatus();
  }

  absl::Status PrepareSplits(Splits splits) {
    const attune::v1::EvaluationConfig& evaluation = spec_.evaluation();
    const uint64_t seed = spec_.data().split_seed();
    splits.validation = Sample(std::move(splits.validation),
                               evaluation.max_validation_rows(), seed);
    splits.test =
        Sample(std::move(splits.test), evaluation.max_test_rows(), seed);
    // Other jobs compute in the pauses.
    const auto pause = [this] { listener_.BeforeStep(); };
    // Nothing would see them.
    if (spec_.method().has_hard_prompt()) splits.train.clear();
    ATTUNE_ASSIGN_OR_RETURN(train_,
                            PrepareExamples(*program_, splits.train, pause));
    ATTUNE_ASSIGN_OR_RETURN(
        validation_, PrepareExamples(*program_, splits.validation, pause));
    ATTUNE_ASSIGN_OR_RETURN(test_,
                            PrepareExamples(*program_, splits.test, pause));
    if (bare_program_ != nullptr) {
      ATTUNE_ASSIGN_OR_RETURN(
          bare_test_, PrepareExamples(*bare_program_, splits.test, pause));
    }
    return absl::OkStatus();
  }

  absl::Status RestoreOrBegin() {
    v1::CheckpointManifest job;
    job.set_tuning_job(input_.job.name());
    job.set_model_fingerprint(model_->info.fingerprint);
    job.set_snapshot_digest(input_.job.snapshot().digest());
    *job.mutable_resolved_spec() = spec_;
    ATTUNE_ASSIGN_OR_RETURN(const std::optional<StoredPrompt> version,
                            ReadVersion());
    ATTUNE_ASSIGN_OR_RETURN(
        TensorMap front,
        MakeInitialFront(spec_.method(), *program_, train_, embedding_rms_,
                         spec_.training().seed(),
                         version.has_value() ? &*version : nullptr));
    start_ = MakeInitialValues(*program_, std::move(front));
    if (input_.checkpoint.has_value()) {
      absl::Status restored = Restore(job, start_);
      if (restored.ok()) return restored;
      listener_.OnNotice(
          Concat("training begins anew, without the checkpoint: ",
                 ToStd(restored.message())));
    }
    state_ = MakeInitialState(start_, job);
    return absl::OkStatus();
  }

  // The version to start from, if one is named.
  absl::StatusOr<std::optional<StoredPrompt>> ReadVersion() {
    const std::string& version = InitVersionOf(spec_.method());
    if (version.empty()) return std::nullopt;
    if (!input_.init_version.has_value()) {
      return MakeError(Reason::kInternal,
                       Concat(version,
                              " was not fetched, from which training "
                              "is to start"));
    }
    ATTUNE_ASSIGN_OR_RETURN(
        StoredPrompt stored,
        ReadInitVersion(version, *input_.init_version, model_->info));
    return stored;
  }

  absl::Status Restore(const v1::CheckpointManifest& job,
                       const TensorMap& initial) {
    ATTUNE_ASSIGN_OR_RETURN(TrainingState state,
                            DecodeCheckpoint(*input_.checkpoint));
    ATTUNE_RETURN_IF_ERROR(CheckCheckpointFits(state, job, initial));
    state_ = std::move(state);
    listener_.OnNotice(Concat("attempt ", input_.attempt,
                              " goes on from the checkpoint of step ",
                              state_.progress.step()));
    return absl::OkStatus();
  }

  // Measures a split with `prompt`, or the bare base. outcomes: set if not
  // null.
  absl::StatusOr<EvaluationReport> Measure(
      TuningProgress::Phase phase, const TaskProgram& program,
      const std::vector<PreparedExample>& rows, std::string_view split,
      const AttachedPrompt* prompt,
      std::vector<RowOutcome>* outcomes = nullptr) {
    tracker_.SetCounters(state_.progress);
    tracker_.EnterPhase(phase, static_cast<int64_t>(rows.size()));
    EvaluationOptions options;
    options.split = split;
    options.prompt = prompt;
    options.decode_answers =
        split == "test" || spec_.evaluation().metric() != "loss";
    options.with_intervals = split == "test";
    options.outcomes = outcomes;
    options.before_pass = [&](int64_t done, int64_t) -> absl::Status {
      tracker_.SetPhaseDone(done);
      listener_.BeforeStep();
      if (!listener_.StopRequested()) return absl::OkStatus();
      return MakeError(Reason::kCancelled, "stopped in an evaluation");
    };
    absl::StatusOr<EvaluationReport> report = Evaluate(program, rows, options);
    if (!report.ok()) return NameMemoryErrors(report.status());
    tracker_.SetPhaseDone(static_cast<int64_t>(rows.size()));
    return report;
  }

  absl::Status MeasureBase() {
    if (spec_.evaluation().skip_baseline() || state_.progress.has_before()) {
      return absl::OkStatus();
    }
    if (program_->scores_by_head()) {
      listener_.OnNotice(
          "the base model has no layer for these labels, so there is no "
          "measurement before tuning");
      return absl::OkStatus();
    }
    ATTUNE_ASSIGN_OR_RETURN(*state_.progress.mutable_before(),
                            MeasureBaseRows());
    return absl::OkStatus();
  }

  absl::StatusOr<EvaluationReport> MeasureBaseRows() {
    const bool bare = bare_program_ != nullptr;
    return Measure(TuningProgress::PHASE_EVALUATING_BASE,
                   bare ? *bare_program_ : *program_, bare ? bare_test_ : test_,
                   "test", /*prompt=*/nullptr, &before_rows_);
  }

  absl::Status Train() {
    if (start_.empty()) return ValidateUntrained();
    Trainer trainer({.program = *program_,
                     .train = train_,
                     .validation = validation_,
                     .spec = spec_,
                     .start = std::move(start_)},
                    clock_, listener_, tracker_);
    ATTUNE_ASSIGN_OR_RETURN(stop_reason_, trainer.Run(state_));
    return absl::OkStatus();
  }

  // Instead of training where nothing can be trained.
  absl::Status ValidateUntrained() {
    stop_reason_ = TuningReport::STOP_REASON_NOTHING_TO_TRAIN;
    ATTUNE_ASSIGN_OR_RETURN(
        const EvaluationReport report,
        Measure(TuningProgress::PHASE_VALIDATING, *program_, validation_,
                "validation", /*prompt=*/nullptr));
    const std::string& metric = spec_.evaluation().metric();
    if (!std::isfinite(report.loss())) {
      return MakeError(Reason::kNonfiniteLoss,
                       "the validation's loss is not finite");
    }
    state_.progress.set_has_best(true);
    state_.progress.set_best_metric(MetricOf(report, metric));
    state_.progress.set_best_loss(report.loss());
    tracker_.SetValidation(state_.progress.best_metric(), state_.progress);
    return absl::OkStatus();
  }

  absl::Status MeasureTuned() {
    listener_.BeforeStep();
    // A checkpoint has no answers: they may be larger than all that was
    // trained.
    if (state_.progress.has_before() && before_rows_.empty()) {
      ATTUNE_RETURN_IF_ERROR(MeasureBaseRows().status());
    }
    const bool is_base =
        state_.Best().empty() && spec_.task().demonstrations().empty();
    if (is_base && state_.progress.has_before()) {
      after_ = state_.progress.before();
      after_rows_ = before_rows_;
    } else {
      ATTUNE_ASSIGN_OR_RETURN(
          const AttachedPrompt prompt,
          AttachValues(*model_, spec_.method(), state_.Best()));
      ATTUNE_ASSIGN_OR_RETURN(
          after_, Measure(TuningProgress::PHASE_EVALUATING_TUNED, *program_,
                          test_, "test", &prompt, &after_rows_));
    }
    if (state_.progress.has_before()) Compare();
    return absl::OkStatus();
  }

  void Compare() {
    listener_.BeforeStep();
    const AnswerPair pair = {.program = *program_,
                             .examples = test_,
                             .before = before_rows_,
                             .after = after_rows_,
                             .base_examples = bare_test_};
    comparison_ = CompareAnswers(pair, spec_.evaluation().metric());
    changed_examples_ = FindChangedExamples(pair);
  }

  absl::StatusOr<AttemptResult> Publish() {
    tracker_.EnterPhase(TuningProgress::PHASE_UPLOADING);
    AttemptResult result;
    result.report = MakeReport();
    result.resolved_spec = spec_;
    result.model_fingerprint = model_->info.fingerprint;
    v1::PromptManifest manifest;
    manifest.set_base_model(spec_.base_model());
    manifest.set_model_fingerprint(model_->info.fingerprint);
    *manifest.mutable_task() = program_->task();
    *manifest.mutable_method() = spec_.method();
    *manifest.mutable_snapshot() = input_.job.snapshot();
    *manifest.mutable_report() = result.report;
    manifest.mutable_report()->clear_series();
    // Rows of the dataset are the registry's, not the artifact's.
    manifest.mutable_report()->clear_changed_examples();
    manifest.set_tuning_job(input_.job.name());
    manifest.set_attune_version(ATTUNE_VERSION);
    ATTUNE_ASSIGN_OR_RETURN(const StoredPrompt stored,
                            ToStored(FoldValues(spec_.method(), state_.Best()),
                                     std::move(manifest)));
    ATTUNE_ASSIGN_OR_RETURN(result.artifact,
                            EncodePrompt(stored, model_->info.config));
    result.artifact.files[std::string(kEventFile)] = EncodeEventFile(
        {result.report.series().begin(), result.report.series().end()},
        CreateTime());
    return result;
  }

  TuningReport MakeReport() const {
    const v1::CheckpointManifest& progress = state_.progress;
    TuningReport report;
    if (progress.has_before()) *report.mutable_before() = progress.before();
    *report.mutable_after() = after_;
    report.set_num_steps(progress.step());
    report.set_best_step(progress.best_step());
    report.set_best_validation_metric(progress.best_metric());
    report.set_validation_metric_name(spec_.evaluation().metric());
    report.set_num_trained_tokens(progress.num_trained_tokens());
    report.set_training_seconds(progress.training_seconds());
    report.set_stop_reason(stop_reason_);
    report.mutable_split_counts()->set_train(num_train_rows_);
    report.mutable_split_counts()->set_validation(
        static_cast<int64_t>(validation_.size()));
    report.mutable_split_counts()->set_test(static_cast<int64_t>(test_.size()));
    report.set_num_truncated_rows(CountTruncated(train_) +
                                  CountTruncated(validation_) +
                                  CountTruncated(test_));
    report.set_num_nonfinite_steps(progress.num_nonfinite_steps());
    for (attune::v1::TrainingSeries& series : SeriesOf(progress)) {
      *report.add_series() = std::move(series);
    }
    if (comparison_.has_value()) *report.mutable_comparison() = *comparison_;
    report.mutable_changed_examples()->Assign(changed_examples_.begin(),
                                              changed_examples_.end());
    return report;
  }

  absl::Time CreateTime() const {
    const google::protobuf::Timestamp& time = input_.job.create_time();
    return absl::FromUnixSeconds(time.seconds()) +
           absl::Nanoseconds(time.nanos());
  }

  const AttemptInput& input_;
  ModelStore& models_;
  const Clock& clock_;
  AttemptListener& listener_;
  ProgressTracker tracker_;

  // In the order in which they come to be.
  TuningJobSpec spec_;
  std::shared_ptr<const LoadedModel> model_;
  double embedding_rms_ = 0;
  std::unique_ptr<const TaskProgram> bare_program_;  // see above; may be null
  std::unique_ptr<const TaskProgram> program_;
  int64_t num_train_rows_ = 0;
  std::vector<PreparedExample> train_;  // none where nothing is trained
  std::vector<PreparedExample> validation_;
  std::vector<PreparedExample> test_;
  std::vector<PreparedExample> bare_test_;  // for bare_program_
  TrainingState state_;
  TensorMap start_;  // what training begins with, also where it goes on
  TuningReport::StopReason stop_reason_ = TuningReport::STOP_REASON_UNSPECIFIED;
  // What base and result answer to test_; the base's only where it was
  // measured.
  std::vector<RowOutcome> before_rows_;
  std::vector<RowOutcome> after_rows_;
  EvaluationReport after_;
  std::optional<attune::v1::VersionComparison> comparison_;
  std::vector<attune::v1::ChangedExample> changed_examples_;
};

}  // namespace

absl::StatusOr<AttemptResult> RunAttempt(const AttemptInput& input,
                                         ModelStore& models, const Clock& clock,
                                         AttemptListener& listener) {
  return CatchTorchErrors(
      "tuning", [&] { return Attempt(input, models, clock, listener).Run(); });
}

}  // namespace attune::worker
