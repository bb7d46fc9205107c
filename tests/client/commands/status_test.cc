#include "client/commands/status.h"

#include <atomic>
#include <memory>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/status.h"
#include "tests/client/fake_attune.h"

namespace attune::client {
namespace {

using testing::HasSubstr;

class StatusCommandTest : public testing::Test {
 protected:
  StatusCommandTest() {
    fake_.scripts.list_models = [this](const auto&, auto& response) {
      v1::Model& model = *response.add_models();
      model.set_name("models/m");
      if (++looks_ > num_looks_without_worker_) {
        model.add_holders()->set_worker("w-1");
      }
      return absl::OkStatus();
    };
    fake_.scripts.list_jobs = [](const auto& request, auto& response) {
      const bool first = request.page_token().empty();
      response.add_tuning_jobs()->set_state(
          first ? v1::TuningJob::STATE_RUNNING
                : v1::TuningJob::STATE_SUCCEEDED);
      response.add_tuning_jobs()->set_state(v1::TuningJob::STATE_SUCCEEDED);
      if (first) response.set_next_page_token("2");
      return absl::OkStatus();
    };
  }

  RunResult Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "status");
    return RunClient(fake_.address(), std::move(arguments));
  }

  std::atomic<int> looks_ = 0;
  int num_looks_without_worker_ = 0;
  FakeAttune fake_;
};

TEST_F(StatusCommandTest, ShowsServerWorkersModelsAndJobs) {
  const RunResult run = Run({});

  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("server:  " + fake_.address() +
                                 ", serving\n"
                                 "workers: w-1\n"
                                 "models:  m\n"
                                 "jobs:    1 RUNNING, 3 SUCCEEDED\n"));
}

TEST_F(StatusCommandTest, HasAJsonForm) {
  EXPECT_THAT(Run({"-o", "json"}).out,
              HasSubstr("\"serving\": true,\n  \"ready\": true,\n"
                        "  \"workers\": [\n    \"w-1\"\n  ],"));
}

TEST_F(StatusCommandTest, AServerThatIsNotServingIsExitCodeFour) {
  fake_.scripts.serving = [] { return false; };

  const RunResult run = Run({});

  EXPECT_EQ(run.exit_code, 4);
  EXPECT_EQ(run.err, "the server is not serving\n");
}

TEST_F(StatusCommandTest, AWorkerCountsOnlyWhenAskedFor) {
  num_looks_without_worker_ = 1000000;

  EXPECT_EQ(Run({}).exit_code, 0);
  const RunResult run = Run({"--worker-ready"});
  EXPECT_EQ(run.exit_code, 4);
  EXPECT_EQ(run.err, "no live worker\n");
  EXPECT_THAT(run.out, HasSubstr("workers: none\n"));
}

TEST_F(StatusCommandTest, WaitsForAWorker) {
  num_looks_without_worker_ = 3;

  EXPECT_EQ(Run({"--worker-ready", "--wait", "60s"}).exit_code, 0);
  EXPECT_EQ(looks_, 4);
}

TEST_F(StatusCommandTest, WaitsForServing) {
  std::atomic<int> checks = 0;
  fake_.scripts.serving = [&] { return ++checks > 3; };

  EXPECT_EQ(Run({"--wait", "60s"}).exit_code, 0);
  EXPECT_EQ(checks, 4);
}

TEST_F(StatusCommandTest, AnErrorIsNotWaitedOut) {
  fake_.scripts.list_models = [](const auto&, auto&) {
    return MakeError(Reason::kInternal, "a bug");
  };

  EXPECT_EQ(Run({"--wait", "60s"}).exit_code, 1);
}

TEST_F(StatusCommandTest, NoServerIsExitCodeFour) {
  std::string gone;
  {
    FakeAttune other;
    gone = other.address();
  }

  const RunResult run = RunClient(gone, {"status"});

  EXPECT_EQ(run.exit_code, 4);
  EXPECT_THAT(run.err,
              HasSubstr("error: no answer from the server at " + gone));
  EXPECT_THAT(run.err, HasSubstr("hint: is the server running?"));
}

TEST_F(StatusCommandTest, AWrongWaitIsAUsageError) {
  EXPECT_EQ(Run({"--wait", "soon"}).exit_code, 2);
}

}  // namespace
}  // namespace attune::client
