#include "server/jobs/lease_table.h"

#include <algorithm>
#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/text.h"

namespace attune::server {
namespace {

absl::Status Lost(int32_t attempt) {
  return MakeError(Reason::kLeaseLost,
                   Concat("attempt ", attempt,
                          " does not hold the job any more; stop and publish "
                          "nothing"),
                   {{"attempt", Concat(attempt)}});
}

}  // namespace

absl::Status LeaseTable::Grant(Lease lease) {
  if (leases_.count(lease.job) > 0) {
    return MakeError(Reason::kIllegalState,
                     Concat("job ", lease.job, " has a lease"));
  }
  if (by_worker_.count(lease.worker) > 0) {
    return MakeError(Reason::kIllegalState,
                     Concat("worker '", lease.worker, "' holds a job"));
  }
  by_worker_[lease.worker] = lease.job;
  leases_.emplace(lease.job, std::move(lease));
  return absl::OkStatus();
}

absl::Status LeaseTable::Renew(int64_t job, int32_t attempt,
                               std::string_view instance,
                               absl::Duration deadline) {
  auto found = leases_.find(job);
  if (found == leases_.end() || found->second.attempt != attempt ||
      found->second.instance != instance) {
    return Lost(attempt);
  }
  found->second.deadline = deadline;
  return absl::OkStatus();
}

absl::Status LeaseTable::Check(int64_t job, int32_t attempt) const {
  auto found = leases_.find(job);
  if (found == leases_.end() || found->second.attempt != attempt) {
    return Lost(attempt);
  }
  return absl::OkStatus();
}

std::optional<Lease> LeaseTable::FindByJob(int64_t job) const {
  auto found = leases_.find(job);
  if (found == leases_.end()) return std::nullopt;
  return found->second;
}

std::optional<Lease> LeaseTable::FindByWorker(std::string_view worker) const {
  auto found = by_worker_.find(worker);
  if (found == by_worker_.end()) return std::nullopt;
  return FindByJob(found->second);
}

void LeaseTable::Release(int64_t job) {
  auto found = leases_.find(job);
  if (found == leases_.end()) return;
  by_worker_.erase(found->second.worker);
  leases_.erase(found);
}

std::vector<Lease> LeaseTable::FindExpired(absl::Duration now) const {
  std::vector<Lease> expired;
  for (const auto& [job, lease] : leases_) {
    if (lease.deadline <= now) expired.push_back(lease);
  }
  std::sort(expired.begin(), expired.end(), [](const Lease& a, const Lease& b) {
    return std::pair(a.deadline, a.job) < std::pair(b.deadline, b.job);
  });
  return expired;
}

}  // namespace attune::server
