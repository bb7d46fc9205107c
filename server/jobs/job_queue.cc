#include "server/jobs/job_queue.h"

#include <algorithm>

namespace attune::server {

std::optional<int64_t> JobQueue::Pick(const WorkerRoom& worker,
                                      absl::Duration now) const {
  for (const auto& [job, queued] : jobs_) {
    if (queued.not_before > now || !worker.models.contains(queued.base_model)) {
      continue;
    }
    const bool fits =
        worker.idle ||
        (!queued.alone && worker.loaded.contains(queued.base_model));
    return fits ? std::optional(job) : std::nullopt;
  }
  return std::nullopt;
}

bool JobQueue::BecameReady(absl::Duration after, absl::Duration now) const {
  return std::any_of(jobs_.begin(), jobs_.end(), [&](const auto& entry) {
    return entry.second.not_before > after && entry.second.not_before <= now;
  });
}

std::optional<absl::Time> JobQueue::OldestQueuedAt() const {
  std::optional<absl::Time> oldest;
  for (const auto& [job, queued] : jobs_) {
    if (!oldest || queued.queued_at < *oldest) oldest = queued.queued_at;
  }
  return oldest;
}

const QueuedJob* JobQueue::Find(int64_t job) const {
  auto found = jobs_.find(job);
  return found == jobs_.end() ? nullptr : &found->second;
}

}  // namespace attune::server
