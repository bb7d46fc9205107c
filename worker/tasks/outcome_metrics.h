#ifndef ATTUNE_WORKER_TASKS_OUTCOME_METRICS_H_
#define ATTUNE_WORKER_TASKS_OUTCOME_METRICS_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "attune/v1/report.pb.h"
#include "worker/metrics/row_metrics.h"
#include "worker/tasks/prepared_example.h"
#include "worker/tasks/row_outcome.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {

// The right answers of an example as texts, any of which is right: of a
// generation its answer, of an extractive QA what stands at its places; none if
// there is no answer. Only for these two.
std::vector<std::string> RightTexts(const TaskProgram& program,
                                    const PreparedExample& example);

// The most rows that are drawn from to see how sure a metric is: the thousand
// draws of more take long, and what many rows tell is sure.
inline constexpr size_t kMaxDrawnRows = 10'000;

// What MeasureOutcomes works out.
struct OutcomeMeasures {
  bool texts = true;  // of a generation there are answers
  // Bounds of all metrics and of the loss, of at most kMaxDrawnRows rows.
  bool intervals = false;
};

// Fills loss, metrics, classes, confusion_matrix, tags, reliability and
// intervals of `report` from `outcomes`, those of `examples`, one for each.
// Takes the probabilities out of them: of many labels they are most of the
// memory, and nothing else needs them.
void MeasureOutcomes(const TaskProgram& program,
                     absl::Span<const PreparedExample> examples,
                     absl::Span<RowOutcome> outcomes,
                     const OutcomeMeasures& measures,
                     attune::v1::EvaluationReport& report);

// What measures `metric` of the task, beside others, on any of the rows; sets
// none of that name if it needs probabilities or is no metric of rows. Of a
// generation there must be answers, but for "loss". Keeps nothing of the
// arguments.
std::unique_ptr<RowMetrics> MetricRows(
    const TaskProgram& program, absl::Span<const PreparedExample> examples,
    absl::Span<const RowOutcome> outcomes, const std::string& metric);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_OUTCOME_METRICS_H_
