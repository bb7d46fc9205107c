#include "worker/models/packed_encoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/index_select.h>
#include <c10/core/GradMode.h>

#include <exception>
#include <utility>

#include "absl/status/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/packed_attention.h"
#include "worker/models/torch_errors.h"

namespace attune::worker {

at::Tensor PackedEncoder::Embed(const at::Tensor& token_ids) const {
  return at::index_select(words_, 0, token_ids.to(device())).to(at::kFloat);
}

at::Tensor PackedEncoder::Run(const EncoderRows& rows, LayerKeys* keep) const {
  const auto layout = c10::make_intrusive<AttentionLayout>(
      rows.segments, AttentionLayout::Own::kAll);
  const HeadShape shape = HeadShapeOf(config_);
  const at::Tensor positions =
      RowPositions(rows.segments, rows.embeddings.size(0)).to(device()) +
      config_.position_offset;
  at::Tensor x = Prepare(rows, positions);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    const QkvRows qkv = SplitQkv(layer.qkv.Forward(x), shape, {});
    if (keep != nullptr) {
      keep->keys.push_back(qkv.k);
      keep->values.push_back(qkv.v);
    }
    const at::Tensor attended =
        PackedAttention(qkv, static_cast<int64_t>(i), layout);
    x = layer.attention_norm.Forward(x + layer.output.Forward(attended));
    const at::Tensor inner = Activate(layer.up.Forward(x), config_.activation);
    x = layer.ffn_norm.Forward(x + layer.down.Forward(inner));
  }
  return x;
}

absl::StatusOr<at::Tensor> PackedEncoder::Forward(
    const EncoderRows& rows) const {
  ATTUNE_RETURN_IF_ERROR(CheckEncoderRows(rows, config_));
  try {
    return Run(rows, /*keep=*/nullptr);
  } catch (const std::exception& error) {
    return StatusOfException(error, Concat(config_.family, " forward"));
  }
}

absl::StatusOr<std::shared_ptr<const KvBlock>> PackedEncoder::BuildPrefix(
    const at::Tensor& embeddings) const {
  const at::NoGradGuard no_grad;
  try {
    EncoderRows rows;
    rows.embeddings = embeddings.detach();
    rows.segments = {{.begin = 0, .length = embeddings.size(0)}};
    ATTUNE_RETURN_IF_ERROR(CheckEncoderRows(rows, config_));
    LayerKeys kept;
    Run(rows, &kept);
    return std::make_shared<const KvBlock>(std::move(kept.keys),
                                           std::move(kept.values));
  } catch (const std::exception& error) {
    return StatusOfException(error, "building a prefix");
  }
}

absl::StatusOr<at::Tensor> PackedEncoder::HeadLogits(
    const at::Tensor& hidden) const {
  if (config_.head == EncoderHead::kNone) {
    return absl::FailedPreconditionError(Concat(
        "the checkpoint of this ", config_.family, " model brings no head"));
  }
  try {
    return head_.Forward(hidden);
  } catch (const std::exception& error) {
    return StatusOfException(error, Concat(config_.family, " head"));
  }
}

}  // namespace attune::worker
