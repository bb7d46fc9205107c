#ifndef ATTUNE_WORKER_MODELS_LLAMA_H_
#define ATTUNE_WORKER_MODELS_LLAMA_H_

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/models/causal_model.h"
#include "worker/models/checkpoint.h"
#include "worker/models/frozen_linear.h"
#include "worker/models/packed_attention.h"
#include "worker/models/rms_norm.h"
#include "worker/models/rotary.h"

namespace attune::worker {

// The Llama family (Touvron et al., 2023): RMS norm before each block, rotary
// positions, grouped-query attention, SwiGLU. The residual stream, norms and
// attention are fp32, products run in the weights' dtype.
class Llama : public CausalModel {
 public:
  // Copies the weights out of `checkpoint`, converted to `dtype` (float or
  // bfloat16), to `device`. FailedPrecondition naming missing or surplus
  // tensors.
  static absl::StatusOr<std::unique_ptr<Llama>> Load(const ModelConfig& config,
                                                     Checkpoint& checkpoint,
                                                     const at::Device& device,
                                                     at::ScalarType dtype);

  const ModelConfig& config() const override { return config_; }
  at::Device device() const override { return embeddings_.device(); }
  at::ScalarType dtype() const override { return embeddings_.scalar_type(); }

  at::Tensor Embed(const at::Tensor& token_ids) const override;
  absl::StatusOr<at::Tensor> Forward(const PackedRows& rows) const override;
  absl::StatusOr<std::shared_ptr<const KvBlock>> BuildPrefix(
      const at::Tensor& embeddings) const override;
  at::Tensor Logits(const at::Tensor& hidden) const override;
  at::Tensor LogitsFor(const at::Tensor& hidden,
                       const at::Tensor& token_ids) const override;

 private:
  struct Layer {
    RmsNorm attention_norm;
    FrozenLinear qkv;  // query, key and value rows, merged
    FrozenLinear output;
    RmsNorm ffn_norm;
    FrozenLinear gate_up;  // gate rows, then up rows
    FrozenLinear down;
  };
  // Keys and values of every layer, for those who keep them.
  struct LayerKeys {
    std::vector<at::Tensor> keys;
    std::vector<at::Tensor> values;
  };
  class Loader;

  Llama() = default;

  // `keep`: null to forget keys and values. Throws what LibTorch throws.
  at::Tensor Run(const PackedRows& rows, LayerKeys* keep) const;
  absl::StatusOr<at::Tensor> CheckedRun(const PackedRows& rows,
                                        LayerKeys* keep) const;

  // Constant after Load.
  ModelConfig config_;
  at::Tensor embeddings_;  // [vocab, dim]
  Rotary rotary_;
  std::vector<Layer> layers_;
  RmsNorm final_norm_;
  FrozenLinear head_;  // shares embeddings_ when tied
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_LLAMA_H_
