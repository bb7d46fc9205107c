#ifndef ATTUNE_PROTO_CC_LIVE_CALLS_H_
#define ATTUNE_PROTO_CC_LIVE_CALLS_H_

#include <cstddef>
#include <map>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace attune {

// A call that may last: a stream or a long poll.
class LiveCall {
 public:
  virtual ~LiveCall() = default;
  // Ends the call with `status` unless it has ended. Any thread; must not wait.
  virtual void End(const absl::Status& status) = 0;
  // Time has come to `now` (monotonic): the call may act on its time limits.
  virtual void Tick(absl::Duration now) = 0;
};

// All calls that may last. gRPC's Server::Shutdown waits for each of them, so
// the drain ends them first. Thread-safe.
class LiveCalls {
 public:
  // Ends `call` at once when draining has begun.
  void Add(const std::shared_ptr<LiveCall>& call);
  void Remove(const LiveCall* call);
  // Ticks every call. Called by a timer, or by tests.
  void Tick(absl::Duration now);
  // Ends every call, and each that comes later, with UNAVAILABLE (DRAINING).
  void Drain();
  bool draining() const;
  size_t size() const;

 private:
  std::map<const LiveCall*, std::weak_ptr<LiveCall>> Snapshot() const;

  mutable absl::Mutex mutex_;
  std::map<const LiveCall*, std::weak_ptr<LiveCall>> calls_
      ABSL_GUARDED_BY(mutex_);
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace attune

#endif  // ATTUNE_PROTO_CC_LIVE_CALLS_H_
