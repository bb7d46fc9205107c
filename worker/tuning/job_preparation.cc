#include "worker/tuning/job_preparation.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <utility>

#include "proto/cc/resource_names.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/torch_errors.h"
#include "worker/tasks/dataset.h"
#include "worker/tasks/demonstrations.h"
#include "worker/tasks/seeded_random.h"
#include "worker/tasks/task_contract.h"
#include "worker/tasks/task_fit.h"
#include "worker/tuning/defaults.h"
#include "worker/tuning/initialisation.h"
#include "worker/tuning/trained_adaptation.h"

namespace attune::worker {
namespace {

using attune::v1::HardPrompt;
using attune::v1::TaskSpec;
using attune::v1::TemplateCandidate;
using attune::v1::TuningJobSpec;

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
  drawn.reserve(order.size());
  for (size_t i : order) drawn.push_back(std::move(examples[i]));
  return drawn;
}

// Whether rows can be read for a task of this type at all.
bool IsServed(attune::v1::TaskType type) {
  TaskSpec task;
  task.set_type(type);
  task.set_template_("{{ text }}");
  FillTaskDefaults(task);
  return CheckTask(task).ok();
}

// Prepares one job. Made for one call of PrepareJob.
class Preparation {
 public:
  Preparation(const TuningJobSpec& spec, absl::Span<const std::string> rows,
              ModelStore& models, const PreparationHooks& hooks)
      : rows_(rows), models_(models), hooks_(hooks) {
    job_.spec = spec;
  }

  absl::StatusOr<PreparedJob> Run() {
    FillTaskDefaults(task());
    ATTUNE_RETURN_IF_ERROR(Meet(CheckTask(task())));
    // Without a task or a model there is nothing else to look at.
    if (!IsServed(task().type())) return std::move(job_);
    ATTUNE_RETURN_IF_ERROR(LoadModel());
    if (job_.model == nullptr) return std::move(job_);
    ATTUNE_RETURN_IF_ERROR(ReadRows());
    ATTUNE_RETURN_IF_ERROR(Resolve());
    DrawRows();
    ATTUNE_RETURN_IF_ERROR(Compile());
    if (job_.program == nullptr) return std::move(job_);
    if (is_resolved_ && hooks_.on_resolved) {
      hooks_.on_resolved(job_.spec, job_.num_train_rows);
    }
    ATTUNE_RETURN_IF_ERROR(PrepareSplits());
    return std::move(job_);
  }

 private:
  TaskSpec& task() { return *job_.spec.mutable_task(); }

  absl::Status Meet(const absl::Status& status) {
    return worker::Meet(hooks_.on_fault, status);
  }

  void Pause() {
    if (hooks_.pause) hooks_.pause();
  }

  absl::Status LoadModel() {
    const absl::StatusOr<std::string> id = ParseResourceName(
        kModelCollection, job_.spec.base_model(), "spec.base_model");
    if (!id.ok()) return Meet(id.status());
    Pause();
    auto loaded = models_.Load(*id);
    if (!loaded.ok()) {
      const absl::Status error = ModelError(loaded.status());
      // There may be room for it later: that says nothing of the job.
      const bool passes = ReasonOf(error) == Reason::kModelMemoryFull ||
                          ReasonOf(error) == Reason::kOutOfMemory;
      return passes ? error : Meet(error);
    }
    job_.model = *std::move(loaded);
    const ModelConfig& config = job_.model->info.config;
    FillModelDefaults(config.kind, task());
    return Meet(CheckFitsModel(task(), config));
  }

  absl::Status ReadRows() {
    has_labels_ = task().labels_size() > 0;
    ATTUNE_ASSIGN_OR_RETURN(
        splits_, ReadSplits(rows_, job_.spec.data(), task(), hooks_.on_fault));
    job_.num_train_rows = static_cast<int64_t>(splits_.train.size());
    return absl::OkStatus();
  }

  absl::Status Resolve() {
    const ModelConfig& config = job_.model->info.config;
    job_.embedding_rms = EmbeddingRms(*job_.model->model);
    ATTUNE_RETURN_IF_ERROR(
        Meet(ResolveAdaptation(*job_.model, *job_.spec.mutable_method())));
    absl::StatusOr<TuningJobSpec> resolved = ResolveSpec(
        job_.spec, {.num_train_rows = job_.num_train_rows,
                    .context_length = config.context_length,
                    .embedding_rms = job_.embedding_rms,
                    .dtype = job_.model->model->dtype(),
                    .embedding_dim = config.embedding_dim,
                    .num_layers = config.NumCachedLayers(),
                    .is_encoder = config.kind == ModelKind::kEncoder});
    if (!resolved.ok()) return Meet(resolved.status());
    job_.spec = *std::move(resolved);
    is_resolved_ = true;
    return absl::OkStatus();
  }

  // The rows that are measured.
  void DrawRows() {
    const attune::v1::EvaluationConfig& evaluation = job_.spec.evaluation();
    const uint64_t seed = job_.spec.data().split_seed();
    splits_.validation = Sample(std::move(splits_.validation),
                                evaluation.max_validation_rows(), seed);
    splits_.test =
        Sample(std::move(splits_.test), evaluation.max_test_rows(), seed);
    if (!splits_.validation.empty()) {
      job_.row_fields = splits_.validation.front().fields;
    }
  }

  absl::Status Compile() {
    const attune::v1::TuningMethod& method = job_.spec.method();
    const TaskSpec own = task();
    if (is_resolved_ && method.hard_prompt().has_template_search()) {
      ATTUNE_RETURN_IF_ERROR(Meet(FindTemplate()));
    }
    if (is_resolved_ && method.hard_prompt().num_demonstrations() > 0) {
      ATTUNE_RETURN_IF_ERROR(Meet(PrepareDemonstrations()));
    }
    if (has_found_) {
      ATTUNE_ASSIGN_OR_RETURN(job_.bare_program,
                              CompileFor(own, /*num_prompt_rows=*/0));
    }
    // A number that was refused says nothing about the inputs.
    absl::StatusOr<std::unique_ptr<const TaskProgram>> program =
        CompileFor(task(), is_resolved_ ? NumVirtualTokens(method) : 0);
    if (!program.ok()) return Meet(program.status());
    job_.program = *std::move(program);
    if (!job_.program->has_markers() || job_.program->scores_by_head()) {
      return absl::OkStatus();
    }
    // The base has no rows to stand at the markers.
    absl::StatusOr<std::unique_ptr<const TaskProgram>> bare =
        CompileFor(task(), /*num_prompt_rows=*/0);
    if (!bare.ok()) return Meet(bare.status());
    job_.bare_program = *std::move(bare);
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<const TaskProgram>> CompileFor(
      const TaskSpec& task, int num_prompt_rows) {
    if (!hooks_.on_fault) {
      return TaskProgram::Compile(task, job_.model, num_prompt_rows);
    }
    // Rows that were left out may have had the other labels.
    const bool lacks_labels = !has_labels_ && task.labels_size() < 2;
    return TaskProgram::Compile(
        task, job_.model, num_prompt_rows,
        [&](const absl::Status& fault) -> absl::Status {
          if (lacks_labels && fault == CheckHasLabels(task)) {
            return absl::OkStatus();
          }
          return hooks_.on_fault(fault);
        });
  }

  // Puts the template and the label words that are found into the task.
  absl::Status FindTemplate() {
    const attune::v1::TemplateSearch& search =
        job_.spec.method().hard_prompt().template_search();
    if (!hooks_.search_templates) {
      return CheckGivenTemplates(task(), job_.model, search,
                                 splits_.validation);
    }
    ATTUNE_ASSIGN_OR_RETURN(
        FoundTemplate found,
        hooks_.search_templates({.task = task(),
                                 .model = job_.model,
                                 .search = search,
                                 .train = splits_.train,
                                 .validation = splits_.validation,
                                 .metric = job_.spec.evaluation().metric(),
                                 .seed = job_.spec.training().seed()}));
    has_found_ =
        found.candidates.front().origin() != TemplateCandidate::ORIGIN_TASK;
    job_.template_candidates = std::move(found.candidates);
    task() = std::move(found.task);
    // The resolved spec says what was found; as a job it would find it again.
    job_.spec.mutable_method()->mutable_hard_prompt()->clear_template_search();
    return absl::OkStatus();
  }

  // Puts a hard prompt's demonstrations into the task, and compiles what it is
  // without them.
  absl::Status PrepareDemonstrations() {
    TaskSpec bare = task();
    bare.clear_demonstrations();
    bare.clear_num_nearest_demonstrations();
    ATTUNE_ASSIGN_OR_RETURN(job_.bare_program,
                            CompileFor(bare, /*num_prompt_rows=*/0));
    if (task().demonstrations_size() > 0) return absl::OkStatus();
    HardPrompt& method = *job_.spec.mutable_method()->mutable_hard_prompt();
    Pause();
    ATTUNE_ASSIGN_OR_RETURN(
        std::vector<attune::v1::Demonstration> chosen,
        ChooseDemonstrations(*job_.bare_program, splits_.train, method,
                             job_.spec.training().seed()));
    const int found = static_cast<int>(chosen.size());
    if (found < method.num_demonstrations()) {
      Notice(Concat(
          "only ", found, " of ", method.num_demonstrations(),
          " demonstrations: there are ", splits_.train.size(),
          " training rows, and half of the model's context is for the input"));
    }
    if (method.selection() == HardPrompt::SELECTION_NEAREST) {
      const int shown = std::min(found, method.num_demonstrations());
      method.set_num_demonstrations(shown);
      task().set_num_nearest_demonstrations(shown);
      TellOfPool(found);
    } else {
      method.set_num_demonstrations(found);
    }
    for (attune::v1::Demonstration& one : chosen) {
      *task().add_demonstrations() = std::move(one);
    }
    return absl::OkStatus();
  }

  void TellOfPool(int size) {
    const size_t num_rows = splits_.train.size();
    if (static_cast<size_t>(size) == num_rows) return;
    Notice(Concat("nearest demonstrations are looked for among ", size, " of ",
                  num_rows,
                  " training rows: those that ask the same count once, none "
                  "may take more than half of the context, and a task lists "
                  "at most ",
                  kMaxPoolDemonstrations, " of ", kMaxDemonstrationsBytes,
                  " bytes together"));
  }

  void Notice(std::string message) {
    if (hooks_.on_notice) hooks_.on_notice(std::move(message));
  }

  absl::Status PrepareSplits() {
    // Nothing would see the training rows of a hard prompt.
    const bool trains = !job_.spec.method().has_hard_prompt();
    if (trains) {
      ATTUNE_ASSIGN_OR_RETURN(job_.train, PrepareRows(splits_.train));
    }
    ATTUNE_ASSIGN_OR_RETURN(job_.validation, PrepareRows(splits_.validation));
    ATTUNE_ASSIGN_OR_RETURN(job_.test, PrepareRows(splits_.test));
    // Its faults would be those of the same rows once more.
    if (job_.bare_program != nullptr && !hooks_.on_fault) {
      ATTUNE_ASSIGN_OR_RETURN(
          job_.bare_test,
          PrepareExamples(*job_.bare_program, splits_.test, hooks_.pause));
    }
    job_.audits = AuditSplits(
        *job_.program,
        {{.name = "train",
          .rows = splits_.train,
          .prepared = job_.train,
          .is_trained_on = trains},
         {.name = "validation",
          .rows = splits_.validation,
          .prepared = job_.validation},
         {.name = "test", .rows = splits_.test, .prepared = job_.test}},
        hooks_.pause);
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<PreparedExample>> PrepareRows(
      const std::vector<Example>& rows) {
    return PrepareExamples(*job_.program, rows, hooks_.pause, hooks_.on_fault);
  }

  const absl::Span<const std::string> rows_;
  ModelStore& models_;
  const PreparationHooks& hooks_;
  PreparedJob job_;
  Splits splits_;
  bool has_labels_ = false;   // the spec names them
  bool is_resolved_ = false;  // job_.spec
  bool has_found_ = false;    // another template than the task's own
};

}  // namespace

absl::StatusOr<PreparedJob> PrepareJob(const TuningJobSpec& spec,
                                       absl::Span<const std::string> rows,
                                       ModelStore& models,
                                       const PreparationHooks& hooks) {
  return Preparation(spec, rows, models, hooks).Run();
}

}  // namespace attune::worker
