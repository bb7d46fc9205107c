#ifndef ATTUNE_WORKER_MODELS_OPT_H_
#define ATTUNE_WORKER_MODELS_OPT_H_

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/models/causal_decoder.h"
#include "worker/models/config_reader.h"
#include "worker/models/layer_norm.h"
#include "worker/models/linear_layer.h"
#include "worker/models/weight_loader.h"

namespace attune::worker {

// OPT (Zhang et al., 2022): learned positions, ReLU, biases. The 350M model
// normalises after each block and projects from and to narrower embeddings.
class Opt : public CausalDecoder {
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

  explicit Opt(const ModelConfig& config) : CausalDecoder(config) {}

  Layer LoadLayer(int64_t index, WeightLoader& weights) const;

  // Constant after Load.
  at::Tensor positions_;    // [context + 2, layer_dim]
  LinearLayer project_in_;  // undefined unless layer_dim is another
  LinearLayer project_out_;
  std::vector<Layer> layers_;
  std::optional<LayerNorm> final_norm_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_OPT_H_
