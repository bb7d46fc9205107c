#ifndef ATTUNE_WORKER_TUNING_MEMORY_GUARD_H_
#define ATTUNE_WORKER_TUNING_MEMORY_GUARD_H_

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "attune/worker/v1/manifest.pb.h"
#include "worker/tuning/attempt.h"
#include "worker/tuning/batch_rows.h"

namespace attune::worker {

// Runs a step in smaller parts where memory does not suffice. Owned by the
// trainer; only the training thread uses it.
class MemoryGuard {
 public:
  // max_rows: of a part, until memory did not suffice once. `listener` outlives
  // the guard.
  MemoryGuard(int64_t max_rows, AttemptListener& listener);

  // Calls `run`, which puts `batch` through the model in parts of at most
  // `max_rows` rows and has no effect if it fails. When it fails with
  // kOutOfMemory, halves the largest part, but not below the longest sample,
  // tells the listener and calls again: the mean over the batch is the same, in
  // another order of sums. `progress` keeps the rows for all later steps. Other
  // errors are returned as they are; kOutOfMemory naming what helps when the
  // largest part is a single sample already.
  absl::Status Run(const BatchRows& batch, v1::CheckpointManifest& progress,
                   const std::function<absl::Status(int64_t max_rows)>& run);

 private:
  const int64_t max_rows_;
  AttemptListener& listener_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_MEMORY_GUARD_H_
