#ifndef ATTUNE_SERVER_API_WORKER_CHECKS_H_
#define ATTUNE_SERVER_API_WORKER_CHECKS_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "attune/worker/v1/control.pb.h"

// Checks of what workers send. Pure.
namespace attune::server {

inline constexpr absl::Duration kMaxSynchronizeWait = absl::Seconds(30);
inline constexpr int kMaxWarmArtifacts = 1'000;
inline constexpr int kMaxModelsPerWorker = 1'000;
inline constexpr size_t kMaxWorkerIdBytes = 253;

// The worker's own part and the wait; the attempts are the job manager's.
absl::Status CheckWorkerRequest(const worker::v1::SynchronizeRequest& request);

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_WORKER_CHECKS_H_
