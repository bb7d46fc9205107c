#ifndef ATTUNE_WORKER_MODELS_NARROW_PASS_H_
#define ATTUNE_WORKER_MODELS_NARROW_PASS_H_

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>

#include "worker/models/attention_batch.h"
#include "worker/models/attention_layout.h"
#include "worker/models/bf16_factors.h"
#include "worker/models/cpu_rows.h"
#include "worker/models/narrow_plan.h"

namespace attune::worker {

// Query rows of a piece that are worked off together, at most kMaxRows: their
// scores with some hundred keys fit into a core's second-level cache.
struct NarrowBlock {
  static constexpr int64_t kMaxRows = 128;
  static_assert(kMaxRows % bf16_factors::kStep == 0);

  int64_t begin;  // row of the piece
  int64_t count;
  int64_t padded;
  int64_t own_width;  // keys that the last row sees, padded
};

// Keys and values of one head as right factors. What meets the query rows first
// is transposed: keys in the forward pass, values in the backward pass.
struct KeyFactors {
  at::Tensor transposed;
  at::Tensor pairs;

  // first, second: [count, head_dim]; `width` is count, padded.
  void Pack(const uint16_t* first, const uint16_t* second, int64_t count,
            int64_t width, int64_t head_dim);
};

// A thread's buffers, kept from call to call.
struct NarrowScratch {
  KeyFactors shared;
  KeyFactors own;
  at::Tensor scores;    // [kMaxRows, stride] fp32
  at::Tensor narrow;    // the same in bf16
  at::Tensor rows;      // [kMaxRows, head_dim] fp32
  at::Tensor grads;     // [kMaxRows, head_dim] bf16
  at::Tensor q_turned;  // [head_dim, kMaxRows] bf16
  at::Tensor grads_turned;
  at::Tensor score_pairs;  // panels [kMaxRows / 2, kPanel, 2] bf16
  at::Tensor probability_pairs;
  at::Tensor own_sums;  // of the keys, then of the values
  at::Tensor gathered[2];
};

// What both passes of narrow_attention.h do with the pieces of one thread. Made
// on that thread for one call.
class NarrowPass {
 protected:
  NarrowPass(const AttentionBatch& batch, bool backward);

  // Packs the piece's keys and values; shared ones stay from its neighbour.
  void BeginPiece(const NarrowPiece& piece);

  // Calls body(block) for all rows of the piece.
  template <typename Body>
  void ForBlocks(const NarrowPiece& piece, const Body& body) const;
  // Calls body(row of the block, its scores) for each row of a block.
  template <typename Body>
  void ForRows(const NarrowPiece& piece, const NarrowBlock& block,
               const Body& body) const;
  // Calls body(place in `rows_` and such, place in merged rows [n, heads *
  // head_dim]) for each row of a block.
  template <typename Body>
  void ForMerged(const NarrowPiece& piece, const NarrowBlock& block,
                 const Body& body) const;
  // The place of a block's first query row in a tensor like q.
  int64_t QueryOf(const NarrowPiece& piece, const NarrowBlock& block) const;

  // scores_ = left [padded, head_dim] times what is transposed of the keys'
  // factors.
  void MultiplyByKeys(const NarrowPiece& piece, const NarrowBlock& block,
                      const uint16_t* left);
  // rows_ = weights [padded, stride] times what lies in pairs of the keys'
  // factors.
  void Combine(const NarrowPiece& piece, const NarrowBlock& block,
               const uint16_t* weights);
  // A row of scores in bf16, with zeros where it was padded.
  static void NarrowScores(const NarrowPiece& piece, const NarrowBlock& block,
                           const cpu_rows::ScorePieces& row, uint16_t* out);

  const AttentionBatch& batch_;
  const bool backward_;
  const int64_t head_dim_;
  NarrowScratch& scratch_;
  float* scores_ = nullptr;  // [kMaxRows, stride]
  float* rows_ = nullptr;    // [kMaxRows, head_dim]

 private:
  const uint16_t* OwnRows(const NarrowPiece& piece, bool values) const;
  void PackShared(const NarrowPiece& piece);
  // x: [kv_heads, length, head_dim], bf16 or cached in fp32
  void Gather(const at::Tensor& x, int64_t head, uint16_t* out) const;

  const NarrowPiece* last_ = nullptr;
};

template <typename Body>
void NarrowPass::ForBlocks(const NarrowPiece& piece, const Body& body) const {
  for (int64_t begin = 0; begin < piece.num_rows;
       begin += NarrowBlock::kMaxRows) {
    const int64_t count =
        std::min(NarrowBlock::kMaxRows, piece.num_rows - begin);
    const bool causal = batch_.own == AttentionLayout::Own::kCausal;
    const int64_t last = (begin + count - 1) / batch_.group;
    body(NarrowBlock{.begin = begin,
                     .count = count,
                     .padded = bf16_factors::Padded(count),
                     .own_width = causal ? bf16_factors::Padded(last + 1)
                                         : piece.own_width});
  }
}

template <typename Body>
void NarrowPass::ForRows(const NarrowPiece& piece, const NarrowBlock& block,
                         const Body& body) const {
  for (int64_t row = 0; row < block.count; ++row) {
    const int64_t at = block.begin + row;
    cpu_rows::ScorePieces pieces =
        batch_.Sight(*piece.family, *piece.segment, at / batch_.group,
                     piece.head * batch_.group + at % batch_.group);
    pieces.shared = scores_ + row * piece.stride;
    pieces.own = pieces.shared + piece.shared_width;
    pieces.own_length = std::min(pieces.own_length, block.own_width);
    body(row, pieces);
  }
}

template <typename Body>
void NarrowPass::ForMerged(const NarrowPiece& piece, const NarrowBlock& block,
                           const Body& body) const {
  const int64_t width = batch_.kv_heads * batch_.group * head_dim_;
  for (int64_t row = 0; row < block.count; ++row) {
    const int64_t at = block.begin + row;
    const int64_t head = piece.head * batch_.group + at % batch_.group;
    body(row * head_dim_,
         (piece.segment->begin + at / batch_.group) * width + head * head_dim_);
  }
}

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_NARROW_PASS_H_
