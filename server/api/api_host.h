#ifndef ATTUNE_SERVER_API_API_HOST_H_
#define ATTUNE_SERVER_API_API_HOST_H_

#include <chrono>

#include "absl/time/time.h"
#include "grpcpp/server_context.h"
#include "proto/cc/clock.h"
#include "proto/cc/executor.h"
#include "proto/cc/live_calls.h"
#include "proto/cc/stream_call.h"

namespace attune::server {

// What every service needs of the process. The references must outlive the
// gRPC server.
struct ApiHost {
  // For calls that wait for the database or for files.
  Executor& control;
  // For calls that only compute and route, so that they never wait for a disk.
  Executor& inference;
  LiveCalls& live_calls;
  const Clock& clock;
  // A stream whose client does not read or write for this long is ended.
  absl::Duration stall_limit = absl::Seconds(60);
  // The most time between two messages of a watch.
  absl::Duration heartbeat = absl::Seconds(15);
  // For inference calls that come without a deadline.
  absl::Duration default_deadline = absl::Seconds(120);
  // For calls that compute for long, evaluations and augmentations, that come
  // without one.
  absl::Duration default_work_deadline = absl::Hours(4);

  // The caller's, or `otherwise` from now on.
  absl::Time DeadlineOf(const grpc::CallbackServerContext& context,
                        absl::Duration otherwise) const {
    const auto deadline = context.deadline();
    return deadline == std::chrono::system_clock::time_point::max()
               ? clock.Now() + otherwise
               : absl::FromChrono(deadline);
  }

  StreamHost ControlStream() const {
    return {&control, &live_calls, stall_limit};
  }
  StreamHost InferenceStream() const {
    return {&inference, &live_calls, stall_limit};
  }
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_API_HOST_H_
