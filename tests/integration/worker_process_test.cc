// The worker's process beside others of a machine.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "tests/testing/process.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace attune::integration {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// What OpenMP says of its settings, once at each start of the program.
std::string SettingsOfWorker(
    std::vector<std::pair<std::string, std::string>> environment) {
  // Of this test's own environment.
  unsetenv("GOMP_SPINCOUNT");
  const TempDirectory directory;
  environment.emplace_back("OMP_DISPLAY_ENV", "verbose");
  const auto result = RunProgram(
      {ProgramPath("attune-worker"), "forward", "--model", "/nonexistent",
       "--input", "/dev/null", "--output", directory.path() + "/out"},
      std::move(environment), directory.path(), absl::Seconds(60));
  EXPECT_OK(result);
  return result.ok() ? result->error_output : "";
}

TEST(WorkerProcess, WaitsForItsOtherThreadsBriefly) {
  EXPECT_THAT(SettingsOfWorker({}), HasSubstr("GOMP_SPINCOUNT = '2000'"));
}

TEST(WorkerProcess, LeavesToTheEnvironmentWhatThatDecides) {
  EXPECT_THAT(SettingsOfWorker({{"OMP_WAIT_POLICY", "active"}}),
              Not(HasSubstr("GOMP_SPINCOUNT = '2000'")));
  EXPECT_THAT(SettingsOfWorker({{"GOMP_SPINCOUNT", "7"}}),
              HasSubstr("GOMP_SPINCOUNT = '7'"));
}

}  // namespace
}  // namespace attune::integration
