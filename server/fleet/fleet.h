#ifndef ATTUNE_SERVER_FLEET_FLEET_H_
#define ATTUNE_SERVER_FLEET_FLEET_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "attune/v1/model_service.pb.h"
#include "attune/worker/v1/control.pb.h"
#include "proto/cc/clock.h"
#include "server/fleet/worker_choice.h"
#include "server/store/page.h"

namespace attune::server {

class Fleet;

// A worker on loan for one request: it counts as busy until this is destroyed.
// Move-only; must not outlive the fleet.
class WorkerLoan {
 public:
  WorkerLoan(WorkerLoan&& other) noexcept;
  WorkerLoan& operator=(WorkerLoan&&) = delete;
  ~WorkerLoan();

  const std::string& id() const { return id_; }
  // host:port of its Engine.
  const std::string& engine_address() const { return engine_address_; }
  // Says that a call failed with UNAVAILABLE: others are preferred until the
  // worker synchronises again.
  void MarkSuspect();

 private:
  friend class Fleet;
  WorkerLoan(Fleet* fleet, std::string id, std::string instance_id,
             std::string engine_address);

  Fleet* fleet_;  // null after a move
  std::string id_;
  std::string instance_id_;
  std::string engine_address_;
};

// The workers that synchronised lately: what they hold and how busy they are.
// A worker that takes no jobs any more drains: it gets no requests either, and
// what it holds does not count. In memory only; after a restart it fills itself
// within one synchronisation. Thread-safe; no call blocks.
class Fleet {
 public:
  struct Options {
    // A worker that was not heard of for this long is gone. Workers call at
    // least every third of a lease; this is two thirds.
    absl::Duration timeout = absl::Seconds(20);
  };
  // clock: must outlive this.
  Fleet(Options options, const Clock& clock);
  // Waits for the loans that are out: a call that was cancelled gives its loan
  // back a little later.
  ~Fleet();

  // Takes in what a worker says. The fields are checked by the caller. A
  // process that was replaced by another instance of the same id is ignored.
  // wait: how long the worker now waits for an answer; it is not expected to
  // call meanwhile. Returns the mark of this wait.
  absl::Duration Update(const worker::v1::WorkerState& state,
                        absl::Duration wait = absl::ZeroDuration());
  // The wait that `mark` stands for is over, by an answer or since the worker
  // is gone: from now on it is expected to call. No effect after a later
  // Update.
  void EndWait(std::string_view id, absl::Duration mark);
  // The worker went away in order.
  void Remove(std::string_view id, std::string_view instance_id);

  // A worker for one request. kNoWorker (UNAVAILABLE) naming the model: no live
  // worker holds it. kModelMismatch (FAILED_PRECONDITION): live workers hold
  // it with other weights than `fingerprint`, where that is not empty.
  absl::StatusOr<WorkerLoan> Choose(std::string_view model,
                                    std::string_view fingerprint,
                                    std::string_view artifact_digest);

  // What a request computes with.
  struct Need {
    std::string model;
    std::string fingerprint;      // empty: any
    std::string artifact_digest;  // empty: the bare model
  };
  // One worker for a request that computes with all of `needs`. Errors as
  // above; kNoWorker also where live workers hold each model, but none all.
  absl::StatusOr<WorkerLoan> ChooseForAll(absl::Span<const Need> needs);

  // The models of all live workers, by name, with their holders.
  std::vector<v1::Model> Models() const;
  // NOT_FOUND (kResourceNotFound): no live worker has it.
  absl::StatusOr<v1::Model> GetModel(std::string_view name) const;
  // kInvalidField, kInvalidPageToken.
  absl::StatusOr<Page<v1::Model>> ListModels(const PageRequest& request,
                                             const PageTokens& tokens) const;

  // OK when some live worker has the model, or none is live at all (the job
  // then waits). FAILED_PRECONDITION (kUnknownBaseModel) otherwise.
  absl::Status CheckModelForJob(std::string_view name) const;

  // How many workers live, and how many of them take jobs.
  struct Counts {
    int live = 0;
    int accepting_jobs = 0;
  };
  Counts Count() const;

 private:
  friend class WorkerLoan;
  struct Entry {
    worker::v1::WorkerState state;
    absl::flat_hash_set<std::string> warm;
    absl::Duration silent_from;  // when it was last known to live
    int outstanding = 0;
    bool suspect = false;
    std::vector<std::string> replaced_instances;  // the last few
  };

  bool IsLive(const Entry& entry, absl::Duration now) const;
  // Whether it lives and does not drain.
  bool Serves(const Entry& entry, absl::Duration now) const;
  // `entry` as one that may take the request; nothing if it lacks a model.
  // other_weights: set if it has one with another fingerprint.
  static std::optional<WorkerCandidate> CandidateFor(
      const Entry& entry, absl::Span<const Need> needs, bool& other_weights);
  std::map<std::string, v1::Model> LiveModels() const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Return(const WorkerLoan& loan);
  void MarkSuspect(const WorkerLoan& loan);

  const Options options_;
  const Clock& clock_;
  mutable absl::Mutex mutex_;
  std::map<std::string, Entry> workers_ ABSL_GUARDED_BY(mutex_);
  int loans_ ABSL_GUARDED_BY(mutex_) = 0;  // of all workers, gone ones too
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_FLEET_FLEET_H_
