#include "worker/models/model_config.h"

#include "absl/status/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/architectures.h"
#include "worker/models/config_reader.h"

namespace attune::worker {

std::string_view ModelKindName(ModelKind kind) {
  switch (kind) {
    case ModelKind::kCausal:
      return "causal";
    case ModelKind::kEncoder:
      return "encoder";
    case ModelKind::kEncoderDecoder:
      return "encoder-decoder";
  }
  return "";
}

absl::StatusOr<ModelConfig> ParseModelConfig(std::string_view json) {
  ATTUNE_ASSIGN_OR_RETURN(const ConfigReader reader, ConfigReader::Parse(json));
  const Architecture* architecture = FindArchitecture(reader.family());
  if (architecture == nullptr) {
    return absl::UnimplementedError(
        Concat("config.json: 'model_type' = \"", reader.family(),
               "\" is not supported; there are: ", ArchitectureNames()));
  }
  return architecture->read_config(reader);
}

}  // namespace attune::worker
