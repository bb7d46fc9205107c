#ifndef ATTUNE_WORKER_TASKS_ENTITY_METRICS_H_
#define ATTUNE_WORKER_TASKS_ENTITY_METRICS_H_

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "attune/v1/report.pb.h"
#include "worker/tasks/tag_scheme.h"

namespace attune::worker {

// Fills metrics, classes, confusion_matrix and tags of `report` from the right
// and the given tags of the same rows, one for each word, as indices into
// `tags`, the tags of `scheme`. Metrics are accuracy, over words, and
// {micro,macro,weighted}_{precision,recall,f1}, over entities, as seqeval
// computes them: an entity is found where type, beginning and end agree, and
// types are those of the right and the given entities. A quotient without a
// denominator is 0, and so are means over no types.
void AddEntityMetrics(const TagScheme& scheme,
                      const std::vector<std::string>& tags,
                      absl::Span<const std::vector<int>> right,
                      absl::Span<const std::vector<int>> given,
                      attune::v1::EvaluationReport& report);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_ENTITY_METRICS_H_
