#include "worker/prompts/artifact_files.h"

#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::worker {

absl::Status CorruptArtifactFile(std::string_view file, std::string_view what) {
  return MakeError(Reason::kCorruptArtifact,
                   Concat("file '", file, "' of the prompt's artifact: ", what),
                   {{"file", std::string(file)}});
}

absl::StatusOr<const std::string*> FindFile(const Artifact& artifact,
                                            std::string_view name) {
  const auto found = artifact.files.find(std::string(name));
  if (found == artifact.files.end()) {
    return CorruptArtifactFile(name, "it is missing");
  }
  return &found->second;
}

absl::StatusOr<TensorMap> ReadTensors(const Artifact& artifact,
                                      std::string_view name) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string* bytes, FindFile(artifact, name));
  absl::StatusOr<Safetensors> file =
      Safetensors::FromBytes(*bytes, std::string(name));
  if (!file.ok())
    return CorruptArtifactFile(name, ToStd(file.status().message()));
  TensorMap tensors;
  for (const auto& [key, entry] : file->entries()) {
    absl::StatusOr<at::Tensor> tensor = file->GetFinite(key);
    if (!tensor.ok()) {
      return CorruptArtifactFile(name, ToStd(tensor.status().message()));
    }
    tensors[key] = *std::move(tensor);
  }
  return tensors;
}

}  // namespace attune::worker
