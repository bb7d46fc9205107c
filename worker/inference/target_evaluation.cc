#include "worker/inference/target_evaluation.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <set>
#include <utility>

#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/task_metrics.h"
#include "proto/cc/text.h"
#include "worker/models/torch_errors.h"
#include "worker/tasks/answer_comparison.h"
#include "worker/tasks/evaluation.h"
#include "worker/tasks/prepared_example.h"
#include "worker/tasks/row_outcome.h"
#include "worker/tasks/task_contract.h"

namespace attune::worker {
namespace {

using attune::v1::EvaluatePromptResponse;
using attune::v1::EvaluationReport;
using attune::v1::TaskSpec;

// Rows that are prepared between two pauses.
constexpr size_t kRowsOfAPart = 1024;

std::set<std::string> LabelsOf(const TaskSpec& task) {
  std::set<std::string> labels;
  for (const auto& label : task.labels()) labels.insert(label.label());
  return labels;
}

absl::Status NotComparable(std::string_view what) {
  return MakeError(
      Reason::kIllegalState,
      Concat("the baseline cannot be held against the target: ", what));
}

// Labels in `outcomes` as places among the labels of `to`.
void Relabel(const TaskProgram& from, const TaskProgram& to,
             std::vector<RowOutcome>& outcomes) {
  if (from.labels() == to.labels()) return;
  std::vector<int> places;
  places.reserve(from.labels().size());
  for (const std::string& label : from.labels()) {
    places.push_back(*to.FindLabel(label));
  }
  for (RowOutcome& outcome : outcomes) {
    if (outcome.label >= 0) outcome.label = places[outcome.label];
    for (int& label : outcome.labels) label = places[label];
    // The tags of words keep their order.
    if (to.is_label_set()) {
      std::sort(outcome.labels.begin(), outcome.labels.end());
    }
  }
}

// The metric that `call` asks for.
absl::StatusOr<std::string> MetricFor(const EvaluationCall& call) {
  const std::vector<std::string> metrics = TaskMetrics(call.target.task);
  if (metrics.empty()) return call.metric;  // the type itself is refused
  if (call.metric.empty()) return metrics.front();
  if (std::find(metrics.begin(), metrics.end(), call.metric) != metrics.end()) {
    return call.metric;
  }
  return InvalidField("metric",
                      Concat("'", call.metric, "' is not one of this task's: ",
                             absl::StrJoin(metrics, ", ")));
}

// One target and what it answers.
struct Measured {
  std::shared_ptr<const ResolvedTarget> target;
  std::vector<PreparedExample> examples;
  std::vector<RowOutcome> outcomes;
  EvaluationReport report;
};

// One evaluation. Made for one call of EvaluateTargets.
class TargetEvaluation {
 public:
  TargetEvaluation(const EvaluationCall& call, TargetResolver& resolver,
                   const EvaluationHooks& hooks)
      : call_(call), resolver_(resolver), hooks_(hooks) {}

  absl::StatusOr<EvaluatePromptResponse> Run() {
    if (call_.baseline.has_value()) {
      ATTUNE_RETURN_IF_ERROR(
          CheckComparable(call_.target.task, call_.baseline->task));
      ATTUNE_ASSIGN_OR_RETURN(metric_, MetricFor(call_));
    }
    ATTUNE_RETURN_IF_ERROR(Prepare());
    ATTUNE_RETURN_IF_ERROR(Measure(target_));
    if (call_.baseline.has_value()) {
      ATTUNE_RETURN_IF_ERROR(Measure(baseline_));
    }
    ATTUNE_RETURN_IF_ERROR(hooks_.pause());
    return MakeResponse();
  }

 private:
  // Everything that may be wrong with targets and rows, before any is answered.
  absl::Status Prepare() {
    ATTUNE_RETURN_IF_ERROR(hooks_.pause());
    ATTUNE_ASSIGN_OR_RETURN(target_.target, resolver_.Resolve(call_.target));
    if (call_.baseline.has_value()) {
      absl::StatusOr<std::shared_ptr<const ResolvedTarget>> resolved =
          resolver_.Resolve(*call_.baseline);
      if (!resolved.ok()) return WithContext(resolved.status(), "baseline");
      baseline_.target = *std::move(resolved);
    }
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<Example> examples,
                            ReadSplitExamples(call_.rows, call_.choice,
                                              target_.target->program->task()));
    const auto num_rows = static_cast<int64_t>(examples.size());
    num_total_ = call_.baseline.has_value() ? 2 * num_rows : num_rows;
    hooks_.on_progress(0, num_total_);
    ATTUNE_RETURN_IF_ERROR(PrepareRows(examples, target_));
    return call_.baseline.has_value() ? PrepareRows(examples, baseline_)
                                      : absl::OkStatus();
  }

  absl::Status PrepareRows(const std::vector<Example>& examples,
                           Measured& measured) {
    measured.examples.reserve(examples.size());
    for (size_t begin = 0; begin < examples.size(); begin += kRowsOfAPart) {
      ATTUNE_RETURN_IF_ERROR(hooks_.pause());
      ATTUNE_ASSIGN_OR_RETURN(
          std::vector<PreparedExample> part,
          PrepareExamples(
              *measured.target->program,
              absl::MakeConstSpan(examples).subspan(begin, kRowsOfAPart)));
      std::move(part.begin(), part.end(),
                std::back_inserter(measured.examples));
    }
    return absl::OkStatus();
  }

  absl::Status Measure(Measured& measured) {
    EvaluationOptions options;
    options.split = call_.choice.split;
    options.prompt = measured.target->attached();
    options.with_intervals = true;
    options.outcomes = &measured.outcomes;
    options.before_pass = [this](int64_t done, int64_t) {
      hooks_.on_progress(num_done_ + done, num_total_);
      return hooks_.pause();
    };
    absl::StatusOr<EvaluationReport> report =
        Evaluate(*measured.target->program, measured.examples, options);
    if (!report.ok()) return NameMemoryErrors(report.status());
    measured.report = *std::move(report);
    num_done_ += static_cast<int64_t>(measured.examples.size());
    hooks_.on_progress(num_done_, num_total_);
    return absl::OkStatus();
  }

  EvaluatePromptResponse MakeResponse() {
    EvaluatePromptResponse response;
    response.set_num_rows_done(num_done_);
    response.set_num_rows_total(num_total_);
    *response.mutable_report() = std::move(target_.report);
    response.set_prompt_version(call_.target.prompt_version);
    if (!call_.baseline.has_value()) return response;
    *response.mutable_baseline_report() = std::move(baseline_.report);
    response.set_baseline_prompt_version(call_.baseline->prompt_version);
    const TaskProgram& program = *target_.target->program;
    Relabel(*baseline_.target->program, program, baseline_.outcomes);
    const AnswerPair pair = {.program = program,
                             .examples = target_.examples,
                             .before = baseline_.outcomes,
                             .after = target_.outcomes,
                             .base_examples = baseline_.examples};
    *response.mutable_comparison() = CompareAnswers(pair, metric_);
    for (attune::v1::ChangedExample& one : FindChangedExamples(pair)) {
      *response.add_changed_examples() = std::move(one);
    }
    return response;
  }

  const EvaluationCall& call_;
  TargetResolver& resolver_;
  const EvaluationHooks& hooks_;
  Measured target_;
  Measured baseline_;   // empty without one
  std::string metric_;  // that they are compared by
  int64_t num_done_ = 0;
  int64_t num_total_ = 0;
};

}  // namespace

absl::Status CheckComparable(const TaskSpec& task, const TaskSpec& baseline) {
  TaskSpec own = task;
  TaskSpec other = baseline;
  FillTaskDefaults(own);
  FillTaskDefaults(other);
  if (own.type() != other.type()) {
    return NotComparable(
        Concat("its task is ", attune::v1::TaskType_Name(other.type()),
               ", the target's ", attune::v1::TaskType_Name(own.type())));
  }
  if (own.multi_label() != other.multi_label()) {
    return NotComparable("multi_label is set in the task of one of them only");
  }
  if (own.answer_field() != other.answer_field()) {
    return NotComparable(Concat("its answer field is '", other.answer_field(),
                                "', the target's '", own.answer_field(), "'"));
  }
  const std::set<std::string> labels = LabelsOf(own);
  const std::set<std::string> others = LabelsOf(other);
  for (const std::string& label : labels) {
    if (!others.contains(label)) {
      return NotComparable(Concat("its task has no label '", label, "'"));
    }
  }
  for (const std::string& label : others) {
    if (!labels.contains(label)) {
      return NotComparable(
          Concat("the target's task has no label '", label, "'"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<EvaluatePromptResponse> EvaluateTargets(
    const EvaluationCall& call, TargetResolver& resolver,
    const EvaluationHooks& hooks) {
  return CatchTorchErrors("evaluation", [&] {
    return TargetEvaluation(call, resolver, hooks).Run();
  });
}

}  // namespace attune::worker
