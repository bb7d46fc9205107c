#include "server/registry/prompt_registry.h"

#include <soci/soci.h>

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "tests/testing/server_state.h"
#include "tests/testing/status_matchers.h"

namespace attune::server {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

PromptReference Alias(const std::string& prompt, const std::string& alias) {
  return {prompt, alias};
}
PromptReference Number(const std::string& prompt, int64_t number) {
  return {prompt, number};
}

class PromptRegistryTest : public testing::Test {
 protected:
  PromptRegistry& registry() { return *state_.registry; }

  // Stores a version as the completion of a job would; its name. `version` may
  // have fields set already.
  std::string Add(const std::string& prompt,
                  const std::vector<std::string>& aliases = {},
                  const std::string& text = "",
                  v1::PromptVersion version = {}) {
    int job = ++num_jobs_;
    version.set_base_model("models/tiny");
    version.set_model_fingerprint("f1");
    version.set_artifact_digest(
        state_.StoreArtifact(text.empty() ? Concat("tensors ", job) : text));
    version.mutable_task()->set_template_("{{ text }}");
    EXPECT_OK(state_.database->Transact([&](soci::session& sql) {
      return registry().AddVersion(sql, prompt, Concat("job-", job), aliases,
                                   version);
    }));
    registry().Refresh(prompt);
    return version.name();
  }

  // The name of the version that answers; the error's text if there is none.
  std::string Resolve(const PromptReference& reference) {
    auto resolved = registry().Resolve(reference);
    return resolved.ok() ? (*resolved)->name
                         : std::string(resolved.status().message());
  }

  ServerState state_;
  int num_jobs_ = 0;
};

TEST_F(PromptRegistryTest, TheFirstVersionMakesThePrompt) {
  EXPECT_THAT(registry().GetPrompt("p"),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("prompts/p")));

  EXPECT_EQ(Add("p", {"prod"}), "prompts/p/versions/1");

  auto prompt = registry().GetPrompt("p");
  ASSERT_OK(prompt);
  EXPECT_EQ(prompt->name(), "prompts/p");
  EXPECT_EQ(prompt->num_versions(), 1);
  EXPECT_EQ(prompt->aliases().at("prod"), 1);
  EXPECT_EQ(prompt->aliases().at("latest"), 1);
  EXPECT_EQ(prompt->uid().size(), 36u);
}

TEST_F(PromptRegistryTest, LatestAndTheJobsAliasesMoveByThemselves) {
  Add("p", {"prod"});
  Add("p");

  EXPECT_EQ(Resolve(Alias("p", "latest")), "prompts/p/versions/2");
  EXPECT_EQ(Resolve(Alias("p", "prod")), "prompts/p/versions/1");

  Add("p", {"prod", "canary"});

  EXPECT_EQ(Resolve(Alias("p", "prod")), "prompts/p/versions/3");
  EXPECT_EQ(Resolve(Alias("p", "canary")), "prompts/p/versions/3");
  EXPECT_EQ(Resolve(Number("p", 1)), "prompts/p/versions/1");
}

TEST_F(PromptRegistryTest, ResolvingSurvivesARestart) {
  Add("p", {"prod"});
  Add("p");
  state_.Restart();

  EXPECT_EQ(Resolve(Alias("p", "prod")), "prompts/p/versions/1");
  EXPECT_EQ(Resolve(Alias("p", "latest")), "prompts/p/versions/2");
  auto resolved = registry().Resolve(Number("p", 2)).value();
  EXPECT_EQ(resolved->base_model, "models/tiny");
  EXPECT_EQ(resolved->model_fingerprint, "f1");
  EXPECT_EQ(resolved->task.template_(), "{{ text }}");
  EXPECT_TRUE(state_.artifacts->Contains(resolved->artifact_digest));
}

TEST_F(PromptRegistryTest, WhatPickedTheCheckpointIsKnown) {
  v1::PromptVersion version;
  version.mutable_report()->set_validation_metric_name("macro_f1");
  Add("p", {}, "", version);
  Add("p");

  EXPECT_EQ((*registry().Resolve(Number("p", 1)))->metric, "macro_f1");
  EXPECT_EQ((*registry().Resolve(Number("p", 2)))->metric, "");
}

TEST_F(PromptRegistryTest, ResolvedVersionsLeaveAPoolToTheWorkers) {
  v1::PromptVersion fixed;
  fixed.mutable_task()->add_demonstrations()->set_answer("a");
  v1::PromptVersion nearest = fixed;
  nearest.mutable_task()->set_num_nearest_demonstrations(1);
  Add("p", {}, "", fixed);
  Add("p", {}, "", nearest);

  const auto first = registry().Resolve(Number("p", 1)).value();
  const auto second = registry().Resolve(Number("p", 2)).value();

  EXPECT_EQ(first->task.demonstrations_size(), 1);
  EXPECT_EQ(second->task.demonstrations_size(), 0);
  EXPECT_EQ(second->task.num_nearest_demonstrations(), 1);
  // The stored version is complete.
  EXPECT_EQ(registry().GetVersion(Number("p", 2))->task().demonstrations_size(),
            1);
}

TEST_F(PromptRegistryTest, WhatDoesNotResolveIsNamed) {
  Add("p");

  EXPECT_THAT(Resolve(Alias("q", "latest")), HasSubstr("prompts/q"));
  EXPECT_THAT(Resolve(Alias("p", "prod")), HasSubstr("prompts/p@prod"));
  EXPECT_THAT(Resolve(Number("p", 2)), HasSubstr("prompts/p/versions/2"));
  EXPECT_THAT(registry().Resolve(Number("p", 2)),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("versions/2")));
}

TEST_F(PromptRegistryTest, ResolvingNeedsNoDatabase) {
  Add("p");
  state_.before_commit = [] { return MakeError(Reason::kStorageFull, "x"); };

  EXPECT_EQ(Resolve(Alias("p", "latest")), "prompts/p/versions/1");
}

TEST_F(PromptRegistryTest, AnUncommittedVersionIsNowhere) {
  v1::PromptVersion version;
  absl::Status status = state_.database->Transact([&](soci::session& sql) {
    EXPECT_OK(registry().AddVersion(sql, "p", "j", {"prod"}, version));
    return absl::InternalError("stop");
  });
  registry().Refresh("p");

  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInternal, "stop"));
  EXPECT_THAT(Resolve(Alias("p", "latest")), HasSubstr("does not exist"));
  EXPECT_THAT(registry().GetPrompt("p"),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("prompts/p")));
}

TEST_F(PromptRegistryTest, AJobMakesAtMostOneVersion) {
  auto add = [&] {
    v1::PromptVersion version;
    return state_.database->Transact([&](soci::session& sql) {
      return registry().AddVersion(sql, "p", "same-job", {}, version);
    });
  };
  ASSERT_OK(add());

  EXPECT_THAT(add(), ReasonIs(Reason::kInternal, HasSubstr("same-job")));
}

TEST_F(PromptRegistryTest, AVersionShowsTheAliasesThatPointToIt) {
  Add("p", {"prod", "a"});
  Add("p");

  auto first = registry().GetVersion(Alias("p", "prod"));
  ASSERT_OK(first);
  EXPECT_EQ(first->name(), "prompts/p/versions/1");
  EXPECT_THAT(first->aliases(), ElementsAre("a", "prod"));
  EXPECT_THAT(registry().GetVersion(Alias("p", "latest"))->aliases(),
              ElementsAre("latest"));
  EXPECT_THAT(registry().GetVersion(Number("p", 3)),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("versions/3")));
}

TEST_F(PromptRegistryTest, AliasesMoveOnlyWithinTheirPrompt) {
  Add("p");
  Add("p");
  Add("q");

  auto prompt = registry().SetAlias("p", "prod", Number("p", 1));
  ASSERT_OK(prompt);
  EXPECT_EQ(prompt->aliases().at("prod"), 1);
  EXPECT_EQ(Resolve(Alias("p", "prod")), "prompts/p/versions/1");
  ASSERT_OK(registry().SetAlias("p", "prod", Alias("p", "latest")));
  EXPECT_EQ(Resolve(Alias("p", "prod")), "prompts/p/versions/2");

  EXPECT_THAT(registry().SetAlias("p", "prod", Number("q", 1)),
              ReasonIs(Reason::kInvalidField,
                       AllOf(HasSubstr("version"), HasSubstr("prompts/q"))));
  EXPECT_THAT(registry().SetAlias("p", "latest", Number("p", 1)),
              ReasonIs(Reason::kInvalidField, HasSubstr("latest")));
  EXPECT_THAT(registry().SetAlias("p", "prod", Number("p", 9)),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("versions/9")));
  EXPECT_THAT(registry().SetAlias("r", "prod", Number("r", 1)),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("prompts/r")));
  EXPECT_EQ(Resolve(Alias("p", "prod")), "prompts/p/versions/2");
}

TEST_F(PromptRegistryTest, DeletesAliases) {
  Add("p", {"prod"});

  ASSERT_OK(registry().DeleteAlias("p", "prod"));

  EXPECT_THAT(Resolve(Alias("p", "prod")), HasSubstr("does not exist"));
  EXPECT_THAT(registry().DeleteAlias("p", "prod"),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("@prod")));
  EXPECT_THAT(registry().DeleteAlias("p", "latest"),
              ReasonIs(Reason::kInvalidField, HasSubstr("latest")));
}

TEST_F(PromptRegistryTest, AVersionWithAnAliasCannotBeDeleted) {
  Add("p", {"prod"});
  std::string digest = registry().GetVersion(Number("p", 1))->artifact_digest();

  EXPECT_THAT(registry().DeleteVersion("p", 1),
              ReasonIs(Reason::kResourceInUse, HasSubstr("'prod'")));
  ASSERT_OK(registry().DeleteAlias("p", "prod"));
  ASSERT_OK(registry().DeleteVersion("p", 1));

  EXPECT_FALSE(state_.artifacts->Contains(digest));
  EXPECT_THAT(Resolve(Number("p", 1)), HasSubstr("does not exist"));
  EXPECT_THAT(Resolve(Alias("p", "latest")), HasSubstr("does not exist"));
}

TEST_F(PromptRegistryTest, LatestFallsBackWhenTheNewestIsDeleted) {
  Add("p");
  Add("p");

  ASSERT_OK(registry().DeleteVersion("p", 2));

  EXPECT_EQ(Resolve(Alias("p", "latest")), "prompts/p/versions/1");
  EXPECT_EQ(Add("p"), "prompts/p/versions/3") << "2 is never used again";
}

TEST_F(PromptRegistryTest, AFileThatAnotherVersionUsesStays) {
  Add("p", {}, "same");
  Add("p", {}, "same");
  std::string digest = registry().GetVersion(Number("p", 1))->artifact_digest();

  ASSERT_OK(registry().DeleteVersion("p", 1));
  EXPECT_TRUE(state_.artifacts->Contains(digest));
  EXPECT_THAT(registry().ReferencedArtifacts().value(),
              UnorderedElementsAre(digest));

  ASSERT_OK(registry().DeleteVersion("p", 2));
  EXPECT_FALSE(state_.artifacts->Contains(digest));
}

TEST_F(PromptRegistryTest, DeletingAPromptNeedsForceForItsVersions) {
  Add("p", {"prod"});
  std::string digest = registry().GetVersion(Number("p", 1))->artifact_digest();

  EXPECT_THAT(registry().DeletePrompt("p", /*force=*/false),
              ReasonIs(Reason::kIllegalState, HasSubstr("force")));
  ASSERT_OK(registry().DeletePrompt("p", /*force=*/true));

  EXPECT_FALSE(state_.artifacts->Contains(digest));
  EXPECT_THAT(Resolve(Alias("p", "prod")), HasSubstr("does not exist"));
  EXPECT_THAT(registry().DeletePrompt("p", true),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("prompts/p")));
  EXPECT_EQ(Add("p"), "prompts/p/versions/2");
}

TEST_F(PromptRegistryTest, APromptThatAJobTunesCannotBeDeleted) {
  Add("intent");
  state_.CreateJob("j", "prompts/intent");

  EXPECT_THAT(registry().DeletePrompt("intent", /*force=*/true),
              ReasonIs(Reason::kResourceInUse, HasSubstr("cancel it")));

  ASSERT_OK(state_.jobs->CancelJob("j"));
  EXPECT_OK(registry().DeletePrompt("intent", /*force=*/true));
}

TEST_F(PromptRegistryTest, ListsPromptsAndVersionsByPages) {
  for (const char* id : {"c", "a", "b"}) Add(id);
  Add("a");
  Add("a");

  auto first = registry().ListPrompts({2, "", ""});
  ASSERT_EQ(first->items.size(), 2u);
  EXPECT_EQ(first->items[0].name(), "prompts/a");
  EXPECT_EQ(first->items[0].num_versions(), 3);
  auto second = registry().ListPrompts({2, first->next_page_token, ""});
  ASSERT_EQ(second->items.size(), 1u);
  EXPECT_EQ(second->items[0].name(), "prompts/c");

  auto newest = registry().ListVersions("a", {2, "", ""});
  ASSERT_EQ(newest->items.size(), 2u);
  EXPECT_EQ(newest->items[0].name(), "prompts/a/versions/3");
  EXPECT_THAT(newest->items[0].aliases(), ElementsAre("latest"));
  Add("a");  // a new one does not move the page
  auto oldest = registry().ListVersions("a", {2, newest->next_page_token, ""});
  ASSERT_EQ(oldest->items.size(), 1u);
  EXPECT_EQ(oldest->items[0].name(), "prompts/a/versions/1");
  EXPECT_EQ(oldest->next_page_token, "");
  EXPECT_THAT(registry().ListVersions("b", {2, newest->next_page_token, ""}),
              ReasonIs(Reason::kInvalidPageToken, HasSubstr("another list")));
  EXPECT_THAT(registry().ListVersions("z", {2, "", ""}),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("prompts/z")));
}

TEST_F(PromptRegistryTest, ListsLeaveOutTheLongPartsOfReports) {
  v1::PromptVersion version;
  v1::TuningReport& report = *version.mutable_report();
  report.set_num_steps(5);
  report.add_series()->set_name("loss");
  report.add_changed_examples()->set_row(3);
  report.add_validations()->set_step(5);
  report.add_splits()->set_split("test");
  report.add_samples()->set_row(4);
  report.add_template_candidates()->set_template_("{{ text }}");
  ASSERT_OK(state_.database->Transact([&](soci::session& sql) {
    return registry().AddVersion(sql, "p", "job-uid", {}, version);
  }));
  registry().Refresh("p");

  const auto page = registry().ListVersions("p", {10, "", ""});

  ASSERT_EQ(page->items.size(), 1u);
  v1::TuningReport short_report;
  short_report.set_num_steps(5);
  EXPECT_EQ(page->items[0].report().SerializeAsString(),
            short_report.SerializeAsString());
  const auto whole = registry().GetVersion(Alias("p", "latest"));
  ASSERT_OK(whole);
  EXPECT_EQ(whole->report().SerializeAsString(),
            version.report().SerializeAsString());
}

}  // namespace
}  // namespace attune::server
