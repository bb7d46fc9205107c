#ifndef ATTUNE_WORKER_TUNING_BATCH_ROWS_H_
#define ATTUNE_WORKER_TUNING_BATCH_ROWS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "worker/models/safetensors.h"
#include "worker/tasks/prepared_example.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {

// The rows that a batch puts through the model.
struct BatchRows {
  // Of each sample, with what stands in front of it alone.
  std::vector<int64_t> samples;
  // Of what stands in front of all of them once in every forward.
  int64_t shared = 0;
};

// Counts the rows of `batch` in training of `values`, which are named as in
// TrainingState. The prompt of a causal model is shared.
BatchRows CountBatchRows(const TaskProgram& program, const TensorMap& values,
                         absl::Span<const PreparedExample* const> batch);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_BATCH_ROWS_H_
