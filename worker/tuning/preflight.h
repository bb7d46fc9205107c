#ifndef ATTUNE_WORKER_TUNING_PREFLIGHT_H_
#define ATTUNE_WORKER_TUNING_PREFLIGHT_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "attune/v1/tuning_service.pb.h"
#include "proto/cc/clock.h"
#include "worker/models/model_store.h"

namespace attune::worker {

// Who hears of a preflight, on the thread that runs it. Either may be empty.
struct PreflightHooks {
  // Before every piece of work, so that the thread's share of the cores can be
  // set (SetComputeThreads). May block while others compute.
  std::function<void()> before_step = nullptr;
  // Whether to stop here. Asked between pieces of work.
  std::function<bool()> stop_requested = nullptr;
};

// Looks at what a job of the request's spec would do with `rows`, JSON objects
// in the order of the dataset, without doing it: prepares the job as an attempt
// does, but goes on behind every fault, and if there is none makes one step of
// training to see what it takes. Whatever is wrong with spec or rows is a
// finding. Errors: CANCELLED when asked to stop; kModelMemoryFull and
// kOutOfMemory for a model that there is no room for now.
absl::StatusOr<attune::v1::PreflightTuningJobResponse> Preflight(
    const attune::v1::PreflightTuningJobRequest& request,
    const std::vector<std::string>& rows, ModelStore& models,
    const Clock& clock, const PreflightHooks& hooks);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_PREFLIGHT_H_
