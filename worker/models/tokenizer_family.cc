#include "worker/models/tokenizer_family.h"

#include <utility>

#include "proto/cc/text.h"

namespace attune::worker {
namespace {

using Kind = TokenizerFamily::Kind;

// Special tokens: bos, eos, unk, sep, pad, cls, mask.
constexpr TokenizerFamily kFamilies[] = {
    {"BertTokenizer",
     Kind::kWordPiece,
     {"", "", "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"}},
    {"RobertaTokenizer",
     Kind::kByteLevelBpe,
     {"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"}},
    {"GPT2Tokenizer",
     Kind::kByteLevelBpe,
     {"<|endoftext|>", "<|endoftext|>", "<|endoftext|>", "", "", "", ""}},
    {"Qwen2Tokenizer",
     Kind::kByteLevelBpe,
     {"", "<|endoftext|>", "<|endoftext|>", "", "<|endoftext|>", "", ""}},
    {"GPTNeoXTokenizer",
     Kind::kByteLevelBpe,
     {"<|endoftext|>", "<|endoftext|>", "<|endoftext|>", "", "<|padding|>", "",
      ""}},
    {"T5Tokenizer", Kind::kUnigram, {"", "</s>", "<unk>", "", "<pad>", "", ""}},
    {"XLMRobertaTokenizer",
     Kind::kUnigram,
     {"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"}},
};

// What comes under another name: older tokenizer classes, and model types.
constexpr std::pair<std::string_view, std::string_view> kAliases[] = {
    {"DistilBertTokenizer", "BertTokenizer"},
    {"ElectraTokenizer", "BertTokenizer"},
    {"MT5Tokenizer", "T5Tokenizer"},
    {"bert", "BertTokenizer"},
    {"distilbert", "BertTokenizer"},
    {"electra", "BertTokenizer"},
    {"roberta", "RobertaTokenizer"},
    {"gpt2", "GPT2Tokenizer"},
    {"opt", "GPT2Tokenizer"},
    {"qwen2", "Qwen2Tokenizer"},
    {"qwen3", "Qwen2Tokenizer"},
    {"gpt_neox", "GPTNeoXTokenizer"},
    {"t5", "T5Tokenizer"},
    {"mt5", "T5Tokenizer"},
    {"xlm-roberta", "XLMRobertaTokenizer"},
};

// Classes that say nothing about the tokenizer.
constexpr std::string_view kGenericClasses[] = {
    "", "PreTrainedTokenizer", "PreTrainedTokenizerFast", "TokenizersBackend"};

const TokenizerFamily* FamilyNamed(std::string_view name) {
  for (const auto& [alias, family] : kAliases) {
    if (alias == name) name = family;
  }
  for (const TokenizerFamily& family : kFamilies) {
    if (family.tokenizer_class == name) return &family;
  }
  return nullptr;
}

}  // namespace

const TokenizerFamily* FindTokenizerFamily(std::string_view tokenizer_class,
                                           std::string_view model_type) {
  for (const std::string_view generic : kGenericClasses) {
    if (tokenizer_class == generic) return FamilyNamed(model_type);
  }
  if (tokenizer_class.ends_with("Fast")) tokenizer_class.remove_suffix(4);
  return FamilyNamed(tokenizer_class);
}

std::string KnownTokenizerClasses() {
  std::string names;
  for (const TokenizerFamily& family : kFamilies) {
    names += Concat(names.empty() ? "" : ", ", family.tokenizer_class);
  }
  return names;
}

}  // namespace attune::worker
