#include "worker/tuning/attempt.h"

#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/torch_errors.h"
#include "worker/prompts/prompt_codec.h"
#include "worker/prompts/soft_prompt.h"
#include "worker/tasks/answer_comparison.h"
#include "worker/tasks/data_warnings.h"
#include "worker/tasks/evaluation.h"
#include "worker/tasks/prepared_example.h"
#include "worker/tasks/rendered_sample.h"
#include "worker/tasks/row_outcome.h"
#include "worker/tasks/split_audit.h"
#include "worker/tasks/task_program.h"
#include "worker/tuning/calibration_fit.h"
#include "worker/tuning/checkpoint.h"
#include "worker/tuning/defaults.h"
#include "worker/tuning/event_file.h"
#include "worker/tuning/initialisation.h"
#include "worker/tuning/job_preparation.h"
#include "worker/tuning/progress_tracker.h"
#include "worker/tuning/template_search.h"
#include "worker/tuning/trained_adaptation.h"
#include "worker/tuning/trained_values.h"
#include "worker/tuning/trainer.h"
#include "worker/tuning/training_series.h"

namespace attune::worker {
namespace {

using attune::v1::EvaluationReport;
using attune::v1::TuningJobSpec;
using attune::v1::TuningProgress;
using attune::v1::TuningReport;

// Test rows that a report shows as the model sees them.
constexpr int kNumSamples = 5;

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
    PreparationHooks hooks;
    hooks.pause = [this] { listener_.BeforeStep(); };
    hooks.on_notice = [this](std::string message) {
      listener_.OnNotice(std::move(message));
    };
    hooks.search_templates = [this](const TemplateSearchInput& search) {
      return FindTemplate(search);
    };
    hooks.on_resolved = [this](const TuningJobSpec& spec, int64_t num_rows) {
      listener_.OnResolvedSpec(spec);
      tracker_.SetPlan(spec.training().max_steps(), num_rows,
                       spec.evaluation().metric());
    };
    ATTUNE_ASSIGN_OR_RETURN(
        PreparedJob job,
        PrepareJob(input_.job.spec(), input_.rows, models_, hooks));
    spec_ = std::move(job.spec);
    model_ = std::move(job.model);
    embedding_rms_ = job.embedding_rms;
    bare_program_ = std::move(job.bare_program);
    program_ = std::move(job.program);
    num_train_rows_ = job.num_train_rows;
    row_fields_ = std::move(job.row_fields);
    train_ = std::move(job.train);
    validation_ = std::move(job.validation);
    test_ = std::move(job.test);
    bare_test_ = std::move(job.bare_test);
    audits_ = std::move(job.audits);
    template_candidates_ = std::move(job.template_candidates);
    TellOfData();
    return absl::OkStatus();
  }

  absl::StatusOr<FoundTemplate> FindTemplate(
      const TemplateSearchInput& search) {
    tracker_.EnterPhase(TuningProgress::PHASE_SEARCHING);
    TemplateSearchHooks hooks;
    hooks.on_notice = [this](std::string message) {
      listener_.OnNotice(std::move(message));
    };
    hooks.before_pass = [&](int64_t done, int64_t total) {
      if (total != tracker_.progress().phase_total()) {
        tracker_.EnterPhase(TuningProgress::PHASE_SEARCHING, total);
      }
      tracker_.SetPhaseDone(done);
      return BeforePass();
    };
    absl::StatusOr<FoundTemplate> found = SearchTemplates(search, hooks);
    if (!found.ok()) return NameMemoryErrors(found.status());
    tracker_.EnterPhase(TuningProgress::PHASE_PREPARING);
    return found;
  }

  // What deserves attention in the rows. The attempt that left a checkpoint has
  // said it.
  void TellOfData() {
    if (input_.checkpoint.has_value()) return;
    for (DataWarning& warning : FindDataWarnings(*program_, audits_)) {
      listener_.OnNotice(std::move(warning.message));
    }
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
    options.before_pass = [&](int64_t done, int64_t) {
      tracker_.SetPhaseDone(done);
      return BeforePass();
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
    const bool is_base = state_.Best().empty() && bare_program_ == nullptr &&
                         !HasCalibrationToFit(spec_.task());
    if (is_base && state_.progress.has_before()) {
      after_ = state_.progress.before();
      after_rows_ = before_rows_;
    } else {
      ATTUNE_ASSIGN_OR_RETURN(
          const AttachedPrompt prompt,
          AttachValues(*model_, spec_.method(), state_.Best(),
                       program_->has_markers()));
      ATTUNE_RETURN_IF_ERROR(Calibrate(prompt));
      ATTUNE_ASSIGN_OR_RETURN(
          after_, Measure(TuningProgress::PHASE_EVALUATING_TUNED, *program_,
                          test_, "test", &prompt, &after_rows_));
    }
    if (state_.progress.has_before()) Compare();
    return absl::OkStatus();
  }

  // From here on the program answers as the version will. What is measured of
  // the base comes before.
  absl::Status Calibrate(const AttachedPrompt& prompt) {
    if (!HasCalibrationToFit(spec_.task())) return absl::OkStatus();
    tracker_.EnterPhase(TuningProgress::PHASE_VALIDATING);
    ATTUNE_ASSIGN_OR_RETURN(
        *spec_.mutable_task(),
        FitCalibration({.program = *program_,
                        .model = model_,
                        .prompt = &prompt,
                        .row_fields = row_fields_,
                        .validation = validation_,
                        .before_pass = [this] { return BeforePass(); }}));
    ATTUNE_ASSIGN_OR_RETURN(
        program_, TaskProgram::Compile(spec_.task(), model_,
                                       NumVirtualTokens(spec_.method())));
    return absl::OkStatus();
  }

  absl::Status BeforePass() {
    listener_.BeforeStep();
    if (!listener_.StopRequested()) return absl::OkStatus();
    return MakeError(Reason::kCancelled, "stopped in an evaluation");
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
    manifest.mutable_report()->clear_samples();
    // Instructions may quote rows.
    manifest.mutable_report()->clear_template_candidates();
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
    *report.mutable_validations() = progress.validations();
    report.mutable_template_candidates()->Assign(template_candidates_.begin(),
                                                 template_candidates_.end());
    if (comparison_.has_value()) *report.mutable_comparison() = *comparison_;
    report.mutable_changed_examples()->Assign(changed_examples_.begin(),
                                              changed_examples_.end());
    for (const SplitAudit& audit : audits_) {
      *report.add_splits() = audit.summary;
    }
    for (attune::v1::RenderedSample& sample :
         RenderSamples(*program_, "test", test_, kNumSamples)) {
      *report.add_samples() = std::move(sample);
    }
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
  std::string row_fields_;              // of one row
  std::vector<PreparedExample> train_;  // none where nothing is trained
  std::vector<PreparedExample> validation_;
  std::vector<PreparedExample> test_;
  std::vector<PreparedExample> bare_test_;  // for bare_program_
  std::vector<SplitAudit> audits_;
  std::vector<attune::v1::TemplateCandidate> template_candidates_;
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
