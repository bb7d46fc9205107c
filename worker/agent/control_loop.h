#ifndef ATTUNE_WORKER_AGENT_CONTROL_LOOP_H_
#define ATTUNE_WORKER_AGENT_CONTROL_LOOP_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "attune/v1/model_service.pb.h"
#include "attune/worker/v1/control.pb.h"
#include "proto/cc/clock.h"
#include "worker/agent/attempt_lease.h"
#include "worker/agent/attempt_runner.h"
#include "worker/agent/attempt_session.h"
#include "worker/agent/backoff.h"
#include "worker/agent/control_policy.h"
#include "worker/agent/server_stub.h"

namespace attune::worker {

// Keeps the worker and the server of one mind: registers, takes jobs while
// there are slots, renews their leases, passes cancels on, ends attempts, and
// gives the jobs back when the worker drains. What happens to one job leaves
// the others alone. One thread runs it; Wake, RequestDrain and the waits may be
// called from any other.
class ControlLoop {
 public:
  struct Options {
    std::string worker_id;
    std::string instance_id;     // a UUID of this process
    std::string engine_address;  // host:port for the server
    std::string version;
    int max_jobs = 1;  // at once
    // How long the server may hold a call of an idle worker.
    absl::Duration poll_wait = absl::Seconds(10);
    // Between two reports of running jobs, at most.
    absl::Duration report_interval = absl::Seconds(1);
    absl::Duration call_timeout = absl::Seconds(5);
    Backoff::Options backoff;
  };

  // What the worker says of itself. Called on the loop's thread.
  struct Host {
    std::function<std::vector<attune::v1::Model>()> models;
    std::function<std::vector<std::string>()> warm_artifacts;
    std::function<int()> num_waiting_requests;
  };

  // `stub` and `clock` are borrowed. `uniform` gives numbers in
  // [0, 1) for jitter.
  ControlLoop(const Options& options, Host host, ServerStub& stub,
              std::unique_ptr<AttemptRunner> runner, const Clock& clock,
              std::function<double()> uniform);
  // Running attempts are told that their leases are lost, and waited for.
  ~ControlLoop();

  // Runs Step until the drain is complete. Blocks.
  void Run();

  // Does what is due, which may be one call to the server, and returns when to
  // call again (monotonic) unless woken before; nothing once drained.
  std::optional<absl::Duration> Step();

  // Something may be due now.
  void Wake();
  // Takes no more jobs and gives the running ones back, with checkpoints.
  void RequestDrain();
  // Ends Run soon, whatever is unfinished: the end of the drain's patience.
  void Abandon();

  // Whether the server has acknowledged the worker, within `limit`.
  bool WaitRegistered(absl::Duration limit);
  bool WaitDrained(absl::Duration limit);
  int num_attempts() const;

 private:
  // An attempt that the server was not yet told the end of.
  struct Held {
    std::shared_ptr<AttemptSession> session;
    AttemptLease lease;
    Backoff finish_backoff;
    absl::Duration next_finish;
    bool gave_up = false;
  };

  ControlView View() const;
  void Synchronize();
  void Acknowledge(const v1::SynchronizeResponse& response,
                   const v1::SynchronizeRequest& request, absl::Duration sent);
  // What the server says of one attempt; `lease` is its length.
  void Obey(const v1::AttemptDirective& directive,
            const v1::AttemptState& report, absl::Duration sent,
            absl::Duration lease);
  void TakeFailure(const absl::Status& status, absl::Duration sent);
  void Begin(const v1::SynchronizeResponse& response);
  // `index` is into held_.
  void GiveUp(size_t index);
  void FinishAttempt(size_t index);
  void Forget(size_t index);
  void StopAll(StopCause cause);
  v1::SynchronizeRequest MakeRequest() const;

  const Options options_;
  const Host host_;
  ServerStub& stub_;
  const Clock& clock_;
  const std::function<double()> uniform_;

  // Only the loop's thread uses these.
  std::vector<Held> held_;
  bool drain_reported_ = false;
  bool server_away_ = false;
  absl::Duration next_synchronize_ = -absl::InfiniteDuration();
  Backoff synchronize_backoff_;

  mutable absl::Mutex mutex_;
  // Those of held_.
  std::vector<std::shared_ptr<AttemptSession>> sessions_
      ABSL_GUARDED_BY(mutex_);
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool registered_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool drained_ ABSL_GUARDED_BY(mutex_) = false;
  bool abandoned_ ABSL_GUARDED_BY(mutex_) = false;

  // Last, because its threads use the members above until they have ended.
  const std::unique_ptr<AttemptRunner> runner_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_AGENT_CONTROL_LOOP_H_
