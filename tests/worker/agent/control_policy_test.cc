#include "worker/agent/control_policy.h"

#include <gtest/gtest.h>

namespace attune::worker {
namespace {

constexpr absl::Duration kNow = absl::Seconds(100);
constexpr absl::Duration kLater = absl::Seconds(105);

AttemptView Training() {
  AttemptView attempt;
  attempt.give_up_at = kNow + absl::Seconds(20);
  return attempt;
}

AttemptView Ended() {
  AttemptView attempt = Training();
  attempt.phase = AttemptPhase::kEnded;
  attempt.has_outcome = true;
  attempt.next_finish = kNow;
  return attempt;
}

ControlView Idle() {
  ControlView view;
  view.now = kNow;
  view.next_synchronize = kNow;
  return view;
}

// Nothing is due for it by itself.
ControlView With(const std::vector<AttemptView>& attempts) {
  ControlView view = Idle();
  view.next_synchronize = kLater;
  view.attempts = attempts;
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
  ControlView view = With({Training(), Training()});
  EXPECT_EQ(Decide(view).action, ControlAction::kWait);
  EXPECT_EQ(Decide(view).until, kLater);

  view.now = kLater;
  EXPECT_EQ(Decide(view).action, ControlAction::kSynchronize);
}

TEST(Decide, NeverWaitsBeyondTheFirstLeaseThatEnds) {
  ControlView view = With({Training(), Training(), Training()});
  view.attempts[1].give_up_at = kNow + absl::Seconds(1);

  EXPECT_EQ(Decide(view).action, ControlAction::kWait);
  EXPECT_EQ(Decide(view).until, kNow + absl::Seconds(1));
}

TEST(Decide, WithoutAnswersTrainingIsGivenUpOnce) {
  ControlView view = With({Training(), Training()});
  view.attempts[1].give_up_at = kNow;
  EXPECT_EQ(Decide(view).action, ControlAction::kGiveUp);
  EXPECT_EQ(Decide(view).attempt, 1u);

  view.attempts[1].gave_up = true;
  EXPECT_EQ(Decide(view).action, ControlAction::kWait);
}

TEST(Decide, AResultIsNotGivenUpWithTheLease) {
  ControlView view = With({Training()});
  view.attempts[0].phase = AttemptPhase::kPublishing;
  view.attempts[0].give_up_at = kNow;

  EXPECT_EQ(Decide(view).action, ControlAction::kWait);
  EXPECT_EQ(Decide(view).until, kLater);
}

TEST(Decide, AnEndedAttemptIsFinishedWhileOthersTrain) {
  const ControlView view = With({Training(), Ended(), Training()});

  EXPECT_EQ(Decide(view).action, ControlAction::kFinishAttempt);
  EXPECT_EQ(Decide(view).attempt, 1u);
}

TEST(Decide, AnAttemptWithNothingToSayIsForgotten) {
  ControlView view = With({Training(), Ended()});
  view.attempts[1].has_outcome = false;

  EXPECT_EQ(Decide(view).action, ControlAction::kForget);
  EXPECT_EQ(Decide(view).attempt, 1u);
}

TEST(Decide, ACheckpointIsReportedBeforeItsAttemptEnds) {
  ControlView view = With({Ended(), Ended()});
  view.attempts[0].checkpoint_unreported = true;
  EXPECT_EQ(Decide(view).action, ControlAction::kFinishAttempt);
  EXPECT_EQ(Decide(view).attempt, 1u) << "the other one need not wait";

  view.attempts.pop_back();
  EXPECT_EQ(Decide(view).action, ControlAction::kWait);
  view.now = kLater;
  EXPECT_EQ(Decide(view).action, ControlAction::kSynchronize);
}

TEST(Decide, TheLeasesOfOthersComeBeforeAResult) {
  ControlView view = With({Training(), Ended()});
  view.next_synchronize = kNow;

  EXPECT_EQ(Decide(view).action, ControlAction::kSynchronize);
}

TEST(Decide, AResultThatIsNotTakenHoldsNoOtherUp) {
  ControlView view = With({Ended(), Ended(), Ended()});
  view.attempts[0].next_finish = kLater;
  view.attempts[1].next_finish = kNow;
  view.attempts[2].next_finish = kNow - absl::Seconds(1);

  EXPECT_EQ(Decide(view).action, ControlAction::kFinishAttempt);
  EXPECT_EQ(Decide(view).attempt, 2u);
}

TEST(Decide, WhileFinishingBacksOffTheLeaseIsKept) {
  ControlView view = With({Ended()});
  view.attempts[0].next_finish = kLater;
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

  view = With({Ended()});
  view.draining = true;
  view.next_synchronize = kNow;
  EXPECT_EQ(Decide(view).action, ControlAction::kSynchronize);
}

TEST(Decide, ADrainEndsWhenThereIsNoAttemptLeft) {
  ControlView view = Idle();
  view.draining = true;
  view.drain_reported = true;
  EXPECT_EQ(Decide(view).action, ControlAction::kExit);

  view = With({Training(), Ended()});
  view.draining = true;
  view.drain_reported = true;
  EXPECT_EQ(Decide(view).action, ControlAction::kFinishAttempt);
  view.attempts.pop_back();
  EXPECT_EQ(Decide(view).action, ControlAction::kWait);
}

TEST(Decide, ADrainWaitsForAnAbsentServerOnlyWithAnAttempt) {
  ControlView view = Idle();
  view.draining = true;
  view.server_away = true;
  EXPECT_EQ(Decide(view).action, ControlAction::kExit);

  view = With({Ended()});
  view.draining = true;
  view.server_away = true;
  EXPECT_EQ(Decide(view).action, ControlAction::kWait);
}

}  // namespace
}  // namespace attune::worker
