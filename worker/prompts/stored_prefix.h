#ifndef ATTUNE_WORKER_PROMPTS_STORED_PREFIX_H_
#define ATTUNE_WORKER_PROMPTS_STORED_PREFIX_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "attune/v1/method.pb.h"
#include "proto/cc/artifact.h"

namespace attune::worker {

// Keys and values in front of those of layers, each [layers, kv_heads, length,
// head_dim], fp32, on the CPU; undefined where there are none.
struct StoredPrefix {
  at::Tensor keys;
  at::Tensor values;
  int64_t first_layer = 0;
};

// A prefix that leaves layers out, which PEFT does not know: this file stands
// in the place of PEFT's, with the tensors "keys" and "values" as above.
inline constexpr std::string_view kPrefixFile = "attune_prefix.safetensors";

absl::Status EncodePrefixLayers(const StoredPrefix& prefix, Artifact& artifact);

// Reads it back; the version's method says which layers they are. DATA_LOSS
// (kCorruptArtifact) naming the file and what is wrong.
absl::StatusOr<StoredPrefix> DecodePrefixLayers(
    const Artifact& artifact, const attune::v1::PrefixTuning& method);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_PROMPTS_STORED_PREFIX_H_
