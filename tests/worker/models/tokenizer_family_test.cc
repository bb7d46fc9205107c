#include "worker/models/tokenizer_family.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attune::worker {
namespace {

using ::testing::HasSubstr;

TEST(TokenizerFamily, TheTokenizersClassDecides) {
  const auto* family = FindTokenizerFamily("XLMRobertaTokenizerFast", "bert");

  ASSERT_NE(family, nullptr);
  EXPECT_EQ(family->tokenizer_class, "XLMRobertaTokenizer");
  EXPECT_EQ(family->kind, TokenizerFamily::Kind::kUnigram);
}

TEST(TokenizerFamily, TheModelsTypeDecidesWhereNoClassIsNamed) {
  for (const auto& [type, tokenizer_class] :
       {std::pair{"bert", "BertTokenizer"},
        {"distilbert", "BertTokenizer"},
        {"electra", "BertTokenizer"},
        {"roberta", "RobertaTokenizer"},
        {"xlm-roberta", "XLMRobertaTokenizer"},
        {"gpt2", "GPT2Tokenizer"},
        {"opt", "GPT2Tokenizer"},
        {"gpt_neox", "GPTNeoXTokenizer"},
        {"qwen2", "Qwen2Tokenizer"},
        {"qwen3", "Qwen2Tokenizer"},
        {"t5", "T5Tokenizer"},
        {"mt5", "T5Tokenizer"}}) {
    for (const char* generic : {"", "PreTrainedTokenizerFast"}) {
      const auto* family = FindTokenizerFamily(generic, type);
      ASSERT_NE(family, nullptr) << type;
      EXPECT_EQ(family->tokenizer_class, tokenizer_class);
    }
  }
}

TEST(TokenizerFamily, UnknownClassesAreNotGuessed) {
  EXPECT_EQ(FindTokenizerFamily("MPNetTokenizer", "bert"), nullptr);
  EXPECT_EQ(FindTokenizerFamily("", "llama"), nullptr);
  EXPECT_THAT(KnownTokenizerClasses(), HasSubstr("BertTokenizer, "));
}

}  // namespace
}  // namespace attune::worker
