#include "worker/models/causal_decoder.h"

#include <ATen/ops/index_select.h>
#include <ATen/ops/mm.h>
#include <c10/core/GradMode.h>

#include <exception>
#include <utility>

#include "absl/status/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/torch_errors.h"

namespace attune::worker {
DecoderPass::DecoderPass(const PackedRows& rows, const at::Device& device,
                         LayerKeys* keep)
    : rows_(rows),
      keep_(keep),
      layout_(c10::make_intrusive<AttentionLayout>(rows.segments)),
      positions_(
          RowPositions(rows.segments, rows.embeddings.size(0)).to(device)) {}

at::Tensor DecoderPass::Attend(const QkvRows& qkv, const AttentionRule& rule) {
  at::Tensor attended = PackedAttention(qkv, layer_, layout_, rule);
  for (const Segment& segment : rows_.segments) {
    if (segment.sequence == nullptr) continue;
    segment.sequence->Write(layer_,
                            qkv.k.narrow(1, segment.begin, segment.length),
                            qkv.v.narrow(1, segment.begin, segment.length));
  }
  if (keep_ != nullptr) {
    keep_->keys.push_back(qkv.k);
    keep_->values.push_back(qkv.v);
  }
  ++layer_;
  return attended;
}

void DecoderPass::Commit() {
  for (const Segment& segment : rows_.segments) {
    if (segment.sequence != nullptr) segment.sequence->Commit(segment.length);
  }
}

void CausalDecoder::SetTables(at::Tensor embeddings, FrozenLinear head) {
  embeddings_ = std::move(embeddings);
  head_ = head.weight().defined() ? std::move(head) : FrozenLinear(embeddings_);
}

at::Tensor CausalDecoder::Embed(const at::Tensor& token_ids) const {
  const at::NoGradGuard no_grad;
  at::Tensor rows =
      at::index_select(embeddings_, 0, token_ids.to(device())).to(at::kFloat);
  return embedding_scale_ == 1 ? rows : rows.mul_(embedding_scale_);
}

absl::StatusOr<at::Tensor> CausalDecoder::CheckedRun(
    const PackedRows& rows, DecoderPass::LayerKeys* keep) const {
  ATTUNE_RETURN_IF_ERROR(CheckPackedRows(rows, config_));
  if (at::GradMode::is_enabled() && rows.embeddings.requires_grad()) {
    for (const Segment& segment : rows.segments) {
      if (segment.sequence != nullptr) {
        return absl::InvalidArgumentError(
            "a cached sequence can't be part of a differentiable batch");
      }
    }
  }
  try {
    DecoderPass pass(rows, device(), keep);
    at::Tensor hidden = RunLayers(pass);
    pass.Commit();
    return hidden;
  } catch (const std::exception& error) {
    return StatusOfException(error, Concat(config_.family, " forward"));
  }
}

absl::StatusOr<at::Tensor> CausalDecoder::Forward(
    const PackedRows& rows) const {
  return CheckedRun(rows, /*keep=*/nullptr);
}

absl::StatusOr<std::shared_ptr<const KvBlock>> CausalDecoder::BuildPrefix(
    const at::Tensor& embeddings) const {
  const at::NoGradGuard no_grad;
  try {
    PackedRows rows;
    rows.embeddings = embeddings.detach();
    rows.segments = {{.begin = 0, .length = embeddings.size(0)}};
    DecoderPass::LayerKeys kept;
    ATTUNE_RETURN_IF_ERROR(CheckedRun(rows, &kept).status());
    return std::make_shared<const KvBlock>(std::move(kept.keys),
                                           std::move(kept.values));
  } catch (const std::exception& error) {
    return StatusOfException(error, "building a prefix");
  }
}

at::Tensor CausalDecoder::Logits(const at::Tensor& hidden) const {
  return head_.Forward(hidden);
}

at::Tensor CausalDecoder::LogitsFor(const at::Tensor& hidden,
                                    const at::Tensor& token_ids) const {
  at::Tensor rows;
  at::Tensor bias;
  {
    const at::NoGradGuard no_grad;
    const at::Tensor ids = token_ids.to(device());
    rows = at::index_select(head_.weight(), 0, ids).to(at::kFloat);
    if (head_.bias().defined()) bias = at::index_select(head_.bias(), 0, ids);
  }
  at::Tensor logits = at::mm(hidden, rows.t());
  return bias.defined() ? logits + bias : logits;
}

}  // namespace attune::worker
