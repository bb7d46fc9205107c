#ifndef ATTUNE_WORKER_MODELS_MODEL_FILES_H_
#define ATTUNE_WORKER_MODELS_MODEL_FILES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/models/model_config.h"
#include "worker/text/template.h"
#include "worker/text/tokenizer.h"

namespace attune::worker {

// What a model's small files say beside the weights.
struct ModelText {
  std::unique_ptr<const Tokenizer> tokenizer;
  std::unique_ptr<const Template> chat_template;  // null: there is none
  std::string bos_token;                          // empty: there is none
  std::string eos_token;
  std::vector<int64_t> stop_token_ids;  // ascending
};

// Reads <directory>/config.json. NotFound, InvalidArgument or Unimplemented
// with the path.
absl::StatusOr<ModelConfig> ReadModelConfig(const std::string& directory);

// Reads tokenizer.json, tokenizer_config.json and, where there,
// chat_template.jinja and generation_config.json. DataLoss naming the file
// that is corrupt.
absl::StatusOr<ModelText> ReadModelText(const std::string& directory,
                                        const ModelConfig& config);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_MODEL_FILES_H_
