#ifndef ATTUNE_WORKER_MODELS_DISTILBERT_H_
#define ATTUNE_WORKER_MODELS_DISTILBERT_H_

#include <ATen/core/Tensor.h>

#include <memory>

#include "absl/status/statusor.h"
#include "worker/models/config_reader.h"
#include "worker/models/packed_encoder.h"
#include "worker/models/weight_loader.h"

namespace attune::worker {

// DistilBERT (Sanh et al., 2019): BERT's layers under other names, without
// token types.
class DistilBert : public PackedEncoder {
 public:
  static absl::StatusOr<ModelConfig> ReadConfig(const ConfigReader& reader);
  // FailedPrecondition naming missing or surplus tensors.
  static absl::StatusOr<std::unique_ptr<BaseModel>> Load(
      const ModelConfig& config, WeightLoader& weights);

 protected:
  at::Tensor Prepare(const EncoderRows& rows,
                     const at::Tensor& positions) const override;

 private:
  explicit DistilBert(const ModelConfig& config) : PackedEncoder(config) {}

  Layer LoadLayer(int64_t index, WeightLoader& weights) const;
  void LoadHead(WeightLoader& top);

  // Constant after Load.
  at::Tensor positions_;  // [context, dim]
  LayerNorm norm_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_DISTILBERT_H_
