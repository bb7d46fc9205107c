#include "worker/models/tokenizer_settings.h"

#include <charconv>
#include <set>
#include <utility>

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/json_reader.h"
#include "worker/models/mapped_file.h"

namespace attune::worker {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxSettingsBytes = size_t{4} << 20;
constexpr int64_t kMaxAddedTokenId = int64_t{1} << 24;

// A token as its text or as an object with `content` and flags.
absl::StatusOr<AddedToken> ParseAddedToken(const Json& value,
                                           const std::string& path,
                                           std::string_view key, bool special) {
  AddedToken token;
  token.special = special;
  if (value.is_string()) {
    token.content = value.get<std::string>();
    token.normalized = !special;
    return token;
  }
  if (!value.is_object() || !value.contains("content") ||
      !value["content"].is_string()) {
    return CorruptFile(
        path, Concat("'", key, "' is neither a text nor has 'content'"));
  }
  token.content = value["content"].get<std::string>();
  const auto flag = [&](const char* name, bool otherwise) {
    const auto it = value.find(name);
    return it != value.end() && it->is_boolean() ? it->get<bool>() : otherwise;
  };
  token.single_word = flag("single_word", false);
  token.lstrip = flag("lstrip", false);
  token.rstrip = flag("rstrip", false);
  token.special = special || flag("special", false);
  token.normalized = flag("normalized", !token.special);
  return token;
}

// The special tokens of tokenizer_config.json or special_tokens_map.json.
absl::Status ReadSpecialKeys(const Json& object, const std::string& path,
                             TokenizerSettings& settings) {
  for (const std::string_view role : kSpecialTokenRoles) {
    const auto it = object.find(std::string(role));
    if (it == object.end()) continue;
    settings.named_roles.emplace(role);
    settings.special_tokens.erase(std::string(role));
    if (it->is_null()) continue;
    ATTUNE_ASSIGN_OR_RETURN(settings.special_tokens[std::string(role)],
                            ParseAddedToken(*it, path, role, /*special=*/true));
  }
  for (const char* key :
       {"additional_special_tokens", "extra_special_tokens"}) {
    const auto it = object.find(key);
    if (it == object.end() || !(it->is_array() || it->is_object())) continue;
    for (const Json& value : *it) {
      ATTUNE_ASSIGN_OR_RETURN(
          AddedToken token,
          ParseAddedToken(value, path, key, /*special=*/true));
      settings.extra_tokens.push_back(std::move(token));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> CheckAddedId(const Json& id, const std::string& path,
                                     std::string_view token) {
  if (id.is_number_integer() && id >= 0 && id < kMaxAddedTokenId) {
    return id.get<int64_t>();
  }
  return CorruptFile(
      path, Concat("the id of '", token, "', ", id.dump(),
                   ", is no whole number in [0, ", kMaxAddedTokenId, ")"));
}

// {"50257": {"content": "<pad>", ...}, ...}
absl::StatusOr<std::vector<AddedToken>> ReadAddedTokensDecoder(
    const Json& decoder, const std::string& path) {
  constexpr std::string_view kKey = "added_tokens_decoder";
  if (!decoder.is_object()) {
    return CorruptFile(path, Concat("'", kKey, "' is not an object"));
  }
  std::map<int64_t, AddedToken> by_id;
  for (const auto& [text, value] : decoder.items()) {
    int64_t number = -1;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), number);
    const bool whole = error == std::errc() && end == text.data() + text.size();
    ATTUNE_ASSIGN_OR_RETURN(
        const int64_t id,
        CheckAddedId(whole ? Json(number) : Json(text), path, kKey));
    ATTUNE_ASSIGN_OR_RETURN(
        by_id[id], ParseAddedToken(value, path, Concat(kKey, ".", text),
                                   /*special=*/false));
  }
  std::vector<AddedToken> tokens;
  for (auto& [id, token] : by_id) tokens.push_back(std::move(token));
  return tokens;
}

// {"<pad>": 50257, ...}
absl::StatusOr<std::vector<AddedToken>> ReadAddedTokensFile(
    const std::string& path) {
  ATTUNE_ASSIGN_OR_RETURN(const Json object,
                          ReadOptionalObject(path, kMaxSettingsBytes));
  std::map<int64_t, std::string> by_id;
  for (const auto& [text, value] : object.items()) {
    ATTUNE_ASSIGN_OR_RETURN(const int64_t id, CheckAddedId(value, path, text));
    const auto [it, added] = by_id.emplace(id, text);
    if (!added) {
      return CorruptFile(path, Concat("'", it->second, "' and '", text,
                                      "' both have the id ", id));
    }
  }
  std::vector<AddedToken> tokens;
  for (auto& [id, text] : by_id) {
    tokens.push_back({.content = std::move(text), .normalized = true});
  }
  return tokens;
}

// What has a role or is listed as special is special, and a role's token has
// the flags that the list of added tokens gives it.
void JoinAddedAndSpecial(TokenizerSettings& settings, bool flags_are_known) {
  std::set<std::string> special;
  for (const auto& [role, token] : settings.special_tokens) {
    special.insert(token.content);
  }
  if (!flags_are_known) {
    for (const AddedToken& token : settings.extra_tokens) {
      special.insert(token.content);
    }
  }
  for (AddedToken& added : settings.added_tokens) {
    if (!special.contains(added.content)) continue;
    added.special = true;
    if (!flags_are_known) added.normalized = false;
    for (auto& [role, token] : settings.special_tokens) {
      if (token.content == added.content) token = added;
    }
  }
}

}  // namespace

std::string TokenizerSettings::SpecialText(std::string_view role) const {
  const auto it = special_tokens.find(role);
  return it == special_tokens.end() ? std::string() : it->second.content;
}

absl::StatusOr<bool> TokenizerSettings::Flag(const char* key,
                                             bool otherwise) const {
  const auto it = config.find(key);
  if (it == config.end() || it->is_null()) return otherwise;
  if (it->is_boolean()) return it->get<bool>();
  return CorruptFile(config_path, Concat("'", key, "' is not true or false"));
}

absl::StatusOr<TokenizerSettings> ReadTokenizerSettings(
    const std::string& directory, std::string_view model_type) {
  TokenizerSettings settings;
  settings.config_path = Concat(directory, "/tokenizer_config.json");
  ATTUNE_ASSIGN_OR_RETURN(
      settings.config,
      ReadOptionalObject(settings.config_path, kMaxSettingsBytes));
  const auto named = settings.config.find("tokenizer_class");
  settings.family =
      FindTokenizerFamily(named != settings.config.end() && named->is_string()
                              ? named->get<std::string>()
                              : std::string(),
                          model_type);

  ATTUNE_RETURN_IF_ERROR(
      ReadSpecialKeys(settings.config, settings.config_path, settings));
  const auto decoder = settings.config.find("added_tokens_decoder");
  const bool has_decoder = decoder != settings.config.end();
  if (has_decoder) {
    ATTUNE_ASSIGN_OR_RETURN(
        settings.added_tokens,
        ReadAddedTokensDecoder(*decoder, settings.config_path));
  } else {
    const std::string map_path = Concat(directory, "/special_tokens_map.json");
    ATTUNE_ASSIGN_OR_RETURN(const Json map,
                            ReadOptionalObject(map_path, kMaxSettingsBytes));
    ATTUNE_RETURN_IF_ERROR(ReadSpecialKeys(map, map_path, settings));
    ATTUNE_ASSIGN_OR_RETURN(
        settings.added_tokens,
        ReadAddedTokensFile(Concat(directory, "/added_tokens.json")));
  }
  if (settings.family != nullptr) {
    for (size_t i = 0; i < kSpecialTokenRoles.size(); ++i) {
      const std::string role(kSpecialTokenRoles[i]);
      const std::string_view text = settings.family->special_tokens[i];
      if (text.empty() || settings.named_roles.contains(role)) continue;
      settings.special_tokens[role] = {.content = std::string(text),
                                       .special = true};
    }
  }
  JoinAddedAndSpecial(settings, has_decoder);
  return settings;
}

}  // namespace attune::worker
