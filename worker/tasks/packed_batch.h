#ifndef ATTUNE_WORKER_TASKS_PACKED_BATCH_H_
#define ATTUNE_WORKER_TASKS_PACKED_BATCH_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "worker/models/base_model.h"
#include "worker/models/kv_cache.h"
#include "worker/models/packed_rows.h"
#include "worker/tasks/token_rows.h"

namespace attune::worker {

// Collects segments for one forward: at most one shared prompt in front, then
// runs of tokens. Not thread-safe.
class PackedBatch {
 public:
  static constexpr int kRoot = -1;

  // Adds trainable or fixed rows [n, dim], fp32, as the first segment; returns
  // its index. Must be called before anything else.
  int AddPrompt(const at::Tensor& rows);

  // Adds tokens (at least one) behind segment `parent` or, with kRoot, as a
  // root; returns the segment's index. Ids and `marked` as TokenRows has them.
  int AddTokens(absl::Span<const int64_t> ids, int parent,
                const at::Tensor& marked = {});
  // Adds a root behind a cached prompt (may be null) and the decoded sequence
  // (may be null), which the forward extends.
  int AddRoot(absl::Span<const int64_t> ids, const KvBlock* prefix,
              KvSequence* sequence = nullptr, const at::Tensor& marked = {});

  // The row of a segment's token.
  int64_t RowOf(int segment, int64_t offset) const {
    return segments_[segment].begin + offset;
  }
  int64_t LastRowOf(int segment) const {
    return RowOf(segment, segments_[segment].length - 1);
  }
  int64_t num_rows() const { return num_rows_; }

  // The rows with the tokens embedded by `model`; differentiable with regard to
  // prompts' rows.
  PackedRows Build(const BaseModel& model) const;

 private:
  at::Tensor prompt_;  // undefined without one
  TokenRows tokens_;
  std::vector<Segment> segments_;
  int64_t num_rows_ = 0;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_PACKED_BATCH_H_
