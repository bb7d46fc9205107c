#ifndef ATTUNE_WORKER_PROMPTS_PEFT_NAMES_H_
#define ATTUNE_WORKER_PROMPTS_PEFT_NAMES_H_

#include <string_view>

#include "worker/models/model_config.h"

namespace attune::worker {

// The two files of a PEFT directory.
inline constexpr std::string_view kAdapterConfigFile = "adapter_config.json";
inline constexpr std::string_view kAdapterModelFile =
    "adapter_model.safetensors";
// The release of PEFT whose files ours are.
inline constexpr std::string_view kPeftVersion = "0.21.2";

// PEFT's name for what models of a kind are used for.
inline std::string_view PeftTaskType(ModelKind kind) {
  switch (kind) {
    case ModelKind::kCausal:
      return "CAUSAL_LM";
    case ModelKind::kEncoder:
      return "FEATURE_EXTRACTION";
    case ModelKind::kEncoderDecoder:
      return "SEQ_2_SEQ_LM";
  }
  return "";
}

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_PROMPTS_PEFT_NAMES_H_
