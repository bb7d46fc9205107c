#include "worker/api/evaluate_call.h"

#include <cstdint>

#include "worker/api/engine_messages.h"
#include "worker/inference/target_evaluation.h"

namespace attune::worker {
namespace {

using attune::v1::EvaluatePromptResponse;

}  // namespace

absl::Status EvaluateCall::TakeHeader(v1::EngineEvaluateRequest& message) {
  header_.Swap(message.mutable_header());
  return absl::OkStatus();
}

absl::StatusOr<EvaluatePromptResponse> EvaluateCall::Compute(
    std::vector<std::string> rows, const Pause& pause) {
  const EvaluationHooks hooks = {
      .pause = pause, .on_progress = [this](int64_t done, int64_t total) {
        Tell([&](EvaluatePromptResponse& progress) {
          progress.set_num_rows_done(done);
          progress.set_num_rows_total(total);
        });
      }};
  return EvaluateTargets(MakeCall(header_, std::move(rows)), resolver_, hooks);
}

}  // namespace attune::worker
