#include "worker/agent/attempt_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

#include "absl/synchronization/notification.h"
#include "tests/worker/agent/attempt_fixture.h"

namespace attune::worker {
namespace {

using testing::_;
using testing::HasSubstr;
using testing::InSequence;
using testing::Return;

absl::Status LeaseLost() {
  return MakeError(Reason::kLeaseLost, "not current");
}

class AttemptRunnerTest : public AttemptFixture {
 protected:
  // Runs an attempt to its end and returns its session.
  std::shared_ptr<AttemptSession> RunToEnd(
      AttemptRunner::RunFunction run,
      const v1::Assignment& assignment = MakeAssignment(),
      StopCause stop = StopCause::kNone) {
    std::shared_ptr<AttemptSession> session;
    auto runner = MakeRunner(std::move(run));
    session = runner->Start(assignment, [] {});
    if (stop != StopCause::kNone) {
      session->RequestStop(stop);
    }
    runner.reset();  // waits
    return session;
  }
};

TEST_F(AttemptRunnerTest, UploadsTheResultAndReportsIt) {
  const auto session = RunToEnd(Succeed);

  const std::optional<v1::FinishAttemptRequest> told = session->outcome();
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->tuning_job(), "tuningJobs/j");
  EXPECT_EQ(told->attempt(), 1);
  const v1::SucceededOutcome& outcome = told->succeeded();
  EXPECT_EQ(outcome.artifact_digest(), ArtifactDigest(MakeArtifact("result")));
  EXPECT_EQ(outcome.report().num_steps(), 7);
  EXPECT_EQ(outcome.model_fingerprint(), "f");
}

TEST_F(AttemptRunnerTest, TrainingGetsJobRowsAndAttempt) {
  AttemptInput seen;
  RunToEnd([&](const AttemptInput& input, AttemptListener& listener) {
    seen = input;
    return Succeed(input, listener);
  });

  EXPECT_EQ(seen.job.name(), "tuningJobs/j");
  EXPECT_EQ(seen.attempt, 1);
  EXPECT_EQ(seen.rows.size(), 2u);
  EXPECT_FALSE(seen.checkpoint.has_value());
}

TEST_F(AttemptRunnerTest, ResumesFromTheAssignedCheckpoint) {
  EXPECT_CALL(stub_, DownloadArtifact("digest", _))
      .WillOnce(Return(MakeArtifact("old")));
  std::optional<Artifact> seen;

  RunToEnd(
      [&](const AttemptInput& input, AttemptListener& listener) {
        seen = input.checkpoint;
        return Succeed(input, listener);
      },
      MakeAssignment("digest"));

  ASSERT_TRUE(seen.has_value());
  EXPECT_EQ(seen->files.at("file"), "old");
}

TEST_F(AttemptRunnerTest, ADamagedCheckpointIsLeftAsideWithANotice) {
  EXPECT_CALL(stub_, DownloadArtifact("digest", _))
      .WillOnce(Return(MakeError(Reason::kCorruptArtifact, "bit flip")));

  const auto session = RunToEnd(Succeed, MakeAssignment("digest"));

  EXPECT_TRUE(session->outcome()->has_succeeded());
  ASSERT_EQ(session->Report().notices_size(), 1);
  EXPECT_THAT(session->Report().notices(0), HasSubstr("bit flip"));
}

// A job that starts from a version, whose artifact has this digest.
v1::Assignment AssignmentFrom(v1::Assignment assignment,
                              const std::string& digest) {
  assignment.mutable_tuning_job()
      ->mutable_spec()
      ->mutable_method()
      ->mutable_prompt_tuning()
      ->set_init_version("prompts/x/versions/1");
  assignment.set_init_artifact_digest(digest);
  return assignment;
}

TEST_F(AttemptRunnerTest, TrainingGetsTheVersionItStartsFrom) {
  EXPECT_CALL(stub_, DownloadArtifact("digest", _))
      .WillOnce(Return(Unreachable()))
      .WillOnce(Return(MakeArtifact("rows")));
  std::optional<Artifact> seen;

  RunToEnd(
      [&](const AttemptInput& input, AttemptListener& listener) {
        seen = input.init_version;
        return Succeed(input, listener);
      },
      AssignmentFrom(MakeAssignment(), "digest"));

  ASSERT_TRUE(seen.has_value());
  EXPECT_EQ(seen->files.at("file"), "rows");
}

TEST_F(AttemptRunnerTest, AVersionThatIsGoneFailsTheJob) {
  ON_CALL(stub_, DownloadArtifact("gone", _))
      .WillByDefault(Return(NotFound("artifact", "gone")));

  for (const char* digest : {"", "gone"}) {
    const auto session =
        RunToEnd(Succeed, AssignmentFrom(MakeAssignment(), digest));

    ASSERT_TRUE(session->outcome()->has_failed());
    const absl::Status error = FromRpcStatus(session->outcome()->failed());
    EXPECT_EQ(ReasonOf(error), Reason::kResourceNotFound);
    EXPECT_THAT(std::string(error.message()),
                HasSubstr("prompts/x/versions/1"));
  }
}

TEST_F(AttemptRunnerTest, ADamagedVersionIsNotTakenForACheckpoint) {
  EXPECT_CALL(stub_, DownloadArtifact("digest", _))
      .WillOnce(Return(MakeError(Reason::kCorruptArtifact, "bit flip")));

  const auto session =
      RunToEnd(Succeed, AssignmentFrom(MakeAssignment(), "digest"));

  ASSERT_TRUE(session->outcome()->has_failed());
  EXPECT_EQ(ReasonOf(FromRpcStatus(session->outcome()->failed())),
            Reason::kIllegalState);
}

TEST_F(AttemptRunnerTest, FewerRowsThanTheSnapshotFailTheAttempt) {
  EXPECT_CALL(stub_, ReadSnapshot(_, _))
      .WillOnce(Return(std::vector<std::string>{"{}"}));

  const auto session = RunToEnd(Succeed);

  ASSERT_TRUE(session->outcome()->has_failed());
  EXPECT_THAT(session->outcome()->failed().message(),
              HasSubstr("2 rows, but 1 arrived"));
}

TEST_F(AttemptRunnerTest, TriesAgainWhileTheServerIsAway) {
  InSequence order;
  EXPECT_CALL(stub_, ReadSnapshot(_, _))
      .WillOnce(Return(Unreachable()))
      .WillOnce(Return(absl::DeadlineExceededError("slow")))
      .WillOnce(Return(std::vector<std::string>{"{}", "{}"}));
  EXPECT_CALL(stub_, UploadArtifact(_, _, _))
      .WillOnce(Return(Unreachable()))
      .WillOnce(Return("digest"));

  const auto session = RunToEnd(Succeed);

  EXPECT_EQ(session->outcome()->succeeded().artifact_digest(), "digest");
}

TEST_F(AttemptRunnerTest, AJobThatFailsSaysWhy) {
  const auto session = RunToEnd([](const AttemptInput&, AttemptListener&) {
    return absl::StatusOr<AttemptResult>(
        MakeError(Reason::kInvalidData, "row 3 has no label"));
  });

  ASSERT_TRUE(session->outcome()->has_failed());
  EXPECT_EQ(ReasonOf(FromRpcStatus(session->outcome()->failed())),
            Reason::kInvalidData);
}

TEST_F(AttemptRunnerTest, AnExceptionFailsTheJobAndNotTheProcess) {
  const auto session =
      RunToEnd([](const AttemptInput&,
                  AttemptListener&) -> absl::StatusOr<AttemptResult> {
        throw std::runtime_error("shape mismatch");
      });

  ASSERT_TRUE(session->outcome()->has_failed());
  EXPECT_THAT(session->outcome()->failed().message(),
              HasSubstr("shape mismatch"));
}

TEST_F(AttemptRunnerTest, ACancelLeavesACheckpointAndEndsCancelled) {
  const auto session =
      RunToEnd(RunUntilStopped, MakeAssignment(), StopCause::kCancel);

  EXPECT_TRUE(session->outcome()->has_cancelled());
  EXPECT_EQ(session->Report().checkpoint_digest(),
            ArtifactDigest(MakeArtifact("checkpoint")));
  EXPECT_EQ(session->Report().checkpoint_step(), 12);
}

TEST_F(AttemptRunnerTest, ADrainLeavesACheckpointAndReleasesTheJob) {
  const auto session =
      RunToEnd(RunUntilStopped, MakeAssignment(), StopCause::kDrain);

  EXPECT_TRUE(session->outcome()->has_released());
  EXPECT_EQ(session->Report().checkpoint_step(), 12);
}

TEST_F(AttemptRunnerTest, ALostLeasePublishesNothing) {
  EXPECT_CALL(stub_, UploadArtifact(_, _, _)).Times(0);

  const auto session =
      RunToEnd(RunUntilStopped, MakeAssignment(), StopCause::kLeaseLost);

  EXPECT_FALSE(session->outcome().has_value());
}

TEST_F(AttemptRunnerTest, AServerThatNamesTheLeaseLostEndsTheAttempt) {
  EXPECT_CALL(stub_, UploadArtifact(_, _, _)).WillOnce(Return(LeaseLost()));

  EXPECT_FALSE(RunToEnd(Succeed)->outcome().has_value());
}

TEST_F(AttemptRunnerTest, AResultOutlivesACancelThatComesTooLate) {
  const auto session = RunToEnd(
      [](const AttemptInput& input, AttemptListener& listener) {
        static_cast<AttemptSession&>(listener).WaitForStop(
            absl::InfiniteDuration(), false);
        return Succeed(input, listener);
      },
      MakeAssignment(), StopCause::kCancel);

  EXPECT_TRUE(session->outcome()->has_succeeded());
}

TEST_F(AttemptRunnerTest, TrainingGoesOnWhileACheckpointIsStored) {
  absl::Notification uploading;
  absl::Notification trained;
  EXPECT_CALL(stub_, UploadArtifact(_, _, _))
      .WillOnce([&](const v1::UploadArtifactHeader&, const Artifact&,
                    absl::Duration) {
        uploading.Notify();
        trained.WaitForNotification();
        return "checkpoint digest";
      })
      .WillOnce(Return("result digest"));

  const auto session =
      RunToEnd([&](const AttemptInput& input, AttemptListener& listener) {
        listener.OnCheckpoint(MakeArtifact("c"), 5);
        uploading.WaitForNotification();
        trained.Notify();  // the upload has not ended
        return Succeed(input, listener);
      });

  EXPECT_EQ(session->outcome()->succeeded().artifact_digest(), "result digest");
  EXPECT_EQ(session->Report().checkpoint_step(), 5);
}

TEST_F(AttemptRunnerTest, SeveralAttemptsRunAtOnceAndFailApart) {
  absl::Notification all_run;
  std::atomic<int> running = 0;
  auto runner = MakeRunner(
      [&](const AttemptInput& input,
          AttemptListener& listener) -> absl::StatusOr<AttemptResult> {
        if (++running == 3) all_run.Notify();
        all_run.WaitForNotification();
        if (input.job.name() == "tuningJobs/bad") {
          return MakeError(Reason::kNonfiniteLoss, "loss is NaN");
        }
        if (input.job.name() == "tuningJobs/worse") {
          throw std::runtime_error("shape mismatch");
        }
        return Succeed(input, listener);
      });
  std::vector<std::shared_ptr<AttemptSession>> sessions;
  for (const char* job : {"good", "bad", "worse"}) {
    sessions.push_back(runner->Start(MakeAssignment("", job), [] {}));
  }
  runner.reset();  // waits

  EXPECT_TRUE(sessions[0]->outcome()->has_succeeded());
  EXPECT_EQ(ReasonOf(FromRpcStatus(sessions[1]->outcome()->failed())),
            Reason::kNonfiniteLoss);
  EXPECT_THAT(sessions[2]->outcome()->failed().message(),
              HasSubstr("shape mismatch"));
}

TEST_F(AttemptRunnerTest, AnAttemptWhoseTrainingHasEndedHoldsNoTurn) {
  // The first one's result is not stored until the second one has trained.
  absl::Notification second_trained;
  EXPECT_CALL(stub_, UploadArtifact(_, _, _))
      .WillRepeatedly([&](const v1::UploadArtifactHeader& header,
                          const Artifact&, absl::Duration) {
        if (header.tuning_job() == "tuningJobs/first") {
          second_trained.WaitForNotification();
        }
        return "digest";
      });
  absl::Notification first_computes;
  auto runner =
      MakeRunner([&](const AttemptInput& input, AttemptListener& listener) {
        if (input.job.name() == "tuningJobs/second") {
          first_computes.WaitForNotification();
        }
        listener.BeforeStep();
        if (input.job.name() == "tuningJobs/first") {
          first_computes.Notify();
        } else {
          second_trained.Notify();
        }
        return Succeed(input, listener);
      });
  const auto first = runner->Start(MakeAssignment("", "first"), [] {});
  const auto second = runner->Start(MakeAssignment("", "second"), [] {});
  runner.reset();

  EXPECT_TRUE(first->outcome()->has_succeeded());
  EXPECT_TRUE(second->outcome()->has_succeeded());
}

TEST(IsTransient, WhatPassesByItself) {
  EXPECT_TRUE(IsTransient(Unreachable()));
  EXPECT_TRUE(IsTransient(absl::DeadlineExceededError("")));
  EXPECT_TRUE(IsTransient(MakeError(Reason::kQueueFull, "")));
  EXPECT_TRUE(IsTransient(MakeError(Reason::kStorageFull, "")));
  EXPECT_TRUE(IsTransient(MakeError(Reason::kDraining, "")));
  EXPECT_TRUE(IsTransient(MakeError(Reason::kWatchTooSlow, "")));
  // How a connection ends that breaks in the middle of a call.
  EXPECT_TRUE(IsTransient(absl::CancelledError("")));
  EXPECT_TRUE(IsTransient(absl::UnknownError("Stream removed")));
  EXPECT_FALSE(IsTransient(absl::OkStatus()));
  EXPECT_FALSE(IsTransient(LeaseLost()));
  EXPECT_FALSE(IsTransient(MakeError(Reason::kCorruptArtifact, "")));
}

}  // namespace
}  // namespace attune::worker
