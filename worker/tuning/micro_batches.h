#ifndef ATTUNE_WORKER_TUNING_MICRO_BATCHES_H_
#define ATTUNE_WORKER_TUNING_MICRO_BATCHES_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/types/span.h"
#include "worker/models/model_config.h"

namespace attune::worker {

// What the backward may keep in memory before a batch is run in parts.
inline constexpr int64_t kActivationBytes = int64_t{2} << 30;

// What the backward keeps of a row, in bytes: about.
int64_t TrainingRowBytes(const ModelConfig& config);

// Rows that a training forward may hold so that what it saves for the backward
// stays at about `budget_bytes`. At least 1.
int64_t MaxTrainingRows(const ModelConfig& config, int64_t budget_bytes);

// A run of samples of a batch.
struct MicroBatch {
  size_t begin = 0;
  size_t count = 0;
};

// Cuts a batch into as few runs as keep to `max_rows`, prompt rows counted in
// each, and to `max_samples`; a sample that is longer stands alone. rows: of
// each sample.
std::vector<MicroBatch> SplitBatch(
    absl::Span<const int64_t> rows, int64_t prompt_rows, int64_t max_rows,
    size_t max_samples = std::numeric_limits<size_t>::max());

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_MICRO_BATCHES_H_
