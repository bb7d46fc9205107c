#ifndef ATTUNE_WORKER_API_AUGMENT_CALL_H_
#define ATTUNE_WORKER_API_AUGMENT_CALL_H_

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

// One Augment: takes the rows, then streams how far the augmentation has come
// with the rows it has kept, and at last its result.
class AugmentCall final
    : public ProgressCall<v1::EngineAugmentRequest, v1::EngineAugmentResponse> {
 public:
  // host, work and resolver are borrowed.
  AugmentCall(const StreamHost& host, BackgroundWork& work,
              TargetResolver& resolver, std::shared_ptr<CallContext> context)
      : ProgressCall(host, work, std::move(context)), resolver_(resolver) {}

 private:
  absl::Status TakeHeader(v1::EngineAugmentRequest& message) override;
  absl::StatusOr<v1::EngineAugmentResponse> Compute(
      std::vector<std::string> rows, const Pause& pause) override;
  // With some of the rows, which are told once.
  v1::EngineAugmentResponse TakeProgress(
      v1::EngineAugmentResponse& progress) override;
  bool MustTell(const v1::EngineAugmentResponse& progress) const override {
    return progress.rows_size() > 0;
  }

  TargetResolver& resolver_;
  v1::EngineAugmentHeader header_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_API_AUGMENT_CALL_H_
