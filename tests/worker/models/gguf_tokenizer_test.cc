#include "worker/models/gguf_tokenizer.h"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/models/gguf_builder.h"
#include "worker/text/tokenizer.h"

namespace attune::worker {
namespace {

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

TEST(GgufTokenizer, NamesWhatIsNotSupported) {
  EXPECT_THAT(Convert(Sample("llama-bpe")),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("tokenizer.ggml.pre 'llama-bpe'")));
  GgufBuilder builder;
  builder.Set("tokenizer.ggml.model", "llama");
  builder.Set("tokenizer.ggml.tokens", std::vector<std::string>{"a"});
  EXPECT_THAT(Convert(builder),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("tokenizer.ggml.model 'llama'")));
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
