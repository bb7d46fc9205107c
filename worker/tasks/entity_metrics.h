#ifndef ATTUNE_WORKER_TASKS_ENTITY_METRICS_H_
#define ATTUNE_WORKER_TASKS_ENTITY_METRICS_H_

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "attune/v1/report.pb.h"
#include "worker/metrics/entity_rows.h"
#include "worker/tasks/tag_scheme.h"

namespace attune::worker {

// The entities of the right and the given tags of the same rows, one tag for
// each word, as indices into the tags of `scheme`, as seqeval counts them: an
// entity is found where type, beginning and end agree. Types are those of the
// right and the given entities, in alphabetical order.
EntityRows CountEntities(const TagScheme& scheme,
                         absl::Span<const std::vector<int>> right,
                         absl::Span<const std::vector<int>> given);

// Fills metrics, classes, confusion_matrix and tags of `report` from the same
// tags; `tags` are those of `scheme`. Metrics are those of EntityRows. A
// quotient without a denominator is 0, and so are means over no types.
void AddEntityMetrics(const TagScheme& scheme,
                      const std::vector<std::string>& tags,
                      absl::Span<const std::vector<int>> right,
                      absl::Span<const std::vector<int>> given,
                      attune::v1::EvaluationReport& report);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_ENTITY_METRICS_H_
