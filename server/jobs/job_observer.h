#ifndef ATTUNE_SERVER_JOBS_JOB_OBSERVER_H_
#define ATTUNE_SERVER_JOBS_JOB_OBSERVER_H_

#include <map>
#include <optional>
#include <string_view>

#include "absl/time/time.h"
#include "proto/cc/status.h"
#include "server/jobs/job_state.h"

namespace attune::server {

// Is told what happens to jobs, for metrics. Called after the commit, on the
// thread that made the call, with no lock held; must be quick.
class JobObserver {
 public:
  virtual ~JobObserver() = default;
  virtual void OnJobCreated() {}
  // A create was answered from an earlier one with its request_id.
  virtual void OnReplay() {}
  // A worker got a job. queue_wait: since it was queued.
  virtual void OnLeaseGranted(absl::Duration /*queue_wait*/) {}
  virtual void OnLeaseExpired() {}
  // A call of an attempt that is not current was refused. method: e.g.
  // "FinishAttempt".
  virtual void OnLeaseFenced(std::string_view /*method*/) {}
  // outcome: "succeeded", "failed", "cancelled", "released" or "lost".
  virtual void OnAttemptEnded(std::string_view /*outcome*/) {}
  // A job came to a final state. reason: only for FAILED. duration: since it
  // was created.
  virtual void OnJobFinished(JobState /*state*/,
                             std::optional<Reason> /*reason*/,
                             absl::Duration /*duration*/) {}
  // type: "state_change", "progress" or "notice".
  virtual void OnEventStored(std::string_view /*type*/) {}
};

// A snapshot for gauges.
struct JobCounts {
  std::map<JobState, int64_t> by_state;  // all six states
  std::optional<absl::Time> oldest_queued;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_JOBS_JOB_OBSERVER_H_
