#ifndef ATTUNE_WORKER_INFERENCE_ANSWER_PASS_H_
#define ATTUNE_WORKER_INFERENCE_ANSWER_PASS_H_

#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "attune/v1/inference_service.pb.h"
#include "worker/inference/work_item.h"
#include "worker/models/base_model.h"

namespace attune::worker {

// What errors of LibTorch are told of.
inline constexpr std::string_view kEnginePass = "a pass of the engine";

// One pass for `items` that generate nothing, at least one, which have one
// model and are of one form -> their answers in order; Internal for one whose
// scores are no numbers. An error of the whole is one of any of them.
absl::StatusOr<std::vector<absl::StatusOr<attune::v1::PredictResult>>>
RunAnswerPass(const BaseModel& model,
              absl::Span<const std::unique_ptr<WorkItem>> items);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_INFERENCE_ANSWER_PASS_H_
