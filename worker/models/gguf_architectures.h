#ifndef ATTUNE_WORKER_MODELS_GGUF_ARCHITECTURES_H_
#define ATTUNE_WORKER_MODELS_GGUF_ARCHITECTURES_H_

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/models/gguf_keys.h"
#include "worker/models/model_config.h"

namespace attune::worker {

// One tensor on its way from a GGUF file to a Hugging Face checkpoint.
struct GgufMove {
  // What llama.cpp's converter did to it, to be undone.
  enum class Change {
    kNone,
    kPermuted,    // a head's rows put in pairs that rotate together
    kTransposed,  // [out, in], where transformers' Conv1D has [in, out]
    kOneAdded,    // a norm's weights, which Gemma counts from one
  };

  std::string from;
  std::string to;              // empty: config.json has it
  std::vector<int64_t> shape;  // in the GGUF file, row-major
  Change change = Change::kNone;
  int64_t heads = 0;  // of kPermuted
};

// How llama.cpp writes one architecture into a GGUF file: names of keys and
// tensors as in its gguf-py, the meaning of keys as its loader reads them.
struct GgufArchitecture {
  std::string_view name;  // general.architecture
  // config.json. Unimplemented or DataLoss naming the key that stands in the
  // way. What it copies is only checked by ParseModelConfig.
  absl::StatusOr<nlohmann::ordered_json> (*write_config)(const GgufKeys& keys);
  // Every tensor that a file of this config has.
  std::vector<GgufMove> (*list_moves)(const ModelConfig& config);
};

// Null if files of that architecture can't be imported.
const GgufArchitecture* FindGgufArchitecture(std::string_view name);

// The names of those that can, for messages.
std::string GgufArchitectureNames();

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_GGUF_ARCHITECTURES_H_
