#ifndef ATTUNE_WORKER_MODELS_TOKENIZER_FAMILY_H_
#define ATTUNE_WORKER_MODELS_TOKENIZER_FAMILY_H_

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace attune::worker {

// The roles that special tokens have, in the order in which those that the
// vocabulary lacks are numbered.
inline constexpr std::array<std::string_view, 7> kSpecialTokenRoles = {
    "bos_token", "eos_token", "unk_token", "sep_token",
    "pad_token", "cls_token", "mask_token"};

// How Qwen2's cut text, as published with the first Qwen2 models.
inline constexpr char kQwen2Pattern[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Tokenizers that differ only in their vocabulary and settings.
struct TokenizerFamily {
  enum class Kind { kWordPiece, kByteLevelBpe, kUnigram };

  // transformers' name of it, without "Fast".
  std::string_view tokenizer_class;
  Kind kind;
  // One for each role of kSpecialTokenRoles; empty: none by default.
  std::array<std::string_view, kSpecialTokenRoles.size()> special_tokens;
};

// The family that tokenizer_config.json's `tokenizer_class` names or, where
// that is empty or names no family of its own, the one models of `model_type`
// have. Null if neither is known.
const TokenizerFamily* FindTokenizerFamily(std::string_view tokenizer_class,
                                           std::string_view model_type);

// The classes that FindTokenizerFamily knows, for messages.
std::string KnownTokenizerClasses();

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_TOKENIZER_FAMILY_H_
