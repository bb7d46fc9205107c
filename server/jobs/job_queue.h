#ifndef ATTUNE_SERVER_JOBS_JOB_QUEUE_H_
#define ATTUNE_SERVER_JOBS_JOB_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"

namespace attune::server {

// A job that waits for a worker.
struct QueuedJob {
  std::string base_model;
  absl::Time queued_at;  // for the wait that metrics report
  // On the monotonic clock; in the future after a loss.
  absl::Duration not_before = -absl::InfiniteDuration();
  // It wants a worker without other jobs, see NeedsWorkerAlone.
  bool alone = false;
};

// What a worker with a free slot can take.
struct WorkerRoom {
  absl::flat_hash_set<std::string> models;  // that it has
  // Of these, the ones that cost no more memory there: they are loaded, or
  // another of its jobs is about to load them.
  absl::flat_hash_set<std::string> loaded;
  bool idle = true;  // it works on no job
};

// Jobs that wait, oldest first. Not thread-safe: JobManager guards it with its
// mutex. Holds no clock.
class JobQueue {
 public:
  void Add(int64_t job, QueuedJob queued) { jobs_[job] = std::move(queued); }
  void Remove(int64_t job) { jobs_.erase(job); }

  // The oldest job whose model the worker has and whose time has come. A worker
  // that works on others already gets it only with a model that is loaded
  // there, and unless it wants to be alone: else nothing, not even a younger
  // job, so that the worker empties and the job has its turn.
  std::optional<int64_t> Pick(const WorkerRoom& worker,
                              absl::Duration now) const;

  // Whether the delay of some job ended after `after` and at or before `now`.
  bool BecameReady(absl::Duration after, absl::Duration now) const;

  // When the oldest job was queued; nothing when none waits.
  std::optional<absl::Time> OldestQueuedAt() const;

  const QueuedJob* Find(int64_t job) const;  // null if it does not wait
  size_t size() const { return jobs_.size(); }

 private:
  std::map<int64_t, QueuedJob> jobs_;  // by number, so by age
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_JOBS_JOB_QUEUE_H_
