#ifndef ATTUNE_WORKER_TASKS_TASK_CONTRACT_H_
#define ATTUNE_WORKER_TASKS_TASK_CONTRACT_H_

#include <cstddef>

#include "absl/status/status.h"
#include "attune/v1/task.pb.h"

namespace attune::worker {

// The most demonstrations before an input.
inline constexpr int kMaxDemonstrations = 256;
// The most of which each input gets the nearest.
inline constexpr int kMaxPoolDemonstrations = 4096;
// All of a task together: jobs and versions list them, and a message holds 4
// MiB.
inline constexpr size_t kMaxDemonstrationsBytes = size_t{1} << 20;

// Fills in what task.proto promises for fields that are not set and that
// neither rows nor model decide: names of fields, label words, truncation side,
// placement, number of new tokens. Idempotent.
void FillTaskDefaults(attune::v1::TaskSpec& task);

// Checks a task whose defaults are filled in, without its labels' number:
// INVALID_ARGUMENT or UNIMPLEMENTED naming every wrong field as "task.<path>".
absl::Status CheckTask(const attune::v1::TaskSpec& task);

// Checks that a classification has 2 to 1,000 labels.
absl::Status CheckHasLabels(const attune::v1::TaskSpec& task);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_TASK_CONTRACT_H_
