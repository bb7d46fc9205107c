#ifndef ATTUNE_PROTO_CC_HEALTH_SERVICE_H_
#define ATTUNE_PROTO_CC_HEALTH_SERVICE_H_

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "proto/cc/live_calls.h"
#include "proto/cc/stream_call.h"

namespace attune {

// Is always serving while the process runs.
inline constexpr char kLivenessService[] = "attune-liveness";
// Is serving while the process is ready for calls.
inline constexpr char kReadinessService[] = "attune-readiness";

// grpc.health.v1.Health. gRPC's own keeps Watch streams open while a server
// shuts down; here they end with the drain. All services share one state, but
// for liveness. Answers without a lock that anything slow holds. Thread-safe.
class HealthService final : public grpc::health::v1::Health::CallbackService {
 public:
  using Request = grpc::health::v1::HealthCheckRequest;
  using Response = grpc::health::v1::HealthCheckResponse;

  // Knows "", liveness, readiness and `services`. Begins as not ready.
  HealthService(LiveCalls& live_calls,
                const std::vector<std::string>& services);

  // Wakes the watches when `ready` is new.
  void SetReady(bool ready) ABSL_LOCKS_EXCLUDED(mutex_);

  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* context,
                                  const Request* request,
                                  Response* response) override;
  grpc::ServerWriteReactor<Response>* Watch(
      grpc::CallbackServerContext* context, const Request* request) override;

 private:
  class WatchCall;
  Response::ServingStatus StatusOf(const std::string& service) const
      ABSL_LOCKS_EXCLUDED(mutex_);

  LiveCalls& live_calls_;
  std::set<std::string> services_;
  mutable absl::Mutex mutex_;
  bool ready_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<const WatchCall*, std::weak_ptr<StreamCall>> watches_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace attune

#endif  // ATTUNE_PROTO_CC_HEALTH_SERVICE_H_
