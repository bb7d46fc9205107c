#ifndef ATTUNE_PROTO_CC_EXECUTOR_H_
#define ATTUNE_PROTO_CC_EXECUTOR_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace attune {

// Runs tasks in their order on its own threads, so that gRPC's threads never
// wait for disk, locks or compute. Thread-safe.
class Executor {
 public:
  using Task = std::function<void()>;
  struct Options {
    std::string name;  // in error messages and metrics
    int num_threads = 2;
    size_t max_queued = 1024;
    // Called with the time each task waited. May be empty.
    std::function<void(absl::Duration)> on_start = {};
  };

  explicit Executor(Options options);
  // Shuts down.
  ~Executor();

  // Queues new work. RESOURCE_EXHAUSTED (QUEUE_FULL) when max_queued tasks
  // wait, UNAVAILABLE (DRAINING) after Shutdown.
  absl::Status Offer(Task task);
  // Queues the next step of work that was accepted before; never full, since
  // such work is bounded where it is accepted. False after Shutdown.
  bool Post(Task task);
  // Takes no more tasks, runs those that wait and joins the threads.
  void Shutdown();

  const std::string& name() const { return options_.name; }
  size_t queue_depth() const;
  int busy_threads() const;

 private:
  struct Entry {
    Task task;
    absl::Time queued;
  };
  void Work();

  const Options options_;
  mutable absl::Mutex mutex_;
  std::deque<Entry> queue_ ABSL_GUARDED_BY(mutex_);
  int busy_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace attune

#endif  // ATTUNE_PROTO_CC_EXECUTOR_H_
