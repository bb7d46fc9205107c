#include "worker/models/narrow_plan.h"

#include <algorithm>

namespace attune::worker {
namespace {

using bf16_factors::kPanel;
using bf16_factors::kStep;
using bf16_factors::Padded;

// Query rows times keys that make a second thread worth waking.
constexpr int64_t kMinShare = int64_t{1} << 12;

}  // namespace

NarrowPlan::NarrowPlan(const AttentionBatch& batch,
                       const AttentionLayout& layout) {
  for (const AttentionLayout::Family& family : layout.families()) {
    Add(batch, family);
  }
}

void NarrowPlan::Add(const AttentionBatch& batch,
                     const AttentionLayout::Family& family) {
  int64_t longest = 0;
  for (const AttentionLayout::Range& segment : family.segments) {
    longest = std::max(longest, batch.OwnKeys(segment));
  }
  const int64_t shared = Padded(family.shared_length);
  // Few different strides, for each wants kernels of its own, and none that
  // puts all rows at the same places of the cache.
  const int64_t stride =
      (shared + Padded(longest) + kPanel - kStep - 1) / kPanel * kPanel + kStep;
  max_stride_ = std::max(max_stride_, stride);
  for (int64_t head = 0; head < batch.kv_heads; ++head) {
    for (const AttentionLayout::Range& segment : family.segments) {
      const int64_t rows = segment.length * batch.group;
      const int64_t own = batch.OwnKeys(segment);
      pieces_.push_back({.family = &family,
                         .segment = &segment,
                         .head = head,
                         .shared_width = shared,
                         .own_width = Padded(own),
                         .stride = stride,
                         .place = num_scores_,
                         .num_rows = rows});
      num_scores_ += rows * stride;
      work_.push_back(work_.back() + rows * (shared + own / 2 + 1));
    }
  }
}

int64_t NarrowPlan::NumShares() const {
  return std::clamp<int64_t>(work_.back() / kMinShare, 1,
                             at::get_num_threads());
}

int64_t NarrowPlan::FirstOf(int64_t share, int64_t shares) const {
  const int64_t begin = work_.back() * share / shares;
  return std::lower_bound(work_.begin(), work_.end() - 1, begin) -
         work_.begin();
}

}  // namespace attune::worker
