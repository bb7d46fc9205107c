#ifndef ATTUNE_WORKER_MODELS_PREDICTION_HEAD_H_
#define ATTUNE_WORKER_MODELS_PREDICTION_HEAD_H_

#include <ATen/core/Tensor.h>

#include <optional>

#include "absl/status/statusor.h"
#include "worker/models/activation.h"
#include "worker/models/config_reader.h"
#include "worker/models/layer_norm.h"
#include "worker/models/linear_layer.h"
#include "worker/models/model_config.h"

namespace attune::worker {

// What stands on an encoder: up to one dense layer with its non-linearity and
// norm, then the layer that gives the logits. Const after construction,
// thread-safe.
struct PredictionHead {
  LinearLayer dense;  // undefined weight: there is none
  Activation activation = Activation::kGelu;
  std::optional<LayerNorm> norm;
  LinearLayer output;

  // hidden: [n, dim] -> [n, outputs]; differentiable.
  at::Tensor Forward(const at::Tensor& hidden) const;
};

// Sets `head` and `num_labels` from the class that saved the checkpoint (the
// config's `architectures`) and the number of labels it names; no class means
// no head. Unimplemented for a class that has a head which no code here knows.
absl::Status ReadHead(const ConfigReader& reader, ModelConfig& config);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_PREDICTION_HEAD_H_
