#include "worker/agent/control_policy.h"

#include <algorithm>
#include <optional>

namespace attune::worker {
namespace {

ControlDecision ActAt(ControlAction action, absl::Duration time,
                      absl::Duration now) {
  if (now >= time) {
    return {action, now};
  }
  return {ControlAction::kWait, time};
}

bool IsGivenUpWithLease(const AttemptView& attempt) {
  return attempt.phase == AttemptPhase::kTraining && !attempt.gave_up;
}

bool CanFinish(const AttemptView& attempt) {
  return attempt.phase == AttemptPhase::kEnded && attempt.has_outcome &&
         !attempt.checkpoint_unreported;
}

// What needs no word with the server.
std::optional<ControlDecision> FindLost(const ControlView& view) {
  for (size_t i = 0; i < view.attempts.size(); ++i) {
    const AttemptView& attempt = view.attempts[i];
    if (IsGivenUpWithLease(attempt) && view.now >= attempt.give_up_at) {
      return ControlDecision{ControlAction::kGiveUp, view.now, i};
    }
    if (attempt.phase == AttemptPhase::kEnded && !attempt.has_outcome) {
      return ControlDecision{ControlAction::kForget, view.now, i};
    }
  }
  return std::nullopt;
}

}  // namespace

ControlDecision Decide(const ControlView& view) {
  if (const auto lost = FindLost(view)) {
    return *lost;
  }
  const ControlDecision synchronize =
      ActAt(ControlAction::kSynchronize, view.next_synchronize, view.now);
  const bool idle = view.attempts.empty();
  if (view.draining && !view.drain_reported && !(idle && view.server_away)) {
    return synchronize;
  }
  if (idle && view.draining) {
    return {ControlAction::kExit, view.now};
  }
  if (synchronize.action == ControlAction::kSynchronize) {
    return synchronize;
  }
  absl::Duration until = synchronize.until;
  std::optional<size_t> first;  // to finish
  for (size_t i = 0; i < view.attempts.size(); ++i) {
    const AttemptView& attempt = view.attempts[i];
    if (IsGivenUpWithLease(attempt)) {
      until = std::min(until, attempt.give_up_at);
    }
    if (CanFinish(attempt) &&
        (!first || attempt.next_finish < view.attempts[*first].next_finish)) {
      first = i;
    }
  }
  if (!first) {
    return {ControlAction::kWait, until};
  }
  ControlDecision finish = ActAt(ControlAction::kFinishAttempt,
                                 view.attempts[*first].next_finish, view.now);
  finish.until = std::min(finish.until, until);
  finish.attempt = *first;
  return finish;
}

}  // namespace attune::worker
