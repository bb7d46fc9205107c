#ifndef ATTUNE_WORKER_AGENT_CONTROL_POLICY_H_
#define ATTUNE_WORKER_AGENT_CONTROL_POLICY_H_

#include <cstddef>
#include <vector>

#include "absl/time/time.h"

namespace attune::worker {

// How far an attempt of a worker is.
enum class AttemptPhase {
  kTraining,    // given up with its lease
  kPublishing,  // there is a result, and only the server can refuse it
  kEnded,       // the training thread is done with it
};

// What the control loop knows of one attempt. Times are monotonic.
struct AttemptView {
  AttemptPhase phase = AttemptPhase::kTraining;
  // Whether there is something to tell the server at the end (not after a lost
  // lease).
  bool has_outcome = false;
  // A checkpoint is stored that no acknowledged Synchronize has named.
  bool checkpoint_unreported = false;
  // When the lease is given up, see AttemptLease.
  absl::Duration give_up_at;
  // Training has been told that the lease is lost.
  bool gave_up = false;
  // The earliest time to tell the server of its end: a backoff.
  absl::Duration next_finish;
};

// What the control loop knows when it decides what to do. Times are monotonic.
struct ControlView {
  absl::Duration now;
  bool draining = false;
  // Whether the server has been told that the worker drains.
  bool drain_reported = false;
  // The newest Synchronize failed.
  bool server_away = false;
  // The earliest time of the next Synchronize: a pace or a backoff.
  absl::Duration next_synchronize;
  std::vector<AttemptView> attempts;
};

// What to do next.
enum class ControlAction {
  kSynchronize,
  // Tell the server of an attempt's end.
  kFinishAttempt,
  // Ask an attempt's training to stop: the lease is lost.
  kGiveUp,
  // Forget an ended attempt without a word.
  kForget,
  // Nothing before ControlDecision::until or a wake-up.
  kWait,
  // The drain is complete.
  kExit,
};

struct ControlDecision {
  ControlAction action;
  absl::Duration until;  // of kWait
  size_t attempt = 0;    // index in the view, of what is done to one
};

// The one place that decides. A finished result is offered to the server until
// that takes or refuses it, however long that takes: fencing by attempt makes
// it harmless. Synchronize, which keeps the leases of all the others, comes
// before such an offer when both are due, and of the offers the one that waits
// longest: a server that does not take one result holds nothing else up. A
// stored checkpoint is reported before its attempt ends, so that the next one
// goes on from it. A drain tells the server, but without an attempt it does not
// wait for one that is away.
ControlDecision Decide(const ControlView& view);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_AGENT_CONTROL_POLICY_H_
