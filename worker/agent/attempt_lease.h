#ifndef ATTUNE_WORKER_AGENT_ATTEMPT_LEASE_H_
#define ATTUNE_WORKER_AGENT_ATTEMPT_LEASE_H_

#include <algorithm>

#include "absl/time/time.h"

namespace attune::worker {

// The worker's view of its lease on a job. It gives up before the server does,
// so that two workers never train the same job for long. Holds no clock;
// callers pass monotonic times. A value.
class AttemptLease {
 public:
  // Granted at `now` for `length`.
  AttemptLease(absl::Duration now, absl::Duration length)
      : acknowledged_(now), length_(length) {}

  // The server has acknowledged a call that was sent at `sent`. The lease
  // counts from there, because the answer may have been slow.
  void Renew(absl::Duration sent, absl::Duration length) {
    Renew(sent);
    length_ = length;
  }
  // The same, for as long as before.
  void Renew(absl::Duration sent) {
    acknowledged_ = std::max(acknowledged_, sent);
  }

  // When to give up: two thirds of the lease without an acknowledgement.
  absl::Duration give_up_at() const { return acknowledged_ + length_ * 2 / 3; }
  bool Lost(absl::Duration now) const { return now >= give_up_at(); }

 private:
  absl::Duration acknowledged_;
  absl::Duration length_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_AGENT_ATTEMPT_LEASE_H_
