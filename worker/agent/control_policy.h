#ifndef ATTUNE_WORKER_AGENT_CONTROL_POLICY_H_
#define ATTUNE_WORKER_AGENT_CONTROL_POLICY_H_

#include "absl/time/time.h"

namespace attune::worker {

// How far the attempt of a worker is.
enum class AttemptPhase {
  kNone,        // there is none
  kTraining,    // given up with its lease
  kPublishing,  // there is a result, and only the server can refuse it
  kEnded,       // the training thread is done with it
};

// What the control loop knows when it decides what to do. Times are monotonic.
struct ControlView {
  absl::Duration now;
  bool draining = false;
  // Whether the server has been told that the worker drains.
  bool drain_reported = false;
  // The newest Synchronize failed.
  bool server_away = false;

  AttemptPhase phase = AttemptPhase::kNone;
  // Whether there is something to tell the server at the end (not after a lost
  // lease).
  bool has_outcome = false;
  // A checkpoint is stored that no acknowledged Synchronize has named.
  bool checkpoint_unreported = false;
  // When the lease is given up, see AttemptLease.
  absl::Duration give_up_at;
  // Training has been told that the lease is lost.
  bool gave_up = false;

  // The earliest times of the next calls: paces and backoffs.
  absl::Duration next_synchronize;
  absl::Duration next_finish;
};

// What to do next.
enum class ControlAction {
  kSynchronize,
  kFinishAttempt,
  // Ask training to stop: the lease is lost.
  kGiveUp,
  // Forget the ended attempt without a word.
  kForget,
  // Nothing before ControlDecision::until or a wake-up.
  kWait,
  // The drain is complete.
  kExit,
};

struct ControlDecision {
  ControlAction action;
  absl::Duration until;  // of kWait
};

// The one place that decides. A finished result is offered to the server until
// that takes or refuses it, however long that takes: fencing by attempt makes
// it harmless. A stored checkpoint is reported before the attempt ends, so that
// the next one goes on from it. A drain tells the server, but without an
// attempt it does not wait for one that is away.
ControlDecision Decide(const ControlView& view);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_AGENT_CONTROL_POLICY_H_
