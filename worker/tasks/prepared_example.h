#ifndef ATTUNE_WORKER_TASKS_PREPARED_EXAMPLE_H_
#define ATTUNE_WORKER_TASKS_PREPARED_EXAMPLE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/tasks/dataset.h"
#include "worker/tasks/faults.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {

// A row as training and evaluation use it.
struct PreparedExample {
  int64_t row = 0;
  TaskInput input;
  int label = -1;  // of a classification; of a multiple choice its place
  std::vector<int64_t> answer_ids;  // of a generation, with the end token
  std::vector<int> tags;            // of a token classification, one per word
  std::vector<int> labels;          // any number of them, ascending
  double number = 0;                // of a regression
  std::vector<ContextSpan> spans;   // right answers of an extractive QA
  std::string answer;
  std::vector<std::string> other_answers = {};  // of a generation: as right

  // What it counts in a mean loss: its answer's tokens, the words that the
  // model reads, the windows of its context, or 1.
  double weight() const;
};

// Renders and tokenises `examples`. The error of the first row that can't be
// prepared, with "row N: " before it, or the sound rows where `on_fault` lets
// such errors pass. `pause` may be empty; it is called now and then, for many
// rows take long.
absl::StatusOr<std::vector<PreparedExample>> PrepareExamples(
    const TaskProgram& program, absl::Span<const Example> examples,
    const std::function<void()>& pause = nullptr,
    const FaultHandler& on_fault = nullptr);

// The windows of an example's context as examples of their own, so that passes
// of training can be smaller than the row.
std::vector<PreparedExample> SplitWindows(const PreparedExample& example);

// How many of `examples` were cut to fit.
int64_t CountTruncated(const std::vector<PreparedExample>& examples);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_PREPARED_EXAMPLE_H_
