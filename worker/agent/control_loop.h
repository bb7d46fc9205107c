#ifndef ATTUNE_WORKER_AGENT_CONTROL_LOOP_H_
#define ATTUNE_WORKER_AGENT_CONTROL_LOOP_H_

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

// Keeps the worker and the server of one mind: registers, takes jobs, renews
// the lease of the running one, passes cancels on, ends attempts, and gives the
// job back when the worker drains. One thread runs it; Wake, RequestDrain and
// the waits may be called from any other.
class ControlLoop {
 public:
  struct Options {
    std::string worker_id;
    std::string instance_id;     // a UUID of this process
    std::string engine_address;  // host:port for the server
    std::string version;
    // How long the server may hold a call of an idle worker.
    absl::Duration poll_wait = absl::Seconds(10);
    // Between two reports of a running job, at most.
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
  // A running attempt is told that its lease is lost, and waited for.
  ~ControlLoop();

  // Runs Step until the drain is complete. Blocks.
  void Run();

  // Does what is due, which may be one call to the server, and returns when to
  // call again (monotonic) unless woken before; nothing once drained.
  std::optional<absl::Duration> Step();

  // Something may be due now.
  void Wake();
  // Takes no more jobs and gives the running one back, with a checkpoint.
  void RequestDrain();
  // Ends Run soon, whatever is unfinished: the end of the drain's patience.
  void Abandon();

  // Whether the server has acknowledged the worker, within `limit`.
  bool WaitRegistered(absl::Duration limit);
  bool WaitDrained(absl::Duration limit);
  bool has_attempt() const;

 private:
  ControlView View() const;
  void Synchronize();
  void Acknowledge(const v1::SynchronizeResponse& response,
                   const v1::SynchronizeRequest& request, absl::Duration sent);
  void TakeFailure(const absl::Status& status,
                   const v1::SynchronizeRequest& request, absl::Duration sent);
  void Begin(const v1::SynchronizeResponse& response);
  void FinishAttempt();
  void Forget();
  v1::SynchronizeRequest MakeRequest() const;
  std::shared_ptr<AttemptSession> session() const;

  const Options options_;
  const Host host_;
  ServerStub& stub_;
  const Clock& clock_;
  const std::function<double()> uniform_;

  // Only the loop's thread uses these.
  std::optional<AttemptLease> lease_;
  bool gave_up_ = false;
  bool drain_reported_ = false;
  bool server_away_ = false;
  absl::Duration next_synchronize_ = -absl::InfiniteDuration();
  absl::Duration next_finish_ = -absl::InfiniteDuration();
  Backoff synchronize_backoff_;
  Backoff finish_backoff_;

  mutable absl::Mutex mutex_;
  std::shared_ptr<AttemptSession> session_ ABSL_GUARDED_BY(mutex_);
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
