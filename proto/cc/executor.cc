#include "proto/cc/executor.h"

#include <utility>

#include "absl/time/clock.h"
#include "proto/cc/status.h"
#include "proto/cc/text.h"

namespace attune {

Executor::Executor(Options options) : options_(std::move(options)) {
  for (int i = 0; i < options_.num_threads; ++i) {
    threads_.emplace_back([this] { Work(); });
  }
}

Executor::~Executor() { Shutdown(); }

absl::Status Executor::Offer(Task task) {
  absl::MutexLock lock(&mutex_);
  if (stopped_) {
    return MakeError(Reason::kDraining, "the process is shutting down");
  }
  if (queue_.size() >= options_.max_queued) {
    return MakeError(Reason::kQueueFull,
                     Concat("executor '", options_.name, "' has ",
                            queue_.size(), " tasks waiting; try again later"));
  }
  queue_.push_back({std::move(task), absl::Now()});
  return absl::OkStatus();
}

bool Executor::Post(Task task) {
  absl::MutexLock lock(&mutex_);
  if (stopped_) return false;
  queue_.push_back({std::move(task), absl::Now()});
  return true;
}

void Executor::Shutdown() {
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

size_t Executor::queue_depth() const {
  absl::MutexLock lock(&mutex_);
  return queue_.size();
}

int Executor::busy_threads() const {
  absl::MutexLock lock(&mutex_);
  return busy_;
}

void Executor::Work() {
  const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopped_ || !queue_.empty();
  };
  while (true) {
    Entry entry;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&ready));
      if (queue_.empty()) return;
      entry = std::move(queue_.front());
      queue_.pop_front();
      ++busy_;
    }
    if (options_.on_start) options_.on_start(absl::Now() - entry.queued);
    entry.task();
    entry.task = nullptr;
    absl::MutexLock lock(&mutex_);
    --busy_;
  }
}

}  // namespace attune
