#ifndef ATTUNE_WORKER_API_EVALUATE_CALL_H_
#define ATTUNE_WORKER_API_EVALUATE_CALL_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "attune/worker/v1/engine.pb.h"
#include "worker/api/progress_call.h"
#include "worker/inference/target_resolver.h"

namespace attune::worker {

// One Evaluate: takes the rows, then streams how far the evaluation has come
// and at last its result.
class EvaluateCall final
    : public ProgressCall<v1::EngineEvaluateRequest,
                          attune::v1::EvaluatePromptResponse> {
 public:
  // host, work and resolver are borrowed.
  EvaluateCall(const StreamHost& host, BackgroundWork& work,
               TargetResolver& resolver, std::shared_ptr<CallContext> context)
      : ProgressCall(host, work, std::move(context)), resolver_(resolver) {}

 private:
  absl::Status TakeHeader(v1::EngineEvaluateRequest& message) override;
  absl::StatusOr<attune::v1::EvaluatePromptResponse> Compute(
      std::vector<std::string> rows, const Pause& pause) override;

  TargetResolver& resolver_;
  v1::EngineEvaluateHeader header_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_API_EVALUATE_CALL_H_
