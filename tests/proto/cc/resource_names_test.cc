#include "proto/cc/resource_names.h"

#include <string>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

TEST(ResourceNames, IdsAreLowerCaseLettersDigitsAndDashes) {
  EXPECT_TRUE(IsResourceId("a"));
  EXPECT_TRUE(IsResourceId("a-1"));
  EXPECT_TRUE(IsResourceId(std::string(63, 'a')));
  for (const std::string wrong :
       {"", "1a", "a-", "A", "a_b", "a.b", "a b", "\xC3\xA9"}) {
    EXPECT_FALSE(IsResourceId(wrong)) << wrong;
  }
  EXPECT_FALSE(IsResourceId(std::string(64, 'a')));
}

TEST(ResourceNames, ModelIdsMayHoldDotsAndUnderscoresInside) {
  EXPECT_TRUE(IsModelId("smollm2-135m_v1.0"));
  EXPECT_FALSE(IsModelId("a."));
  EXPECT_FALSE(IsModelId("a/b"));
}

TEST(ResourceNames, ParsesWhatItMakes) {
  const std::string name = ResourceName(kPromptCollection, "x");
  const auto id = ParseResourceName(kPromptCollection, name, "name");

  EXPECT_EQ(name, "prompts/x");
  ASSERT_OK(id);
  EXPECT_EQ(*id, "x");
}

TEST(ResourceNames, WrongNamesNameTheField) {
  EXPECT_THAT(ParseResourceName(kPromptCollection, "prompt/x", "a.b"),
              ReasonIs(Reason::kInvalidField,
                       "a.b: 'prompt/x' is not of the form prompts/{id}"));
  EXPECT_THAT(ParseResourceName(kPromptCollection, "", "a.b"),
              ReasonIs(Reason::kInvalidField, testing::HasSubstr("required")));
}

TEST(ResourceNames, APromptReferenceIsNewestAliasOrNumber) {
  const auto newest = ParsePromptReference("prompts/x", "f");
  const auto alias = ParsePromptReference("prompts/x@prod", "f");
  const auto number = ParsePromptReference("prompts/x/versions/12", "f");

  ASSERT_OK(newest);
  EXPECT_EQ(std::get<std::string>(newest->version), "latest");
  ASSERT_OK(alias);
  EXPECT_EQ(std::get<std::string>(alias->version), "prod");
  ASSERT_OK(number);
  EXPECT_EQ(number->prompt_id, "x");
  EXPECT_EQ(std::get<int64_t>(number->version), 12);
  EXPECT_EQ(VersionName("x", 12), "prompts/x/versions/12");
}

TEST(ResourceNames, WrongPromptReferencesAreRefused) {
  for (const char* wrong :
       {"", "x", "prompts/", "prompts/X", "prompts/x@", "prompts/x@A",
        "prompts/x/versions/", "prompts/x/versions/0", "prompts/x/versions/01",
        "prompts/x/versions/-1", "prompts/x/versions/99999999999999999999",
        "prompts/x/versions/1/y", "prompts/x/other/1"}) {
    EXPECT_THAT(ParsePromptReference(wrong, "f"),
                ReasonIs(Reason::kInvalidField, testing::HasSubstr("f: ")))
        << wrong;
  }
}

}  // namespace
}  // namespace attune
