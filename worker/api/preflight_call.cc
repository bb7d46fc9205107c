#include "worker/api/preflight_call.h"

#include <utility>

#include "worker/models/torch_errors.h"

namespace attune::worker {

absl::Status PreflightCall::TakeHeader(v1::EnginePreflightRequest& message) {
  request_.Swap(message.mutable_header());
  return absl::OkStatus();
}

void PreflightCall::Work(std::vector<std::string> rows, const Pause& pause) {
  auto result = CatchTorchErrors("preflight", [&] {
    return preflight_(request_, std::move(rows), pause);
  });
  {
    absl::MutexLock lock(&mutex_);
    result_ = std::move(result);
  }
  Wake();
}

PreflightCall::Next PreflightCall::Answer(absl::Status* status) {
  absl::MutexLock lock(&mutex_);
  if (!result_.has_value()) return Next::kWait;
  *status = result_->status();
  if (status->ok()) *response_ = **std::move(result_);
  return Next::kEnd;
}

}  // namespace attune::worker
