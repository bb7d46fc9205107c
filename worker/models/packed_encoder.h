#ifndef ATTUNE_WORKER_MODELS_PACKED_ENCODER_H_
#define ATTUNE_WORKER_MODELS_PACKED_ENCODER_H_

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/models/encoder_model.h"
#include "worker/models/kv_cache.h"
#include "worker/models/layer_norm.h"
#include "worker/models/linear_layer.h"
#include "worker/models/prediction_head.h"

namespace attune::worker {

// What the architectures of encoders have in common: the word table, checks,
// and BERT's layers (Devlin et al., 2019), which normalise after each block. An
// architecture loads its weights and makes the first layer's input. Const after
// loading, thread-safe.
class PackedEncoder : public EncoderModel {
 public:
  const ModelConfig& config() const override { return config_; }
  at::Device device() const override { return words_.device(); }
  at::ScalarType dtype() const override { return words_.scalar_type(); }

  at::Tensor Embed(const at::Tensor& token_ids) const override;
  absl::StatusOr<std::shared_ptr<const KvBlock>> BuildPrefix(
      const at::Tensor& embeddings) const override;
  absl::StatusOr<at::Tensor> Forward(const EncoderRows& rows) const override;
  absl::StatusOr<at::Tensor> HeadLogits(
      const at::Tensor& hidden) const override;

 protected:
  struct Layer {
    LinearLayer qkv;  // query, key and value rows, merged
    LinearLayer output;
    LayerNorm attention_norm;
    LinearLayer up;
    LinearLayer down;
    LayerNorm ffn_norm;
  };

  explicit PackedEncoder(const ModelConfig& config) : config_(config) {}

  // Rows with positions (already counted from the offset) and types, as the
  // first layer takes them: [n, dim].
  virtual at::Tensor Prepare(const EncoderRows& rows,
                             const at::Tensor& positions) const = 0;

  const ModelConfig config_;
  // Set while loading.
  at::Tensor words_;  // [vocab, embedding_dim]
  std::vector<Layer> layers_;
  PredictionHead head_;

 private:
  // `keep` (null: forget them) gets the keys and values of every layer.
  at::Tensor Run(const EncoderRows& rows, LayerKeys* keep) const;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_PACKED_ENCODER_H_
