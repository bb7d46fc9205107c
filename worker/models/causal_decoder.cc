#include "worker/models/causal_decoder.h"

#include <c10/core/GradMode.h>

#include <exception>
#include <utility>

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/torch_errors.h"

namespace attune::worker {

absl::StatusOr<at::Tensor> CausalDecoder::CheckedRun(const PackedRows& rows,
                                                     LayerKeys* keep) const {
  ATTUNE_RETURN_IF_ERROR(CheckPackedRows(rows, config_));
  ATTUNE_RETURN_IF_ERROR(DecoderPass::CheckSequences(
      rows.segments,
      at::GradMode::is_enabled() && rows.embeddings.requires_grad()));
  try {
    DecoderPass pass(rows, config_.NumCachedLayers(), device(), keep);
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
  try {
    PackedRows rows;
    rows.embeddings = embeddings;
    rows.segments = {{.begin = 0, .length = embeddings.size(0)}};
    LayerKeys kept;
    ATTUNE_RETURN_IF_ERROR(CheckedRun(rows, &kept).status());
    return std::make_shared<const KvBlock>(std::move(kept.keys),
                                           std::move(kept.values));
  } catch (const std::exception& error) {
    return StatusOfException(error, "building a prefix");
  }
}

}  // namespace attune::worker
