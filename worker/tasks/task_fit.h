#ifndef ATTUNE_WORKER_TASKS_TASK_FIT_H_
#define ATTUNE_WORKER_TASKS_TASK_FIT_H_

#include "absl/status/status.h"
#include "attune/v1/task.pb.h"
#include "worker/models/model_config.h"

// What a model makes of a task whose own defaults are filled in.
namespace attune::worker {

// Fills in what the model's kind decides: how labels are weighed. Idempotent.
void FillModelDefaults(ModelKind kind, attune::v1::TaskSpec& task);

// UNIMPLEMENTED or INVALID_ARGUMENT naming every field (as "task.<path>") that
// asks a model for what its kind cannot do or what is not served yet.
absl::Status CheckFitsModel(const attune::v1::TaskSpec& task,
                            const ModelConfig& config);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_TASK_FIT_H_
