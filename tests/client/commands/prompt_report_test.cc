#include "client/commands/prompt_report.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/fake_attune.h"
#include "tests/client/sample_versions.h"
#include "tests/client/well_formed.h"
#include "tests/testing/temp_directory.h"

namespace attune::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class PromptReportTest : public testing::Test {
 protected:
  PromptReportTest() {
    fake_.scripts.get_version = [this](const auto& request, auto& version) {
      names_.push_back(request.name());
      version = version_;
      return absl::OkStatus();
    };
  }

  RunResult Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"prompts", "report"});
    return RunClient(fake_.address(), std::move(arguments));
  }

  v1::PromptVersion version_ = ClassificationSample(4);
  std::vector<std::string> names_;
  FakeAttune fake_;
};

TEST_F(PromptReportTest, TakesNamesOfEveryForm) {
  Run({"p"});
  Run({"p@prod"});
  Run({"prompts/p/versions/3"});

  EXPECT_THAT(names_, ElementsAre("prompts/p@latest", "prompts/p@prod",
                                  "prompts/p/versions/3"));
}

TEST_F(PromptReportTest, IsTables) {
  const RunResult run = Run({"p"});

  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("\nMETRIC"));
  EXPECT_THAT(run.out, HasSubstr("\nper label\n"));
}

TEST_F(PromptReportTest, IsTheReportAsJson) {
  const RunResult run = Run({"p", "-o", "json"});

  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, StartsWith("{\n  \"before\": {"));
  EXPECT_THAT(run.out, HasSubstr("\"changedExamples\": ["));
}

TEST_F(PromptReportTest, JsonHasAllTemplatesThatWereTried) {
  for (int i = 0; i < 20; ++i) {
    version_.mutable_report()->add_template_candidates()->set_template_("one");
  }

  const RunResult tables = Run({"p"});
  const RunResult json = Run({"p", "-o", "json"});

  EXPECT_THAT(tables.out, HasSubstr("and 8 more, which -o json lists\n"));
  EXPECT_EQ(CountOf(json.out, "\"template\": \"one\""), 20);
}

TEST_F(PromptReportTest, WritesAPage) {
  const TempDirectory directory;

  const RunResult run = Run({"p", "--html", directory / "page.html"});

  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, StartsWith("prompts/banking77-intent/versions/3 -> " +
                                  (directory / "page.html") + " ("));
  const std::string page = ReadBytes(directory / "page.html");
  EXPECT_THAT(page, StartsWith("<!DOCTYPE html>"));
  EXPECT_EQ(WellFormedError(page), "");
}

TEST_F(PromptReportTest, WritesThePageToStandardOutputForADash) {
  EXPECT_THAT(Run({"p", "--html", "-"}).out, StartsWith("<!DOCTYPE html>"));
}

TEST_F(PromptReportTest, WritesAPageAndPrintsJson) {
  const TempDirectory directory;

  const RunResult run =
      Run({"p", "--html", directory / "page.html", "-o", "json"});

  EXPECT_THAT(run.out, StartsWith("{\n"));
  EXPECT_THAT(ReadBytes(directory / "page.html"), StartsWith("<!DOCTYPE"));
}

TEST_F(PromptReportTest, RefusesTwoThingsOnStandardOutput) {
  const RunResult run = Run({"p", "--html", "-", "-o", "json"});

  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.err, HasSubstr("name a file for the page"));
  EXPECT_THAT(names_, ElementsAre());
}

TEST_F(PromptReportTest, RefusesADirectory) {
  const TempDirectory directory;

  const RunResult run = Run({"p", "--html", directory.path()});

  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.err, HasSubstr(directory.path() + " is a directory"));
}

TEST_F(PromptReportTest, AVersionWithoutAReportSaysSo) {
  version_.clear_report();

  const RunResult run = Run({"p"});

  EXPECT_EQ(run.exit_code, 3);
  EXPECT_THAT(run.err, HasSubstr("versions/3 has no report"));
}

TEST_F(PromptReportTest, HelpHasExamples) {
  EXPECT_THAT(Run({"--help"}).out,
              HasSubstr("attune prompts report banking77-intent@prod --html "
                        "report.html"));
}

}  // namespace
}  // namespace attune::client
