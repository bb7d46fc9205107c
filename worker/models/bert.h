#ifndef ATTUNE_WORKER_MODELS_BERT_H_
#define ATTUNE_WORKER_MODELS_BERT_H_

#include <ATen/core/Tensor.h>

#include <memory>

#include "absl/status/statusor.h"
#include "worker/models/config_reader.h"
#include "worker/models/packed_encoder.h"
#include "worker/models/weight_loader.h"

namespace attune::worker {

// BERT (Devlin et al., 2019) and what keeps its layers and names: MiniLM;
// RoBERTa (Liu et al., 2019) and XLM-R, whose positions begin behind the
// padding id and whose heads are named otherwise; ELECTRA (Clark et al., 2020),
// whose embeddings may be narrower than its layers.
class Bert : public PackedEncoder {
 public:
  // For model_type bert, roberta, xlm-roberta and electra.
  static absl::StatusOr<ModelConfig> ReadConfig(const ConfigReader& reader);
  // FailedPrecondition naming missing or surplus tensors.
  static absl::StatusOr<std::unique_ptr<BaseModel>> Load(
      const ModelConfig& config, WeightLoader& weights);

 protected:
  at::Tensor Prepare(const EncoderRows& rows,
                     const at::Tensor& positions) const override;

 private:
  explicit Bert(const ModelConfig& config) : PackedEncoder(config) {}

  void LoadEmbeddings(WeightLoader& weights);
  Layer LoadLayer(int64_t index, WeightLoader& weights) const;
  // `body`: of the encoder, `top`: of what stands beside it.
  void LoadHead(WeightLoader& body, WeightLoader& top);
  void LoadLanguageHead(WeightLoader& top);

  // Constant after Load.
  at::Tensor positions_;  // [context + offset, embedding_dim]
  at::Tensor types_;      // [num_token_types, embedding_dim]
  LayerNorm norm_;
  LinearLayer projection_;  // undefined unless the embeddings are narrower
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_BERT_H_
