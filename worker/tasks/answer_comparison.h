#ifndef ATTUNE_WORKER_TASKS_ANSWER_COMPARISON_H_
#define ATTUNE_WORKER_TASKS_ANSWER_COMPARISON_H_

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "attune/v1/report.pb.h"
#include "worker/tasks/prepared_example.h"
#include "worker/tasks/row_outcome.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {

// The same rows as two versions answer them, the base first. Borrows; all have
// one element for each row.
struct AnswerPair {
  const TaskProgram& program;
  absl::Span<const PreparedExample> examples;
  absl::Span<const RowOutcome> before;
  absl::Span<const RowOutcome> after;
  // The rows as the base reads them, where that is something else; else empty.
  absl::Span<const PreparedExample> base_examples = {};
};

// The second against the first by `metric`, or by the loss if that is no metric
// of the task's rows. Of a generation the answers must have been decoded. Of
// more than kMaxDrawnRows rows there is no interval, and a test only where it
// needs no draws.
attune::v1::VersionComparison CompareAnswers(const AnswerPair& pair,
                                             const std::string& metric);

// Rows that are answered differently, as TuningReport.changed_examples
// describes them. None of a regression: it changes every number a little.
std::vector<attune::v1::ChangedExample> FindChangedExamples(
    const AnswerPair& pair);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_ANSWER_COMPARISON_H_
