#ifndef ATTUNE_WORKER_API_EVALUATE_CALL_H_
#define ATTUNE_WORKER_API_EVALUATE_CALL_H_

#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "attune/worker/v1/engine.pb.h"
#include "worker/api/rows_call.h"
#include "worker/inference/target_resolver.h"

namespace attune::worker {

// One Evaluate: takes the rows, then streams how far the evaluation has come,
// with every tick, and at last its result.
class EvaluateCall final
    : public RowsCall<
          grpc::ServerBidiReactor<v1::EngineEvaluateRequest,
                                  attune::v1::EvaluatePromptResponse>,
          v1::EngineEvaluateRequest> {
 public:
  // host, work and resolver are borrowed.
  EvaluateCall(const StreamHost& host, BackgroundWork& work,
               TargetResolver& resolver, std::shared_ptr<CallContext> context)
      : RowsCall(host, work, std::move(context)), resolver_(resolver) {}

 private:
  using Response = attune::v1::EvaluatePromptResponse;

  absl::Status TakeHeader(v1::EngineEvaluateRequest& message) override;
  void Work(std::vector<std::string> rows, const Pause& pause) override
      ABSL_LOCKS_EXCLUDED(mutex_);
  Next Answer(absl::Status* status) override ABSL_LOCKS_EXCLUDED(mutex_);
  void WriteAnswer() override { StartWrite(&answer_); }
  void OnWriteDone(bool ok) override { TransferDone(ok); }
  bool WantsStep(absl::Duration now) override;

  TargetResolver& resolver_;
  v1::EngineEvaluateHeader header_;
  Response answer_;  // gRPC's while it is written
  std::atomic<bool> tell_progress_ = false;

  absl::Mutex mutex_;
  int64_t num_done_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t num_total_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<absl::StatusOr<Response>> result_ ABSL_GUARDED_BY(mutex_);
  bool result_sent_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_API_EVALUATE_CALL_H_
