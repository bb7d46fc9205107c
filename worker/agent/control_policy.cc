#include "worker/agent/control_policy.h"

#include <algorithm>

namespace attune::worker {
namespace {

ControlDecision ActAt(ControlAction action, absl::Duration time,
                      absl::Duration now) {
  if (now >= time) {
    return {action, now};
  }
  return {ControlAction::kWait, time};
}

}  // namespace

ControlDecision Decide(const ControlView& view) {
  const ControlDecision synchronize =
      ActAt(ControlAction::kSynchronize, view.next_synchronize, view.now);
  const bool training = view.phase == AttemptPhase::kTraining;
  if (training && !view.gave_up && view.now >= view.give_up_at) {
    return {ControlAction::kGiveUp, view.now};
  }
  if (view.phase == AttemptPhase::kEnded && !view.has_outcome) {
    return {ControlAction::kForget, view.now};
  }
  const bool idle = view.phase == AttemptPhase::kNone;
  if (view.draining && !view.drain_reported && !(idle && view.server_away)) {
    return synchronize;
  }
  if (idle) {
    return view.draining ? ControlDecision{ControlAction::kExit, view.now}
                         : synchronize;
  }
  if (view.phase == AttemptPhase::kEnded && !view.checkpoint_unreported) {
    const ControlDecision finish =
        ActAt(ControlAction::kFinishAttempt, view.next_finish, view.now);
    if (finish.action == ControlAction::kFinishAttempt) {
      return finish;
    }
    // Synchronize keeps the lease while FinishAttempt backs off.
    return {synchronize.action, std::min(synchronize.until, finish.until)};
  }
  if (training && !view.gave_up) {
    return {synchronize.action, std::min(synchronize.until, view.give_up_at)};
  }
  return synchronize;
}

}  // namespace attune::worker
