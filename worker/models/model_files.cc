#include "worker/models/model_files.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/json_reader.h"
#include "worker/models/mapped_file.h"
#include "worker/models/tokenizer_builder.h"
#include "worker/models/tokenizer_settings.h"

namespace attune::worker {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxConfigBytes = size_t{1} << 20;
constexpr size_t kMaxTokenizerBytes = size_t{64} << 20;

absl::StatusOr<std::unique_ptr<const Tokenizer>> LoadTokenizer(
    const std::string& directory, const TokenizerSettings& settings) {
  std::string origin = Concat(directory, "/tokenizer.json");
  absl::StatusOr<std::string> json = ReadSmallFile(origin, kMaxTokenizerBytes);
  if (absl::IsNotFound(json.status())) {
    origin = Concat(directory, ": tokenizer built from its vocabulary");
    json = BuildTokenizerJson(directory, settings);
  }
  ATTUNE_RETURN_IF_ERROR(json.status());
  auto tokenizer = Tokenizer::FromJson(*json);
  if (!tokenizer.ok()) {
    return CorruptFile(origin, ToStd(tokenizer.status().message()));
  }
  return *std::move(tokenizer);
}

// The text of a role's token. One that only the family's defaults name counts
// if the tokenizer has it.
std::string TextOfRole(const TokenizerSettings& settings, const char* role,
                       const Tokenizer& tokenizer) {
  const std::string text = settings.SpecialText(role);
  const bool is_named = settings.named_roles.contains(role);
  return is_named || tokenizer.TokenToId(text).has_value() ? text : "";
}

// The chat template: a file of its own, a string, or a list of named ones of
// which "default" counts.
absl::StatusOr<std::string> ChatTemplate(const std::string& directory,
                                         const Json& config) {
  const std::string path = Concat(directory, "/chat_template.jinja");
  std::error_code error;
  if (std::filesystem::exists(path, error)) {
    return ReadSmallFile(path, Template::kMaxSourceBytes);
  }
  const auto it = config.find("chat_template");
  if (it == config.end()) return std::string();
  if (it->is_string()) return it->get<std::string>();
  if (it->is_array()) {
    for (const Json& named : *it) {
      if (named.is_object() && named.value("name", Json()) == "default" &&
          named.contains("template") && named["template"].is_string()) {
        return named["template"].get<std::string>();
      }
    }
  }
  return std::string();
}

}  // namespace

absl::StatusOr<ModelConfig> ReadModelConfig(const std::string& directory) {
  ATTUNE_ASSIGN_OR_RETURN(
      std::string text,
      ReadSmallFile(Concat(directory, "/config.json"), kMaxConfigBytes));
  absl::StatusOr<ModelConfig> config = ParseModelConfig(text);
  if (!config.ok()) return WithContext(config.status(), directory);
  return config;
}

absl::StatusOr<std::unique_ptr<const Tokenizer>> ReadTokenizer(
    const std::string& directory, std::string_view model_type) {
  ATTUNE_ASSIGN_OR_RETURN(const TokenizerSettings settings,
                          ReadTokenizerSettings(directory, model_type));
  return LoadTokenizer(directory, settings);
}

std::vector<std::string> TokenizerSources(const std::string& directory) {
  std::error_code error;
  std::string single = Concat(directory, "/tokenizer.json");
  if (std::filesystem::exists(single, error)) return {std::move(single)};
  std::vector<std::string> files;
  for (const char* name :
       {"vocab.txt", "vocab.json", "merges.txt", "spiece.model",
        "sentencepiece.bpe.model", "tokenizer_config.json",
        "special_tokens_map.json", "added_tokens.json"}) {
    std::string path = Concat(directory, "/", name);
    if (std::filesystem::exists(path, error)) files.push_back(std::move(path));
  }
  return files;
}

absl::StatusOr<ModelText> ReadModelText(const std::string& directory,
                                        const ModelConfig& config) {
  ModelText text;
  ATTUNE_ASSIGN_OR_RETURN(const TokenizerSettings settings,
                          ReadTokenizerSettings(directory, config.family));
  ATTUNE_ASSIGN_OR_RETURN(text.tokenizer, LoadTokenizer(directory, settings));
  ATTUNE_ASSIGN_OR_RETURN(
      const Json generation_config,
      ReadOptionalObject(Concat(directory, "/generation_config.json"),
                         kMaxConfigBytes));
  for (const auto& [role, member] :
       {std::pair{"bos_token", &ModelText::bos_token},
        {"eos_token", &ModelText::eos_token},
        {"unk_token", &ModelText::unk_token},
        {"sep_token", &ModelText::sep_token},
        {"pad_token", &ModelText::pad_token},
        {"cls_token", &ModelText::cls_token},
        {"mask_token", &ModelText::mask_token}}) {
    text.*member = TextOfRole(settings, role, *text.tokenizer);
  }

  std::set<int64_t> stops(config.eos_token_ids.begin(),
                          config.eos_token_ids.end());
  const auto generation_stops = generation_config.find("eos_token_id");
  if (generation_stops != generation_config.end()) {
    const Json list = generation_stops->is_array()
                          ? *generation_stops
                          : Json::array({*generation_stops});
    for (const Json& id : list) {
      if (id.is_number_integer()) stops.insert(id.get<int64_t>());
    }
  }
  const std::optional<int64_t> eos = text.tokenizer->TokenToId(text.eos_token);
  if (eos.has_value()) stops.insert(*eos);
  text.stop_token_ids.assign(stops.begin(), stops.end());

  ATTUNE_ASSIGN_OR_RETURN(const std::string source,
                          ChatTemplate(directory, settings.config));
  if (!source.empty()) {
    auto chat_template = Template::CompileChat(source);
    if (!chat_template.ok()) {
      return CorruptFile(Concat(directory, ": chat template"),
                         ToStd(chat_template.status().message()));
    }
    text.chat_template = *std::move(chat_template);
  }
  return text;
}

}  // namespace attune::worker
