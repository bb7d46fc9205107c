#ifndef ATTUNE_WORKER_TUNING_FRONT_DRIFT_H_
#define ATTUNE_WORKER_TUNING_FRONT_DRIFT_H_

#include <cstdint>
#include <optional>

#include "worker/models/safetensors.h"
#include "worker/tuning/progress_tracker.h"

namespace attune::worker {

// Tells how large what is trained has become and how far it is from what it
// began with. A head is left out: it begins at zero and would hide the prompt.
// Owned by the trainer; only the training thread uses it.
class FrontDrift {
 public:
  // start: what training began with, by name; shares its tensors. Without any
  // nothing is measured.
  explicit FrontDrift(TensorMap start);

  // After `step` steps, counted from 1. nullopt if it is not measured now:
  // where so much is trained that measuring would take a share of the step,
  // only every tenth step is. `values` hold tensors of the names and shapes of
  // the start.
  std::optional<FrontNorms> Measure(const TensorMap& values, int step) const;

 private:
  TensorMap start_;
  int64_t num_numbers_ = 0;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_FRONT_DRIFT_H_
