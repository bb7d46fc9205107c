#include "client/commands/attune_cli.h"

#include <cstdlib>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/fake_attune.h"

namespace attune::client {
namespace {

using testing::HasSubstr;

const std::vector<std::vector<std::string>>& Leaves() {
  static const auto& leaves =
      *new std::vector<std::vector<std::string>>{{"jobs", "create"},
                                                 {"jobs", "get"},
                                                 {"jobs", "list"},
                                                 {"jobs", "watch"},
                                                 {"jobs", "cancel"},
                                                 {"jobs", "retry"},
                                                 {"jobs", "delete"},
                                                 {"datasets", "create"},
                                                 {"datasets", "upload"},
                                                 {"datasets", "append"},
                                                 {"datasets", "augment"},
                                                 {"datasets", "list"},
                                                 {"datasets", "get"},
                                                 {"datasets", "delete"},
                                                 {"prompts", "list"},
                                                 {"prompts", "get"},
                                                 {"prompts", "versions"},
                                                 {"prompts", "report"},
                                                 {"prompts", "promote"},
                                                 {"prompts", "remove-alias"},
                                                 {"prompts", "export"},
                                                 {"prompts", "delete"},
                                                 {"predict"},
                                                 {"generate"},
                                                 {"models", "list"},
                                                 {"models", "get"},
                                                 {"status"}};
  return leaves;
}

class AttuneCliTest : public testing::Test {
 protected:
  RunResult Run(std::vector<std::string> arguments) {
    return RunClient(fake_.address(), std::move(arguments));
  }
  FakeAttune fake_;
};

TEST_F(AttuneCliTest, EveryCommandHasHelpWithExamples) {
  for (std::vector<std::string> command : Leaves()) {
    command.push_back("--help");

    const RunResult run = Run(command);

    EXPECT_EQ(run.exit_code, 0) << command.front();
    EXPECT_THAT(run.out, HasSubstr("Example")) << command[0] << command[1];
    EXPECT_THAT(run.out, HasSubstr("  attune " + command[0]));
  }
}

TEST_F(AttuneCliTest, HelpListsCommandsAndExitCodes) {
  const RunResult run = Run({"--help"});

  EXPECT_EQ(run.exit_code, 0);
  for (const auto& leaf : Leaves()) EXPECT_THAT(run.out, HasSubstr(leaf[0]));
  EXPECT_THAT(run.out, HasSubstr("  3    something is missing"));
  EXPECT_THAT(run.out, HasSubstr("ATTUNE_SERVER"));
}

TEST_F(AttuneCliTest, KnowsItsVersion) {
  EXPECT_THAT(Run({"--version"}).out,
              testing::MatchesRegex("attune [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

TEST_F(AttuneCliTest, WrongUseIsExitCodeTwoAndNamesTheHelp) {
  RunResult run = Run({});
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_EQ(run.err,
            "error: A subcommand is required\n"
            "usage: attune --help\n");

  run = Run({"jobs", "create", "--fil", "x"});
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.err, HasSubstr("usage: attune jobs create --help\n"));

  run = Run({"jobs", "get"});
  EXPECT_EQ(run.err,
            "error: name is required\n"
            "usage: attune jobs get --help\n");
}

TEST_F(AttuneCliTest, AJobMayBeCalledLikeACommand) {
  std::string name;
  fake_.scripts.get_job = [&](const auto& request, v1::TuningJob&) {
    name = request.name();
    return absl::OkStatus();
  };

  EXPECT_EQ(Run({"jobs", "get", "status"}).exit_code, 0);
  EXPECT_EQ(name, "tuningJobs/status");
}

TEST_F(AttuneCliTest, CommonOptionsMayStandAfterTheCommand) {
  fake_.scripts.list_models = [](const auto&, auto&) {
    return absl::OkStatus();
  };

  EXPECT_EQ(Run({"models", "list", "-o", "json", "--timeout", "5s"}).out,
            "[]\n");
  EXPECT_EQ(Run({"-o", "json", "models", "list"}).out, "[]\n");
}

TEST_F(AttuneCliTest, RefusesWrongCommonOptions) {
  EXPECT_EQ(Run({"models", "list", "-o", "xml"}).exit_code, 2);
  const RunResult run = Run({"models", "list", "--timeout", "5"});
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.err, HasSubstr("--timeout '5' is not a time"));
}

TEST_F(AttuneCliTest, AMethodTheServerDoesNotServeIsExitCodeTwo) {
  const RunResult run = Run({"models", "list"});

  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.err, HasSubstr("hint: this release does not serve the call"));
}

}  // namespace
}  // namespace attune::client
