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
  by_worker_[lease.worker].insert(lease.job);
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

std::vector<Lease> LeaseTable::FindByWorker(std::string_view worker) const {
  std::vector<Lease> held;
  auto found = by_worker_.find(worker);
  if (found == by_worker_.end()) return held;
  for (int64_t job : found->second) held.push_back(leases_.at(job));
  return held;
}

bool LeaseTable::HasWorker(std::string_view worker) const {
  return by_worker_.find(worker) != by_worker_.end();
}

void LeaseTable::AllowCompany(int64_t job) {
  auto found = leases_.find(job);
  if (found != leases_.end()) found->second.alone = false;
}

void LeaseTable::Release(int64_t job) {
  auto found = leases_.find(job);
  if (found == leases_.end()) return;
  auto worker = by_worker_.find(found->second.worker);
  worker->second.erase(job);
  if (worker->second.empty()) by_worker_.erase(worker);
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
