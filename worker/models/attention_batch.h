#ifndef ATTUNE_WORKER_MODELS_ATTENTION_BATCH_H_
#define ATTUNE_WORKER_MODELS_ATTENTION_BATCH_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "worker/models/attention_layout.h"
#include "worker/models/cpu_rows.h"
#include "worker/models/qkv_rows.h"

namespace attune::worker {

// What changes the scores of a layer.
struct AttentionRule {
  // A row sees the keys fewer than `window` positions before it; 0: all.
  int64_t window = 0;
  // Constant, added to the scores of head h at [h, key position - row position
  // + span - 1]: [heads, 2 * span - 1] where span is above all positions of the
  // batch. Undefined: nothing is added.
  at::Tensor bias;
};

// One layer's q, k and v of packed rows and what their shapes say. Query heads
// that share a key head are `group` neighbouring rows of q.
struct AttentionBatch {
  using Family = AttentionLayout::Family;
  using Range = AttentionLayout::Range;

  QkvRows rows;
  int64_t kv_heads;
  int64_t num_rows;  // of queries
  int64_t group;
  int64_t layer;
  AttentionLayout::Own own;
  AttentionRule rule;

  AttentionBatch(QkvRows qkv, int64_t layer, const AttentionLayout& layout,
                 AttentionRule rule = {});

  // How many keys of its own segment a row has scores with.
  int64_t OwnKeys(const Range& range) const {
    return own == AttentionLayout::Own::kNothing ? 0 : range.length;
  }
  // The elements of its scores with them.
  int64_t OwnSize(const Range& range) const {
    return kv_heads * group * range.length * OwnKeys(range);
  }
  // x: [kv_heads, n * group, any] -> [kv_heads, length * group, any]
  at::Tensor Queries(const at::Tensor& x, const Range& range) const {
    return x.narrow(1, range.begin * group, range.length * group);
  }

  // What a query row sees, on the CPU: `inside` counts from the beginning of
  // its segment, `head` among the heads of queries. The places of its scores
  // are not set.
  cpu_rows::ScorePieces Sight(const Family& family, const Range& segment,
                              int64_t inside, int64_t head) const;

  // Calls body(offset, keys, values, range) for every run of keys [kv_heads,
  // length, head_dim] that a family shares, in order; `offset` is its place
  // among the shared keys, `range` its rows of the batch, null for cached ones.
  // A prefix that the layer does not have is left out.
  template <typename Body>
  void ForShared(const Family& family, const Body& body) const;

 private:
  struct CachedPiece {
    at::Tensor keys;  // [kv_heads, length, head_dim]
    at::Tensor values;
    int64_t offset;  // among the shared keys
  };

  // Cached keys and values of a family: constants, one after the other.
  std::vector<CachedPiece> CachedPieces(const Family& family) const;
};

template <typename Body>
void AttentionBatch::ForShared(const Family& family, const Body& body) const {
  int64_t offset = family.shared_length;
  for (const Range& range : family.ancestors) offset -= range.length;
  for (const CachedPiece& piece : CachedPieces(family)) {
    body(piece.offset, piece.keys, piece.values,
         static_cast<const Range*>(nullptr));
  }
  for (const Range& range : family.ancestors) {
    if (offset >= family.NumHidden(layer)) {
      body(offset, rows.k.narrow(1, range.begin, range.length),
           rows.v.narrow(1, range.begin, range.length), &range);
    }
    offset += range.length;
  }
}

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_ATTENTION_BATCH_H_
