#include "worker/tasks/packed_batch.h"

#include <ATen/ops/cat.h>

namespace attune::worker {

int PackedBatch::AddPrompt(const at::Tensor& rows) {
  prompt_ = rows;
  num_rows_ = rows.size(0);
  segments_.push_back({.begin = 0, .length = num_rows_});
  return 0;
}

int PackedBatch::AddTokens(absl::Span<const int64_t> ids, int parent,
                           const at::Tensor& marked) {
  const int64_t length = static_cast<int64_t>(ids.size());
  segments_.push_back({.begin = num_rows_, .length = length, .parent = parent});
  tokens_.Add(ids, marked);
  num_rows_ += length;
  return static_cast<int>(segments_.size()) - 1;
}

int PackedBatch::AddRoot(absl::Span<const int64_t> ids, const KvBlock* prefix,
                         KvSequence* sequence, const at::Tensor& marked) {
  const int segment = AddTokens(ids, kRoot, marked);
  segments_[segment].prefix = prefix;
  segments_[segment].sequence = sequence;
  return segment;
}

PackedRows PackedBatch::Build(const BaseModel& model) const {
  at::Tensor rows = tokens_.Embed(model);
  if (prompt_.defined()) rows = at::cat({prompt_, rows});
  return PackedRows{.embeddings = std::move(rows), .segments = segments_};
}

}  // namespace attune::worker
