// SIGTERM: both programs finish what they do, say goodbye and exit 0.

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <string>

#include "tests/integration/sample_work.h"
#include "tests/integration/service_test.h"

namespace attune::integration {
namespace {

constexpr absl::Duration kGrace = absl::Seconds(25);

class Shutdown : public ServiceTest {
 protected:
  void SetUp() override {
    ServicePair::Options options;
    // Longer than the test waits: what moves on does so without an expiry.
    options.lease_duration = absl::Seconds(60);
    ASSERT_TRUE(Start(options));
  }

  JobFollower BeginTraining(int max_steps) {
    const auto created = api().CreateJob(LongReviewJob("drained", max_steps));
    EXPECT_TRUE(created.ok()) << created.failure();
    JobFollower follower = Follow(created.value);
    const auto training =
        follower.WaitForStep(kCheckpointInterval + 1, kPatience);
    EXPECT_TRUE(training.ok()) << training.status();
    return follower;
  }

  static void ExpectExitZero(const absl::StatusOr<ProcessEnd>& end) {
    ASSERT_TRUE(end.ok()) << end.status();
    EXPECT_EQ(end->exit_code, 0) << "signal " << end->signal;
  }
};

TEST_F(Shutdown, IdleProgramsExitZero) {
  ExpectExitZero(pair().TerminateWorker(kGrace));
  ExpectExitZero(pair().TerminateServer(kGrace));
}

TEST_F(Shutdown, WorkerThatLeftIsNoLongerListed) {
  ExpectExitZero(pair().TerminateWorker(kGrace));

  v1::ListModelsResponse models;
  ASSERT_TRUE(api()
                  .models()
                  .ListModels(api().NewContext().get(), v1::ListModelsRequest(),
                              &models)
                  .ok());
  EXPECT_EQ(models.models_size(), 0);
}

TEST_F(Shutdown, WorkerGivesItsJobBackAndTheNextGoesOnFromTheCheckpoint) {
  JobFollower follower = BeginTraining(1500);
  const int step_before = follower.step();

  ExpectExitZero(pair().TerminateWorker(kGrace));
  const auto queued =
      follower.WaitForState(v1::TuningJob::STATE_QUEUED, kPatience);
  ASSERT_TRUE(queued.ok()) << queued.status();
  ASSERT_TRUE(pair().StartWorker().ok());
  const auto running =
      follower.WaitForState(v1::TuningJob::STATE_RUNNING, kPatience);
  ASSERT_TRUE(running.ok()) << running.status();
  const int64_t restart = running->sequence();
  const auto end = follower.WaitForEnd(kPatience);

  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->state(), v1::TuningJob::STATE_SUCCEEDED);
  ExpectSoundEvents(follower.events());
  for (const v1::TuningEvent& event : follower.events()) {
    if (event.sequence() > restart &&
        event.progress().phase() == v1::TuningProgress::PHASE_TRAINING) {
      EXPECT_GE(event.progress().step(), step_before)
          << "the step that was under way is kept on a SIGTERM";
    }
  }
  EXPECT_EQ(api().GetJob(follower.job()).value.report().num_steps(), 1500);
  EXPECT_EQ(api().ListVersions("prompts/drained").value.size(), 1u);
}

TEST_F(Shutdown, GivingBackDoesNotCountAsALoss) {
  // Four times, one more than attempts may be lost, with no checkpoint between.
  v1::TuningJobSpec spec = LongReviewJob("patient", 2000);
  spec.mutable_training()->set_checkpoint_interval_steps(2000);
  const auto created = api().CreateJob(spec);
  ASSERT_TRUE(created.ok()) << created.failure();
  JobFollower follower = Follow(created.value);

  for (int i = 0; i < 4; ++i) {
    const auto running =
        follower.WaitForState(v1::TuningJob::STATE_RUNNING, kPatience);
    ASSERT_TRUE(running.ok()) << running.status();
    ExpectExitZero(pair().TerminateWorker(kGrace));
    ASSERT_TRUE(pair().StartWorker().ok());
  }

  const auto end = follower.WaitForEnd(kPatience);
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->state(), v1::TuningJob::STATE_SUCCEEDED)
      << end->error().ShortDebugString();
}

TEST_F(Shutdown, DrainingServerEndsWatchesWithItsReason) {
  JobFollower follower = BeginTraining(1500);
  v1::WatchTuningJobRequest request;
  request.set_name(follower.job());
  auto context = api().NewContext();
  auto reader = api().tuning().WatchTuningJob(context.get(), request);
  v1::WatchTuningJobResponse response;
  ASSERT_TRUE(reader->Read(&response));

  pair().server()->Signal(SIGTERM);
  while (reader->Read(&response)) {
  }
  const Failure ended = FailureOf(reader->Finish());

  EXPECT_EQ(ended.code, grpc::StatusCode::UNAVAILABLE) << ended;
  EXPECT_EQ(ended.reason, "DRAINING");
  // No second signal, which would end it at once.
  ExpectExitZero(pair().server()->Wait(kGrace));
  pair().KillServer();
  // Nothing is lost: the worker finds the server again and ends the job.
  ASSERT_TRUE(pair().StartServer().ok());
  const auto end = follower.WaitForEnd(kPatience);
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->state(), v1::TuningJob::STATE_SUCCEEDED);
  ExpectSoundEvents(follower.events());
}

}  // namespace
}  // namespace attune::integration
