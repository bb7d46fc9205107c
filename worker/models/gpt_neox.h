#ifndef ATTUNE_WORKER_MODELS_GPT_NEOX_H_
#define ATTUNE_WORKER_MODELS_GPT_NEOX_H_

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/models/causal_decoder.h"
#include "worker/models/config_reader.h"
#include "worker/models/layer_norm.h"
#include "worker/models/linear_layer.h"
#include "worker/models/rotary.h"
#include "worker/models/weight_loader.h"

namespace attune::worker {

// GPT-NeoX (Black et al., 2022), also Pythia: rotary positions on a part of
// each head, and attention and feed-forward side by side on one residual
// stream.
class GptNeox : public CausalDecoder {
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

  explicit GptNeox(const ModelConfig& config) : CausalDecoder(config) {}

  Layer LoadLayer(int64_t index, WeightLoader& weights) const;

  // Constant after Load.
  Rotary rotary_;
  std::vector<Layer> layers_;
  LayerNorm final_norm_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_GPT_NEOX_H_
