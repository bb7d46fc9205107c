#ifndef ATTUNE_WORKER_MODELS_ATTENTION_PRODUCTS_H_
#define ATTUNE_WORKER_MODELS_ATTENTION_PRODUCTS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "worker/models/attention_batch.h"
#include "worker/models/attention_layout.h"

namespace attune::worker {

// Scores, later probabilities, of one family of segments.
struct AttentionScores {
  at::Tensor shared;  // [kv_heads, rows * group, shared_length]
  // Per segment [kv_heads, length * group, length], one behind the other.
  at::Tensor own;
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

// The scores of one segment with its own keys, `offset` elements into
// scores.own: [kv_heads, length * group, own keys].
at::Tensor OwnOf(const AttentionBatch& batch, const AttentionScores& scores,
                 int64_t offset, const AttentionLayout::Range& range);

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
