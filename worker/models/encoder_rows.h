#ifndef ATTUNE_WORKER_MODELS_ENCODER_ROWS_H_
#define ATTUNE_WORKER_MODELS_ENCODER_ROWS_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "absl/status/status.h"
#include "worker/models/model_config.h"
#include "worker/models/packed_rows.h"

namespace attune::worker {

// A batch of inputs for an encoder, without padding. Every row of a segment
// sees the whole segment and its prefix, so a soft prompt depends on the text
// it stands before: its rows are repeated in every segment, and gradients of
// the copies add up in the caller's graph.
struct EncoderRows {
  at::Tensor embeddings;  // [rows, embedding_dim], fp32
  // Roots only, without sequences; they tile the rows in order. In an
  // encoder-decoder without a prefix too: that belongs to the decoder.
  std::vector<Segment> segments;
  at::Tensor token_types;  // [rows], int64; undefined: all 0
};

// Checks what EncoderRows promises. InvalidArgument naming the segment.
absl::Status CheckEncoderRows(const EncoderRows& rows,
                              const ModelConfig& config);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_ENCODER_ROWS_H_
