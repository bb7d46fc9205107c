// Several jobs that train at once in one worker: each ends as it would alone.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/integration/sample_work.h"
#include "tests/integration/service_test.h"

namespace attune::integration {
namespace {

using ::testing::HasSubstr;

constexpr int kSteps = 600;

class SeveralJobs : public ServiceTest {
 protected:
  void SetUp() override { ASSERT_TRUE(Start({})); }

  // Long enough to be met in the middle; another one for each `seed`.
  static v1::TuningJobSpec MakeSpec(const std::string& prompt, int seed) {
    v1::TuningJobSpec spec = LongReviewJob(prompt, kSteps);
    spec.mutable_training()->set_seed(seed);
    spec.mutable_data()->set_split_seed(seed);
    return spec;
  }

  JobFollower Begin(const v1::TuningJobSpec& spec) {
    const auto created = api().CreateJob(spec);
    EXPECT_TRUE(created.ok()) << created.failure();
    return Follow(created.value);
  }

  // What the job has learned, byte for byte.
  std::string TensorsOf(const std::string& job) {
    const std::string version = api().GetJob(job).value.prompt_version();
    const auto download = api().DownloadVersion(version);
    EXPECT_TRUE(download.ok()) << version << ": " << download.failure();
    const auto found = download.value.files.find("adapter_model.safetensors");
    EXPECT_NE(found, download.value.files.end()) << version;
    return found == download.value.files.end() ? "" : found->second;
  }

  // The same, of a job that has the worker for itself.
  std::string TensorsAlone(int seed) {
    return TensorsOf(
        MustSucceed(MakeSpec(absl::StrCat("alone-", seed), seed)).job.name());
  }

  void ExpectSuccess(JobFollower& follower) {
    const auto end = follower.WaitForEnd(kPatience);
    ASSERT_TRUE(end.ok()) << end.status();
    EXPECT_EQ(end->state(), v1::TuningJob::STATE_SUCCEEDED)
        << end->error().ShortDebugString();
    ExpectSoundEvents(follower.events());
  }

  // Each has made some steps, and none has ended.
  void WaitUntilAllTrain(std::vector<JobFollower>& followers) {
    for (JobFollower& follower : followers) {
      const auto training =
          follower.WaitForStep(2 * kCheckpointInterval + 1, kPatience);
      ASSERT_TRUE(training.ok()) << training.status();
    }
    for (JobFollower& follower : followers) {
      ASSERT_EQ(api().GetJob(follower.job()).value.state(),
                v1::TuningJob::STATE_RUNNING)
          << "the jobs are too short to meet";
    }
  }
};

TEST_F(SeveralJobs, TheFailureOfOneChangesNothingForTheOthers) {
  v1::TuningJobSpec bad = MakeSpec("bad", 3);
  *bad.mutable_data()->mutable_inline_()->mutable_rows(5) =
      MakeStruct({{"text", "no label of this task"}, {"label", "undecided"}});
  std::vector<JobFollower> followers;
  followers.push_back(Begin(MakeSpec("together-1", 1)));
  JobFollower failing = Begin(bad);
  followers.push_back(Begin(MakeSpec("together-2", 2)));

  WaitUntilAllTrain(followers);
  const auto failed = failing.WaitForEnd(kPatience);
  ASSERT_TRUE(failed.ok()) << failed.status();

  EXPECT_EQ(failed->state(), v1::TuningJob::STATE_FAILED);
  EXPECT_EQ(FailureOf(failed->error()).reason, "INVALID_DATA");
  for (JobFollower& follower : followers) ExpectSuccess(follower);
  EXPECT_EQ(api().GetJob(followers[0].job()).value.attempt(), 1);
  EXPECT_TRUE(TensorsOf(followers[0].job()) == TensorsAlone(1));
  EXPECT_TRUE(TensorsOf(followers[1].job()) == TensorsAlone(2));
  EXPECT_FALSE(TensorsOf(followers[0].job()) == TensorsOf(followers[1].job()))
      << "the seeds make no difference, so the comparison shows nothing";
}

TEST_F(SeveralJobs, AllGoOnFromTheirCheckpointsAfterAKill) {
  std::vector<JobFollower> followers;
  for (int seed = 1; seed <= 3; ++seed) {
    followers.push_back(Begin(MakeSpec(absl::StrCat("killed-", seed), seed)));
  }
  WaitUntilAllTrain(followers);

  pair().KillWorker();
  ASSERT_TRUE(pair().StartWorker().ok());

  for (int i = 0; i < 3; ++i) {
    JobFollower& follower = followers[i];
    const auto resumed = follower.WaitFor(
        [](const v1::TuningEvent& event) {
          return event.state_change().state() == v1::TuningJob::STATE_RUNNING &&
                 event.state_change().attempt() == 2;
        },
        kPatience);
    ASSERT_TRUE(resumed.ok()) << resumed.status();
    EXPECT_THAT(resumed->state_change().message(),
                HasSubstr("goes on from the checkpoint of step"));
    ExpectSuccess(follower);
    EXPECT_TRUE(TensorsOf(follower.job()) == TensorsAlone(i + 1))
        << "job " << i + 1;
  }
}

TEST_F(SeveralJobs, ACancelMeetsOneJobOnly) {
  std::vector<JobFollower> followers;
  for (int seed = 1; seed <= 2; ++seed) {
    followers.push_back(Begin(MakeSpec(absl::StrCat("cancel-", seed), seed)));
  }
  WaitUntilAllTrain(followers);

  ASSERT_TRUE(api().CancelJob(followers[0].job()).ok());
  const auto cancelled = followers[0].WaitForEnd(kPatience);

  ASSERT_TRUE(cancelled.ok()) << cancelled.status();
  EXPECT_EQ(cancelled->state(), v1::TuningJob::STATE_CANCELLED);
  ExpectSuccess(followers[1]);
}

TEST_F(SeveralJobs, ADrainGivesAllJobsBackWithTheirCheckpoints) {
  std::vector<JobFollower> followers;
  for (int seed = 1; seed <= 3; ++seed) {
    followers.push_back(Begin(MakeSpec(absl::StrCat("drained-", seed), seed)));
  }
  WaitUntilAllTrain(followers);

  const auto ended = pair().TerminateWorker(kPatience);
  ASSERT_TRUE(ended.ok()) << ended.status();
  for (JobFollower& follower : followers) {
    EXPECT_EQ(api().GetJob(follower.job()).value.state(),
              v1::TuningJob::STATE_QUEUED);
  }
  ASSERT_TRUE(pair().StartWorker().ok());

  for (JobFollower& follower : followers) ExpectSuccess(follower);
}

}  // namespace
}  // namespace attune::integration
