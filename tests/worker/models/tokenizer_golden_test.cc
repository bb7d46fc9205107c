// Every family's tokenizer against transformers' fast tokenizer of the same
// vocabulary: tests/golden/make_tokenizer_golden.py wrote what is expected.
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "worker/models/model_config.h"
#include "worker/models/model_files.h"
#include "worker/text/tokenizer.h"

namespace attune::worker {
namespace {

using Json = nlohmann::json;

constexpr char kTokenizers[] = "tests/golden/tokenizers";

Json ReadGolden(const std::string& name) {
  return Json::parse(ReadBytes(Concat(kTokenizers, "/", name)));
}

// A text, or a pair of texts.
struct Input {
  std::string first;
  std::string second;
  bool is_pair = false;
};

std::vector<Input> Inputs() {
  const Json texts = ReadGolden("texts.json");
  std::vector<Input> inputs;
  for (const Json& text : texts["texts"]) inputs.push_back({text, "", false});
  for (const Json& pair : texts["pairs"]) {
    inputs.push_back({pair[0], pair[1], true});
  }
  return inputs;
}

Json Encoded(const Tokenizer& tokenizer, const Input& input, bool special) {
  const auto encoding =
      input.is_pair ? tokenizer.EncodePair(input.first, input.second, special)
                    : tokenizer.Encode(input.first, special);
  if (!encoding.ok()) return encoding.status().ToString();
  Json offsets = Json::array();
  for (const auto& [begin, end] : encoding->characters) {
    offsets.push_back({begin, end});
  }
  return {{"ids", encoding->ids},
          {"offsets", std::move(offsets)},
          {"type_ids", encoding->type_ids}};
}

class TokenizerGolden : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    expected_ = ReadGolden(Concat(GetParam(), "/expected.json"));
  }

  std::string Directory() const { return Concat(kTokenizers, "/", GetParam()); }

  std::string ModelType() const {
    return ReadGolden(Concat(GetParam(), "/config.json"))["model_type"];
  }

  void ExpectEqual(const Tokenizer& tokenizer) {
    const std::vector<Input> inputs = Inputs();
    ASSERT_EQ(inputs.size(), expected_["with_special"].size());
    EXPECT_EQ(tokenizer.vocab_size(), expected_["vocab_size"]);
    for (size_t i = 0; i < inputs.size(); ++i) {
      SCOPED_TRACE(Json({inputs[i].first, inputs[i].second}).dump());
      const Json with = Encoded(tokenizer, inputs[i], /*special=*/true);
      EXPECT_EQ(with, expected_["with_special"][i]);
      EXPECT_EQ(Encoded(tokenizer, inputs[i], /*special=*/false),
                expected_["without_special"][i]);
      const std::vector<int64_t> ids = with["ids"];
      EXPECT_EQ(*tokenizer.Decode(ids, /*skip_special_tokens=*/true),
                expected_["decoded"][i]);
    }
  }

  Json expected_;
};

TEST_P(TokenizerGolden, BuiltFromVocabularyFilesItDoesAsTransformersDoes) {
  const auto tokenizer = ReadTokenizer(Directory(), ModelType());

  ASSERT_OK(tokenizer);
  ExpectEqual(**tokenizer);
}

TEST_P(TokenizerGolden, FromTokenizerJsonItDoesAsTransformersDoes) {
  const auto tokenizer = ReadTokenizer(Directory() + "/fast", "");

  ASSERT_OK(tokenizer);
  ExpectEqual(**tokenizer);
}

TEST_P(TokenizerGolden, SpecialTokensAreTheOnesTransformersNames) {
  ModelConfig config;
  config.family = ModelType();

  const auto text = ReadModelText(Directory(), config);

  ASSERT_OK(text);
  const Json& special = expected_["special_tokens"];
  EXPECT_EQ(text->bos_token, special.value("bos_token", ""));
  EXPECT_EQ(text->eos_token, special.value("eos_token", ""));
  EXPECT_EQ(text->unk_token, special.value("unk_token", ""));
  EXPECT_EQ(text->sep_token, special.value("sep_token", ""));
  EXPECT_EQ(text->pad_token, special.value("pad_token", ""));
  EXPECT_EQ(text->cls_token, special.value("cls_token", ""));
  EXPECT_EQ(text->mask_token, special.value("mask_token", ""));
}

INSTANTIATE_TEST_SUITE_P(Families, TokenizerGolden,
                         testing::Values("bert", "bert_cased", "gpt2",
                                         "gpt_neox", "mt5", "opt", "qwen2",
                                         "roberta", "t5", "xlm_roberta"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace attune::worker
