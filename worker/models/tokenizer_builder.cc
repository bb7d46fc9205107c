#include "worker/models/tokenizer_builder.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/mapped_file.h"
#include "worker/models/sentencepiece_model.h"
#include "worker/models/vocabulary_files.h"

namespace attune::worker {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr int64_t kMaxExtraIds = 100'000;

// What the kinds of tokenizers make of their files.
struct TokenizerParts {
  Vocabulary vocabulary;
  OrderedJson model;
  OrderedJson normalizer;
  OrderedJson pre_tokenizer;
  OrderedJson decoder;
  std::vector<AddedToken> added_tokens;
};

// `status` of reading `file`; where that is missing, what is missing beside it.
absl::Status WithoutTokenizer(const absl::Status& status,
                              const std::string& directory,
                              std::string_view file) {
  if (!absl::IsNotFound(status)) return status;
  return absl::NotFoundError(Concat(
      directory, " has no tokenizer.json, and no ", file, " to build it from"));
}

OrderedJson VocabularyObject(const Vocabulary& vocabulary) {
  // Every key is new: appending spares a search through all the others.
  OrderedJson::object_t object;
  object.reserve(vocabulary.size());
  for (const auto& [token, id] : vocabulary.ids()) {
    object.emplace_back(token, id);
  }
  return object;
}

absl::StatusOr<TokenizerParts> WordPieceParts(
    const std::string& directory, const TokenizerSettings& settings) {
  const std::string path = Concat(directory, "/vocab.txt");
  auto vocabulary = ReadVocabTxt(path);
  if (!vocabulary.ok()) {
    return WithoutTokenizer(vocabulary.status(), directory, "vocab.txt");
  }
  const std::string unknown = settings.SpecialText("unk_token");
  if (vocabulary->Find(unknown) < 0) {
    return CorruptFile(path,
                       Concat("has no unknown token '", unknown, "' in it"));
  }
  ATTUNE_ASSIGN_OR_RETURN(const bool lowercase,
                          settings.Flag("do_lower_case", true));
  ATTUNE_ASSIGN_OR_RETURN(const bool chinese,
                          settings.Flag("tokenize_chinese_chars", true));
  // Unset, accents go where letters become small.
  ATTUNE_ASSIGN_OR_RETURN(const bool strip_accents,
                          settings.Flag("strip_accents", lowercase));
  TokenizerParts parts;
  parts.model = {{"type", "WordPiece"},
                 {"unk_token", unknown},
                 {"continuing_subword_prefix", "##"},
                 {"max_input_chars_per_word", 100},
                 {"vocab", VocabularyObject(*vocabulary)}};
  parts.normalizer = {{"type", "BertNormalizer"},
                      {"clean_text", true},
                      {"handle_chinese_chars", chinese},
                      {"strip_accents", strip_accents},
                      {"lowercase", lowercase}};
  parts.pre_tokenizer = {{"type", "BertPreTokenizer"}};
  parts.decoder = {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}};
  parts.vocabulary = *std::move(vocabulary);
  return parts;
}

OrderedJson ByteLevelStep(bool add_prefix_space, bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", add_prefix_space},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

// How text is cut before the merges apply.
void CutByteLevel(std::string_view family, bool add_prefix_space,
                  TokenizerParts& parts) {
  if (family == "Qwen2Tokenizer" || family == "GPTNeoXTokenizer") {
    parts.normalizer = {{"type", "NFC"}};
  }
  if (family != "Qwen2Tokenizer") {
    parts.pre_tokenizer = ByteLevelStep(add_prefix_space, /*use_regex=*/true);
    return;
  }
  const OrderedJson split = {{"type", "Split"},
                             {"pattern", {{"Regex", kQwen2Pattern}}},
                             {"behavior", "Isolated"},
                             {"invert", false}};
  parts.pre_tokenizer = {{"type", "Sequence"},
                         {"pretokenizers",
                          {split, ByteLevelStep(add_prefix_space,
                                                /*use_regex=*/false)}}};
}

absl::StatusOr<TokenizerParts> ByteLevelBpeParts(
    const std::string& directory, const TokenizerSettings& settings) {
  auto vocabulary = ReadVocabJson(Concat(directory, "/vocab.json"));
  if (!vocabulary.ok()) {
    return WithoutTokenizer(vocabulary.status(), directory, "vocab.json");
  }
  const auto merges =
      ReadMergesTxt(Concat(directory, "/merges.txt"), *vocabulary);
  if (!merges.ok()) {
    return WithoutTokenizer(merges.status(), directory, "merges.txt");
  }
  OrderedJson pairs = OrderedJson::array();
  for (const auto& [first, second] : *merges) pairs.push_back({first, second});
  ATTUNE_ASSIGN_OR_RETURN(const bool add_prefix_space,
                          settings.Flag("add_prefix_space", false));
  TokenizerParts parts;
  parts.model = {{"type", "BPE"},
                 {"dropout", nullptr},
                 {"unk_token", nullptr},
                 {"continuing_subword_prefix", ""},
                 {"end_of_word_suffix", ""},
                 {"fuse_unk", false},
                 {"byte_fallback", false},
                 {"ignore_merges", false},
                 {"vocab", VocabularyObject(*vocabulary)},
                 {"merges", std::move(pairs)}};
  CutByteLevel(settings.family->tokenizer_class, add_prefix_space, parts);
  parts.decoder = ByteLevelStep(/*add_prefix_space=*/true, /*use_regex=*/true);
  parts.vocabulary = *std::move(vocabulary);
  return parts;
}

// Pieces with scores as they get their ids: those of the file, and what the
// families put around them.
using ScoredPieces = std::vector<std::pair<std::string, float>>;

// T5: the file's pieces, behind them the sentinels, the last one first.
absl::StatusOr<ScoredPieces> T5Pieces(const SentencePieceModel& model,
                                      const TokenizerSettings& settings,
                                      std::vector<AddedToken>& added) {
  int64_t extra_ids = 100;
  const auto it = settings.config.find("extra_ids");
  if (it != settings.config.end() && !it->is_null()) {
    if (!it->is_number_integer() || *it < 0 || *it > kMaxExtraIds) {
      return CorruptFile(
          settings.config_path,
          Concat("'extra_ids' is no whole number in [0, ", kMaxExtraIds, "]"));
    }
    extra_ids = it->get<int64_t>();
  }
  ScoredPieces pieces;
  for (const auto& piece : model.pieces) {
    pieces.emplace_back(piece.text, piece.score);
  }
  for (int64_t i = extra_ids - 1; i >= 0; --i) {
    pieces.emplace_back(Concat("<extra_id_", i, ">"), 0.0f);
    added.push_back({.content = pieces.back().first, .special = true});
  }
  return pieces;
}

// XLM-R: fairseq's own special tokens in place of the file's first three.
absl::StatusOr<ScoredPieces> XlmRobertaPieces(const SentencePieceModel& model,
                                              const TokenizerSettings& settings,
                                              const std::string& path) {
  using Type = SentencePieceModel::PieceType;
  constexpr size_t kReplaced = 3;
  ScoredPieces pieces;
  for (const char* role :
       {"bos_token", "pad_token", "eos_token", "unk_token"}) {
    pieces.emplace_back(settings.SpecialText(role), 0.0f);
  }
  for (size_t i = 0; i < model.pieces.size(); ++i) {
    const SentencePieceModel::Piece& piece = model.pieces[i];
    if (i >= kReplaced) {
      pieces.emplace_back(piece.text, piece.score);
    } else if (piece.type != Type::kUnknown && piece.type != Type::kControl) {
      return CorruptFile(path,
                         Concat("piece ", i, ", '", piece.text,
                                "', is no special one, as the first three of "
                                "an XLM-RoBERTa model are"));
    }
  }
  pieces.emplace_back(settings.SpecialText("mask_token"), 0.0f);
  return pieces;
}

// Fills in the vocabulary and returns the model's own list.
absl::StatusOr<OrderedJson> NumberPieces(const ScoredPieces& pieces,
                                         const std::string& path,
                                         Vocabulary& vocabulary) {
  OrderedJson list = OrderedJson::array();
  for (size_t id = 0; id < pieces.size(); ++id) {
    const auto& [text, score] = pieces[id];
    if (text.empty())
      return CorruptFile(path, Concat("token ", id, " is empty"));
    if (!vocabulary.Add(text, static_cast<int64_t>(id))) {
      return CorruptFile(path, Concat("tokens ", vocabulary.Find(text), " and ",
                                      id, " are both '", text, "'"));
    }
    list.push_back({text, static_cast<double>(score)});
  }
  return list;
}

// Words begin with a mark in place of the space before them.
void CutAtSpaces(bool add_prefix_space, TokenizerParts& parts) {
  parts.decoder = {{"type", "Metaspace"},
                   {"replacement", "▁"},
                   {"prepend_scheme", add_prefix_space ? "always" : "never"},
                   {"split", true}};
  const OrderedJson split = {{"type", "WhitespaceSplit"}};
  parts.pre_tokenizer = {{"type", "Sequence"},
                         {"pretokenizers", {split, parts.decoder}}};
}

absl::StatusOr<TokenizerParts> UnigramParts(const std::string& directory,
                                            const TokenizerSettings& settings) {
  using Type = SentencePieceModel::PieceType;
  const bool is_t5 = settings.family->tokenizer_class == "T5Tokenizer";
  const char* file = is_t5 ? "spiece.model" : "sentencepiece.bpe.model";
  const std::string path = Concat(directory, "/", file);
  const auto bytes = ReadSmallFile(path, kMaxVocabularyBytes);
  if (!bytes.ok()) return WithoutTokenizer(bytes.status(), directory, file);
  ATTUNE_ASSIGN_OR_RETURN(const SentencePieceModel model,
                          ParseSentencePieceModel(*bytes, path));
  if (model.algorithm != SentencePieceModel::Algorithm::kUnigram) {
    return absl::UnimplementedError(
        Concat(path,
               ": not a unigram model; save the tokenizer with "
               "transformers, which writes a tokenizer.json"));
  }
  TokenizerParts parts;
  int64_t unknown_id = is_t5 ? -1 : 3;
  for (size_t i = 0; i < model.pieces.size(); ++i) {
    const SentencePieceModel::Piece& piece = model.pieces[i];
    if (piece.type == Type::kControl || piece.type == Type::kUserDefined) {
      parts.added_tokens.push_back(
          {.content = piece.text, .special = piece.type == Type::kControl});
    }
    if (piece.type == Type::kUnknown && unknown_id < 0) unknown_id = i;
  }
  if (unknown_id < 0) return CorruptFile(path, "has no unknown piece");
  ATTUNE_ASSIGN_OR_RETURN(const ScoredPieces pieces,
                          is_t5 ? T5Pieces(model, settings, parts.added_tokens)
                                : XlmRobertaPieces(model, settings, path));
  ATTUNE_ASSIGN_OR_RETURN(OrderedJson list,
                          NumberPieces(pieces, path, parts.vocabulary));
  ATTUNE_ASSIGN_OR_RETURN(
      const bool add_prefix_space,
      is_t5 ? true : settings.Flag("add_prefix_space", true));
  parts.model = {{"type", "Unigram"},
                 {"unk_id", unknown_id},
                 {"vocab", std::move(list)},
                 {"byte_fallback", false}};
  if (!model.precompiled_charsmap.empty()) {
    parts.normalizer = {{"type", "Precompiled"},
                        {"precompiled_charsmap",
                         absl::Base64Escape(model.precompiled_charsmap)}};
  }
  CutAtSpaces(add_prefix_space, parts);
  return parts;
}

// The added tokens with their ids. Those that the vocabulary lacks are
// numbered behind it, in the order in which they are added.
class AddedTokenList {
 public:
  explicit AddedTokenList(const Vocabulary& vocabulary)
      : vocabulary_(vocabulary),
        next_id_(static_cast<int64_t>(vocabulary.size())) {}

  // InvalidArgument if the vocabulary's ids have gaps, so that the new id is
  // another token's.
  absl::Status Add(const AddedToken& token) {
    if (token.content.empty() || Find(token.content) >= 0) {
      return absl::OkStatus();
    }
    int64_t id = vocabulary_.Find(token.content);
    if (id < 0) {
      id = next_id_++;
      if (const std::string* other = vocabulary_.TokenOf(id)) {
        return absl::InvalidArgumentError(
            Concat("added token '", token.content, "' would get the id ", id,
                   " of '", *other, "': the vocabulary's ids have gaps"));
      }
    }
    ids_.Add(token.content, id);
    list_.push_back({{"id", id},
                     {"content", token.content},
                     {"single_word", token.single_word},
                     {"lstrip", token.lstrip},
                     {"rstrip", token.rstrip},
                     {"normalized", token.normalized},
                     {"special", token.special}});
    return absl::OkStatus();
  }

  // The id, or -1.
  int64_t Find(std::string_view token) const { return ids_.Find(token); }
  const OrderedJson& list() const { return list_; }

 private:
  const Vocabulary& vocabulary_;
  int64_t next_id_;
  Vocabulary ids_;
  OrderedJson list_ = OrderedJson::array();
};

// Part of what a post-processor makes of one text or two: "A", "B", or the
// role of a special token.
struct TemplatePiece {
  std::string_view what;
  int type_id;
};

OrderedJson TemplateProcessor(std::span<const TemplatePiece> single,
                              std::span<const TemplatePiece> pair,
                              const TokenizerSettings& settings,
                              const AddedTokenList& added) {
  OrderedJson special_tokens = OrderedJson::object();
  const auto list = [&](std::span<const TemplatePiece> pieces) {
    OrderedJson json = OrderedJson::array();
    for (const auto& [what, type_id] : pieces) {
      if (what == "A" || what == "B") {
        json.push_back({{"Sequence", {{"id", what}, {"type_id", type_id}}}});
        continue;
      }
      const std::string text = settings.SpecialText(what);
      json.push_back({{"SpecialToken", {{"id", text}, {"type_id", type_id}}}});
      special_tokens[text] = {{"id", text},
                              {"ids", OrderedJson::array({added.Find(text)})},
                              {"tokens", OrderedJson::array({text})}};
    }
    return json;
  };
  OrderedJson processor = {{"type", "TemplateProcessing"},
                           {"single", list(single)},
                           {"pair", list(pair)}};
  processor["special_tokens"] = std::move(special_tokens);
  return processor;
}

bool IsDecoder(const TokenizerFamily& family) {
  return family.tokenizer_class == "GPT2Tokenizer" ||
         family.tokenizer_class == "Qwen2Tokenizer" ||
         family.tokenizer_class == "GPTNeoXTokenizer";
}

// Decoders put the begin and end tokens around a text where the settings say
// so.
absl::StatusOr<OrderedJson> DecoderProcessor(const TokenizerSettings& settings,
                                             const AddedTokenList& added) {
  ATTUNE_ASSIGN_OR_RETURN(bool add_bos, settings.Flag("add_bos_token", false));
  ATTUNE_ASSIGN_OR_RETURN(bool add_eos, settings.Flag("add_eos_token", false));
  add_bos = add_bos && !settings.SpecialText("bos_token").empty();
  add_eos = add_eos && !settings.SpecialText("eos_token").empty();
  std::vector<TemplatePiece> pair;
  size_t single_size = 0;
  for (const auto& [text, type_id] : {TemplatePiece{"A", 0}, {"B", 1}}) {
    if (add_bos) pair.push_back({"bos_token", type_id});
    pair.push_back({text, type_id});
    if (add_eos) pair.push_back({"eos_token", type_id});
    if (type_id == 0) single_size = pair.size();
  }
  return TemplateProcessor(std::span(pair).first(single_size), pair, settings,
                           added);
}

absl::StatusOr<OrderedJson> PostProcessor(const TokenizerSettings& settings,
                                          const AddedTokenList& added) {
  const std::string_view family = settings.family->tokenizer_class;
  if (IsDecoder(*settings.family)) return DecoderProcessor(settings, added);
  if (family == "BertTokenizer") {
    constexpr TemplatePiece kPair[] = {{"cls_token", 0},
                                       {"A", 0},
                                       {"sep_token", 0},
                                       {"B", 1},
                                       {"sep_token", 1}};
    return TemplateProcessor(std::span(kPair).first(3), kPair, settings, added);
  }
  if (family == "T5Tokenizer") {
    constexpr TemplatePiece kPair[] = {
        {"A", 0}, {"eos_token", 0}, {"B", 0}, {"eos_token", 0}};
    return TemplateProcessor(std::span(kPair).first(2), kPair, settings, added);
  }
  if (family == "XLMRobertaTokenizer") {
    constexpr TemplatePiece kPair[] = {{"bos_token", 0}, {"A", 0},
                                       {"eos_token", 0}, {"eos_token", 0},
                                       {"B", 0},         {"eos_token", 0}};
    return TemplateProcessor(std::span(kPair).first(3), kPair, settings, added);
  }
  // RobertaTokenizer
  ATTUNE_ASSIGN_OR_RETURN(const bool trim_offsets,
                          settings.Flag("trim_offsets", true));
  ATTUNE_ASSIGN_OR_RETURN(const bool add_prefix_space,
                          settings.Flag("add_prefix_space", false));
  const std::string sep = settings.SpecialText("sep_token");
  const std::string cls = settings.SpecialText("cls_token");
  return OrderedJson{{"type", "RobertaProcessing"},
                     {"sep", OrderedJson::array({sep, added.Find(sep)})},
                     {"cls", OrderedJson::array({cls, added.Find(cls)})},
                     {"trim_offsets", trim_offsets},
                     {"add_prefix_space", add_prefix_space}};
}

// Those that frame their input do not work without the special tokens for it,
// and XLM-R's vocabulary has all of them in it.
absl::Status CheckRoles(const TokenizerSettings& settings) {
  const TokenizerFamily& family = *settings.family;
  if (IsDecoder(family)) return absl::OkStatus();
  const bool needs_all = family.tokenizer_class == "XLMRobertaTokenizer";
  for (size_t i = 0; i < kSpecialTokenRoles.size(); ++i) {
    const std::string_view role = kSpecialTokenRoles[i];
    const bool is_frame = role != "pad_token" && role != "mask_token";
    if ((is_frame || needs_all) && !family.special_tokens[i].empty() &&
        settings.SpecialText(role).empty()) {
      return CorruptFile(
          settings.config_path,
          Concat("'", role, "' is empty; ", family.tokenizer_class,
                 " does not work without"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<TokenizerParts> ReadParts(const std::string& directory,
                                         const TokenizerSettings& settings) {
  switch (settings.family->kind) {
    case TokenizerFamily::Kind::kWordPiece:
      return WordPieceParts(directory, settings);
    case TokenizerFamily::Kind::kByteLevelBpe:
      return ByteLevelBpeParts(directory, settings);
    case TokenizerFamily::Kind::kUnigram:
      return UnigramParts(directory, settings);
  }
  return absl::InternalError("no such kind of tokenizer");
}

absl::StatusOr<OrderedJson> BuildDocument(const std::string& directory,
                                          const TokenizerSettings& settings) {
  ATTUNE_RETURN_IF_ERROR(CheckRoles(settings));
  ATTUNE_ASSIGN_OR_RETURN(TokenizerParts parts, ReadParts(directory, settings));
  // The order that transformers adds them in.
  std::vector<AddedToken> tokens = settings.added_tokens;
  for (const std::string_view role : kSpecialTokenRoles) {
    const auto it = settings.special_tokens.find(role);
    if (it != settings.special_tokens.end()) tokens.push_back(it->second);
  }
  // A list of special tokens replaces the sentencepiece file's own.
  const auto lists = [&](const char* key) {
    const auto it = settings.config.find(key);
    return it != settings.config.end() && !it->is_object();
  };
  const bool is_listed =
      lists("extra_special_tokens") || lists("additional_special_tokens");
  if (!is_listed) {
    tokens.insert(tokens.end(), parts.added_tokens.begin(),
                  parts.added_tokens.end());
  }
  tokens.insert(tokens.end(), settings.extra_tokens.begin(),
                settings.extra_tokens.end());
  AddedTokenList added(parts.vocabulary);
  for (const AddedToken& token : tokens) {
    const absl::Status status = added.Add(token);
    if (!status.ok()) return CorruptFile(directory, ToStd(status.message()));
  }

  OrderedJson document = {
      {"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
  document["added_tokens"] = added.list();
  document["normalizer"] = std::move(parts.normalizer);
  document["pre_tokenizer"] = std::move(parts.pre_tokenizer);
  ATTUNE_ASSIGN_OR_RETURN(document["post_processor"],
                          PostProcessor(settings, added));
  document["decoder"] = std::move(parts.decoder);
  document["model"] = std::move(parts.model);
  return document;
}

}  // namespace

absl::StatusOr<std::string> BuildTokenizerJson(
    const std::string& directory, const TokenizerSettings& settings) {
  if (settings.family == nullptr) {
    return absl::UnimplementedError(
        Concat(directory,
               " has no tokenizer.json, and tokenizer_config.json and "
               "config.json name no tokenizer that one can be built for (",
               KnownTokenizerClasses(),
               "); saving the tokenizer with transformers writes one"));
  }
  try {
    ATTUNE_ASSIGN_OR_RETURN(const OrderedJson document,
                            BuildDocument(directory, settings));
    return document.dump();
  } catch (const nlohmann::json::exception& error) {
    // Text that is not UTF-8 shows when it is written.
    return CorruptFile(directory, Concat("tokenizer: ", error.what()));
  }
}

}  // namespace attune::worker
