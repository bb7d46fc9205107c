#ifndef ATTUNE_WORKER_MODELS_ATTENTION_PRODUCTS_H_
#define ATTUNE_WORKER_MODELS_ATTENTION_PRODUCTS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "worker/models/attention_layout.h"
#include "worker/models/qkv_rows.h"

namespace attune::worker {

// Scores, later probabilities, of one family of segments.
struct AttentionScores {
  at::Tensor shared;  // [kv_heads, rows * group, shared_length]
  // Per segment [kv_heads, length * group, length], one behind the other.
  at::Tensor own;
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

  AttentionBatch(QkvRows qkv, int64_t layer, const AttentionLayout& layout);

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
  // The scores of one segment with its own keys, `offset` elements into
  // scores.own: [kv_heads, length * group, own keys].
  at::Tensor OwnOf(const AttentionScores& scores, int64_t offset,
                   const Range& range) const {
    return scores.own.narrow(0, offset, OwnSize(range))
        .view({kv_heads, range.length * group, OwnKeys(range)});
  }
};

// Calls body(range, offset of its own scores) for every segment.
template <typename Body>
void ForSegments(const AttentionBatch& batch,
                 const AttentionLayout::Family& family, const Body& body) {
  int64_t offset = 0;
  for (const AttentionLayout::Range& range : family.segments) {
    body(range, offset);
    offset += batch.OwnSize(range);
  }
}

// Room for the scores of a family, not filled.
AttentionScores EmptyScores(const AttentionBatch& batch,
                            const AttentionLayout::Family& family);

// The matrix products of attention: with shared keys one per family and head,
// with their own keys one per segment and head. On the CPU in fp32 those that
// do not wait for each other run side by side, see matrix_products.h.

// Fills `out` with left [kv_heads, n * group, head_dim] times every visible key
// (or value, with_values), transposed.
void MultiplyByKeys(const AttentionBatch& batch,
                    const AttentionLayout::Family& family,
                    const at::Tensor& left, bool with_values,
                    AttentionScores& out);

// The family's rows of out [kv_heads, n * group, head_dim] = weights times all
// visible keys (or values, with_values).
void Combine(const AttentionBatch& batch, const AttentionLayout::Family& family,
             const AttentionScores& weights, bool with_values, at::Tensor& out);

// grad [kv_heads, keys, head_dim] += weights^T times left [kv_heads, n * group,
// head_dim], for all keys of the batch that the family sees.
void Scatter(const AttentionBatch& batch, const AttentionLayout::Family& family,
             const AttentionScores& weights, const at::Tensor& left,
             at::Tensor& grad);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_ATTENTION_PRODUCTS_H_
