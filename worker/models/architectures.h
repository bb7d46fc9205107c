#ifndef ATTUNE_WORKER_MODELS_ARCHITECTURES_H_
#define ATTUNE_WORKER_MODELS_ARCHITECTURES_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "worker/models/base_model.h"
#include "worker/models/config_reader.h"
#include "worker/models/model_config.h"
#include "worker/models/weight_loader.h"

namespace attune::worker {

// How the models of one `model_type` are read and loaded. A new architecture is
// a file pair and a line in architectures.cc.
struct Architecture {
  std::string_view model_type;
  absl::StatusOr<ModelConfig> (*read_config)(const ConfigReader& reader);
  absl::StatusOr<std::unique_ptr<BaseModel>> (*load)(const ModelConfig& config,
                                                     WeightLoader& weights);
};

// Null for a model_type that no code here computes.
const Architecture* FindArchitecture(std::string_view model_type);

// The model_types there are, "gemma3_text, gpt2, ...".
std::string ArchitectureNames();

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_ARCHITECTURES_H_
