#include "worker/api/evaluate_call.h"

#include <utility>

#include "worker/api/engine_messages.h"
#include "worker/inference/target_evaluation.h"

namespace attune::worker {

absl::Status EvaluateCall::TakeHeader(v1::EngineEvaluateRequest& message) {
  header_.Swap(message.mutable_header());
  return absl::OkStatus();
}

void EvaluateCall::Work(std::vector<std::string> rows, const Pause& pause) {
  const EvaluationHooks hooks = {
      .pause = pause, .on_progress = [this](int64_t done, int64_t total) {
        absl::MutexLock lock(&mutex_);
        num_done_ = done;
        num_total_ = total;
      }};
  absl::StatusOr<Response> result =
      EvaluateTargets(MakeCall(header_, std::move(rows)), resolver_, hooks);
  {
    absl::MutexLock lock(&mutex_);
    result_ = std::move(result);
  }
  Wake();
}

EvaluateCall::Next EvaluateCall::Answer(absl::Status* status) {
  absl::MutexLock lock(&mutex_);
  if (result_.has_value()) {
    *status = result_->status();
    if (!status->ok() || std::exchange(result_sent_, true)) return Next::kEnd;
    answer_ = **std::move(result_);
    return Next::kTransfer;
  }
  if (!tell_progress_.exchange(false)) return Next::kWait;
  answer_.set_num_rows_done(num_done_);
  answer_.set_num_rows_total(num_total_);
  return Next::kTransfer;
}

bool EvaluateCall::WantsStep(absl::Duration /*now*/) {
  tell_progress_ = true;
  return true;
}

}  // namespace attune::worker
