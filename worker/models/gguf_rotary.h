#ifndef ATTUNE_WORKER_MODELS_GGUF_ROTARY_H_
#define ATTUNE_WORKER_MODELS_GGUF_ROTARY_H_

#include <cstdint>
#include <nlohmann/json_fwd.hpp>

#include "absl/status/status.h"
#include "worker/models/gguf_keys.h"

namespace attune::worker {

// Where llama.cpp keeps what Llama 3's rotary scaling divides the frequencies
// by: fp32 [head_dim / 2].
inline constexpr char kRopeFactorsTensor[] = "rope_freqs.weight";

// Writes how positions rotate a head of `head_dim` elements into a config.json:
// `rope_theta` and, where positions are scaled, `rope_scaling`. Linear scaling
// and Llama 3's are known. Of Llama 3's the file has the result only,
// kRopeFactorsTensor: its parameters are found again and accepted if they give
// every number of the tensor. Unimplemented naming key and value, or the
// tensor, for any other.
absl::Status WriteGgufRotary(const GgufKeys& keys, int64_t head_dim,
                             nlohmann::ordered_json& config);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_GGUF_ROTARY_H_
