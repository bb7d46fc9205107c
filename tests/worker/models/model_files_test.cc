#include "worker/models/model_files.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/testing/tiny_llama.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ModelFilesTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_OK(WriteTinyLlama(directory_.path())); }

  absl::StatusOr<ModelText> Read() {
    return ReadModelText(directory_.path(),
                         *ReadModelConfig(directory_.path()));
  }

  TempDirectory directory_;
};

TEST_F(ModelFilesTest, ReadsTokenizerTemplateAndSpecialTokens) {
  const auto text = Read();

  ASSERT_OK(text);
  EXPECT_EQ(text->tokenizer->vocab_size(), 300);
  EXPECT_EQ(text->bos_token, "<|im_start|>");
  EXPECT_EQ(text->eos_token, "<|im_end|>");
  EXPECT_THAT(text->stop_token_ids, ElementsAre(2));
  const std::vector<ChatMessage> messages = {{"user", "Hi"}};
  EXPECT_EQ(*RenderChat(*text->chat_template, messages, {}),
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
}

TEST_F(ModelFilesTest, StopTokensOfAllFilesCount) {
  WriteBytes(directory_ / "generation_config.json",
             R"({"eos_token_id": [0, 2]})");

  EXPECT_THAT(Read()->stop_token_ids, ElementsAre(0, 2));
}

TEST_F(ModelFilesTest, OptionalFilesMayBeMissing) {
  std::remove((directory_ / "tokenizer_config.json").c_str());

  const auto text = Read();

  ASSERT_OK(text);
  EXPECT_EQ(text->chat_template, nullptr);
  EXPECT_EQ(text->eos_token, "");
  EXPECT_THAT(text->stop_token_ids, ElementsAre(2));
}

TEST_F(ModelFilesTest, SpecialTokensMayBeObjects) {
  WriteBytes(directory_ / "tokenizer_config.json",
             R"({"eos_token": {"content": "<|endoftext|>", "special": true}})");

  EXPECT_EQ(Read()->eos_token, "<|endoftext|>");
  EXPECT_THAT(Read()->stop_token_ids, ElementsAre(0, 2));
}

TEST_F(ModelFilesTest, NamesEverySpecialToken) {
  WriteBytes(directory_ / "tokenizer_config.json",
             R"({"pad_token": "<|im_end|>", "cls_token": "<|im_start|>"})");
  WriteBytes(directory_ / "special_tokens_map.json",
             R"({"mask_token": {"content": "the", "lstrip": true}})");

  const auto text = Read();

  ASSERT_OK(text);
  EXPECT_EQ(text->pad_token, "<|im_end|>");
  EXPECT_EQ(text->cls_token, "<|im_start|>");
  EXPECT_EQ(text->mask_token, "the");
  EXPECT_EQ(text->sep_token, "");
  EXPECT_EQ(text->unk_token, "");
}

TEST_F(ModelFilesTest, AFamilysTokensCountIfTheTokenizerHasThem) {
  std::remove((directory_ / "tokenizer_config.json").c_str());

  ModelConfig config;

  config.family = "gpt2";
  EXPECT_EQ(ReadModelText(directory_.path(), config)->eos_token,
            "<|endoftext|>");
  config.family = "t5";
  EXPECT_EQ(ReadModelText(directory_.path(), config)->eos_token, "");
}

TEST_F(ModelFilesTest, TheTokenizersFilesAreTheOnesThatDecide) {
  WriteBytes(directory_ / "vocab.txt", "a\n");
  EXPECT_THAT(TokenizerSources(directory_.path()),
              ElementsAre(directory_ / "tokenizer.json"));

  std::remove((directory_ / "tokenizer.json").c_str());
  EXPECT_THAT(TokenizerSources(directory_.path()),
              ElementsAre(directory_ / "vocab.txt",
                          directory_ / "tokenizer_config.json"));
}

TEST_F(ModelFilesTest, ATokenizerThatIsNowhereIsNamed) {
  std::remove((directory_ / "tokenizer.json").c_str());

  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kUnimplemented,
                               HasSubstr("has no tokenizer.json")));
}

TEST_F(ModelFilesTest, ChatTemplatesMayBeAListOrAFile) {
  const std::vector<ChatMessage> messages = {{"user", "Hi"}};
  WriteBytes(directory_ / "tokenizer_config.json",
             R"({"chat_template": [{"name": "tool_use", "template": "t"},
                                   {"name": "default", "template": "d"}]})");
  EXPECT_EQ(*RenderChat(*Read()->chat_template, messages, {}), "d");

  WriteBytes(directory_ / "chat_template.jinja", "file");
  EXPECT_EQ(*RenderChat(*Read()->chat_template, messages, {}), "file");
}

TEST_F(ModelFilesTest, NamesTheFileThatIsCorrupt) {
  WriteBytes(directory_ / "tokenizer_config.json",
             R"({"chat_template": "{% if %}"})");
  EXPECT_THAT(Read(),
              ReasonIs(Reason::kCorruptModel, HasSubstr("chat template")));

  WriteBytes(directory_ / "tokenizer_config.json", "[]");
  EXPECT_THAT(Read(), ReasonIs(Reason::kCorruptModel,
                               HasSubstr("tokenizer_config.json")));

  WriteBytes(directory_ / "tokenizer_config.json", "{}");
  WriteBytes(directory_ / "tokenizer.json", "{}");
  EXPECT_THAT(Read(),
              ReasonIs(Reason::kCorruptModel, HasSubstr("tokenizer.json")));
}

TEST_F(ModelFilesTest, RefusesNestingWithoutEndInEveryFile) {
  for (const char* file :
       {"tokenizer.json", "tokenizer_config.json", "generation_config.json"}) {
    ASSERT_OK(WriteTinyLlama(directory_.path()));
    WriteBytes(directory_ / file, "{\"a\": " + std::string(1 << 19, '['));
    EXPECT_THAT(Read(), ReasonIs(Reason::kCorruptModel, HasSubstr(file)));
  }
}

TEST_F(ModelFilesTest, NamesTheTokenizerWhoseMergesReferToNothing) {
  std::string json = TinyTokenizerJson();
  const std::string merges = "\"merges\":[";
  ASSERT_NE(json.find(merges), json.npos);
  json.insert(json.find(merges) + merges.size(), "[\"nothing\",\"there\"],");
  WriteBytes(directory_ / "tokenizer.json", json);

  EXPECT_THAT(Read(), ReasonIs(Reason::kCorruptModel,
                               AllOf(HasSubstr(directory_ / "tokenizer.json"),
                                     HasSubstr("nothing"))));
}

TEST_F(ModelFilesTest, NamesTheDirectoryWhoseConfigIsWrong) {
  WriteBytes(directory_ / "config.json", "{\"model_type\": \"mamba\"}");

  EXPECT_THAT(
      ReadModelConfig(directory_.path()),
      StatusIs(absl::StatusCode::kUnimplemented,
               AllOf(HasSubstr(directory_.path()), HasSubstr("\"mamba\""))));
}

}  // namespace
}  // namespace attune::worker
