#include "worker/inference/item_answers.h"

#include <cstddef>
#include <utility>

#include "proto/cc/status_macros.h"
#include "worker/inference/batch_runner.h"
#include "worker/inference/inference_call.h"
#include "worker/models/torch_errors.h"

namespace attune::worker {

absl::StatusOr<std::vector<attune::v1::PredictResult>> AnswerItems(
    std::vector<std::unique_ptr<WorkItem>> items, const BatchLimits& limits,
    const Clock& clock, const std::function<absl::Status()>& pause) {
  std::vector<attune::v1::PredictResult> answers(items.size());
  absl::Status failure;
  // After what its items write to: it answers what is left when it goes.
  BatchRunner runner(limits, clock);
  // Whoever asked is asked for by `pause`.
  const auto context = std::make_shared<const CallContext>();
  for (size_t i = 0; i < items.size(); ++i) {
    items[i]->origin.context = context;
    items[i]->origin.arrival = clock.Monotonic();
    items[i]->origin.done =
        [&answers, &failure,
         i](absl::StatusOr<attune::v1::PredictResult> answer) {
          if (answer.ok()) {
            answers[i] = *std::move(answer);
          } else {
            failure.Update(answer.status());
          }
        };
    runner.Add(std::move(items[i]));
  }
  while (!runner.idle() && failure.ok()) {
    ATTUNE_RETURN_IF_ERROR(pause());
    runner.Step();
  }
  if (!failure.ok()) return NameMemoryErrors(failure);
  return answers;
}

}  // namespace attune::worker
