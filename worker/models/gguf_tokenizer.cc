#include "worker/models/gguf_tokenizer.h"

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/gguf_piece_merges.h"
#include "worker/models/tokenizer_family.h"
#include "worker/text/tokenizer.h"

namespace attune::worker {
namespace {

using OrderedJson = nlohmann::ordered_json;

// What sentencepiece writes for a space.
constexpr char kSpaceMark[] = "▁";

// As published with Llama 3.
constexpr char kLlama3Pattern[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// How a tokenizer of byte-level BPE cuts text before the merges apply, and what
// else llama.cpp takes for granted with it.
struct GgufPreTokenizer {
  std::string_view name;          // tokenizer.ggml.pre
  const char* pattern = nullptr;  // null: GPT-2's
  bool single_digits = false;     // every digit for itself, before GPT-2's
  bool nfc = false;
  bool ignore_merges = false;  // for what is a token as it stands
  bool add_bos = false;        // where the file does not say
};

constexpr GgufPreTokenizer kGgufPreTokenizers[] = {
    {.name = "gpt-2"},
    {.name = "llama-bpe",
     .pattern = kLlama3Pattern,
     .ignore_merges = true,
     .add_bos = true},
    {.name = "qwen2", .pattern = kQwen2Pattern, .nfc = true},
    {.name = "smollm", .single_digits = true},
};

// The parts of a tokenizer.json that kinds of tokenizers differ in.
struct GgufTokenizerParts {
  OrderedJson normalizer;
  OrderedJson pre_tokenizer;
  OrderedJson decoder;
  OrderedJson model;
  bool add_bos = false;  // where the file does not say
};

OrderedJson ByteLevel(bool add_prefix_space, bool use_regex = true) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", add_prefix_space},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

absl::StatusOr<GgufPreTokenizer> FindPreTokenizer(const Gguf& gguf) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string name,
                          gguf.Get<std::string>("tokenizer.ggml.pre"));
  std::string known;
  for (const GgufPreTokenizer& pre_tokenizer : kGgufPreTokenizers) {
    if (pre_tokenizer.name == name) return pre_tokenizer;
    known += Concat(known.empty() ? "" : ", ", pre_tokenizer.name);
  }
  return absl::UnimplementedError(
      Concat(gguf.origin(), ": tokenizer.ggml.pre ", QuoteBytes(name),
             " is not supported; there are: ", known));
}

OrderedJson PreTokenizerJson(const GgufPreTokenizer& how, bool prefix_space) {
  const auto sequence = [](OrderedJson first, OrderedJson second) {
    return OrderedJson{
        {"type", "Sequence"},
        {"pretokenizers",
         OrderedJson::array({std::move(first), std::move(second)})}};
  };
  if (how.pattern != nullptr) {
    return sequence({{"type", "Split"},
                     {"pattern", {{"Regex", how.pattern}}},
                     {"behavior", "Isolated"},
                     {"invert", false}},
                    ByteLevel(prefix_space, /*use_regex=*/false));
  }
  if (how.single_digits) {
    return sequence({{"type", "Digits"}, {"individual_digits", true}},
                    ByteLevel(prefix_space));
  }
  return ByteLevel(prefix_space);
}

// llama.cpp's type of every token.
absl::StatusOr<std::vector<int64_t>> TokenTypes(const Gguf& gguf,
                                                size_t num_tokens) {
  using Ids = std::vector<int64_t>;
  ATTUNE_ASSIGN_OR_RETURN(Ids types,
                          gguf.GetOr<Ids>("tokenizer.ggml.token_type", {}));
  if (types.empty()) types.assign(num_tokens, kGgufTokenNormal);
  if (types.size() != num_tokens) {
    return CorruptFile(gguf.origin(),
                       Concat(num_tokens, " tokens, ", types.size(), " types"));
  }
  return types;
}

OrderedJson AddedTokensJson(const std::vector<std::string>& tokens,
                            const std::vector<int64_t>& types) {
  OrderedJson added = OrderedJson::array();
  for (size_t id = 0; id < types.size(); ++id) {
    const bool special =
        types[id] == kGgufTokenControl || types[id] == kGgufTokenUnknown;
    if (!special && types[id] != kGgufTokenUserDefined) continue;
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

absl::StatusOr<std::map<std::string, size_t>> VocabularyOf(
    const Gguf& gguf, const std::vector<std::string>& tokens) {
  std::map<std::string, size_t> vocabulary;
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (!vocabulary.emplace(tokens[id], id).second) {
      return CorruptFile(gguf.origin(), Concat("token ", QuoteBytes(tokens[id]),
                                               " occurs twice"));
    }
  }
  return vocabulary;
}

OrderedJson BpeModel(const std::map<std::string, size_t>& vocabulary,
                     OrderedJson merges, OrderedJson unk_token,
                     bool byte_fallback, bool ignore_merges) {
  const bool fuse_unk = !unk_token.is_null();
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", std::move(unk_token)},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", fuse_unk},
          {"byte_fallback", byte_fallback},
          {"ignore_merges", ignore_merges},
          {"vocab", vocabulary},
          {"merges", std::move(merges)}};
}

absl::StatusOr<GgufTokenizerParts> ByteLevelGgufParts(
    const Gguf& gguf, const std::vector<std::string>& tokens) {
  ATTUNE_ASSIGN_OR_RETURN(const GgufPreTokenizer how, FindPreTokenizer(gguf));
  ATTUNE_ASSIGN_OR_RETURN(
      const bool prefix_space,
      gguf.GetOr<bool>("tokenizer.ggml.add_space_prefix", false));
  ATTUNE_ASSIGN_OR_RETURN(const auto vocabulary, VocabularyOf(gguf, tokens));
  ATTUNE_ASSIGN_OR_RETURN(
      const std::vector<std::string> merges,
      gguf.Get<std::vector<std::string>>("tokenizer.ggml.merges"));
  OrderedJson pairs = OrderedJson::array();
  for (const std::string& merge : merges) {
    const size_t space = merge.find(' ');
    if (space == std::string::npos) {
      return CorruptFile(gguf.origin(),
                         Concat("merge ", QuoteBytes(merge), " is no pair"));
    }
    pairs.push_back({merge.substr(0, space), merge.substr(space + 1)});
  }
  GgufTokenizerParts parts;
  if (how.nfc) parts.normalizer = {{"type", "NFC"}};
  parts.pre_tokenizer = PreTokenizerJson(how, prefix_space);
  parts.decoder = ByteLevel(/*add_prefix_space=*/true);
  parts.model = BpeModel(vocabulary, std::move(pairs), nullptr,
                         /*byte_fallback=*/false, how.ignore_merges);
  parts.add_bos = how.add_bos;
  return parts;
}

// Spaces become a visible mark, before the text too if `prefix` is set.
OrderedJson MarkSpaces(bool prefix) {
  const OrderedJson replace = {{"type", "Replace"},
                               {"pattern", {{"String", " "}}},
                               {"content", kSpaceMark}};
  if (!prefix) return replace;
  const OrderedJson prepend = {{"type", "Prepend"}, {"prepend", kSpaceMark}};
  return {{"type", "Sequence"},
          {"normalizers", OrderedJson::array({prepend, replace})}};
}

OrderedJson UnmarkSpaces(bool prefix) {
  const OrderedJson replace = {{"type", "Replace"},
                               {"pattern", {{"String", kSpaceMark}}},
                               {"content", " "}};
  const OrderedJson bytes = {{"type", "ByteFallback"}};
  const OrderedJson fuse = {{"type", "Fuse"}};
  OrderedJson steps = OrderedJson::array({replace, bytes, fuse});
  if (prefix) {
    steps.push_back(
        {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  return {{"type", "Sequence"}, {"decoders", std::move(steps)}};
}

// Sentencepiece's BPE, which has scores in place of merges. `tokens` become
// what the vocabulary calls them.
absl::StatusOr<GgufTokenizerParts> SentencePieceGgufParts(
    const Gguf& gguf, const std::vector<int64_t>& types,
    std::vector<std::string>& tokens) {
  for (const char* key : {"tokenizer.ggml.precompiled_charsmap",
                          "tokenizer.ggml.remove_extra_whitespaces"}) {
    const auto it = gguf.metadata().find(key);
    if (it == gguf.metadata().end() || it->second == Gguf::Value(false)) {
      continue;
    }
    return absl::UnimplementedError(
        Concat(gguf.origin(), ": ", key,
               " is not supported beside tokenizer.ggml.model 'llama'"));
  }
  using Scores = std::vector<double>;
  ATTUNE_ASSIGN_OR_RETURN(const Scores scores,
                          gguf.Get<Scores>("tokenizer.ggml.scores"));
  if (scores.size() != tokens.size()) {
    return CorruptFile(gguf.origin(), Concat(tokens.size(), " tokens, ",
                                             scores.size(), " scores"));
  }
  ATTUNE_ASSIGN_OR_RETURN(
      const bool prefix,
      gguf.GetOr<bool>("tokenizer.ggml.add_space_prefix", true));
  bool has_bytes = false;
  OrderedJson unk_token;
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (!std::isfinite(scores[id])) {
      return CorruptFile(gguf.origin(),
                         Concat("token ", id, " has the score ", scores[id]));
    }
    if (types[id] == kGgufTokenByte) has_bytes = true;
    if (types[id] == kGgufTokenUnknown && unk_token.is_null())
      unk_token = tokens[id];
    // llama.cpp's converter writes Gemma's tokens for several spaces with them.
    if (types[id] == kGgufTokenUserDefined &&
        tokens[id].find_first_not_of(' ') == std::string::npos) {
      std::string marks;
      for (size_t i = 0; i < tokens[id].size(); ++i) marks += kSpaceMark;
      tokens[id] = std::move(marks);
    }
  }
  ATTUNE_ASSIGN_OR_RETURN(const auto vocabulary, VocabularyOf(gguf, tokens));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<GgufPieceMerge> merges,
                          MergesOfScores(tokens, types, scores, gguf.origin()));
  OrderedJson pairs = OrderedJson::array();
  for (const auto& [left, right] : merges) {
    pairs.push_back({tokens[left], tokens[right]});
  }
  GgufTokenizerParts parts;
  parts.normalizer = MarkSpaces(prefix);
  parts.decoder = UnmarkSpaces(prefix);
  parts.model = BpeModel(vocabulary, std::move(pairs), std::move(unk_token),
                         has_bytes, /*ignore_merges=*/false);
  parts.add_bos = true;
  return parts;
}

absl::StatusOr<GgufTokenizerParts> GgufParts(const Gguf& gguf,
                                             const std::vector<int64_t>& types,
                                             std::vector<std::string>& tokens) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string model,
                          gguf.Get<std::string>("tokenizer.ggml.model"));
  if (model == "gpt2") return ByteLevelGgufParts(gguf, tokens);
  if (model == "llama") return SentencePieceGgufParts(gguf, types, tokens);
  return absl::UnimplementedError(
      Concat(gguf.origin(), ": tokenizer.ggml.model ", QuoteBytes(model),
             " is not supported, only 'gpt2' (byte-level BPE) and 'llama' "
             "(sentencepiece's BPE) are"));
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

// The special tokens in tokenizer_config.json's and generation_config.json's
// words.
absl::Status WriteSpecialTokens(const Gguf& gguf,
                                const std::vector<std::string>& tokens,
                                OrderedJson& config, OrderedJson& generation) {
  constexpr std::pair<const char*, const char*> kSpecials[] = {
      {"bos", "bos"}, {"eos", "eos"}, {"padding", "pad"}, {"unknown", "unk"}};
  for (const auto& [gguf_name, name] : kSpecials) {
    ATTUNE_ASSIGN_OR_RETURN(int64_t id, SpecialId(gguf, gguf_name, tokens));
    if (id < 0) continue;
    config[Concat(name, "_token")] = tokens[id];
    if (std::string_view(name) == "unk") continue;
    generation[Concat(name, "_token_id")] = id;
  }
  // An answer in a chat may end with another token than a text does.
  ATTUNE_ASSIGN_OR_RETURN(const int64_t end_of_turn,
                          SpecialId(gguf, "eot", tokens));
  if (end_of_turn < 0) return absl::OkStatus();
  OrderedJson ends = OrderedJson::array();
  if (generation.contains("eos_token_id")) {
    ends.push_back(generation["eos_token_id"]);
  }
  if (ends.empty() || ends[0] != end_of_turn) ends.push_back(end_of_turn);
  generation["eos_token_id"] = std::move(ends);
  return absl::OkStatus();
}

// Puts the tokens that begin and end a text around each, where the file says
// so; null if it does not.
absl::StatusOr<OrderedJson> FrameProcessor(const Gguf& gguf, bool add_bos,
                                           const OrderedJson& config,
                                           const OrderedJson& ids) {
  ATTUNE_ASSIGN_OR_RETURN(
      add_bos, gguf.GetOr<bool>("tokenizer.ggml.add_bos_token", add_bos));
  ATTUNE_ASSIGN_OR_RETURN(
      const bool add_eos,
      gguf.GetOr<bool>("tokenizer.ggml.add_eos_token", false));
  if (!add_bos && !add_eos) return OrderedJson();
  OrderedJson special_tokens = OrderedJson::object();
  for (const auto& [role, used] :
       {std::pair{"bos", add_bos}, std::pair{"eos", add_eos}}) {
    if (!used) continue;
    if (!config.contains(Concat(role, "_token"))) {
      return CorruptFile(gguf.origin(), Concat("add_", role, "_token without ",
                                               role, "_token_id"));
    }
    const OrderedJson& id = ids[Concat(role, "_token_id")];
    const std::string text = config[Concat(role, "_token")];
    special_tokens[text] = {
        {"id", text},
        {"ids", OrderedJson::array({id.is_array() ? id[0] : id})},
        {"tokens", OrderedJson::array({text})}};
  }
  const auto framed = [&](const char* sequence, int type_id, OrderedJson list) {
    const auto special = [&](const char* role) {
      list.push_back(
          {{"SpecialToken", {{"id", config[role]}, {"type_id", type_id}}}});
    };
    if (add_bos) special("bos_token");
    list.push_back({{"Sequence", {{"id", sequence}, {"type_id", type_id}}}});
    if (add_eos) special("eos_token");
    return list;
  };
  const OrderedJson single = framed("A", 0, OrderedJson::array());
  const OrderedJson pair = framed("B", 1, single);
  return OrderedJson{{"type", "TemplateProcessing"},
                     {"single", single},
                     {"pair", pair},
                     {"special_tokens", std::move(special_tokens)}};
}

absl::StatusOr<TokenizerFiles> Convert(const Gguf& gguf,
                                       int64_t context_length) {
  ATTUNE_ASSIGN_OR_RETURN(
      std::vector<std::string> tokens,
      gguf.Get<std::vector<std::string>>("tokenizer.ggml.tokens"));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<int64_t> types,
                          TokenTypes(gguf, tokens.size()));
  ATTUNE_ASSIGN_OR_RETURN(GgufTokenizerParts parts,
                          GgufParts(gguf, types, tokens));
  OrderedJson config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                        {"clean_up_tokenization_spaces", false},
                        {"model_max_length", context_length}};
  OrderedJson generation = OrderedJson::object();
  ATTUNE_RETURN_IF_ERROR(WriteSpecialTokens(gguf, tokens, config, generation));
  OrderedJson tokenizer = {{"version", "1.0"},
                           {"truncation", nullptr},
                           {"padding", nullptr},
                           {"added_tokens", AddedTokensJson(tokens, types)},
                           {"normalizer", std::move(parts.normalizer)},
                           {"pre_tokenizer", std::move(parts.pre_tokenizer)}};
  ATTUNE_ASSIGN_OR_RETURN(
      tokenizer["post_processor"],
      FrameProcessor(gguf, parts.add_bos, config, generation));
  tokenizer["decoder"] = std::move(parts.decoder);
  tokenizer["model"] = std::move(parts.model);
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
