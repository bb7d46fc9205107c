#ifndef ATTUNE_SERVER_JOBS_RETRY_POLICY_H_
#define ATTUNE_SERVER_JOBS_RETRY_POLICY_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "proto/cc/status.h"

namespace attune::server {

// Whether another attempt may succeed where one failed for `reason`. The
// machine's or the network's troubles and bugs (which a lost connection can
// look like) are tried again; what follows from the job itself is not.
bool IsRetryable(Reason reason);

// How long a job waits after its n-th counted loss in a row (n >= 1): 1 s, then
// 5 s doubling up to 5 min, each spread by +-20 %. uniform: 0 to 1.
absl::Duration RetryDelay(int losses, double uniform);

// Whether the next attempt after that many losses in a row is the last one that
// a job has: it must have its worker for itself then. A worker that dies takes
// all its jobs along, and so the one that kills workers cannot use up the
// attempts of the others.
bool NeedsWorkerAlone(int losses, int max_attempts);

// The error of a job that lost `losses` attempts without a new checkpoint
// between them. last: why the last one was lost.
absl::Status AttemptsExhausted(int losses, const absl::Status& last);

}  // namespace attune::server

#endif  // ATTUNE_SERVER_JOBS_RETRY_POLICY_H_
