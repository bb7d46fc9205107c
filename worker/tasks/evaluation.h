#ifndef ATTUNE_WORKER_TASKS_EVALUATION_H_
#define ATTUNE_WORKER_TASKS_EVALUATION_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "attune/v1/report.pb.h"
#include "worker/models/attached_prompt.h"
#include "worker/tasks/prepared_example.h"
#include "worker/tasks/row_outcome.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {

// How a split is measured.
struct EvaluationOptions {
  std::string split = "test";  // name for the report
  // Null for the bare base model; required where a head scores.
  const AttachedPrompt* prompt = nullptr;
  // Whether answers of a generation are decoded too, for all but the loss.
  bool decode_answers = true;
  // Whether the report tells how sure its metrics are.
  bool with_intervals = false;
  // Rows of text that go through the model at once.
  int64_t max_rows = 1024;
  // Called before every pass through the model; an error ends the evaluation
  // with it. May be empty.
  std::function<absl::Status(int64_t done, int64_t total)> before_pass =
      nullptr;
  // Set to what was answered to each example, if not null.
  std::vector<RowOutcome>* outcomes = nullptr;
  // Set to the probabilities of all labels of each example of a classification,
  // if not null.
  std::vector<std::vector<double>>* probabilities = nullptr;
};

// Answers `examples` (at least one) and reports what MeasureOutcomes makes of
// the answers.
absl::StatusOr<attune::v1::EvaluationReport> Evaluate(
    const TaskProgram& program, absl::Span<const PreparedExample> examples,
    const EvaluationOptions& options);

// What EvaluationConfig.metric names; the report must have it.
double MetricOf(const attune::v1::EvaluationReport& report,
                const std::string& name);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_EVALUATION_H_
