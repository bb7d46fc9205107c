#ifndef ATTUNE_WORKER_API_PREFLIGHT_CALL_H_
#define ATTUNE_WORKER_API_PREFLIGHT_CALL_H_

#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "attune/worker/v1/engine.pb.h"
#include "worker/api/rows_call.h"

namespace attune::worker {

// Looks at what a job would do with `rows`, JSON objects in their order. Blocks
// and computes on the calling thread; asks `pause` before each piece of it and
// ends with its error.
using PreflightFunction =
    std::function<absl::StatusOr<attune::v1::PreflightTuningJobResponse>(
        const attune::v1::PreflightTuningJobRequest& request,
        std::vector<std::string> rows, const BackgroundWork::Pause& pause)>;

// One Preflight: takes the rows and answers what a PreflightFunction finds.
class PreflightCall final
    : public RowsCall<grpc::ServerReadReactor<v1::EnginePreflightRequest>,
                      v1::EnginePreflightRequest> {
 public:
  // host, work and preflight are borrowed; response is gRPC's.
  PreflightCall(const StreamHost& host, BackgroundWork& work,
                const PreflightFunction& preflight,
                std::shared_ptr<CallContext> context,
                attune::v1::PreflightTuningJobResponse* response)
      : RowsCall(host, work, std::move(context)),
        preflight_(preflight),
        response_(response) {}

 private:
  absl::Status TakeHeader(v1::EnginePreflightRequest& message) override;
  void Work(std::vector<std::string> rows, const Pause& pause) override
      ABSL_LOCKS_EXCLUDED(mutex_);
  Next Answer(absl::Status* status) override ABSL_LOCKS_EXCLUDED(mutex_);

  const PreflightFunction& preflight_;
  attune::v1::PreflightTuningJobResponse* const response_;
  attune::v1::PreflightTuningJobRequest request_;

  absl::Mutex mutex_;
  std::optional<absl::StatusOr<attune::v1::PreflightTuningJobResponse>> result_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_API_PREFLIGHT_CALL_H_
