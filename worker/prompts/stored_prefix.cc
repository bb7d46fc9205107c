#include "worker/prompts/stored_prefix.h"

#include <string>

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/safetensors.h"
#include "worker/prompts/artifact_files.h"

namespace attune::worker {
namespace {

constexpr char kKeys[] = "keys";
constexpr char kValues[] = "values";

}  // namespace

absl::Status EncodePrefixLayers(const StoredPrefix& prefix,
                                Artifact& artifact) {
  ATTUNE_ASSIGN_OR_RETURN(
      artifact.files[std::string(kPrefixFile)],
      WriteSafetensors({{kKeys, prefix.keys}, {kValues, prefix.values}}));
  return absl::OkStatus();
}

absl::StatusOr<StoredPrefix> DecodePrefixLayers(
    const Artifact& artifact, const attune::v1::PrefixTuning& method) {
  ATTUNE_ASSIGN_OR_RETURN(TensorMap tensors,
                          ReadTensors(artifact, kPrefixFile));
  if (tensors.size() != 2 || !tensors.contains(kKeys) ||
      !tensors.contains(kValues)) {
    return CorruptArtifactFile(
        kPrefixFile, Concat("it must hold the tensors '", kKeys, "' and '",
                            kValues, "' and no other"));
  }
  const at::Tensor& keys = tensors.at(kKeys);
  const at::Tensor& values = tensors.at(kValues);
  if (keys.dim() != 4 || keys.sizes() != values.sizes() || keys.numel() == 0 ||
      keys.size(0) != method.num_layers() ||
      keys.size(2) != method.num_virtual_tokens() || method.first_layer() < 0) {
    return CorruptArtifactFile(
        kPrefixFile,
        Concat("its tensors must both be [", method.num_layers(),
               " layers, heads, ", method.num_virtual_tokens(),
               " positions, width], as the version's method says"));
  }
  return StoredPrefix{keys, values, method.first_layer()};
}

}  // namespace attune::worker
