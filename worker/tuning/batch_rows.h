#ifndef ATTUNE_WORKER_TUNING_BATCH_ROWS_H_
#define ATTUNE_WORKER_TUNING_BATCH_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/types/span.h"
#include "worker/models/safetensors.h"
#include "worker/tasks/batch_loss.h"
#include "worker/tasks/prepared_example.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {

// The rows that a batch puts through the model.
struct BatchRows {
  // Of each sample, with what stands in front of it alone.
  std::vector<int64_t> samples;
  // Of what stands in front of all of them once in every forward.
  int64_t shared = 0;
  // Samples that go through the model at once at most.
  size_t max_samples = std::numeric_limits<size_t>::max();
};

// Counts the rows of `batch` in training of `values`, which are named as in
// TrainingState. The prompt of a causal model and what all texts begin with are
// shared; smoothed labels need the words of all of them.
BatchRows CountBatchRows(const TaskProgram& program, const TensorMap& values,
                         absl::Span<const PreparedExample* const> batch,
                         const LossOptions& options);

// Rows of the largest part that a batch is run in, if parts have at most
// `max_rows`.
int64_t LargestPart(const BatchRows& batch, int64_t max_rows);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_BATCH_ROWS_H_
