#include "worker/models/model_loader.h"

#include <c10/core/GradMode.h>

#include <exception>
#include <utility>

#include "absl/status/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/architectures.h"
#include "worker/models/checkpoint_weights.h"
#include "worker/models/parameter_table.h"
#include "worker/models/torch_errors.h"
#include "worker/models/weight_loader.h"

namespace attune::worker {
namespace {

absl::Status WrongKind(const ModelConfig& config, ModelKind wanted) {
  return absl::UnimplementedError(
      Concat("a model of the family '", config.family, "' is of the kind ",
             ModelKindName(config.kind), "; this needs the kind ",
             ModelKindName(wanted)));
}

// Model: the class of the kind `kind`.
template <typename Model>
absl::StatusOr<std::unique_ptr<Model>> LoadKind(ModelKind kind,
                                                const ModelConfig& config,
                                                Checkpoint& checkpoint,
                                                const at::Device& device,
                                                at::ScalarType dtype) {
  if (config.kind != kind) return WrongKind(config, kind);
  ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<BaseModel> model,
                          LoadBaseModel(config, checkpoint, device, dtype));
  return std::unique_ptr<Model>(static_cast<Model*>(model.release()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<BaseModel>> LoadBaseModel(
    const ModelConfig& config, Checkpoint& checkpoint, const at::Device& device,
    at::ScalarType dtype) {
  const Architecture* architecture = FindArchitecture(config.family);
  if (architecture == nullptr) {
    return absl::UnimplementedError(
        Concat("no code here computes models of the family '", config.family,
               "'; there are ", ArchitectureNames()));
  }
  try {
    const at::NoGradGuard no_grad;
    auto table = std::make_unique<ParameterTable>();
    CheckpointWeights source(checkpoint, device, dtype, *table);
    WeightLoader weights(source);
    ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<BaseModel> model,
                            architecture->load(config, weights));
    model->SetParameters(std::move(table));
    return model;
  } catch (const std::exception& error) {
    return StatusOfException(error,
                             Concat("loading a ", config.family, " model"));
  }
}

absl::StatusOr<std::unique_ptr<CausalModel>> LoadCausalModel(
    const ModelConfig& config, Checkpoint& checkpoint, const at::Device& device,
    at::ScalarType dtype) {
  return LoadKind<CausalModel>(ModelKind::kCausal, config, checkpoint, device,
                               dtype);
}

absl::StatusOr<std::unique_ptr<EncoderModel>> LoadEncoderModel(
    const ModelConfig& config, Checkpoint& checkpoint, const at::Device& device,
    at::ScalarType dtype) {
  return LoadKind<EncoderModel>(ModelKind::kEncoder, config, checkpoint, device,
                                dtype);
}

absl::StatusOr<std::unique_ptr<EncoderDecoderModel>> LoadEncoderDecoderModel(
    const ModelConfig& config, Checkpoint& checkpoint, const at::Device& device,
    at::ScalarType dtype) {
  return LoadKind<EncoderDecoderModel>(ModelKind::kEncoderDecoder, config,
                                       checkpoint, device, dtype);
}

}  // namespace attune::worker
