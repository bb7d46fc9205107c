#ifndef ATTUNE_WORKER_MODELS_TOKENIZER_SETTINGS_H_
#define ATTUNE_WORKER_MODELS_TOKENIZER_SETTINGS_H_

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/models/tokenizer_family.h"

namespace attune::worker {

// A token that is found in the text before the vocabulary is asked.
struct AddedToken {
  std::string content;
  bool single_word = false;  // only between characters that are no word's
  bool lstrip = false;       // takes the white space before it, too
  bool rstrip = false;
  bool normalized = false;  // looked for in the normalised text
  bool special = false;
};

// What a model directory says about its tokenizer beside the vocabulary.
struct TokenizerSettings {
  // tokenizer_config.json, an object, and where it is.
  nlohmann::json config;
  std::string config_path;
  // Null: none is known for it.
  const TokenizerFamily* family = nullptr;
  // By role, e.g. "bos_token": the files' ones, and the family's where the
  // files are silent. A role without a token is missing.
  std::map<std::string, AddedToken, std::less<>> special_tokens;
  // The roles that the files give a token or say to have none.
  std::set<std::string, std::less<>> named_roles;
  // The others, in the order of their ids.
  std::vector<AddedToken> added_tokens;
  // Special tokens without a role, e.g. additional_special_tokens.
  std::vector<AddedToken> extra_tokens;

  // The text of a role's token; empty if there is none.
  std::string SpecialText(std::string_view role) const;

  // A key of tokenizer_config.json, `otherwise` where it is missing or null.
  // DataLoss naming file and key if it is no boolean.
  absl::StatusOr<bool> Flag(const char* key, bool otherwise) const;
};

// Reads tokenizer_config.json and, unless that lists the added tokens itself,
// special_tokens_map.json and added_tokens.json of <directory>; each may be
// missing. `model_type`: of config.json. DataLoss naming file and key.
absl::StatusOr<TokenizerSettings> ReadTokenizerSettings(
    const std::string& directory, std::string_view model_type);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_TOKENIZER_SETTINGS_H_
