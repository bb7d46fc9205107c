// Kills a process in mid-training and starts it again: the job succeeds once,
// with one version and gap-free events, and every acknowledged call is kept.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/integration/sample_work.h"
#include "tests/integration/service_test.h"

namespace attune::integration {
namespace {

using ::testing::IsEmpty;

// Some seconds of training: progress is told once a second.
constexpr int kSteps = 1500;

class Crash : public ServiceTest {
 protected:
  void SetUp() override { ASSERT_TRUE(Start({})); }

  // Acknowledged calls that must survive whatever comes.
  void MakeAcknowledgedThings() {
    ASSERT_TRUE(api().CreateDataset("kept").ok());
    ASSERT_TRUE(api().Upload("kept", ReviewJsonLines(0, 30)).ok());
    MustSucceed(QuickReviewJob("kept"));
    ASSERT_TRUE(
        api().SetAlias("prompts/kept", "prod", "prompts/kept@latest").ok());
  }

  void ExpectAcknowledgedThings() {
    const auto dataset = api().GetDataset("kept");
    ASSERT_TRUE(dataset.ok()) << dataset.failure();
    EXPECT_EQ(dataset.value.num_rows(), 30);
    const auto prompt = api().GetPrompt("prompts/kept");
    ASSERT_TRUE(prompt.ok()) << prompt.failure();
    EXPECT_EQ(prompt.value.aliases().count("prod"), 1u);
    const auto answer = api().PredictWhenAvailable(
        ReviewRequest("prompts/kept@prod", {"a film"}));
    ASSERT_TRUE(answer.ok()) << answer.failure();
    EXPECT_TRUE(answer.value.results(0).has_answer())
        << answer.value.ShortDebugString();
  }

  // Starts a long job and follows it until two checkpoints are made.
  JobFollower BeginTraining() {
    const auto created = api().CreateJob(LongReviewJob("crashed", kSteps));
    EXPECT_TRUE(created.ok()) << created.failure();
    JobFollower follower = Follow(created.value);
    const auto training =
        follower.WaitForStep(2 * kCheckpointInterval + 1, kPatience);
    EXPECT_TRUE(training.ok()) << training.status();
    EXPECT_FALSE(follower.ended()) << "the job is too short to be interrupted";
    return follower;
  }

  void ExpectOneVersion(JobFollower& follower) {
    const int step_at_crash = follower.step();
    const auto end = follower.WaitForEnd(kPatience);

    ASSERT_TRUE(end.ok()) << end.status();
    EXPECT_EQ(end->state(), v1::TuningJob::STATE_SUCCEEDED)
        << end->error().ShortDebugString();
    ExpectSoundEvents(follower.events());
    const v1::TuningJob job = api().GetJob(follower.job()).value;
    EXPECT_EQ(job.state(), v1::TuningJob::STATE_SUCCEEDED);
    EXPECT_EQ(job.prompt_version(), "prompts/crashed/versions/1");
    EXPECT_EQ(job.last_sequence(),
              static_cast<int64_t>(follower.events().size()));
    EXPECT_EQ(job.report().num_steps(), kSteps);
    const auto versions = api().ListVersions("prompts/crashed");
    ASSERT_TRUE(versions.ok()) << versions.failure();
    ASSERT_EQ(versions.value.size(), 1u);
    EXPECT_EQ(versions.value[0].tuning_job(), job.name());
    EXPECT_THAT(api().DownloadVersion(job.prompt_version()).value.wrong,
                IsEmpty());
    EXPECT_GE(LowestStepAfter(follower, step_at_crash), kCheckpointInterval)
        << "training began again at step 0";
  }

  // The lowest training step reported after `step` was seen.
  static int LowestStepAfter(const JobFollower& follower, int step) {
    bool seen = false;
    int lowest = kSteps;
    for (const v1::TuningEvent& event : follower.events()) {
      const v1::TuningProgress& progress = event.progress();
      if (seen && progress.phase() == v1::TuningProgress::PHASE_TRAINING) {
        lowest = std::min(lowest, progress.step());
      }
      seen |= progress.step() >= step;
    }
    return lowest;
  }
};

TEST_F(Crash, KilledWorkersJobGoesOnFromItsCheckpoint) {
  MakeAcknowledgedThings();
  JobFollower follower = BeginTraining();

  pair().KillWorker();
  ASSERT_TRUE(pair().StartWorker().ok());

  ExpectOneVersion(follower);
  EXPECT_GE(api().GetJob(follower.job()).value.attempt(), 2);
  ExpectAcknowledgedThings();
}

TEST_F(Crash, JobOfAWorkerThatNeverReturnsGoesToAnother) {
  JobFollower follower = BeginTraining();

  pair().KillWorker();
  const auto queued =
      follower.WaitForState(v1::TuningJob::STATE_QUEUED, kPatience);

  ASSERT_TRUE(queued.ok()) << queued.status();
  EXPECT_THAT(queued->state_change().message(), ::testing::HasSubstr("lease"));
  ASSERT_TRUE(pair().StartWorker().ok());
  ExpectOneVersion(follower);
}

TEST_F(Crash, KilledServerFindsTheJobRunningAndFinishesIt) {
  MakeAcknowledgedThings();
  JobFollower follower = BeginTraining();

  pair().KillServer();
  ASSERT_TRUE(pair().StartServer().ok());

  ExpectOneVersion(follower);
  ExpectAcknowledgedThings();
}

TEST_F(Crash, BothKilledTheJobStillEndsOnce) {
  MakeAcknowledgedThings();
  JobFollower follower = BeginTraining();

  pair().KillServer();
  pair().KillWorker();
  ASSERT_TRUE(pair().StartServer().ok());
  ASSERT_TRUE(pair().StartWorker().ok());

  ExpectOneVersion(follower);
  ExpectAcknowledgedThings();
}

TEST_F(Crash, QueuedJobsOutliveTheServer) {
  pair().KillWorker();
  const std::string request_id = NewRequestId();
  const auto first = api().CreateJob(QuickReviewJob("queued"), "", request_id);
  const auto second = api().CreateJob(QuickReviewJob("queued"));
  ASSERT_TRUE(first.ok() && second.ok()) << second.failure();

  ASSERT_TRUE(pair().RestartServer().ok());
  const auto replay = api().CreateJob(QuickReviewJob("queued"), "", request_id);
  ASSERT_TRUE(pair().StartWorker().ok());

  EXPECT_EQ(replay.value.name(), first.value.name()) << replay.failure();
  for (const auto& job : {first.value, second.value}) {
    JobFollower follower = Follow(job);
    const auto end = follower.WaitForEnd(kPatience);
    ASSERT_TRUE(end.ok()) << end.status();
    EXPECT_EQ(end->state(), v1::TuningJob::STATE_SUCCEEDED);
  }
  EXPECT_EQ(api().ListVersions("prompts/queued").value.size(), 2u);
}

}  // namespace
}  // namespace attune::integration
