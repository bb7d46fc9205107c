#ifndef ATTUNE_WORKER_TUNING_TRAINED_ADAPTATION_H_
#define ATTUNE_WORKER_TUNING_TRAINED_ADAPTATION_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "attune/v1/method.pb.h"
#include "worker/models/adaptation.h"
#include "worker/models/model_store.h"
#include "worker/models/safetensors.h"

namespace attune::worker {

// Whether a method trains weights of the model itself: lora, top_layers,
// all_parameters and bias_only.
bool AdaptsModel(const attune::v1::TuningMethod& method);

// Chooses what such a method leaves open, so that the job shows it, and checks
// the rest against the model. INVALID_ARGUMENT naming the field;
// FAILED_PRECONDITION (kIllegalState) for a model without biases, and where the
// trained weights are beyond what a version holds. Nothing for other methods.
absl::Status ResolveAdaptation(const LoadedModel& model,
                               attune::v1::TuningMethod& method);

// The values that a resolved method begins with, by name: "weights.{weight}" as
// the model has them, "lora.{module}.down" even noise and "lora.{module}.up"
// zeros (Hu et al. 2021), so that the model is the base at first. All fp32, on
// the CPU. Empty for other methods.
TensorMap MakeInitialAdaptation(const LoadedModel& model,
                                const attune::v1::TuningMethod& method,
                                uint64_t seed);

// The values as an adaptation that shares their tensors, without dropout.
Adaptation AdaptationOf(const attune::v1::TuningMethod& method,
                        const TensorMap& values);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_TRAINED_ADAPTATION_H_
