#ifndef ATTUNE_WORKER_MODELS_GPT2_H_
#define ATTUNE_WORKER_MODELS_GPT2_H_

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/models/causal_decoder.h"
#include "worker/models/config_reader.h"
#include "worker/models/layer_norm.h"
#include "worker/models/linear_layer.h"
#include "worker/models/weight_loader.h"

namespace attune::worker {

// GPT-2 (Radford et al., 2019): learned positions, layer norm before each
// block, biases everywhere. Its checkpoints hold transposed matrices.
class Gpt2 : public CausalDecoder {
 public:
  static absl::StatusOr<ModelConfig> ReadConfig(const ConfigReader& reader);
  static absl::StatusOr<std::unique_ptr<BaseModel>> Load(
      const ModelConfig& config, WeightLoader& weights);

 protected:
  at::Tensor RunLayers(DecoderPass& pass) const override;

 private:
  struct Layer {
    LayerNorm attention_norm;
    LinearLayer qkv;
    LinearLayer output;
    LayerNorm ffn_norm;
    LinearLayer up;
    LinearLayer down;
  };

  explicit Gpt2(const ModelConfig& config) : CausalDecoder(config) {}

  Layer LoadLayer(int64_t index, WeightLoader& weights) const;

  // Constant after Load.
  at::Tensor positions_;  // [context, dim]
  std::vector<Layer> layers_;
  LayerNorm final_norm_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_GPT2_H_
