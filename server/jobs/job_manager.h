#ifndef ATTUNE_SERVER_JOBS_JOB_MANAGER_H_
#define ATTUNE_SERVER_JOBS_JOB_MANAGER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "attune/v1/tuning_service.pb.h"
#include "attune/worker/v1/control.pb.h"
#include "google/rpc/status.pb.h"
#include "proto/cc/artifact.h"
#include "proto/cc/clock.h"
#include "server/jobs/job_observer.h"
#include "server/jobs/job_queue.h"
#include "server/jobs/job_writer.h"
#include "server/jobs/lease_table.h"
#include "server/jobs/waiting_workers.h"
#include "server/jobs/wake_ups.h"
#include "server/jobs/worker_instances.h"
#include "server/store/job_store.h"
#include "server/store/page.h"
#include "server/store/row_store.h"

namespace attune::server {

class ArtifactStore;
class Database;
class PromptRegistry;

// The one owner of tuning jobs: their states, queue, leases and events. The
// database is the truth; queue, leases and newest progress are in memory.
// Thread-safe; one mutex, held over database transactions, so every call but
// the On... functions, StopGranting and Counts blocks on the disk. Callbacks
// and the observer are called with no lock held.
//
// Fields of specs and the forms of ids are checked by the caller; request ids,
// page fields, filters and everything that depends on what is stored, here.
class JobManager {
 public:
  struct Options {
    absl::Duration lease_duration = absl::Seconds(30);
    int64_t max_queued_jobs = 1000;
    // Counted losses in a row, without a new checkpoint between them.
    int max_attempts = 3;
    int checkpoints_kept = 2;
    // A number from 0 to 1, to spread retries.
    std::function<double()> uniform;  // default: random
  };

  // Loads unfinished jobs; those that were held get one fresh lease. All
  // references and observer (may be null) must outlive this.
  static absl::StatusOr<std::unique_ptr<JobManager>> Create(
      Options options, Database& database, PromptRegistry& registry,
      ArtifactStore& artifacts, const Clock& clock, JobObserver* observer);

  // ---- What users ask for. `id` is what follows "tuningJobs/".

  // The job that an earlier request with the same request_id made, if any: to
  // be asked before rows are pinned. kInvalidField, kRequestIdReused;
  // kResourceNotFound: the job was deleted meanwhile.
  absl::StatusOr<std::optional<v1::TuningJob>> FindCreated(
      const v1::CreateTuningJobRequest& request);
  // Stores a job over `rows` and returns it QUEUED; with validate_only only
  // checks and returns what it would be. spec.data.inline loses its rows: the
  // snapshot has them; an alias in init_version becomes the version that it
  // stands for. Errors of FindCreated and PinInitVersion; kResourceExists;
  // kQueueFull;
  // kResourceNotFound: the dataset was deleted meanwhile.
  absl::StatusOr<v1::TuningJob> CreateJob(
      const v1::CreateTuningJobRequest& request, const PinnedRows& rows);
  absl::StatusOr<v1::TuningJob> GetJob(std::string_view id);
  // kInvalidField, kInvalidPageToken, kInvalidFilter.
  absl::StatusOr<Page<v1::TuningJob>> ListJobs(const PageRequest& request);
  absl::StatusOr<v1::TuningJob> CancelJob(std::string_view id);
  // Also kResourceNotFound: its dataset is gone.
  absl::StatusOr<v1::TuningJob> RetryJob(std::string_view id);
  absl::Status DeleteJob(std::string_view id);
  // At most `limit` events. kInvalidField (after_sequence): it is negative or
  // in the future.
  absl::StatusOr<JobEvents> EventsAfter(std::string_view id,
                                        int64_t after_sequence, int limit);
  // Calls back after each new event of the job and when it is deleted.
  [[nodiscard]] WakeUps::Registration OnJobChange(
      std::string_view id, std::function<void()> callback);

  // ---- What workers ask for.

  // Never waits: a caller that may wait registers OnWork first and calls again
  // when it fires. INVALID_ARGUMENT: a field is wrong.
  absl::StatusOr<worker::v1::SynchronizeResponse> Synchronize(
      const worker::v1::SynchronizeRequest& request);
  // Calls back when a worker without a job might get one.
  [[nodiscard]] WakeUps::Registration OnWork(std::function<void()> callback);
  // Says that the worker waits for a job: others that have some leave new ones
  // to it.
  [[nodiscard]] WaitingWorkers::Registration AddWaiting(
      const worker::v1::WorkerState& worker);
  // kLeaseLost unless `attempt` holds the job. tuning_job: the full name.
  // method: for the observer.
  absl::Status CheckAttempt(std::string_view tuning_job, int32_t attempt,
                            std::string_view method);
  // The job's rows; kLeaseLost.
  absl::StatusOr<SnapshotReader> OpenSnapshot(std::string_view tuning_job,
                                              int32_t attempt);
  // See the proto. kCorruptArtifact or kResourceNotFound: the artifact of a
  // success is damaged or not there; the attempt goes on.
  absl::StatusOr<worker::v1::FinishAttemptResponse> FinishAttempt(
      const worker::v1::FinishAttemptRequest& request);

  // ---- What timers do.

  // Takes back leases that ended and wakes workers for jobs whose delay ended.
  // To be called about once a second.
  absl::Status ExpireLeases();
  // Removes artifacts that nothing refers to and that are older than an hour.
  // To be called every few minutes. Returns how many.
  absl::StatusOr<int> SweepArtifacts();
  // No more jobs are given out; for draining. Wakes everybody.
  void StopGranting();
  JobCounts Counts() const;

 private:
  struct Progress {
    v1::TuningProgress newest;
    bool stored = false;  // as an event
    absl::Duration stored_at = -absl::InfiniteDuration();
    std::vector<std::string> notices;  // of the last report
  };
  using SynchronizeRequest = worker::v1::SynchronizeRequest;
  using SynchronizeResponse = worker::v1::SynchronizeResponse;
  using WorkerState = worker::v1::WorkerState;
  // A reported attempt whose lease is renewed, and what to answer.
  struct Reported {
    int64_t job = 0;
    const worker::v1::AttemptState& attempt;
    worker::v1::AttemptDirective& directive;
  };
  using Change = absl::FunctionRef<absl::Status(JobWriter&)>;

  JobManager(Options options, Database& database, PromptRegistry& registry,
             ArtifactStore& artifacts, const Clock& clock,
             JobObserver* observer);

  // Makes queue and leases agree with the database; leases of current attempts
  // stay, held jobs without one get a fresh one.
  absl::Status Reconcile() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Runs `change` in a transaction under mutex_; after the commit takes its
  // effects over in memory and then, with no lock held, tells others.
  absl::Status Apply(Change change) ABSL_LOCKS_EXCLUDED(mutex_);
  void Adopt(const JobEffects& effects) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Tell(const JobEffects& effects) ABSL_LOCKS_EXCLUDED(mutex_);
  void Observe(absl::FunctionRef<void(JobObserver&)> call);
  absl::Status CheckQueueLimit() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Ends an attempt that did not reach its end: the job is queued again, or
  // fails when `counted` and lost too often, or is cancelled if it was to be.
  absl::Status Lose(JobWriter& writer, const absl::Status& why, bool counted,
                    JobRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Parts of Synchronize and FinishAttempt.
  bool Admit(const WorkerState& worker) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status LoseOfOtherInstance(const WorkerState& worker);
  std::vector<Reported> RenewReported(const SynchronizeRequest& request,
                                      SynchronizeResponse& response);
  absl::Status Report(const SynchronizeRequest& request,
                      SynchronizeResponse& response);
  absl::Status StoreReport(JobWriter& writer, const Reported& reported,
                           JobRecord& record)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StoreCheckpoint(JobWriter& writer, const Reported& reported,
                       JobRecord& record);
  // Offers a job again that the worker holds and does not report, or takes it
  // back.
  absl::Status SettleUnreported(const SynchronizeRequest& request,
                                SynchronizeResponse& response);
  // The job that the worker gets now, if any.
  std::optional<int64_t> ChooseJob(const WorkerState& worker) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Offer(const WorkerState& worker, SynchronizeResponse& response);
  absl::Status Assign(JobWriter& writer, int64_t number,
                      const WorkerState& worker,
                      worker::v1::Assignment& assignment)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status OfferAgain(JobWriter& writer, const Lease& lease,
                          const WorkerState& worker,
                          SynchronizeResponse& response)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<JobRecord> FindAttempt(std::string_view tuning_job,
                                        int32_t attempt,
                                        std::string_view method);
  absl::Status Finish(JobWriter& writer,
                      const worker::v1::FinishAttemptRequest& request,
                      const std::vector<ArtifactEntry>& files,
                      JobRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Succeed(JobWriter& writer,
                       const worker::v1::SucceededOutcome& outcome,
                       const std::vector<ArtifactEntry>& files,
                       JobRecord& record);
  absl::Status Fail(JobWriter& writer, const google::rpc::Status& error,
                    JobRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  Database& database_;
  PromptRegistry& registry_;
  ArtifactStore& artifacts_;
  const Clock& clock_;
  JobObserver* const observer_;

  // Thread-safe themselves.
  WakeUps wake_ups_;
  WaitingWorkers waiting_;
  std::atomic<bool> granting_{true};

  // Held over transactions. Taken before the database's lock.
  mutable absl::Mutex mutex_;
  JobQueue queue_ ABSL_GUARDED_BY(mutex_);
  LeaseTable leases_ ABSL_GUARDED_BY(mutex_);
  std::map<int64_t, Progress> progress_ ABSL_GUARDED_BY(mutex_);
  WorkerInstances instances_ ABSL_GUARDED_BY(mutex_);
  // When ExpireLeases last looked for delays that ended.
  absl::Duration looked_at_ ABSL_GUARDED_BY(mutex_);
  // A commit failed, and whether it took effect is not known.
  bool in_doubt_ ABSL_GUARDED_BY(mutex_) = false;

  // Apart, so that nobody who counts waits for the disk.
  mutable absl::Mutex counts_mutex_;
  JobCounts counts_ ABSL_GUARDED_BY(counts_mutex_);
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_JOBS_JOB_MANAGER_H_
