#ifndef ATTUNE_WORKER_MODELS_ENCODER_MODEL_H_
#define ATTUNE_WORKER_MODELS_ENCODER_MODEL_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "absl/status/statusor.h"
#include "worker/models/base_model.h"
#include "worker/models/packed_rows.h"

namespace attune::worker {

// A batch of inputs for an encoder, without padding. Every row of a segment
// sees the whole segment and its prefix, so a soft prompt depends on the text
// it stands before: its rows are repeated in every segment, and gradients of
// the copies add up in the caller's graph.
struct EncoderRows {
  at::Tensor embeddings;  // [rows, embedding_dim], fp32
  // Roots only, without sequences; they tile the rows in order.
  std::vector<Segment> segments;
  at::Tensor token_types;  // [rows], int64; undefined: all 0
};

// A frozen bidirectional encoder.
class EncoderModel : public BaseModel {
 public:
  // -> hidden states of the last layer [rows, dim], fp32; differentiable with
  // regard to rows.embeddings. InvalidArgument for a layout that breaks the
  // rules above; Internal if LibTorch fails.
  virtual absl::StatusOr<at::Tensor> Forward(const EncoderRows& rows) const = 0;

  // The logits of config().head, differentiable. hidden: [n, dim] ->
  // kMaskedLanguage: [n, vocab]; kToken: [n, num_labels]; kDiscriminator: [n,
  // 1]; kSpan: [n, 2]; kSequence: [n, num_labels], where the rows are the first
  // of each input. FailedPrecondition if there is no head.
  virtual absl::StatusOr<at::Tensor> HeadLogits(
      const at::Tensor& hidden) const = 0;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_ENCODER_MODEL_H_
