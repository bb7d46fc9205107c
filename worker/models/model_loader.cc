#include "worker/models/model_loader.h"

#include <c10/core/GradMode.h>

#include <exception>

#include "absl/status/status.h"
#include "proto/cc/text.h"
#include "worker/models/architectures.h"
#include "worker/models/torch_errors.h"
#include "worker/models/weight_loader.h"

namespace attune::worker {
namespace {

template <typename Model>
using LoadFunction = absl::StatusOr<std::unique_ptr<Model>> (*)(
    const ModelConfig& config, WeightLoader& weights);

// `load`: which of an architecture's functions; null where it is another kind.
template <typename Model>
absl::StatusOr<std::unique_ptr<Model>> LoadBy(
    LoadFunction<Model> Architecture::*load, const ModelConfig& config,
    WeightLoader weights) {
  const Architecture* architecture = FindArchitecture(config.family);
  if (architecture == nullptr || architecture->*load == nullptr) {
    return absl::UnimplementedError(
        Concat("a model of the family '", config.family, "' (",
               ModelKindName(config.kind), ") can't be used for this"));
  }
  try {
    const at::NoGradGuard no_grad;
    return (architecture->*load)(config, weights);
  } catch (const std::exception& error) {
    return StatusOfException(error,
                             Concat("loading a ", config.family, " model"));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<CausalModel>> LoadCausalModel(
    const ModelConfig& config, Checkpoint& checkpoint, const at::Device& device,
    at::ScalarType dtype) {
  return LoadBy(&Architecture::load_causal, config,
                WeightLoader(checkpoint, device, dtype));
}

absl::StatusOr<std::unique_ptr<EncoderModel>> LoadEncoderModel(
    const ModelConfig& config, Checkpoint& checkpoint, const at::Device& device,
    at::ScalarType dtype) {
  return LoadBy(&Architecture::load_encoder, config,
                WeightLoader(checkpoint, device, dtype));
}

}  // namespace attune::worker
