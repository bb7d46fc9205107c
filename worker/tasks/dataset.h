#ifndef ATTUNE_WORKER_TASKS_DATASET_H_
#define ATTUNE_WORKER_TASKS_DATASET_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "attune/v1/task.pb.h"
#include "attune/v1/tuning_service.pb.h"
#include "worker/tasks/faults.h"

namespace attune::worker {

// A row of a dataset, with its answer apart from what the template may read.
struct Example {
  int64_t row = 0;     // its place among the rows, counted from 1
  std::string fields;  // JSON object without the answer and the split
  // Of a token classification its tags, joined by spaces; of labels a JSON
  // list, of a regression a JSON number, of a multiple choice the right
  // choice's text.
  std::string answer;
  std::vector<std::string> other_answers = {};  // of a generation: as right
};

// The rows of a job by what they are used for. No split is empty, unless faults
// were let pass.
struct Splits {
  std::vector<Example> train;
  std::vector<Example> validation;
  std::vector<Example> test;
};

// Fills in the fractions that tuning_service.proto promises where they are not
// set. Idempotent.
void FillDataDefaults(attune::v1::TuningData& data);

// Reads rows (JSON objects) and deals them out as TuningData says, stratified
// by the answer of a classification; the same rows, task and data give the same
// splits everywhere. `task` has its defaults filled in; labels that it names
// must cover the rows. What it leaves open is filled in: labels, in
// alphabetical order, from the training rows, or from all rows where there may
// be any number of them and for tags; a regression's scale from the training
// rows.
//
// INVALID_ARGUMENT (kInvalidData) naming row and field: no JSON object, no
// answer or one of another form, a split of another name, a label that is not
// among the task's or, where rows have one, not in the training rows; rows from
// which there is nothing to learn; a split without rows. Where `on_fault` lets
// these pass, the result has the sound rows, splits may be empty, and nothing
// is filled in that they don't decide.
absl::StatusOr<Splits> ReadSplits(absl::Span<const std::string> rows,
                                  const attune::v1::TuningData& data,
                                  attune::v1::TaskSpec& task,
                                  const FaultHandler& on_fault = nullptr);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_DATASET_H_
