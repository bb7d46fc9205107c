#include "worker/models/narrow_attention.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "worker/models/bf16_factors.h"
#include "worker/models/cpu_rows.h"
#include "worker/models/device.h"
#include "worker/models/narrow_pass.h"
#include "worker/models/narrow_plan.h"

namespace attune::worker {
namespace {

using bf16_factors::BitsOf;
using bf16_factors::kPanel;
using bf16_factors::Room;
using Range = AttentionLayout::Range;

class ForwardPass : public NarrowPass {
 public:
  ForwardPass(const AttentionBatch& batch, uint16_t* probabilities,
              uint16_t* out)
      : NarrowPass(batch, /*backward=*/false),
        probabilities_(probabilities),
        out_(out) {}

  void Run(const NarrowPiece& piece) {
    BeginPiece(piece);
    ForBlocks(piece, [&](const NarrowBlock& block) {
      uint16_t* kept =
          probabilities_ + piece.place + block.begin * piece.stride;
      MultiplyByKeys(piece, block,
                     BitsOf(batch_.rows.q) + QueryOf(piece, block));
      ForRows(piece, block, [&](int64_t row, const cpu_rows::ScorePieces& all) {
        cpu_rows::Softmax(all);
        NarrowScores(piece, block, all, kept + row * piece.stride);
      });
      Combine(piece, block, kept);
      ForMerged(piece, block, [&](int64_t from, int64_t to) {
        cpu_rows::Narrow(rows_ + from, out_ + to, head_dim_);
      });
    });
  }

 private:
  uint16_t* const probabilities_;
  uint16_t* const out_;  // merged rows
};

// Sums of gradients with regard to keys and values of one head, transposed:
// panels of [head_dim, kPanel] for the keys, then as many for the values.
struct KeySums {
  const NarrowPiece* piece;
  at::Tensor sums;
};

// grads [length, head_dim] (=, or += where add) `length` columns of panels,
// from `offset` on.
void Turn(const float* panels, int64_t offset, int64_t length, int64_t head_dim,
          bool add, float* grads) {
  for (int64_t i = 0; i < length; ++i, grads += head_dim) {
    const int64_t column = offset + i;
    const float* from =
        panels + column / kPanel * kPanel * head_dim + column % kPanel;
    for (int64_t d = 0; d < head_dim; ++d) {
      grads[d] = (add ? grads[d] : 0) + from[d * kPanel];
    }
  }
}

class BackwardPass : public NarrowPass {
 public:
  // merged_grad: bf16 bits of [n, heads * head_dim]
  BackwardPass(const AttentionBatch& batch, const uint16_t* probabilities,
               const uint16_t* merged_grad, const QkvRows& grads,
               std::vector<KeySums>& shared_sums)
      : NarrowPass(batch, /*backward=*/true),
        probabilities_(probabilities),
        merged_grad_(merged_grad),
        grads_(grads),
        shared_sums_(shared_sums) {}

  void Run(const NarrowPiece& piece) {
    BeginPiece(piece);
    BeginSums(piece);
    ForBlocks(piece, [&](const NarrowBlock& block) { RunBlock(piece, block); });
    for (const bool values : {false, true}) {
      if (piece.own_width == 0) break;
      const at::Tensor& x = values ? grads_.v : grads_.k;
      Turn(own_sums_ + (values ? PanelsSize(piece.own_width) : 0), 0,
           piece.segment->length, head_dim_, /*add=*/false,
           static_cast<float*>(x.data_ptr()) +
               (piece.head * x.size(1) + piece.segment->begin) * head_dim_);
    }
  }

 private:
  int64_t PanelsSize(int64_t width) const {
    return bf16_factors::NumPanels(width) * kPanel * head_dim_;
  }

  void BeginSums(const NarrowPiece& piece) {
    if (shared_sums_.empty() || !piece.SharesWith(*shared_sums_.back().piece)) {
      shared_sums_.push_back(
          {&piece, at::zeros({2 * PanelsSize(piece.shared_width)})});
    }
    const int64_t size = 2 * PanelsSize(piece.own_width);
    own_sums_ = Room<float>(scratch_.own_sums, size);
    std::fill(own_sums_, own_sums_ + size, 0.0f);
    const int64_t panels = bf16_factors::NumPanels(piece.shared_width) +
                           bf16_factors::NumPanels(piece.own_width);
    score_pairs_ = Room<uint16_t>(scratch_.score_pairs,
                                  panels * NarrowBlock::kMaxRows * kPanel);
    probability_pairs_ = Room<uint16_t>(
        scratch_.probability_pairs, panels * NarrowBlock::kMaxRows * kPanel);
  }

  void RunBlock(const NarrowPiece& piece, const NarrowBlock& block) {
    uint16_t* grads =
        Room<uint16_t>(scratch_.grads, NarrowBlock::kMaxRows * head_dim_);
    ForMerged(piece, block, [&](int64_t to, int64_t from) {
      std::memcpy(grads + to, merged_grad_ + from, head_dim_ * sizeof(*grads));
    });
    const uint16_t* kept =
        probabilities_ + piece.place + block.begin * piece.stride;
    uint16_t* narrow =
        Room<uint16_t>(scratch_.narrow, NarrowBlock::kMaxRows * piece.stride);
    MultiplyByKeys(piece, block, grads);
    ForRows(piece, block, [&](int64_t row, const cpu_rows::ScorePieces& all) {
      const uint16_t* probabilities = kept + row * piece.stride;
      cpu_rows::SoftmaxBackwardBf16(all, probabilities,
                                    probabilities + piece.shared_width);
      NarrowScores(piece, block, all, narrow + row * piece.stride);
    });
    Combine(piece, block, narrow);
    StoreQueries(QueryOf(piece, block), block.count * head_dim_);
    Scatter(piece, block, BitsOf(batch_.rows.q) + QueryOf(piece, block), narrow,
            scratch_.q_turned, score_pairs_, /*values=*/false);
    Scatter(piece, block, grads, kept, scratch_.grads_turned,
            probability_pairs_, /*values=*/true);
  }

  // rows_ -> the gradient of the queries, from `place` on.
  void StoreQueries(int64_t place, int64_t size) {
    void* out = grads_.q.data_ptr();
    if (grads_.q.scalar_type() == at::kFloat) {
      std::copy(rows_, rows_ + size, static_cast<float*>(out) + place);
    } else {
      cpu_rows::Narrow(rows_, static_cast<uint16_t*>(out) + place, size);
    }
  }

  // Adds rows^T times weights to the sums of the keys or values. `turned` and
  // `pairs` are room for the two factors.
  void Scatter(const NarrowPiece& piece, const NarrowBlock& block,
               const uint16_t* rows, const uint16_t* weights,
               at::Tensor& turned, uint16_t* pairs, bool values) {
    uint16_t* left = Room<uint16_t>(turned, NarrowBlock::kMaxRows * head_dim_);
    bf16_factors::Transpose(rows, block.count, block.padded, head_dim_,
                            NarrowBlock::kMaxRows, left);
    auto* shared = static_cast<float*>(shared_sums_.back().sums.data_ptr());
    AddProduct(block, left, weights, piece.stride, piece.shared_width, pairs,
               shared + (values ? PanelsSize(piece.shared_width) : 0));
    AddProduct(block, left, weights + piece.shared_width, piece.stride,
               block.own_width, pairs,
               own_sums_ + (values ? PanelsSize(piece.own_width) : 0));
  }

  void AddProduct(const NarrowBlock& block, const uint16_t* left,
                  const uint16_t* weights, int64_t stride, int64_t width,
                  uint16_t* pairs, float* sums) {
    const int64_t panel_size = NarrowBlock::kMaxRows * kPanel;
    for (int64_t begin = 0; begin < width; begin += kPanel) {
      bf16_factors::PackRows(weights + begin, stride, block.count, block.padded,
                             std::min(width - begin, kPanel), kPanel,
                             pairs + begin / kPanel * panel_size);
    }
    bf16_factors::MultiplyPanels(head_dim_, width, block.padded,
                                 {left, NarrowBlock::kMaxRows}, pairs,
                                 panel_size, {sums, kPanel}, kPanel * head_dim_,
                                 /*add=*/true);
  }

  const uint16_t* const probabilities_;
  const uint16_t* const merged_grad_;
  const QkvRows& grads_;
  std::vector<KeySums>& shared_sums_;
  float* own_sums_ = nullptr;
  uint16_t* score_pairs_ = nullptr;
  uint16_t* probability_pairs_ = nullptr;
};

// Adds sums over shared keys to the gradients of the rows that they are.
void AddShared(const AttentionBatch& batch, const KeySums& sums,
               const QkvRows& grads) {
  const int64_t head_dim = batch.rows.k.size(2);
  const auto* panels = static_cast<const float*>(sums.sums.const_data_ptr());
  batch.ForShared(
      *sums.piece->family, [&](int64_t offset, const at::Tensor&,
                               const at::Tensor&, const Range* range) {
        if (range == nullptr) return;
        const int64_t place =
            (sums.piece->head * grads.k.size(1) + range->begin) * head_dim;
        Turn(panels, offset, range->length, head_dim, /*add=*/true,
             static_cast<float*>(grads.k.data_ptr()) + place);
        Turn(panels + sums.sums.numel() / 2, offset, range->length, head_dim,
             /*add=*/true, static_cast<float*>(grads.v.data_ptr()) + place);
      });
}

// x in bf16 with room behind it.
at::Tensor NarrowRows(const at::Tensor& x) {
  if (bf16_factors::HasRoom(x)) return x;
  at::Tensor rows = bf16_factors::EmptyRows(x.sizes());
  rows.copy_(x);
  return rows;
}

}  // namespace

bool CanAttendNarrow(const AttentionBatch& batch) {
  const at::ScalarType dtype = batch.rows.q.scalar_type();
  return batch.rows.q.is_cpu() && CpuHasBf16() &&
         (dtype == at::kFloat || dtype == at::kBFloat16) &&
         batch.rows.k.size(2) % 2 == 0;
}

at::Tensor AttendNarrow(const AttentionBatch& batch,
                        const AttentionLayout& layout, NarrowKept& kept) {
  kept.rows = {NarrowRows(batch.rows.q), NarrowRows(batch.rows.k),
               NarrowRows(batch.rows.v)};
  const AttentionBatch narrow(kept.rows, batch.layer, layout, batch.rule);
  const NarrowPlan plan(narrow, layout);
  const auto options = batch.rows.q.options().dtype(at::kBFloat16);
  kept.probabilities = at::empty({plan.num_scores()}, options);
  at::Tensor out = at::empty(
      {batch.num_rows, batch.kv_heads * batch.group * batch.rows.k.size(2)},
      options);
  plan.Run(plan.NumShares(), [&](int64_t begin, int64_t end, int64_t) {
    ForwardPass pass(narrow, BitsOf(kept.probabilities), BitsOf(out));
    for (int64_t i = begin; i < end; ++i) pass.Run(plan.pieces()[i]);
  });
  return out;
}

QkvRows AttendNarrowBackward(const AttentionBatch& batch,
                             const AttentionLayout& layout,
                             const at::Tensor& probabilities,
                             const at::Tensor& grad, at::ScalarType q_dtype) {
  const at::Tensor merged = grad.to(at::kBFloat16).contiguous();
  const auto options = batch.rows.q.options().dtype(at::kFloat);
  QkvRows grads = {at::empty(batch.rows.q.sizes(), options.dtype(q_dtype)),
                   at::zeros(batch.rows.k.sizes(), options),
                   at::zeros(batch.rows.v.sizes(), options)};
  const NarrowPlan plan(batch, layout);
  const int64_t shares = plan.NumShares();
  std::vector<std::vector<KeySums>> sums(shares);
  plan.Run(shares, [&](int64_t begin, int64_t end, int64_t share) {
    BackwardPass pass(batch, BitsOf(probabilities), BitsOf(merged), grads,
                      sums[share]);
    for (int64_t i = begin; i < end; ++i) pass.Run(plan.pieces()[i]);
  });
  for (const std::vector<KeySums>& of_share : sums) {
    for (const KeySums& one : of_share) AddShared(batch, one, grads);
  }
  return grads;
}

}  // namespace attune::worker
