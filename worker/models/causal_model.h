#ifndef ATTUNE_WORKER_MODELS_CAUSAL_MODEL_H_
#define ATTUNE_WORKER_MODELS_CAUSAL_MODEL_H_

#include <ATen/core/Tensor.h>

#include <memory>

#include "absl/status/statusor.h"
#include "worker/models/kv_cache.h"
#include "worker/models/model_config.h"
#include "worker/models/packed_rows.h"

namespace attune::worker {

// A frozen causal language model. Const after loading: several threads may call
// it at once (each KvSequence in one call at a time). Rows that cross this
// interface are fp32, whatever the weights are. Gradients flow to what goes in,
// never to weights; without grad mode nothing is saved.
//
// Ids and rows are the caller's to check: ids must lie in [0, vocab_size).
class CausalModel {
 public:
  virtual ~CausalModel() = default;

  virtual const ModelConfig& config() const = 0;
  virtual at::Device device() const = 0;
  // dtype of the weights: float or bfloat16.
  virtual at::ScalarType dtype() const = 0;

  // token_ids: [n], int64 -> [n, embedding_dim], fp32. Not differentiable.
  virtual at::Tensor Embed(const at::Tensor& token_ids) const = 0;

  // -> hidden states after the final norm [rows, dim], fp32; differentiable
  // with regard to rows.embeddings. Segments with a sequence are appended to
  // it; they may not be used with grad mode on. InvalidArgument for a layout
  // that breaks the rules of PackedRows; Internal if LibTorch fails.
  virtual absl::StatusOr<at::Tensor> Forward(const PackedRows& rows) const = 0;

  // Runs embeddings [n, embedding_dim] as one root segment and keeps its keys
  // and values: a prompt to be used as Segment::prefix. Never differentiable.
  virtual absl::StatusOr<std::shared_ptr<const KvBlock>> BuildPrefix(
      const at::Tensor& embeddings) const = 0;

  // hidden: [n, dim] -> logits [n, vocab], fp32; differentiable.
  virtual at::Tensor Logits(const at::Tensor& hidden) const = 0;

  // hidden: [n, dim], token_ids: [k] -> logits [n, k], fp32; differentiable.
  // Reads only k rows of the output head.
  virtual at::Tensor LogitsFor(const at::Tensor& hidden,
                               const at::Tensor& token_ids) const = 0;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_CAUSAL_MODEL_H_
