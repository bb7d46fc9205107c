#ifndef ATTUNE_WORKER_INFERENCE_ITEM_ANSWERS_H_
#define ATTUNE_WORKER_INFERENCE_ITEM_ANSWERS_H_

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "attune/v1/inference_service.pb.h"
#include "proto/cc/clock.h"
#include "worker/inference/batch_policy.h"
#include "worker/inference/work_item.h"

namespace attune::worker {

// The answers to `items`, in their order, as the engine gives them, for work
// that answers beside it: computed on the calling thread, in the passes of a
// BatchRunner of its own. Each item has its origin left empty. Calls `pause`
// before every pass; its error ends the work, and so does the first error of an
// item, kOutOfMemory among them.
absl::StatusOr<std::vector<attune::v1::PredictResult>> AnswerItems(
    std::vector<std::unique_ptr<WorkItem>> items, const BatchLimits& limits,
    const Clock& clock, const std::function<absl::Status()>& pause);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_INFERENCE_ITEM_ANSWERS_H_
