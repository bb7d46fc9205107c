#include "worker/models/gguf_tokenizer.h"

#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/text/tokenizer.h"

namespace attune::worker {
namespace {

using OrderedJson = nlohmann::ordered_json;

// llama.cpp's token types.
constexpr int64_t kUnknown = 2;
constexpr int64_t kControl = 3;
constexpr int64_t kUserDefined = 4;

OrderedJson ByteLevel(bool add_prefix_space) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", add_prefix_space},
          {"trim_offsets", true},
          {"use_regex", true}};
}

absl::StatusOr<OrderedJson> PreTokenizer(const Gguf& gguf) {
  const auto model = gguf.Get<std::string>("tokenizer.ggml.model");
  ATTUNE_RETURN_IF_ERROR(model.status());
  if (*model != "gpt2") {
    return absl::UnimplementedError(
        Concat(gguf.origin(), ": tokenizer.ggml.model '", *model,
               "' is not supported, only 'gpt2' (byte-level BPE) is"));
  }
  ATTUNE_ASSIGN_OR_RETURN(std::string name,
                          gguf.Get<std::string>("tokenizer.ggml.pre"));
  ATTUNE_ASSIGN_OR_RETURN(
      bool prefix_space,
      gguf.GetOr<bool>("tokenizer.ggml.add_space_prefix", false));
  if (name == "gpt-2") return ByteLevel(prefix_space);
  if (name == "smollm") {
    const OrderedJson digits = {{"type", "Digits"},
                                {"individual_digits", true}};
    return OrderedJson{{"type", "Sequence"},
                       {"pretokenizers", {digits, ByteLevel(prefix_space)}}};
  }
  return absl::UnimplementedError(
      Concat(gguf.origin(), ": tokenizer.ggml.pre '", name,
             "' is not supported, only 'smollm' and 'gpt-2' are"));
}

absl::StatusOr<OrderedJson> AddedTokens(
    const Gguf& gguf, const std::vector<std::string>& tokens) {
  using Ids = std::vector<int64_t>;
  ATTUNE_ASSIGN_OR_RETURN(Ids types,
                          gguf.GetOr<Ids>("tokenizer.ggml.token_type", {}));
  if (!types.empty() && types.size() != tokens.size()) {
    return CorruptFile(gguf.origin(), Concat(tokens.size(), " tokens, ",
                                             types.size(), " types"));
  }
  OrderedJson added = OrderedJson::array();
  for (size_t id = 0; id < types.size(); ++id) {
    const bool special = types[id] == kControl || types[id] == kUnknown;
    if (!special && types[id] != kUserDefined) continue;
    added.push_back({{"id", id},
                     {"content", tokens[id]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", special}});
  }
  return added;
}

absl::StatusOr<OrderedJson> BpeModel(const Gguf& gguf,
                                     const std::vector<std::string>& tokens) {
  std::map<std::string, size_t> vocab;
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (!vocab.emplace(tokens[id], id).second) {
      return CorruptFile(gguf.origin(),
                         Concat("token '", tokens[id], "' occurs twice"));
    }
  }
  ATTUNE_ASSIGN_OR_RETURN(
      std::vector<std::string> merges,
      gguf.Get<std::vector<std::string>>("tokenizer.ggml.merges"));
  OrderedJson pairs = OrderedJson::array();
  for (const std::string& merge : merges) {
    const size_t space = merge.find(' ');
    if (space == std::string::npos) {
      return CorruptFile(gguf.origin(),
                         Concat("merge '", merge, "' is no pair"));
    }
    pairs.push_back({merge.substr(0, space), merge.substr(space + 1)});
  }
  return OrderedJson{{"type", "BPE"},
                     {"dropout", nullptr},
                     {"unk_token", nullptr},
                     {"continuing_subword_prefix", nullptr},
                     {"end_of_word_suffix", nullptr},
                     {"fuse_unk", false},
                     {"byte_fallback", false},
                     {"ignore_merges", false},
                     {"vocab", vocab},
                     {"merges", std::move(pairs)}};
}

// A special token's id, -1 where the file names none.
absl::StatusOr<int64_t> SpecialId(const Gguf& gguf, std::string_view name,
                                  const std::vector<std::string>& tokens) {
  const std::string key = Concat("tokenizer.ggml.", name, "_token_id");
  ATTUNE_ASSIGN_OR_RETURN(int64_t id, gguf.GetOr<int64_t>(key, -1));
  if (id < -1 || id >= static_cast<int64_t>(tokens.size())) {
    return CorruptFile(gguf.origin(),
                       Concat(key, " = ", id, " is no token's id"));
  }
  return id;
}

// Adds the begin-of-sequence token before every text.
OrderedJson BosProcessor(const std::string& bos, int64_t id) {
  const OrderedJson special = {{"SpecialToken", {{"id", bos}, {"type_id", 0}}}};
  const OrderedJson first = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const OrderedJson second = {{"Sequence", {{"id", "B"}, {"type_id", 1}}}};
  return {{"type", "TemplateProcessing"},
          {"single", {special, first}},
          {"pair", {special, first, special, second}},
          {"special_tokens",
           {{bos,
             {{"id", bos},
              {"ids", OrderedJson::array({id})},
              {"tokens", OrderedJson::array({bos})}}}}}};
}

absl::StatusOr<TokenizerFiles> Convert(const Gguf& gguf,
                                       int64_t context_length) {
  ATTUNE_ASSIGN_OR_RETURN(
      std::vector<std::string> tokens,
      gguf.Get<std::vector<std::string>>("tokenizer.ggml.tokens"));
  OrderedJson tokenizer = {
      {"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
  ATTUNE_ASSIGN_OR_RETURN(tokenizer["added_tokens"], AddedTokens(gguf, tokens));
  tokenizer["normalizer"] = nullptr;
  ATTUNE_ASSIGN_OR_RETURN(tokenizer["pre_tokenizer"], PreTokenizer(gguf));
  tokenizer["post_processor"] = nullptr;
  tokenizer["decoder"] = ByteLevel(/*add_prefix_space=*/true);
  ATTUNE_ASSIGN_OR_RETURN(tokenizer["model"], BpeModel(gguf, tokens));

  OrderedJson config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                        {"clean_up_tokenization_spaces", false},
                        {"model_max_length", context_length}};
  OrderedJson generation = OrderedJson::object();
  constexpr std::pair<const char*, const char*> kSpecials[] = {
      {"bos", "bos"}, {"eos", "eos"}, {"padding", "pad"}, {"unknown", "unk"}};
  for (const auto& [gguf_name, name] : kSpecials) {
    ATTUNE_ASSIGN_OR_RETURN(int64_t id, SpecialId(gguf, gguf_name, tokens));
    if (id < 0) continue;
    config[Concat(name, "_token")] = tokens[id];
    if (std::string_view(name) == "unk") continue;
    generation[Concat(name, "_token_id")] = id;
  }
  ATTUNE_ASSIGN_OR_RETURN(
      bool add_bos, gguf.GetOr<bool>("tokenizer.ggml.add_bos_token", false));
  if (add_bos) {
    if (!config.contains("bos_token")) {
      return CorruptFile(gguf.origin(), "add_bos_token without bos_token_id");
    }
    tokenizer["post_processor"] = BosProcessor(
        config["bos_token"], generation["bos_token_id"].get<int64_t>());
  }
  ATTUNE_ASSIGN_OR_RETURN(
      std::string chat_template,
      gguf.GetOr<std::string>("tokenizer.chat_template", ""));
  if (!chat_template.empty()) config["chat_template"] = chat_template;
  std::string tokenizer_json = tokenizer.dump(1);
  // What only the reader of the file finds, such as a merge of no tokens.
  const auto read = Tokenizer::FromJson(tokenizer_json);
  if (!read.ok()) {
    return CorruptFile(gguf.origin(), ToStd(read.status().message()));
  }
  return TokenizerFiles{.tokenizer_json = std::move(tokenizer_json),
                        .tokenizer_config_json = config.dump(2),
                        .generation_config_json = generation.dump(2),
                        .vocab_size = static_cast<int64_t>(tokens.size())};
}

}  // namespace

absl::StatusOr<TokenizerFiles> ConvertTokenizer(const Gguf& gguf,
                                                int64_t context_length) {
  try {
    return Convert(gguf, context_length);
  } catch (const nlohmann::json::exception& error) {
    // Text that is not UTF-8 shows when it is written.
    return CorruptFile(gguf.origin(), Concat("tokenizer: ", error.what()));
  }
}

}  // namespace attune::worker
