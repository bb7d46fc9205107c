#ifndef ATTUNE_WORKER_TASKS_SPLIT_EXAMPLES_H_
#define ATTUNE_WORKER_TASKS_SPLIT_EXAMPLES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "attune/v1/task.pb.h"
#include "worker/tasks/dataset.h"

namespace attune::worker {

// The rows that are measured by themselves, without a job that deals rows out.
struct SplitChoice {
  // "train", "validation", "test" or "all"; rows without a split are "train".
  std::string split = "test";
  int64_t max_rows = 0;  // 0: all of them
  uint64_t seed = 0;     // of the drawing where there are more
};

// Reads the rows (JSON objects) of a split, at most max_rows of them, drawn
// evenly, in their order. `task` has its defaults filled in.
// INVALID_ARGUMENT (kInvalidData) naming row and field: no JSON object, or a
// row of the split without an answer or with one of another form.
// FAILED_PRECONDITION (kIllegalState): no row is of the split.
absl::StatusOr<std::vector<Example>> ReadSplitExamples(
    absl::Span<const std::string> rows, const SplitChoice& choice,
    const attune::v1::TaskSpec& task);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_SPLIT_EXAMPLES_H_
