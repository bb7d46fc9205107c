#include "server/jobs/waiting_workers.h"

#include <algorithm>
#include <utility>

namespace attune::server {

WaitingWorkers::Registration WaitingWorkers::Add(
    const worker::v1::WorkerState& worker) {
  absl::MutexLock lock(&mutex_);
  const int64_t id = next_id_++;
  workers_[id] = worker;
  return Registration(this, id);
}

bool WaitingWorkers::Any(
    absl::FunctionRef<bool(const worker::v1::WorkerState&)> accept) const {
  absl::MutexLock lock(&mutex_);
  return std::any_of(
      workers_.begin(), workers_.end(),
      [&](const auto& waiting) { return accept(waiting.second); });
}

void WaitingWorkers::Remove(int64_t id) {
  absl::MutexLock lock(&mutex_);
  workers_.erase(id);
}

}  // namespace attune::server
