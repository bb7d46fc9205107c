#ifndef ATTUNE_WORKER_MODELS_ENCODER_MODEL_H_
#define ATTUNE_WORKER_MODELS_ENCODER_MODEL_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "absl/status/statusor.h"
#include "worker/models/model_config.h"
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

// A frozen bidirectional encoder. Const after loading: several threads may call
// it at once. Rows that cross this interface are fp32. Gradients flow to what
// goes in, never to weights. Ids and rows are the caller's to check.
class EncoderModel {
 public:
  virtual ~EncoderModel() = default;

  virtual const ModelConfig& config() const = 0;
  virtual at::Device device() const = 0;
  virtual at::ScalarType dtype() const = 0;

  // Word embeddings without positions, types and norm, which Forward adds.
  // token_ids: [n], int64 -> [n, embedding_dim]. Not differentiable.
  virtual at::Tensor Embed(const at::Tensor& token_ids) const = 0;

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
