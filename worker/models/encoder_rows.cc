#include "worker/models/encoder_rows.h"

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::worker {

absl::Status CheckEncoderRows(const EncoderRows& rows,
                              const ModelConfig& config) {
  ATTUNE_RETURN_IF_ERROR(
      CheckPackedRows({rows.embeddings, rows.segments}, config));
  for (size_t i = 0; i < rows.segments.size(); ++i) {
    const Segment& segment = rows.segments[i];
    if (segment.parent >= 0 || segment.sequence != nullptr) {
      return absl::InvalidArgumentError(
          Concat("segment ", i, ": an encoder takes roots without sequences"));
    }
    if (segment.prefix != nullptr &&
        config.kind == ModelKind::kEncoderDecoder) {
      return absl::InvalidArgumentError(
          Concat("segment ", i,
                 ": the prefix of an encoder-decoder stands before segments of "
                 "the decoder, not of the encoder"));
    }
  }
  if (rows.token_types.defined() &&
      rows.token_types.sizes() != at::IntArrayRef{rows.embeddings.size(0)}) {
    return absl::InvalidArgumentError("token_types must be [rows]");
  }
  return absl::OkStatus();
}

}  // namespace attune::worker
