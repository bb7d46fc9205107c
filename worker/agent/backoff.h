#ifndef ATTUNE_WORKER_AGENT_BACKOFF_H_
#define ATTUNE_WORKER_AGENT_BACKOFF_H_

#include "absl/time/time.h"

namespace attune::worker {

// How long to wait before a call is tried again: twice as long each time, with
// jitter, so that many workers do not come back in step. Not thread-safe.
class Backoff {
 public:
  struct Options {
    absl::Duration initial = absl::Milliseconds(200);
    absl::Duration maximum = absl::Seconds(3);
  };

  explicit Backoff(const Options& options) : options_(options) {}

  // The next wait. `uniform` in [0, 1) picks a point in its second half.
  absl::Duration Next(double uniform);
  // After a success.
  void Reset() { failures_ = 0; }

 private:
  Options options_;
  int failures_ = 0;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_AGENT_BACKOFF_H_
