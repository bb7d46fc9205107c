#include "worker/models/tokenizer_settings.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class TokenizerSettingsTest : public testing::Test {
 protected:
  void Write(const char* name, std::string_view text) {
    WriteBytes(directory_ / name, text);
  }

  absl::StatusOr<TokenizerSettings> Read(std::string_view model_type = "bert") {
    return ReadTokenizerSettings(directory_.path(), model_type);
  }

  TempDirectory directory_;
};

TEST_F(TokenizerSettingsTest, WithoutFilesTheFamilysTokensCount) {
  const auto settings = Read();

  ASSERT_OK(settings);
  EXPECT_EQ(settings->family->tokenizer_class, "BertTokenizer");
  EXPECT_EQ(settings->SpecialText("mask_token"), "[MASK]");
  EXPECT_EQ(settings->SpecialText("bos_token"), "");
  EXPECT_TRUE(settings->added_tokens.empty());
}

TEST_F(TokenizerSettingsTest, TheOlderMapWinsOverTheConfig) {
  Write("tokenizer_config.json",
        R"({"mask_token": "<m>", "cls_token": "<c>"})");
  Write("special_tokens_map.json",
        R"({"mask_token": {"content": "<mask>", "lstrip": true}})");

  const auto settings = Read();

  EXPECT_EQ(settings->SpecialText("cls_token"), "<c>");
  const AddedToken& mask = settings->special_tokens.at("mask_token");
  EXPECT_EQ(mask.content, "<mask>");
  EXPECT_TRUE(mask.lstrip);
  EXPECT_TRUE(mask.special);
}

TEST_F(TokenizerSettingsTest, AListOfAddedTokensReplacesTheOlderFiles) {
  Write("tokenizer_config.json",
        R"({"eos_token": "<e>", "added_tokens_decoder": {
             "12": {"content": "<x>", "normalized": true},
             "7": {"content": "<e>", "rstrip": true}}})");
  Write("special_tokens_map.json", R"({"eos_token": "<other>"})");
  Write("added_tokens.json", R"({"<y>": 3})");

  const auto settings = Read("llama");

  ASSERT_OK(settings);
  EXPECT_EQ(settings->family, nullptr);
  ASSERT_EQ(settings->added_tokens.size(), 2u);
  EXPECT_EQ(settings->added_tokens[0].content, "<e>");
  EXPECT_TRUE(settings->added_tokens[0].special);
  EXPECT_EQ(settings->added_tokens[1].content, "<x>");
  EXPECT_FALSE(settings->added_tokens[1].special);
  EXPECT_TRUE(settings->added_tokens[1].normalized);
  EXPECT_TRUE(settings->special_tokens.at("eos_token").rstrip);
}

TEST_F(TokenizerSettingsTest, OlderAddedTokensAreSpecialWhereTheyHaveARole) {
  Write("special_tokens_map.json",
        R"({"pad_token": "<p>", "additional_special_tokens": ["<z>"]})");
  Write("added_tokens.json", R"({"<n>": 11, "<p>": 10, "<z>": 12})");

  const auto settings = Read("gpt2");

  ASSERT_OK(settings);
  ASSERT_EQ(settings->added_tokens.size(), 3u);
  EXPECT_EQ(settings->added_tokens[0].content, "<p>");
  EXPECT_TRUE(settings->added_tokens[0].special);
  EXPECT_FALSE(settings->added_tokens[1].special);
  EXPECT_TRUE(settings->added_tokens[1].normalized);
  EXPECT_TRUE(settings->added_tokens[2].special);
}

TEST_F(TokenizerSettingsTest, ARoleMayBeSaidToHaveNoToken) {
  Write("tokenizer_config.json", R"({"pad_token": null})");

  EXPECT_EQ(Read("t5")->SpecialText("pad_token"), "");
  EXPECT_EQ(Read("t5")->SpecialText("eos_token"), "</s>");
}

TEST_F(TokenizerSettingsTest, FlagsAreTrueOrFalse) {
  Write("tokenizer_config.json",
        R"({"do_lower_case": false, "strip_accents": null, "x": 1})");
  const auto settings = Read();

  EXPECT_EQ(*settings->Flag("do_lower_case", true), false);
  EXPECT_EQ(*settings->Flag("strip_accents", true), true);
  EXPECT_EQ(*settings->Flag("missing", false), false);
  EXPECT_THAT(
      settings->Flag("x", true),
      ReasonIs(Reason::kCorruptModel,
               AllOf(HasSubstr("tokenizer_config.json"), HasSubstr("'x'"))));
}

TEST_F(TokenizerSettingsTest, NamesTheFileAndKeyThatAreWrong) {
  Write("tokenizer_config.json", R"({"mask_token": 5})");
  EXPECT_THAT(Read(), ReasonIs(Reason::kCorruptModel,
                               AllOf(HasSubstr("tokenizer_config.json"),
                                     HasSubstr("'mask_token'"))));

  Write("tokenizer_config.json",
        R"({"added_tokens_decoder": {"x": {"content": "a"}}})");
  EXPECT_THAT(Read(), ReasonIs(Reason::kCorruptModel, HasSubstr("\"x\"")));

  Write("tokenizer_config.json", R"({"added_tokens_decoder": {"1": {}}})");
  EXPECT_THAT(Read(), ReasonIs(Reason::kCorruptModel,
                               HasSubstr("'added_tokens_decoder.1'")));

  Write("tokenizer_config.json", "{}");
  Write("added_tokens.json", R"({"a": 3, "b": 3})");
  EXPECT_THAT(Read(), ReasonIs(Reason::kCorruptModel,
                               AllOf(HasSubstr("added_tokens.json"),
                                     HasSubstr("both have the id 3"))));
}

}  // namespace
}  // namespace attune::worker
