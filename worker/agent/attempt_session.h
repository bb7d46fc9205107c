#ifndef ATTUNE_WORKER_AGENT_ATTEMPT_SESSION_H_
#define ATTUNE_WORKER_AGENT_ATTEMPT_SESSION_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "attune/worker/v1/control.pb.h"
#include "proto/cc/artifact.h"
#include "worker/agent/control_policy.h"
#include "worker/agent/train_metrics.h"
#include "worker/agent/training_turns.h"
#include "worker/inference/compute_budget.h"
#include "worker/tuning/attempt.h"

namespace attune::worker {

// Why an attempt is asked to stop. Later ones win over earlier ones.
enum class StopCause {
  kNone,
  kDrain,      // the worker shuts down: the job is given back
  kCancel,     // the job was cancelled
  kLeaseLost,  // the attempt is not ours any more: publish nothing
};

// A checkpoint on its way to the server.
struct PendingCheckpoint {
  Artifact artifact;
  int step = 0;
};

// One attempt at a job as the threads that work on it share it: training writes
// progress and checkpoints, the uploader takes checkpoints, the control loop
// reports and stops. Thread-safe.
class AttemptSession final : public AttemptListener {
 public:
  // `wake` is called, without locks held, when the control loop has something
  // new to do. `budget`, `turns` and `metrics` are borrowed.
  AttemptSession(v1::Assignment assignment, ComputeBudget& budget,
                 TrainingTurns& turns, TrainMetrics& metrics,
                 std::function<void()> wake);

  const v1::Assignment& assignment() const { return assignment_; }
  const std::string& job() const { return assignment_.tuning_job().name(); }
  int attempt() const { return assignment_.attempt(); }

  // For training (AttemptListener).
  void OnResolvedSpec(const attune::v1::TuningJobSpec& spec) override;
  void OnProgress(const attune::v1::TuningProgress& progress) override;
  void OnNotice(std::string message) override;
  void OnCheckpoint(Artifact checkpoint, int step) override;
  bool StopRequested() override;
  // Blocks until it is this job's turn to compute. The turn lasts until another
  // call or EndComputing.
  void BeforeStep() override;
  void EndComputing() { place_.Leave(); }

  // Blocks for `duration` or until a stop is asked for; true if one is. A lost
  // lease only, when `lease_only`: what must still happen in a drain.
  bool WaitForStop(absl::Duration duration, bool lease_only);
  StopCause stop_cause() const;
  // Training notices it in its next turn, which comes before all others'.
  void RequestStop(StopCause cause);

  // For the uploader. Blocks until there is a checkpoint (the newest; older
  // ones that nobody took are gone), or returns nothing once no more will come.
  std::optional<PendingCheckpoint> WaitForCheckpoint();
  // A newer checkpoint waits, so the one in hand need not be tried again.
  bool has_newer_checkpoint() const;
  void CheckpointStored(const std::string& digest, int step);
  // No more checkpoints; the one that waits is dropped unless `keep_last`.
  void CloseCheckpoints(bool keep_last);

  // Training is over and what it made is being stored: from here on only the
  // server decides whether the attempt is still the current one.
  void BeginPublishing();
  // The attempt has ended; `outcome` is unset if there is nothing to tell. May
  // be called again with another one.
  void End(std::optional<v1::FinishAttemptRequest> outcome);

  // For the control loop.
  AttemptPhase phase() const;
  std::optional<v1::FinishAttemptRequest> outcome() const;
  v1::AttemptState Report() const;
  // The server has acknowledged `report`.
  void Acknowledge(const v1::AttemptState& report);
  // The server does not take the stored checkpoint of `digest`: reports name it
  // no more.
  void DropCheckpoint(const std::string& digest);
  bool checkpoint_unreported() const;

 private:
  const v1::Assignment assignment_;
  ComputeBudget& budget_;
  TrainMetrics& metrics_;
  const std::function<void()> wake_;

  TrainingTurns::Place place_;  // of the training thread; others may hurry it
  // Only the training thread uses these.
  attune::v1::TuningProgress counted_;
  bool counting_ = false;
  absl::Duration counted_at_;  // of the time it has computed

  mutable absl::Mutex mutex_;
  v1::AttemptState state_ ABSL_GUARDED_BY(mutex_);
  std::string reported_digest_ ABSL_GUARDED_BY(mutex_);
  StopCause stop_ ABSL_GUARDED_BY(mutex_) = StopCause::kNone;
  std::optional<PendingCheckpoint> pending_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  AttemptPhase phase_ ABSL_GUARDED_BY(mutex_) = AttemptPhase::kTraining;
  std::optional<v1::FinishAttemptRequest> outcome_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_AGENT_ATTEMPT_SESSION_H_
