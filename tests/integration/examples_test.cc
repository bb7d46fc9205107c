// Every job file of client/examples, a few steps of it on a tiny model.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "client/commands/job_file.h"
#include "tests/integration/command_line.h"
#include "tests/testing/status_matchers.h"

namespace attune::integration {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const fs::path& Folder() {
  static const fs::path folder = fs::absolute("client/examples");
  return folder;
}

std::vector<fs::path> JobFiles() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(Folder())) {
    if (entry.path().extension() == ".yaml") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

v1::TuningJobSpec SpecOf(const fs::path& file) {
  std::ifstream stream(file);
  std::ostringstream text;
  text << stream.rdbuf();
  const auto request = client::ParseJobFile(text.str(), file.string(), {});
  EXPECT_OK(request);
  return request.ok() ? request->tuning_job().spec() : v1::TuningJobSpec();
}

class Examples : public CommandLineTest {
 protected:
  static void SetUpTestSuite() {
    ServicePair::Options options;
    options.all_kinds = true;
    StartForSuite(options);
  }

  // Uploads the rows that a job file's README entry uploads, once.
  void MakeDataset(const std::string& name) {
    if (!made_.insert(name).second) return;
    const std::string id = name.substr(name.find('/') + 1);
    const fs::path folder =
        Folder() / (id == "banking77-intents" ? "banking77" : id);
    ASSERT_TRUE(fs::is_directory(folder)) << folder << " is missing";
    Works({"datasets", "create", id});
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().extension() != ".jsonl") continue;
      const std::string split = entry.path().stem().string();
      std::vector<std::string> upload = {"datasets", "upload", id,
                                         entry.path().string()};
      if (split != "rows") upload.insert(upload.end(), {"--split", split});
      Works(upload);
    }
  }

  // The job with what makes it short: a tiny model of the same kind, two steps,
  // few rows to measure.
  static std::vector<std::string> ShortJob(const fs::path& file,
                                           const v1::TuningJobSpec& spec) {
    const bool encoder = absl::StrContains(spec.base_model(), "minilm");
    std::vector<std::string> arguments = {
        "jobs",
        "create",
        "-f",
        file.string(),
        "--watch",
        "--set",
        encoder ? "spec.base_model=models/encoder"
                : "spec.base_model=models/tiny",
        "--set",
        "spec.evaluation.max_test_rows=4",
        "--set",
        "spec.evaluation.max_validation_rows=4"};
    if (!spec.method().has_hard_prompt()) {
      arguments.insert(arguments.end(),
                       {"--set", "spec.training.max_steps=2", "--set",
                        "spec.training.batch_size=2", "--set",
                        "spec.training.validation_interval_steps=2"});
    }
    return arguments;
  }

  std::set<std::string> made_;
};

TEST_F(Examples, AllRunAndMakeAVersion) {
  const std::vector<fs::path> files = JobFiles();
  ASSERT_GE(files.size(), 14u) << "in " << Folder();
  for (const fs::path& file : files) {
    SCOPED_TRACE(file.filename());
    const v1::TuningJobSpec spec = SpecOf(file);
    if (spec.data().has_dataset()) MakeDataset(spec.data().dataset());

    const ProgramResult watched = Attune(ShortJob(file, spec));

    EXPECT_EQ(watched.exit_code, 0) << watched.output << watched.error_output;
    EXPECT_THAT(watched.output + watched.error_output,
                HasSubstr(spec.prompt() + "/versions/1"));
  }
}

TEST_F(Examples, AllAreInTheReadme) {
  std::ifstream stream(Folder() / "README.md");
  std::ostringstream text;
  text << stream.rdbuf();
  for (const fs::path& file : JobFiles()) {
    EXPECT_THAT(text.str(), HasSubstr("## " + file.filename().string()));
  }
}

}  // namespace
}  // namespace attune::integration
