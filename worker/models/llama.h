#ifndef ATTUNE_WORKER_MODELS_LLAMA_H_
#define ATTUNE_WORKER_MODELS_LLAMA_H_

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/models/causal_decoder.h"
#include "worker/models/config_reader.h"
#include "worker/models/linear_layer.h"
#include "worker/models/rms_norm.h"
#include "worker/models/rotary.h"
#include "worker/models/weight_loader.h"

namespace attune::worker {

// The Llama family (Touvron et al., 2023): RMS norm before each block, rotary
// positions, grouped-query attention, SwiGLU. With a sliding window it is
// Mistral, with biases on queries, keys and values Qwen2, with norms of each
// query and key head Qwen3.
class Llama : public CausalDecoder {
 public:
  // For model_type llama, mistral, qwen2 and qwen3. See ParseModelConfig.
  static absl::StatusOr<ModelConfig> ReadConfig(const ConfigReader& reader);

  // Copies the weights out of the checkpoint. FailedPrecondition naming
  // missing or surplus tensors.
  static absl::StatusOr<std::unique_ptr<BaseModel>> Load(
      const ModelConfig& config, WeightLoader& weights);

 protected:
  at::Tensor RunLayers(DecoderPass& pass) const override;

 private:
  struct Layer {
    RmsNorm attention_norm;
    LinearLayer qkv;     // query, key and value rows, merged
    RmsNorm query_norm;  // of Qwen3: over head_dim
    RmsNorm key_norm;
    LinearLayer output;
    RmsNorm ffn_norm;
    LinearLayer gate_up;  // gate rows, then up rows
    LinearLayer down;
  };

  explicit Llama(const ModelConfig& config) : CausalDecoder(config) {}

  Layer LoadLayer(int64_t index, WeightLoader& weights) const;

  // Constant after Load.
  Rotary rotary_;
  std::vector<Layer> layers_;
  RmsNorm final_norm_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_LLAMA_H_
