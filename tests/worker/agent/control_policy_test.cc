#include "worker/agent/control_policy.h"

#include <gtest/gtest.h>

namespace attune::worker {
namespace {

constexpr absl::Duration kNow = absl::Seconds(100);
constexpr absl::Duration kLater = absl::Seconds(105);

ControlView Idle() {
  ControlView view;
  view.now = kNow;
  view.next_synchronize = kNow;
  return view;
}

ControlView Training() {
  ControlView view = Idle();
  view.phase = AttemptPhase::kTraining;
  view.next_synchronize = kLater;
  view.give_up_at = kNow + absl::Seconds(20);
  return view;
}

ControlView Ended() {
  ControlView view = Training();
  view.phase = AttemptPhase::kEnded;
  view.has_outcome = true;
  view.next_finish = kNow;
  return view;
}

TEST(Decide, AnIdleWorkerAsksForAJob) {
  EXPECT_EQ(Decide(Idle()).action, ControlAction::kSynchronize);
}

TEST(Decide, AfterAFailureItWaits) {
  ControlView view = Idle();
  view.next_synchronize = kLater;

  EXPECT_EQ(Decide(view).action, ControlAction::kWait);
  EXPECT_EQ(Decide(view).until, kLater);
}

TEST(Decide, ABusyWorkerReportsWhenItIsTime) {
  ControlView view = Training();
  EXPECT_EQ(Decide(view).action, ControlAction::kWait);
  EXPECT_EQ(Decide(view).until, kLater);

  view.now = kLater;
  EXPECT_EQ(Decide(view).action, ControlAction::kSynchronize);
}

TEST(Decide, NeverWaitsBeyondTheLease) {
  ControlView view = Training();
  view.give_up_at = kNow + absl::Seconds(1);

  EXPECT_EQ(Decide(view).until, kNow + absl::Seconds(1));
}

TEST(Decide, WithoutAnswersTrainingIsGivenUpOnce) {
  ControlView view = Training();
  view.give_up_at = kNow;
  EXPECT_EQ(Decide(view).action, ControlAction::kGiveUp);

  view.gave_up = true;
  EXPECT_EQ(Decide(view).action, ControlAction::kWait);
}

TEST(Decide, AResultIsNotGivenUpWithTheLease) {
  ControlView view = Training();
  view.phase = AttemptPhase::kPublishing;
  view.give_up_at = kNow;

  EXPECT_EQ(Decide(view).action, ControlAction::kWait);
}

TEST(Decide, AnEndedAttemptIsFinished) {
  EXPECT_EQ(Decide(Ended()).action, ControlAction::kFinishAttempt);
}

TEST(Decide, AnAttemptWithNothingToSayIsForgotten) {
  ControlView view = Ended();
  view.has_outcome = false;

  EXPECT_EQ(Decide(view).action, ControlAction::kForget);
}

TEST(Decide, ACheckpointIsReportedBeforeTheAttemptEnds) {
  ControlView view = Ended();
  view.checkpoint_unreported = true;
  view.next_synchronize = kNow;

  EXPECT_EQ(Decide(view).action, ControlAction::kSynchronize);
}

TEST(Decide, WhileFinishingBacksOffTheLeaseIsKept) {
  ControlView view = Ended();
  view.next_finish = kLater;
  view.next_synchronize = kNow;
  EXPECT_EQ(Decide(view).action, ControlAction::kSynchronize);

  view.next_synchronize = kLater + absl::Seconds(1);
  EXPECT_EQ(Decide(view).action, ControlAction::kWait);
  EXPECT_EQ(Decide(view).until, kLater);
}

TEST(Decide, ADrainIsReportedFirst) {
  ControlView view = Idle();
  view.draining = true;

  EXPECT_EQ(Decide(view).action, ControlAction::kSynchronize);
}

TEST(Decide, ADrainEndsWhenThereIsNoAttempt) {
  ControlView view = Idle();
  view.draining = true;
  view.drain_reported = true;
  EXPECT_EQ(Decide(view).action, ControlAction::kExit);

  view = Ended();
  view.draining = true;
  view.drain_reported = true;
  EXPECT_EQ(Decide(view).action, ControlAction::kFinishAttempt);
}

TEST(Decide, ADrainWaitsForAnAbsentServerOnlyWithAnAttempt) {
  ControlView view = Idle();
  view.draining = true;
  view.server_away = true;
  EXPECT_EQ(Decide(view).action, ControlAction::kExit);

  view = Ended();
  view.draining = true;
  view.server_away = true;
  EXPECT_EQ(Decide(view).action, ControlAction::kWait);
}

}  // namespace
}  // namespace attune::worker
