#ifndef ATTUNE_WORKER_TUNING_TEMPLATE_SEARCH_H_
#define ATTUNE_WORKER_TUNING_TEMPLATE_SEARCH_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "attune/v1/method.pb.h"
#include "attune/v1/report.pb.h"
#include "attune/v1/task.pb.h"
#include "worker/models/model_store.h"
#include "worker/tasks/dataset.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {

// What a search for a template goes by.
struct TemplateSearchInput {
  // With its own template, all defaults and labels, without demonstrations.
  const attune::v1::TaskSpec& task;
  std::shared_ptr<const LoadedModel> model;
  const attune::v1::TemplateSearch& search;  // resolved
  absl::Span<const Example> train;           // what candidates are made of
  absl::Span<const Example> validation;      // at least one
  std::string metric;                        // EvaluationConfig.metric
  uint64_t seed = 0;
};

// Who hears of a search; any may be empty.
struct TemplateSearchHooks {
  // Before every pass through the model; an error ends the search with it. Of
  // `total` rows, which grows as candidates are found, `done` are measured or
  // looked for label words in.
  std::function<absl::Status(int64_t done, int64_t total)> before_pass =
      nullptr;
  // Words for people.
  std::function<void(std::string)> on_notice = nullptr;
};

// What a search has found.
struct FoundTemplate {
  attune::v1::TaskSpec task;  // with the best template and label words
  std::vector<attune::v1::TemplateCandidate> candidates;  // the best first
};

// Looks for the template, and the label words, as method.proto says of
// TemplateSearch. Equal arguments give equal results with as many compute
// threads. A candidate that the search made and that does not fit the model or
// a row is left out with a notice; INVALID_ARGUMENT naming the field for one
// that the job names, and the errors of evaluations.
absl::StatusOr<FoundTemplate> SearchTemplates(const TemplateSearchInput& input,
                                              const TemplateSearchHooks& hooks);

// Checks that the templates that a job names compile for its model and can be
// rendered for all of `rows`. Errors as above.
absl::Status CheckGivenTemplates(
    const attune::v1::TaskSpec& task,
    const std::shared_ptr<const LoadedModel>& model,
    const attune::v1::TemplateSearch& search, absl::Span<const Example> rows);

// How many rows each round of successive halving has measured its candidates
// on by its end, ascending; the last one all `num_rows`. As many rounds as it
// takes until two of `num_candidates` are left.
std::vector<size_t> HalvingRows(size_t num_candidates, size_t num_rows);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_TEMPLATE_SEARCH_H_
