#include "worker/tuning/preflight.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_join.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/torch_errors.h"
#include "worker/tasks/data_warnings.h"
#include "worker/tasks/field_census.h"
#include "worker/tasks/rendered_sample.h"
#include "worker/tasks/split_audit.h"
#include "worker/tuning/job_preparation.h"
#include "worker/tuning/preflight_findings.h"
#include "worker/tuning/tuning_cost.h"

namespace attune::worker {
namespace {

using attune::v1::PreflightFinding;
using attune::v1::PreflightTuningJobRequest;
using attune::v1::PreflightTuningJobResponse;

constexpr int kDefaultSamples = 3;
constexpr int kMaxSamples = 20;

// One preflight. Made for one call.
class PreflightRun {
 public:
  PreflightRun(const PreflightTuningJobRequest& request,
               const std::vector<std::string>& rows, ModelStore& models,
               const Clock& clock, const PreflightHooks& hooks)
      : request_(request),
        rows_(rows),
        models_(models),
        clock_(clock),
        hooks_(hooks) {}

  absl::StatusOr<PreflightTuningJobResponse> Run() {
    ATTUNE_ASSIGN_OR_RETURN(const PreparedJob job, Prepare());
    ATTUNE_RETURN_IF_ERROR(CheckGoesOn());
    if (job.program != nullptr) {
      WarnOfFields(*job.program);
      WarnOfLengths(*job.program, job.audits);
      WarnOfData(*job.program, job.audits);
      ShowSplits(job);
    }
    if (!findings_.has_errors()) ATTUNE_RETURN_IF_ERROR(AddCost(job));
    if (!findings_.has_errors()) *response_.mutable_resolved_spec() = job.spec;
    findings_.MoveTo(response_);
    return std::move(response_);
  }

 private:
  absl::Status CheckGoesOn() {
    if (!hooks_.stop_requested || !hooks_.stop_requested()) {
      return absl::OkStatus();
    }
    return MakeError(Reason::kCancelled, "the preflight was stopped");
  }

  absl::StatusOr<PreparedJob> Prepare() {
    PreparationHooks hooks;
    hooks.pause = hooks_.before_step;
    hooks.on_notice = [this](std::string message) {
      AddWarning(std::move(message));
    };
    hooks.on_fault = [this](const absl::Status& fault) {
      findings_.AddFaults(fault);
      return CheckGoesOn();
    };
    return PrepareJob(request_.spec(), rows_, models_, hooks);
  }

  void AddWarning(std::string message, std::string field = "", int64_t row = 0,
                  int64_t num_rows = 0, std::string row_field = "") {
    PreflightFinding finding;
    finding.set_message(std::move(message));
    finding.set_field(std::move(field));
    finding.set_row(row);
    finding.set_num_rows(num_rows);
    finding.set_row_field(std::move(row_field));
    findings_.AddWarning(std::move(finding));
  }

  // Fields that a task reads besides those of the template.
  static std::set<std::string> OwnFields(const attune::v1::TaskSpec& task) {
    return {task.answer_field(), task.choices_field(),
            task.span_reading().starts_field(), "split"};
  }

  void WarnOfFields(const TaskProgram& program) {
    const std::set<std::string>& read = program.fields_read();
    if (read.empty()) {
      AddWarning(
          "the template reads no field of the rows: all inputs are the same",
          "spec.task.template");
    }
    const std::set<std::string> own = OwnFields(program.task());
    for (const auto& [name, types] : TakeFieldCensus(rows_)) {
      if (types.size() > 1) WarnOfTypes(name, types);
      if (read.contains(name) || own.contains(name)) continue;
      int64_t num_rows = 0;
      int64_t first = types.begin()->second.first_row;
      for (const auto& [type, count] : types) {
        num_rows += count.num_rows;
        first = std::min(first, count.first_row);
      }
      AddWarning(Concat("the template does not read field '", name,
                        "': the model never sees it"),
                 "spec.task.template", first, num_rows, name);
    }
  }

  void WarnOfTypes(const std::string& name,
                   const std::map<std::string, TypeCount>& types) {
    std::vector<std::string> parts;
    parts.reserve(types.size());
    const auto rarest = std::min_element(
        types.begin(), types.end(), [](const auto& a, const auto& b) {
          return a.second.num_rows < b.second.num_rows;
        });
    for (const auto& [type, count] : types) {
      parts.push_back(Concat(type, " in ", count.num_rows, " rows"));
    }
    AddWarning(Concat("field '", name, "' has values of several types: ",
                      absl::StrJoin(parts, ", ")),
               "", rarest->second.first_row, rarest->second.num_rows, name);
  }

  void WarnOfLengths(const TaskProgram& program,
                     const std::vector<SplitAudit>& audits) {
    for (const SplitAudit& audit : audits) {
      const attune::v1::SplitSummary& summary = audit.summary;
      if (summary.num_truncated_rows() > 0) {
        AddWarning(
            Concat(summary.num_truncated_rows(), " of ", summary.num_rows(),
                   " inputs of ", summary.split(),
                   " are cut to fit the model's context of ",
                   program.model().info.config.context_length,
                   " tokens or task.truncation.max_input_tokens; the longest "
                   "has ",
                   summary.input_tokens().max()),
            "spec.task.truncation", audit.first_truncated_row,
            summary.num_truncated_rows());
      }
      if (audit.num_unreachable_rows > 0) {
        AddWarning(
            Concat(audit.num_unreachable_rows, " of ", summary.num_rows(),
                   " answers of ", summary.split(),
                   " have more tokens than the ", program.max_new_tokens(),
                   " that are generated: none of them can be reached"),
            "spec.task.decoding.max_new_tokens", audit.first_unreachable_row,
            audit.num_unreachable_rows, program.task().answer_field());
      }
    }
  }

  void WarnOfData(const TaskProgram& program,
                  const std::vector<SplitAudit>& audits) {
    for (DataWarning& warning : FindDataWarnings(program, audits)) {
      AddWarning(std::move(warning.message), "", warning.row, warning.num_rows);
    }
  }

  void ShowSplits(const PreparedJob& job) {
    for (const SplitAudit& audit : job.audits) {
      *response_.add_splits() = audit.summary;
    }
    const int count = request_.num_samples() > 0
                          ? std::min(request_.num_samples(), kMaxSamples)
                          : kDefaultSamples;
    ShowSamples(*job.program, "train", job.train, count);
    ShowSamples(*job.program, "validation", job.validation, count);
    ShowSamples(*job.program, "test", job.test, count);
  }

  void ShowSamples(const TaskProgram& program, const std::string& split,
                   const std::vector<PreparedExample>& rows, int count) {
    for (attune::v1::RenderedSample& sample :
         RenderSamples(program, split, rows, count)) {
      *response_.add_samples() = std::move(sample);
    }
  }

  // What goes wrong in a step would go wrong in the job.
  absl::Status AddCost(const PreparedJob& job) {
    absl::StatusOr<attune::v1::TuningCost> cost =
        MeasureTuningCost(job, clock_, hooks_.before_step);
    ATTUNE_RETURN_IF_ERROR(CheckGoesOn());
    if (cost.ok()) {
      *response_.mutable_cost() = *std::move(cost);
    } else {
      findings_.AddFaults(cost.status());
    }
    return absl::OkStatus();
  }

  const PreflightTuningJobRequest& request_;
  const std::vector<std::string>& rows_;
  ModelStore& models_;
  const Clock& clock_;
  const PreflightHooks& hooks_;
  PreflightFindings findings_;
  PreflightTuningJobResponse response_;
};

}  // namespace

absl::StatusOr<PreflightTuningJobResponse> Preflight(
    const PreflightTuningJobRequest& request,
    const std::vector<std::string>& rows, ModelStore& models,
    const Clock& clock, const PreflightHooks& hooks) {
  return CatchTorchErrors("preflight", [&] {
    return PreflightRun(request, rows, models, clock, hooks).Run();
  });
}

}  // namespace attune::worker
