#ifndef ATTUNE_WORKER_MODELS_CAUSAL_DECODER_H_
#define ATTUNE_WORKER_MODELS_CAUSAL_DECODER_H_

#include <ATen/core/Tensor.h>

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "worker/models/causal_model.h"
#include "worker/models/decoder_pass.h"
#include "worker/models/linear_layer.h"
#include "worker/models/token_tables.h"

namespace attune::worker {

// What the architectures of causal models have in common: token tables, checks,
// prefixes. An architecture loads its weights and runs its layers. The residual
// stream, norms and attention are fp32, products run in the weights' dtype.
// Const after loading, thread-safe.
class CausalDecoder : public CausalModel {
 public:
  const ModelConfig& config() const override { return config_; }
  at::Device device() const override { return tables_.device(); }
  at::ScalarType dtype() const override { return tables_.dtype(); }

  at::Tensor Embed(const at::Tensor& token_ids) const override {
    return tables_.Embed(token_ids);
  }
  absl::StatusOr<at::Tensor> Forward(const PackedRows& rows) const override;
  absl::StatusOr<std::shared_ptr<const KvBlock>> BuildPrefix(
      const at::Tensor& embeddings) const override;
  at::Tensor Logits(const at::Tensor& hidden) const override {
    return tables_.Logits(hidden);
  }
  at::Tensor LogitsFor(const at::Tensor& hidden,
                       const at::Tensor& token_ids) const override {
    return tables_.LogitsFor(hidden, token_ids);
  }
  bool TrainsOutput() const override { return tables_.TrainsOutput(); }

 protected:
  explicit CausalDecoder(const ModelConfig& config) : config_(config) {}

  // All layers and the final norm: -> [wanted rows, dim], fp32. Throws what
  // LibTorch throws.
  virtual at::Tensor RunLayers(DecoderPass& pass) const = 0;

  // Set while loading.
  void SetTables(TokenTables tables) { tables_ = std::move(tables); }

  const ModelConfig config_;

 private:
  absl::StatusOr<at::Tensor> CheckedRun(const PackedRows& rows,
                                        LayerKeys* keep) const;

  TokenTables tables_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_CAUSAL_DECODER_H_
