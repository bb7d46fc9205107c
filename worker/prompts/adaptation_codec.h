#ifndef ATTUNE_WORKER_PROMPTS_ADAPTATION_CODEC_H_
#define ATTUNE_WORKER_PROMPTS_ADAPTATION_CODEC_H_

#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "attune/v1/method.pb.h"
#include "proto/cc/artifact.h"
#include "worker/models/adaptation.h"
#include "worker/models/model_config.h"

namespace attune::worker {

// Trained weights of the model itself, by canonical name.
inline constexpr std::string_view kWeightsFile = "attune_weights.safetensors";

// Writes a low-rank adaptation as PEFT itself writes LORA: adapter_config.json
// and adapter_model.safetensors. `base_model` is the name that PEFT looks for.
absl::Status EncodeLora(const Adaptation& adaptation,
                        const attune::v1::Lora& lora, const ModelConfig& config,
                        std::string_view base_model, Artifact& artifact);

// Reads it back. PEFT's names of an encoder's modules leave the body's prefix
// out, see ResolveModules. DATA_LOSS (kCorruptArtifact) naming the file and
// what is wrong.
absl::StatusOr<Adaptation> DecodeLora(const Artifact& artifact);

// Writes or reads the weights of an adaptation. Errors as above.
absl::Status EncodeWeights(const Adaptation& adaptation, Artifact& artifact);
absl::StatusOr<Adaptation> DecodeWeights(const Artifact& artifact);

// Gives the modules the names that `model` has for them. InvalidArgument naming
// one that it does not have.
absl::StatusOr<Adaptation> ResolveModules(Adaptation adaptation,
                                          const BaseModel& model);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_PROMPTS_ADAPTATION_CODEC_H_
