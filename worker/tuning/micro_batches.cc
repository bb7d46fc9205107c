#include "worker/tuning/micro_batches.h"

#include <algorithm>

namespace attune::worker {

int64_t TrainingRowBytes(const ModelConfig& config) {
  // Per layer and row: residuals, norms, queries, keys, values and attention's
  // output are some eight widths, the feed-forward some four of its own.
  return config.num_layers * (8 * config.dim + 4 * config.ffn_dim) *
         static_cast<int64_t>(sizeof(float));
}

int64_t MaxTrainingRows(const ModelConfig& config, int64_t budget_bytes) {
  return std::max<int64_t>(
      1, budget_bytes / std::max<int64_t>(1, TrainingRowBytes(config)));
}

std::vector<MicroBatch> SplitBatch(absl::Span<const int64_t> rows,
                                   int64_t prompt_rows, int64_t max_rows,
                                   size_t max_samples) {
  std::vector<MicroBatch> batches;
  int64_t used = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (batches.empty() || used + rows[i] > max_rows ||
        batches.back().count >= max_samples) {
      batches.push_back({.begin = i, .count = 0});
      used = prompt_rows;
    }
    used += rows[i];
    ++batches.back().count;
  }
  return batches;
}

}  // namespace attune::worker
