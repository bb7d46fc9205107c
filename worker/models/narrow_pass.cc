#include "worker/models/narrow_pass.h"

#include <cstring>

namespace attune::worker {
namespace {

using bf16_factors::BitsOf;
using bf16_factors::kPanel;
using bf16_factors::Room;
using Range = AttentionLayout::Range;

NarrowScratch& ScratchOfThread() {
  thread_local NarrowScratch scratch;
  return scratch;
}

const uint16_t* FactorOf(const at::Tensor& factor) {
  return factor.defined() ? BitsOf(factor) : nullptr;
}

}  // namespace

void KeyFactors::Pack(const uint16_t* first, const uint16_t* second,
                      int64_t count, int64_t width, int64_t head_dim) {
  bf16_factors::PackTransposed(
      first, head_dim, count, width, head_dim,
      Room<uint16_t>(transposed,
                     bf16_factors::NumPanels(width) * kPanel * head_dim));
  bf16_factors::PackRows(second, head_dim, count, width, head_dim, head_dim,
                         Room<uint16_t>(pairs, width * head_dim));
}

NarrowPass::NarrowPass(const AttentionBatch& batch, bool backward)
    : batch_(batch),
      backward_(backward),
      head_dim_(batch.rows.k.size(2)),
      scratch_(ScratchOfThread()) {}

void NarrowPass::BeginPiece(const NarrowPiece& piece) {
  if (last_ == nullptr || !piece.SharesWith(*last_)) PackShared(piece);
  last_ = &piece;
  if (piece.own_width > 0) {
    scratch_.own.Pack(OwnRows(piece, backward_), OwnRows(piece, !backward_),
                      piece.segment->length, piece.own_width, head_dim_);
  }
  scores_ = Room<float>(scratch_.scores, NarrowBlock::kMaxRows * piece.stride);
  rows_ = Room<float>(scratch_.rows, NarrowBlock::kMaxRows * head_dim_);
}

int64_t NarrowPass::QueryOf(const NarrowPiece& piece,
                            const NarrowBlock& block) const {
  return (piece.head * batch_.num_rows + piece.segment->begin) * batch_.group *
             head_dim_ +
         block.begin * head_dim_;
}

void NarrowPass::MultiplyByKeys(const NarrowPiece& piece,
                                const NarrowBlock& block,
                                const uint16_t* left) {
  const bf16_factors::Left factor = {left, head_dim_};
  const int64_t panel = kPanel * head_dim_;
  bf16_factors::MultiplyPanels(block.padded, piece.shared_width, head_dim_,
                               factor, FactorOf(scratch_.shared.transposed),
                               panel, {scores_, piece.stride}, kPanel,
                               /*add=*/false);
  bf16_factors::MultiplyPanels(block.padded, block.own_width, head_dim_, factor,
                               FactorOf(scratch_.own.transposed), panel,
                               {scores_ + piece.shared_width, piece.stride},
                               kPanel, /*add=*/false);
}

void NarrowPass::Combine(const NarrowPiece& piece, const NarrowBlock& block,
                         const uint16_t* weights) {
  const bf16_factors::Out out = {rows_, head_dim_};
  if (piece.shared_width + block.own_width == 0) {
    std::fill(rows_, rows_ + block.count * head_dim_, 0.0f);
  }
  bf16_factors::Multiply(block.padded, head_dim_, piece.shared_width,
                         {weights, piece.stride},
                         FactorOf(scratch_.shared.pairs), out,
                         /*add=*/false);
  bf16_factors::Multiply(block.padded, head_dim_, block.own_width,
                         {weights + piece.shared_width, piece.stride},
                         FactorOf(scratch_.own.pairs), out,
                         /*add=*/piece.shared_width > 0);
}

void NarrowPass::NarrowScores(const NarrowPiece& piece,
                              const NarrowBlock& block,
                              const cpu_rows::ScorePieces& row, uint16_t* out) {
  cpu_rows::Narrow(row.shared, out, row.shared_length);
  std::fill(out + row.shared_length, out + piece.shared_width, 0);
  uint16_t* own = out + piece.shared_width;
  cpu_rows::Narrow(row.own, own, row.own_length);
  std::fill(own + row.own_length, own + block.own_width, 0);
}

const uint16_t* NarrowPass::OwnRows(const NarrowPiece& piece,
                                    bool values) const {
  const at::Tensor& x = values ? batch_.rows.v : batch_.rows.k;
  return BitsOf(x) +
         (piece.head * x.size(1) + piece.segment->begin) * head_dim_;
}

void NarrowPass::PackShared(const NarrowPiece& piece) {
  const int64_t length = piece.family->shared_length;
  if (length == 0) return;
  uint16_t* keys = Room<uint16_t>(scratch_.gathered[0], length * head_dim_);
  uint16_t* values = Room<uint16_t>(scratch_.gathered[1], length * head_dim_);
  // Hidden scores count as zero later, whatever they are, unless they are
  // NaN.
  std::fill(keys, keys + length * head_dim_, 0);
  std::fill(values, values + length * head_dim_, 0);
  batch_.ForShared(*piece.family, [&](int64_t offset, const at::Tensor& k,
                                      const at::Tensor& v, const Range*) {
    Gather(k, piece.head, keys + offset * head_dim_);
    Gather(v, piece.head, values + offset * head_dim_);
  });
  scratch_.shared.Pack(backward_ ? values : keys, backward_ ? keys : values,
                       length, piece.shared_width, head_dim_);
}

void NarrowPass::Gather(const at::Tensor& x, int64_t head,
                        uint16_t* out) const {
  for (int64_t row = 0; row < x.size(1); ++row, out += head_dim_) {
    const int64_t place = head * x.stride(0) + row * x.stride(1);
    if (x.scalar_type() == at::kFloat) {
      cpu_rows::Narrow(x.const_data_ptr<float>() + place, out, head_dim_);
    } else {
      std::memcpy(out, BitsOf(x) + place, head_dim_ * sizeof(*out));
    }
  }
}

}  // namespace attune::worker
