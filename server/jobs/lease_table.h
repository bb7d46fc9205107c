#ifndef ATTUNE_SERVER_JOBS_LEASE_TABLE_H_
#define ATTUNE_SERVER_JOBS_LEASE_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace attune::server {

// The right of one worker process to work on one job.
struct Lease {
  int64_t job = 0;     // the job's number
  std::string job_id;  // what follows "tuningJobs/"
  std::string base_model;
  int32_t attempt = 0;
  std::string worker;
  std::string instance;     // of the worker
  absl::Duration deadline;  // on the monotonic clock
  // Its worker gets no other job beside it, see NeedsWorkerAlone.
  bool alone = false;
};

// Leases of running jobs, at most one for each job; a worker may hold several.
// Not thread-safe: JobManager guards it with its mutex. Holds no clock; callers
// pass `now`, so expiry is a pure function of its input.
class LeaseTable {
 public:
  // Adds a lease. FAILED_PRECONDITION when the job has one.
  absl::Status Grant(Lease lease);

  // Moves the deadline of the lease of exactly this attempt and instance.
  // FAILED_PRECONDITION (kLeaseLost) when there is none; nothing changes then.
  absl::Status Renew(int64_t job, int32_t attempt, std::string_view instance,
                     absl::Duration deadline);

  // OK when `attempt` holds the job now; FAILED_PRECONDITION (kLeaseLost)
  // otherwise.
  absl::Status Check(int64_t job, int32_t attempt) const;

  std::optional<Lease> FindByJob(int64_t job) const;
  // All leases of a worker, by the number of the job.
  std::vector<Lease> FindByWorker(std::string_view worker) const;
  bool HasWorker(std::string_view worker) const;

  // The job may have others beside it on its worker again.
  void AllowCompany(int64_t job);

  // Removes the job's lease, if there is one.
  void Release(int64_t job);

  // The leases that ended at or before `now`, by deadline. They stay until they
  // are released: the loss must be on disk first.
  std::vector<Lease> FindExpired(absl::Duration now) const;

  size_t size() const { return leases_.size(); }

 private:
  std::map<int64_t, Lease> leases_;  // by job
  // Jobs of each worker that holds some.
  std::map<std::string, std::set<int64_t>, std::less<>> by_worker_;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_JOBS_LEASE_TABLE_H_
