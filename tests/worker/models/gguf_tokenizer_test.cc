#include "worker/models/gguf_tokenizer.h"

#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/worker/models/gguf_builder.h"
#include "worker/text/tokenizer.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::json;

GgufBuilder Sample(std::string_view pre) {
  GgufBuilder builder;
  builder.Set("tokenizer.ggml.model", "gpt2");
  builder.Set("tokenizer.ggml.pre", pre);
  builder.Set("tokenizer.ggml.tokens",
              std::vector<std::string>{"<s>", "1", "2", "12", "a"});
  builder.Set("tokenizer.ggml.token_type", std::vector<int32_t>{3, 1, 1, 1, 1});
  builder.Set("tokenizer.ggml.merges", std::vector<std::string>{"1 2"});
  return builder;
}

absl::StatusOr<TokenizerFiles> Convert(const GgufBuilder& builder) {
  const auto gguf = Gguf::FromBytes(builder.Build(), "m.gguf");
  if (!gguf.ok()) return gguf.status();
  return ConvertTokenizer(*gguf, /*context_length=*/64);
}

std::vector<int64_t> Ids(const TokenizerFiles& files, std::string_view text) {
  return (*Tokenizer::FromJson(files.tokenizer_json))->Encode(text, true)->ids;
}

TEST(GgufTokenizer, SmollmSplitsEveryDigit) {
  EXPECT_THAT(Ids(*Convert(Sample("smollm")), "12a<s>"),
              ElementsAre(1, 2, 4, 0));
}

TEST(GgufTokenizer, Gpt2MergesDigits) {
  EXPECT_THAT(Ids(*Convert(Sample("gpt-2")), "12a"), ElementsAre(3, 4));
}

TEST(GgufTokenizer, AddsTheBeginTokenWhereTheFileSaysSo) {
  GgufBuilder builder = Sample("gpt-2");
  builder.Set("tokenizer.ggml.bos_token_id", 0u);
  builder.Entry("tokenizer.ggml.add_bos_token", GgufBuilder::kBool,
                std::string(1, '\1'));

  EXPECT_THAT(Ids(*Convert(builder), "a"), ElementsAre(0, 4));
}

TEST(GgufTokenizer, WritesSpecialTokensAndChatTemplate) {
  GgufBuilder builder = Sample("smollm");
  builder.Set("tokenizer.ggml.eos_token_id", 0u);
  builder.Set("tokenizer.chat_template", "{{ x }}");

  const auto files = Convert(builder);

  ASSERT_OK(files);
  const Json config = Json::parse(files->tokenizer_config_json);
  EXPECT_EQ(config["eos_token"], "<s>");
  EXPECT_EQ(config["chat_template"], "{{ x }}");
  EXPECT_EQ(config["model_max_length"], 64);
  EXPECT_EQ(Json::parse(files->generation_config_json)["eos_token_id"], 0);
  EXPECT_EQ(files->vocab_size, 5);
}

TEST(GgufTokenizer, Llama3BeginsEveryTextAndCutsThreeDigits) {
  GgufBuilder builder;
  builder.Set("tokenizer.ggml.model", "gpt2");
  builder.Set("tokenizer.ggml.pre", "llama-bpe");
  // "11" is a token that no merge makes, "1111" crosses a cut.
  builder.Set("tokenizer.ggml.tokens",
              std::vector<std::string>{"<b>", "1", "11", "111", "1111"});
  builder.Set("tokenizer.ggml.token_type", std::vector<int32_t>{3, 1, 1, 1, 1});
  builder.Set("tokenizer.ggml.merges", std::vector<std::string>{});
  builder.Set("tokenizer.ggml.bos_token_id", 0u);

  const auto files = Convert(builder);

  ASSERT_OK(files);
  EXPECT_THAT(Ids(*files, "11"), ElementsAre(0, 2));
  EXPECT_THAT(Ids(*files, "1111"), ElementsAre(0, 3, 1));
}

TEST(GgufTokenizer, FramesBothTextsOfAPair) {
  GgufBuilder builder = Sample("gpt-2");
  builder.Set("tokenizer.ggml.eos_token_id", 0u);
  builder.SetFlag("tokenizer.ggml.add_eos_token", true);

  const auto files = Convert(builder);

  ASSERT_OK(files);
  const auto pair = (*Tokenizer::FromJson(files->tokenizer_json))
                        ->EncodePair("1", "2", /*add_special_tokens=*/true);
  ASSERT_OK(pair);
  EXPECT_THAT(pair->ids, ElementsAre(1, 0, 2, 0));
  EXPECT_THAT(pair->type_ids, ElementsAre(0, 0, 1, 1));
}

TEST(GgufTokenizer, RefusesAFrameWithoutItsToken) {
  GgufBuilder builder = Sample("gpt-2");
  builder.SetFlag("tokenizer.ggml.add_eos_token", true);
  EXPECT_THAT(Convert(builder),
              ReasonIs(Reason::kCorruptModel,
                       HasSubstr("add_eos_token without eos_token_id")));
}

TEST(GgufTokenizer, TheEndOfATurnEndsAnAnswerToo) {
  GgufBuilder builder = Sample("smollm");
  builder.Set("tokenizer.ggml.eos_token_id", 0u);
  builder.Set("tokenizer.ggml.eot_token_id", 4u);

  const auto files = Convert(builder);

  ASSERT_OK(files);
  EXPECT_EQ(Json::parse(files->generation_config_json)["eos_token_id"],
            Json::array({0, 4}));
  EXPECT_EQ(Json::parse(files->tokenizer_config_json)["eos_token"], "<s>");
}

// Sentencepiece's BPE as Llama 2 and Gemma have it.
class GgufSentencePiece : public testing::Test {
 protected:
  void SetUp() override {
    builder_.Set("tokenizer.ggml.model", "llama");
    builder_.Set("tokenizer.ggml.tokens",
                 std::vector<std::string>{"<unk>", "<s>", "</s>", "<0xC3>",
                                          "<0xA9>", "▁a", "ab", "bc", "▁ab",
                                          "▁", "a", "b", "c", "  "});
    builder_.Set(
        "tokenizer.ggml.token_type",
        std::vector<int32_t>{2, 3, 3, 6, 6, 1, 1, 1, 1, 1, 1, 1, 1, 4});
    builder_.Set("tokenizer.ggml.scores",
                 std::vector<float>{0, 0, 0, 0, 0, 0, -1, -2, -3, -4, -5, -6,
                                    -7, -1000});
    builder_.Set("tokenizer.ggml.bos_token_id", 1u);
  }

  GgufBuilder builder_;
};

TEST_F(GgufSentencePiece, MergesByScore) {
  const auto files = Convert(builder_);

  ASSERT_OK(files);
  // "▁a" is the best, then "bc" before "▁ab".
  EXPECT_THAT(Ids(*files, "abc"), ElementsAre(1, 5, 7));
  EXPECT_THAT(Ids(*files, "c ab"), ElementsAre(1, 9, 12, 8));
  EXPECT_EQ(*(*Tokenizer::FromJson(files->tokenizer_json))
                 ->Decode(std::vector<int64_t>{9, 12, 8}, true),
            "c ab");
}

TEST_F(GgufSentencePiece, GemmaPutsNoSpaceBeforeTheText) {
  builder_.SetFlag("tokenizer.ggml.add_space_prefix", false);

  const auto files = Convert(builder_);

  ASSERT_OK(files);
  EXPECT_THAT(Ids(*files, "abc"), ElementsAre(1, 6, 12));
  // Two spaces are a token that the file writes as they are.
  EXPECT_THAT(Ids(*files, "b  b"), ElementsAre(1, 11, 13, 11));
  EXPECT_EQ((*Tokenizer::FromJson(files->tokenizer_json))->IdToToken(13), "▁▁");
}

TEST_F(GgufSentencePiece, WhatIsNoPieceBecomesBytesOrUnknown) {
  const auto files = Convert(builder_);

  ASSERT_OK(files);
  EXPECT_THAT(Ids(*files, "é"), ElementsAre(1, 9, 3, 4));
  EXPECT_THAT(Ids(*files, "x"), ElementsAre(1, 9, 0));
}

TEST_F(GgufSentencePiece, TheBeginTokenMayBeSwitchedOff) {
  builder_.SetFlag("tokenizer.ggml.add_bos_token", false);
  EXPECT_THAT(Ids(*Convert(builder_), "a"), ElementsAre(5));
}

TEST_F(GgufSentencePiece, RefusesOtherNormalisation) {
  builder_.Set("tokenizer.ggml.precompiled_charsmap", std::vector<int32_t>{1});
  EXPECT_THAT(Convert(builder_),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("tokenizer.ggml.precompiled_charsmap")));
}

TEST_F(GgufSentencePiece, ScoresAreFiniteAndOneForEachToken) {
  GgufBuilder builder;
  builder.Set("tokenizer.ggml.model", "llama");
  builder.Set("tokenizer.ggml.tokens", std::vector<std::string>{"a", "b"});
  EXPECT_THAT(Convert(builder), ReasonIs(Reason::kCorruptModel,
                                         HasSubstr("'tokenizer.ggml.scores'")));

  GgufBuilder few = builder;
  few.Set("tokenizer.ggml.scores", std::vector<float>{1});
  EXPECT_THAT(Convert(few),
              ReasonIs(Reason::kCorruptModel, HasSubstr("2 tokens, 1 scores")));

  builder.Set("tokenizer.ggml.scores",
              std::vector<float>{0, std::numeric_limits<float>::infinity()});
  EXPECT_THAT(Convert(builder),
              ReasonIs(Reason::kCorruptModel, HasSubstr("token 1 has")));
}

// A golden tokenizer as llama.cpp's converter writes it, against what
// transformers makes of the texts.
class GgufTokenizerGolden
    : public testing::TestWithParam<std::pair<const char*, const char*>> {
 protected:
  static Json Read(const std::string& name) {
    return Json::parse(ReadBytes("tests/golden/tokenizers/" + name));
  }

  GgufBuilder Golden() const {
    const auto& [name, pre] = GetParam();
    const Json json = Read(Concat(name, "/fast/tokenizer.json"));
    std::map<size_t, std::pair<std::string, int32_t>> by_id;
    for (const auto& [token, id] : json["model"]["vocab"].items()) {
      by_id[id] = {token, 1};
    }
    for (const Json& added : json["added_tokens"]) {
      by_id[added["id"]] = {added["content"], added["special"] ? 3 : 4};
    }
    std::vector<std::string> tokens;
    std::vector<int32_t> types;
    for (const auto& [id, token] : by_id) {
      tokens.push_back(token.first);
      types.push_back(token.second);
    }
    std::vector<std::string> merges;
    for (const Json& merge : json["model"]["merges"]) {
      merges.push_back(Concat(merge[0].get<std::string>(), " ",
                              merge[1].get<std::string>()));
    }
    GgufBuilder builder;
    builder.Set("tokenizer.ggml.model", "gpt2");
    builder.Set("tokenizer.ggml.pre", pre);
    builder.Set("tokenizer.ggml.tokens", tokens);
    builder.Set("tokenizer.ggml.token_type", types);
    builder.Set("tokenizer.ggml.merges", merges);
    return builder;
  }
};

TEST_P(GgufTokenizerGolden, IdsAndOffsetsAreThoseOfTransformers) {
  const Json expected = Read(Concat(GetParam().first, "/expected.json"));
  const Json texts = Read("texts.json")["texts"];

  const auto files = Convert(Golden());

  ASSERT_OK(files);
  EXPECT_EQ(files->vocab_size, expected["vocab_size"]);
  const auto tokenizer = Tokenizer::FromJson(files->tokenizer_json);
  ASSERT_OK(tokenizer);
  ASSERT_GT(texts.size(), 0u);
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto encoding =
        (*tokenizer)->Encode(texts[i].get<std::string>(), true);
    ASSERT_OK(encoding);
    Json offsets = Json::array();
    for (const auto& [begin, end] : encoding->characters) {
      offsets.push_back({begin, end});
    }
    EXPECT_EQ(Json(encoding->ids), expected["with_special"][i]["ids"])
        << texts[i];
    EXPECT_EQ(offsets, expected["with_special"][i]["offsets"]) << texts[i];
  }
}

INSTANTIATE_TEST_SUITE_P(Families, GgufTokenizerGolden,
                         testing::Values(std::pair("gpt2", "gpt-2"),
                                         std::pair("qwen2", "qwen2")),
                         [](const auto& info) {
                           return std::string(info.param.first);
                         });

TEST(GgufTokenizer, NamesWhatIsNotSupported) {
  EXPECT_THAT(Convert(Sample("tekken")),
              StatusIs(absl::StatusCode::kUnimplemented,
                       AllOf(HasSubstr("tokenizer.ggml.pre 'tekken'"),
                             HasSubstr("gpt-2, llama-bpe, qwen2, smollm"))));
  GgufBuilder builder;
  builder.Set("tokenizer.ggml.model", "t5");
  builder.Set("tokenizer.ggml.tokens", std::vector<std::string>{"a"});
  EXPECT_THAT(Convert(builder),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("tokenizer.ggml.model 't5'")));
}

TEST(GgufTokenizer, NamesWhatIsCorrupt) {
  GgufBuilder builder = Sample("smollm");
  builder.Set("tokenizer.ggml.eos_token_id", 5u);
  EXPECT_THAT(Convert(builder),
              ReasonIs(Reason::kCorruptModel, HasSubstr("eos_token_id = 5")));

  builder = GgufBuilder();
  EXPECT_THAT(Convert(builder),
              ReasonIs(Reason::kCorruptModel,
                       HasSubstr("'tokenizer.ggml.tokens' is missing")));
}

TEST(GgufTokenizer, RefusesATokenThatOccursTwice) {
  GgufBuilder builder;
  builder.Set("tokenizer.ggml.model", "gpt2");
  builder.Set("tokenizer.ggml.pre", "gpt-2");
  builder.Set("tokenizer.ggml.tokens", std::vector<std::string>{"a", "a"});
  builder.Set("tokenizer.ggml.merges", std::vector<std::string>{});

  EXPECT_THAT(Convert(builder),
              ReasonIs(Reason::kCorruptModel, HasSubstr("'a' occurs twice")));
}

TEST(GgufTokenizer, RefusesMergesThatNoTokenizerCanRead) {
  GgufBuilder builder;
  builder.Set("tokenizer.ggml.model", "gpt2");
  builder.Set("tokenizer.ggml.pre", "gpt-2");
  builder.Set("tokenizer.ggml.tokens", std::vector<std::string>{"a", "b"});
  builder.Set("tokenizer.ggml.merges", std::vector<std::string>{"a b"});

  EXPECT_THAT(Convert(builder),
              ReasonIs(Reason::kCorruptModel, HasSubstr("tokenizer.json")));
}

TEST(GgufTokenizer, RefusesTokensThatAreNotUtf8) {
  GgufBuilder builder;
  builder.Set("tokenizer.ggml.model", "gpt2");
  builder.Set("tokenizer.ggml.pre", "gpt-2");
  builder.Set("tokenizer.ggml.tokens", std::vector<std::string>{"\xff"});
  builder.Set("tokenizer.ggml.merges", std::vector<std::string>{});

  EXPECT_THAT(Convert(builder),
              ReasonIs(Reason::kCorruptModel, HasSubstr("UTF-8")));
}

}  // namespace
}  // namespace attune::worker
