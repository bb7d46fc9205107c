#ifndef ATTUNE_SERVER_JOBS_WAITING_WORKERS_H_
#define ATTUNE_SERVER_JOBS_WAITING_WORKERS_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "attune/worker/v1/control.pb.h"
#include "server/jobs/registration.h"

namespace attune::server {

// The workers whose calls wait for a job at this moment. New jobs go to them
// before they go to workers that have jobs already. Thread-safe.
class WaitingWorkers {
 public:
  // The worker waits until this is destroyed.
  using Registration = server::Registration<WaitingWorkers>;

  // Must not outlive this.
  [[nodiscard]] Registration Add(const worker::v1::WorkerState& worker);

  // Whether one waits for which `accept` is true. It is called with a lock held
  // and must not call this object.
  bool Any(
      absl::FunctionRef<bool(const worker::v1::WorkerState&)> accept) const;

 private:
  friend Registration;
  void Remove(int64_t id);

  mutable absl::Mutex mutex_;
  int64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<int64_t, worker::v1::WorkerState> workers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_JOBS_WAITING_WORKERS_H_
