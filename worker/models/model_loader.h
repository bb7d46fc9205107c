#ifndef ATTUNE_WORKER_MODELS_MODEL_LOADER_H_
#define ATTUNE_WORKER_MODELS_MODEL_LOADER_H_

#include <ATen/core/Tensor.h>

#include <memory>

#include "absl/status/statusor.h"
#include "worker/models/base_model.h"
#include "worker/models/causal_model.h"
#include "worker/models/checkpoint.h"
#include "worker/models/encoder_decoder_model.h"
#include "worker/models/encoder_model.h"
#include "worker/models/model_config.h"

namespace attune::worker {

// Copies the weights out of `checkpoint`, converted to `dtype` (float or
// bfloat16), to `device`. FailedPrecondition naming missing or surplus tensors;
// Internal if LibTorch fails. What comes back is of config.kind.
absl::StatusOr<std::unique_ptr<BaseModel>> LoadBaseModel(
    const ModelConfig& config, Checkpoint& checkpoint, const at::Device& device,
    at::ScalarType dtype);

// The same for a model that must be of one kind; Unimplemented for others.
absl::StatusOr<std::unique_ptr<CausalModel>> LoadCausalModel(
    const ModelConfig& config, Checkpoint& checkpoint, const at::Device& device,
    at::ScalarType dtype);
absl::StatusOr<std::unique_ptr<EncoderModel>> LoadEncoderModel(
    const ModelConfig& config, Checkpoint& checkpoint, const at::Device& device,
    at::ScalarType dtype);
absl::StatusOr<std::unique_ptr<EncoderDecoderModel>> LoadEncoderDecoderModel(
    const ModelConfig& config, Checkpoint& checkpoint, const at::Device& device,
    at::ScalarType dtype);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_MODEL_LOADER_H_
