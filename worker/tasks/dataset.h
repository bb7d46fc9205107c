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

namespace attune::worker {

// A row of a dataset, with its answer apart from what the template may read.
struct Example {
  int64_t row = 0;     // its place among the rows, counted from 1
  std::string fields;  // JSON object without the answer and the split
  std::string answer;
};

// The rows of a job by what they are used for. No split is empty.
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
// must cover the rows, and labels that it leaves open are filled in from the
// training rows, in alphabetical order.
//
// INVALID_ARGUMENT (kInvalidData) naming row and field: no JSON object, no
// answer or no text, a split of another name, a label that is not among the
// task's or not in the training rows; training rows of one label only; a split
// without rows.
absl::StatusOr<Splits> ReadSplits(absl::Span<const std::string> rows,
                                  const attune::v1::TuningData& data,
                                  attune::v1::TaskSpec& task);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_DATASET_H_
