#include "client/commands/names.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attune::client {
namespace {

TEST(FullName, AddsTheCollectionOnce) {
  EXPECT_EQ(PromptName("intent"), "prompts/intent");
  EXPECT_EQ(PromptName("prompts/intent"), "prompts/intent");
  EXPECT_EQ(PromptName("intent@prod"), "prompts/intent@prod");
  EXPECT_EQ(PromptName("intent/versions/3"), "prompts/intent/versions/3");
  EXPECT_EQ(PromptName("prompts"), "prompts/prompts");
  EXPECT_EQ(PromptName("promptsx/y"), "prompts/promptsx/y");
  EXPECT_EQ(JobName("a"), "tuningJobs/a");
  EXPECT_EQ(DatasetName("a"), "datasets/a");
  EXPECT_EQ(ModelName("m-1.5"), "models/m-1.5");
}

TEST(ShortName, DropsTheCollection) {
  EXPECT_EQ(ShortName("prompts/x/versions/3"), "x/versions/3");
  EXPECT_EQ(ShortName("x"), "x");
}

TEST(PromptOf, DropsVersionAndAlias) {
  EXPECT_EQ(PromptOf("prompts/x/versions/3"), "prompts/x");
  EXPECT_EQ(PromptOf("prompts/x@prod"), "prompts/x");
  EXPECT_EQ(PromptOf("prompts/x"), "prompts/x");
}

TEST(NamesVersion, TellsVersionsFromPrompts) {
  EXPECT_TRUE(NamesVersion("x/versions/3"));
  EXPECT_TRUE(NamesVersion("prompts/x@prod"));
  EXPECT_FALSE(NamesVersion("prompts/x"));
}

TEST(NewRequestId, IsAUuidAndNew) {
  const std::string id = NewRequestId();

  EXPECT_THAT(id, testing::MatchesRegex(
                      "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-"
                      "[0-9a-f]{12}"));
  EXPECT_NE(id, NewRequestId());
}

}  // namespace
}  // namespace attune::client
