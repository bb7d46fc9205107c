#ifndef ATTUNE_WORKER_MODELS_GEMMA3_H_
#define ATTUNE_WORKER_MODELS_GEMMA3_H_

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

// The text part of Gemma 3 (Gemma Team, 2025): norms before and after each
// block whose weights count from one, normalised query and key heads, layers
// with a sliding window and a rotary base of their own between global ones,
// GELU-gated feed-forward, scaled token rows.
class Gemma3 : public CausalDecoder {
 public:
  static absl::StatusOr<ModelConfig> ReadConfig(const ConfigReader& reader);
  static absl::StatusOr<std::unique_ptr<BaseModel>> Load(
      const ModelConfig& config, WeightLoader& weights);

 protected:
  at::Tensor RunLayers(DecoderPass& pass) const override;

 private:
  struct Layer {
    RmsNorm before_attention;
    LinearLayer qkv;
    RmsNorm query_norm;
    RmsNorm key_norm;
    LinearLayer output;
    RmsNorm after_attention;
    RmsNorm before_ffn;
    LinearLayer gate_up;
    LinearLayer down;
    RmsNorm after_ffn;
  };

  explicit Gemma3(const ModelConfig& config) : CausalDecoder(config) {}

  Layer LoadLayer(int64_t index, WeightLoader& weights) const;

  // Constant after Load.
  Rotary global_rotary_;
  Rotary window_rotary_;
  std::vector<Layer> layers_;
  RmsNorm final_norm_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_GEMMA3_H_
