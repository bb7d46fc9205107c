#ifndef ATTUNE_WORKER_TUNING_CLIP_GRADIENTS_H_
#define ATTUNE_WORKER_TUNING_CLIP_GRADIENTS_H_

#include <ATen/core/Tensor.h>

#include "absl/types/span.h"

namespace attune::worker {

// Scales all `gradients` down alike so that the 2-norm of all their elements
// together is at most `max_norm` (0: never); returns the norm they had.
double ClipGradients(absl::Span<at::Tensor> gradients, double max_norm);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_CLIP_GRADIENTS_H_
