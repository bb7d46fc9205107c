#ifndef ATTUNE_WORKER_MODELS_MODEL_FILES_H_
#define ATTUNE_WORKER_MODELS_MODEL_FILES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
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
  // Texts of the special tokens; empty: there is none.
  std::string bos_token;
  std::string eos_token;
  std::string unk_token;
  std::string sep_token;
  std::string pad_token;
  std::string cls_token;
  std::string mask_token;
  std::vector<int64_t> stop_token_ids;  // ascending
};

// Reads <directory>/config.json. NotFound, InvalidArgument or Unimplemented
// with the path.
absl::StatusOr<ModelConfig> ReadModelConfig(const std::string& directory);

// Reads tokenizer.json or, where it is missing, builds the tokenizer from the
// vocabulary files of its family (tokenizer_builder.h). `model_type`: of
// config.json.
absl::StatusOr<std::unique_ptr<const Tokenizer>> ReadTokenizer(
    const std::string& directory, std::string_view model_type);

// The files that decide how text becomes ids: tokenizer.json, or what there is
// of the others where that is missing.
std::vector<std::string> TokenizerSources(const std::string& directory);

// Reads the tokenizer, its settings (tokenizer_config.json and what older
// releases of transformers write beside it) and, where there,
// chat_template.jinja and generation_config.json. DataLoss naming the file
// that is corrupt.
absl::StatusOr<ModelText> ReadModelText(const std::string& directory,
                                        const ModelConfig& config);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_MODEL_FILES_H_
