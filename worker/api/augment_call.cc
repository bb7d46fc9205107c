#include "worker/api/augment_call.h"

#include <cstddef>

#include "proto/cc/status_macros.h"
#include "worker/api/engine_messages.h"
#include "worker/inference/row_augmentation.h"

namespace attune::worker {
namespace {

// Rows are much smaller, so a message stays below 1 MiB.
constexpr size_t kEnoughRowBytes = size_t{768} << 10;

}  // namespace

absl::Status AugmentCall::TakeHeader(v1::EngineAugmentRequest& message) {
  header_.Swap(message.mutable_header());
  return absl::OkStatus();
}

absl::StatusOr<v1::EngineAugmentResponse> AugmentCall::Compute(
    std::vector<std::string> rows, const Pause& pause) {
  const AugmentationHooks hooks = {
      .pause = pause,
      .on_progress = [this](const attune::v1::AugmentDatasetResponse& progress,
                            std::vector<std::string> kept) {
        Tell([&](v1::EngineAugmentResponse& told) {
          *told.mutable_response() = progress;
          for (std::string& row : kept) told.add_rows(std::move(row));
        });
      }};
  v1::EngineAugmentResponse result;
  ATTUNE_ASSIGN_OR_RETURN(
      *result.mutable_response(),
      AugmentRows(MakeCall(header_, std::move(rows)), resolver_, hooks));
  return result;
}

v1::EngineAugmentResponse AugmentCall::TakeProgress(
    v1::EngineAugmentResponse& progress) {
  v1::EngineAugmentResponse message;
  *message.mutable_response() = progress.response();
  int count = 0;
  for (size_t num_bytes = 0;
       count < progress.rows_size() && num_bytes < kEnoughRowBytes; ++count) {
    num_bytes += progress.rows(count).size();
    message.add_rows(std::move(*progress.mutable_rows(count)));
  }
  progress.mutable_rows()->DeleteSubrange(0, count);
  return message;
}

}  // namespace attune::worker
