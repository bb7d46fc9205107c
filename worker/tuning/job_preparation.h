#ifndef ATTUNE_WORKER_TUNING_JOB_PREPARATION_H_
#define ATTUNE_WORKER_TUNING_JOB_PREPARATION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "attune/v1/tuning_service.pb.h"
#include "worker/models/model_store.h"
#include "worker/tasks/faults.h"
#include "worker/tasks/prepared_example.h"
#include "worker/tasks/split_audit.h"
#include "worker/tasks/task_program.h"
#include "worker/tuning/template_search.h"

namespace attune::worker {

// A tuning job made ready: everything that follows from its spec, its rows and
// its model.
struct PreparedJob {
  attune::v1::TuningJobSpec spec;  // resolved
  std::shared_ptr<const LoadedModel> model;
  double embedding_rms = 0;
  std::unique_ptr<const TaskProgram> program;
  // The task as the base is measured by, where its inputs are others: without
  // the demonstrations that a hard prompt chose, with the job's own template,
  // or without rows at markers. May be null.
  std::unique_ptr<const TaskProgram> bare_program;
  int64_t num_train_rows = 0;
  std::string row_fields;              // of one row, for what looks like one
  std::vector<PreparedExample> train;  // none where nothing is trained
  std::vector<PreparedExample> validation;
  std::vector<PreparedExample> test;
  // For bare_program; none where faults may pass.
  std::vector<PreparedExample> bare_test;
  std::vector<SplitAudit> audits;  // of train, validation and test
  // What a search for a template compared.
  std::vector<attune::v1::TemplateCandidate> template_candidates;
};

// Who hears of the preparation; any may be empty.
struct PreparationHooks {
  // Before every piece of work; may block while other jobs compute.
  std::function<void()> pause = nullptr;
  // Once, when every default has been chosen and the task fits the model.
  std::function<void(const attune::v1::TuningJobSpec& spec,
                     int64_t num_train_rows)>
      on_resolved = nullptr;
  // Words for people.
  std::function<void(std::string)> on_notice = nullptr;
  // Looks for a template where the spec asks for it. Empty: the templates that
  // the spec names are checked, and the task keeps its own.
  std::function<absl::StatusOr<FoundTemplate>(const TemplateSearchInput&)>
      search_templates = nullptr;
  // Where it lets faults pass, the work goes on without what is wrong, and what
  // could not be made is missing: null, empty, or a spec that is not resolved.
  FaultHandler on_fault = nullptr;
};

// Makes a job ready, the same way for an attempt and for a preflight. Errors as
// RunAttempt has them, and kModelMemoryFull.
absl::StatusOr<PreparedJob> PrepareJob(const attune::v1::TuningJobSpec& spec,
                                       absl::Span<const std::string> rows,
                                       ModelStore& models,
                                       const PreparationHooks& hooks);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_JOB_PREPARATION_H_
