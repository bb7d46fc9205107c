#ifndef ATTUNE_WORKER_PROMPTS_ARTIFACT_FILES_H_
#define ATTUNE_WORKER_PROMPTS_ARTIFACT_FILES_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/cc/artifact.h"
#include "worker/models/safetensors.h"

namespace attune::worker {

// DATA_LOSS (kCorruptArtifact) naming the file of a prompt's artifact.
absl::Status CorruptArtifactFile(std::string_view file, std::string_view what);

// The bytes of a file, which belong to `artifact`; CorruptArtifactFile if it is
// missing.
absl::StatusOr<const std::string*> FindFile(const Artifact& artifact,
                                            std::string_view name);

// The tensors of a safetensors file: all of them fp32, of a rank above 0 and
// finite, or CorruptArtifactFile. Each lives on its own.
absl::StatusOr<TensorMap> ReadTensors(const Artifact& artifact,
                                      std::string_view name);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_PROMPTS_ARTIFACT_FILES_H_
