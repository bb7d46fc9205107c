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

namespace attune::worker {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxConfigBytes = size_t{1} << 20;
constexpr size_t kMaxTokenizerBytes = size_t{64} << 20;

// An object; empty where the file is missing.
absl::StatusOr<Json> ReadOptional(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return Json::object();
  ATTUNE_ASSIGN_OR_RETURN(Json json, ReadJsonFile(path, kMaxConfigBytes));
  if (!json.is_object()) return CorruptFile(path, "not an object");
  return json;
}

// A special token is a string or an object with `content`.
std::string TokenText(const Json& config, const char* key) {
  const auto it = config.find(key);
  if (it == config.end()) return "";
  if (it->is_string()) return it->get<std::string>();
  if (it->is_object() && it->contains("content") &&
      (*it)["content"].is_string()) {
    return (*it)["content"].get<std::string>();
  }
  return "";
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

absl::StatusOr<ModelText> ReadModelText(const std::string& directory,
                                        const ModelConfig& config) {
  ModelText text;
  const std::string tokenizer_path = Concat(directory, "/tokenizer.json");
  ATTUNE_ASSIGN_OR_RETURN(std::string tokenizer_json,
                          ReadSmallFile(tokenizer_path, kMaxTokenizerBytes));
  auto tokenizer = Tokenizer::FromJson(tokenizer_json);
  if (!tokenizer.ok()) {
    return CorruptFile(tokenizer_path, ToStd(tokenizer.status().message()));
  }
  text.tokenizer = *std::move(tokenizer);
  ATTUNE_ASSIGN_OR_RETURN(
      const Json tokenizer_config,
      ReadOptional(Concat(directory, "/tokenizer_config.json")));
  ATTUNE_ASSIGN_OR_RETURN(
      const Json generation_config,
      ReadOptional(Concat(directory, "/generation_config.json")));
  text.bos_token = TokenText(tokenizer_config, "bos_token");
  text.eos_token = TokenText(tokenizer_config, "eos_token");

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
                          ChatTemplate(directory, tokenizer_config));
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
