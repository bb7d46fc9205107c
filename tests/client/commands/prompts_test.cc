#include "client/commands/prompts.h"

#include <filesystem>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/artifact.h"
#include "proto/cc/status.h"
#include "tests/client/fake_attune.h"
#include "tests/testing/temp_directory.h"

namespace attune::client {
namespace {

using testing::HasSubstr;

class PromptsTest : public testing::Test {
 protected:
  PromptsTest() {
    prompt_.set_name("prompts/p");
    prompt_.set_num_versions(3);
    (*prompt_.mutable_aliases())["latest"] = 3;
    (*prompt_.mutable_aliases())["prod"] = 2;
    prompt_.mutable_update_time()->set_seconds(1704067200 - 7200);

    version_.set_name("prompts/p/versions/3");
    version_.set_base_model("models/m");
    version_.add_aliases("latest");
    version_.mutable_method()->mutable_prompt_tuning()->set_num_virtual_tokens(
        20);
    version_.mutable_task()->set_type(v1::TASK_TYPE_TEXT_CLASSIFICATION);
    v1::TuningReport& report = *version_.mutable_report();
    report.set_validation_metric_name("accuracy");
    (*report.mutable_before()->mutable_metrics())["accuracy"] = 0.1;
    (*report.mutable_after()->mutable_metrics())["accuracy"] = 0.9;
    version_.mutable_create_time()->set_seconds(1704067200 - 60);
  }

  RunResult Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "prompts");
    return RunClient(fake_.address(), std::move(arguments));
  }

  FakeAttune fake_;
  v1::Prompt prompt_;
  v1::PromptVersion version_;
};

TEST_F(PromptsTest, ListIsATable) {
  fake_.scripts.list_prompts = [&](const auto&, auto& response) {
    *response.add_prompts() = prompt_;
    return absl::OkStatus();
  };

  EXPECT_EQ(Run({"list"}).out,
            "NAME  VERSIONS  ALIASES           UPDATED\n"
            "p            3  latest=3, prod=2   2h ago\n");
}

TEST_F(PromptsTest, GetShowsAPrompt) {
  fake_.scripts.get_prompt = [&](const auto& request, v1::Prompt& prompt) {
    EXPECT_EQ(request.name(), "prompts/p");
    prompt = prompt_;
    return absl::OkStatus();
  };

  EXPECT_THAT(Run({"get", "p"}).out, HasSubstr("aliases:  latest=3, prod=2\n"));
}

TEST_F(PromptsTest, GetShowsAVersionByNumberOrAlias) {
  std::vector<std::string> names;
  fake_.scripts.get_version = [&](const auto& request, auto& version) {
    names.push_back(request.name());
    version = version_;
    return absl::OkStatus();
  };

  const RunResult run = Run({"get", "p@prod"});
  Run({"get", "prompts/p/versions/3"});

  EXPECT_THAT(names,
              testing::ElementsAre("prompts/p@prod", "prompts/p/versions/3"));
  EXPECT_THAT(run.out, HasSubstr("method:     prompt tuning, 20 rows\n"));
  EXPECT_THAT(run.out, HasSubstr("accuracy   10.0%  90.0%  +80.0 points\n"));
  EXPECT_THAT(run.out, HasSubstr("try it: attune predict p/versions/3 --text"));
}

TEST_F(PromptsTest, VersionsIsATable) {
  fake_.scripts.list_versions = [&](const auto& request, auto& response) {
    EXPECT_EQ(request.parent(), "prompts/p");
    *response.add_prompt_versions() = version_;
    return absl::OkStatus();
  };

  EXPECT_EQ(
      Run({"versions", "p"}).out,
      "VERSION  ALIASES  BASE MODEL  METHOD                  RESULT           "
      "        CREATED\n"
      "      3  latest   m           prompt tuning, 20 rows  accuracy 10.0% ->"
      " 90.0%   1m ago\n");
}

TEST_F(PromptsTest, PromoteMovesAnAlias) {
  v1::SetAliasRequest sent;
  fake_.scripts.set_alias = [&](const auto& request, v1::Prompt& prompt) {
    sent = request;
    prompt = prompt_;
    return absl::OkStatus();
  };

  const RunResult run = Run({"promote", "p/versions/2", "--alias", "prod"});

  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out, "prompts/p@prod is now version 2\n");
  EXPECT_EQ(sent.prompt(), "prompts/p");
  EXPECT_EQ(sent.alias(), "prod");
  EXPECT_EQ(sent.version(), "prompts/p/versions/2");
}

TEST_F(PromptsTest, PromoteNeedsAnAlias) {
  const RunResult run = Run({"promote", "p/versions/2"});

  EXPECT_EQ(run.exit_code, 2);
  EXPECT_EQ(run.err,
            "error: --alias is required\n"
            "usage: attune prompts promote --help\n");
}

TEST_F(PromptsTest, RemoveAliasShowsWhatIsLeft) {
  fake_.scripts.delete_alias = [&](const auto& request, v1::Prompt& prompt) {
    EXPECT_EQ(request.prompt(), "prompts/p");
    prompt = prompt_;
    prompt.mutable_aliases()->erase(request.alias());
    return absl::OkStatus();
  };

  EXPECT_THAT(Run({"remove-alias", "p", "--alias", "prod"}).out,
              HasSubstr("aliases:  latest=3\n"));
}

TEST_F(PromptsTest, DeleteTellsPromptsFromVersions) {
  std::vector<std::string> deleted;
  bool forced = false;
  fake_.scripts.delete_prompt = [&](const auto& request, auto&) {
    deleted.push_back(request.name());
    forced = request.force();
    return absl::OkStatus();
  };
  fake_.scripts.delete_version = [&](const auto& request, auto&) {
    deleted.push_back(request.name());
    return absl::OkStatus();
  };

  EXPECT_EQ(Run({"delete", "p/versions/1"}).err,
            "prompts/p/versions/1 deleted\n");
  EXPECT_EQ(Run({"delete", "p", "--force"}).exit_code, 0);

  EXPECT_THAT(deleted,
              testing::ElementsAre("prompts/p/versions/1", "prompts/p"));
  EXPECT_TRUE(forced);
}

TEST_F(PromptsTest, ExportOfAPromptTakesItsNewestVersion) {
  const TempDirectory directory;
  std::string asked_for;
  fake_.scripts.get_version = [&](const auto& request, auto& version) {
    asked_for = request.name();
    version = version_;
    version.set_artifact_digest(ArtifactDigest(Artifact{}));
    return absl::OkStatus();
  };
  fake_.scripts.download = [](const auto&, const auto&) {
    return absl::OkStatus();
  };

  const RunResult run = Run({"export", "p", directory / "out"});

  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(asked_for, "prompts/p@latest");
  EXPECT_EQ(run.out, "prompts/p/versions/3 -> " + (directory / "out") +
                         " (0 files, digests checked)\n");
}

TEST_F(PromptsTest, ADamagedExportIsExitCodeOne) {
  const TempDirectory directory;
  fake_.scripts.get_version = [&](const auto&, auto& version) {
    version = version_;
    version.set_artifact_digest("other");
    return absl::OkStatus();
  };
  fake_.scripts.download = [](const auto&, const auto&) {
    return absl::OkStatus();
  };

  const RunResult run = Run({"export", "p", directory / "out"});

  EXPECT_EQ(run.exit_code, 1);
  EXPECT_FALSE(std::filesystem::exists(directory / "out"));
}

}  // namespace
}  // namespace attune::client
