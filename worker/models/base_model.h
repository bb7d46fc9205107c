#ifndef ATTUNE_WORKER_MODELS_BASE_MODEL_H_
#define ATTUNE_WORKER_MODELS_BASE_MODEL_H_

#include <ATen/core/Tensor.h>

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "worker/models/kv_cache.h"
#include "worker/models/model_config.h"
#include "worker/models/parameter_table.h"

namespace attune::worker {

// What models of every kind have in common. Const after loading: several
// threads may call it at once. Rows that cross this interface are fp32,
// whatever the weights are. Gradients flow to what goes in and to those weights
// that an adaptation (adaptation.h) trains, never to loaded ones; without grad
// mode nothing is saved.
//
// Ids and rows are the caller's to check: ids must lie in [0, vocab_size).
class BaseModel {
 public:
  virtual ~BaseModel() = default;

  virtual const ModelConfig& config() const = 0;
  virtual at::Device device() const = 0;
  // dtype of the weights: float or bfloat16.
  virtual at::ScalarType dtype() const = 0;

  // Rows of the token table, as soft prompts stand beside them: without
  // positions, types and norms, which the forward adds.
  // token_ids: [n], int64 -> [n, embedding_dim], fp32. Differentiable only with
  // regard to a table that an adaptation trains.
  virtual at::Tensor Embed(const at::Tensor& token_ids) const = 0;

  // Keys and values that every layer, of an encoder-decoder its decoder's,
  // makes of embeddings [n, embedding_dim] alone: to be used as
  // Segment::prefix. For a causal model that is the same as the rows in front
  // of every text; for the others it is what a trained prefix may begin with.
  // The decoder of an encoder-decoder reads the same rows across. Of a causal
  // model differentiable, of the others never. InvalidArgument for rows of
  // another width or beyond the context; Internal if LibTorch fails.
  virtual absl::StatusOr<std::shared_ptr<const KvBlock>> BuildPrefix(
      const at::Tensor& embeddings) const = 0;

  // The weights by name; only of a model that came from a checkpoint.
  const ParameterTable& parameters() const { return *parameters_; }
  // For whoever loads the model.
  void SetParameters(std::unique_ptr<const ParameterTable> parameters) {
    parameters_ = std::move(parameters);
  }

 private:
  std::unique_ptr<const ParameterTable> parameters_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_BASE_MODEL_H_
