#ifndef ATTUNE_WORKER_TUNING_PARAMETER_GROUPS_H_
#define ATTUNE_WORKER_TUNING_PARAMETER_GROUPS_H_

#include <ATen/core/Tensor.h>

#include <string_view>

#include "attune/v1/training.pb.h"

// What of a resolved config holds for a trained tensor, by its name: "prompt",
// "prefix.*", "encoder.*" (what makes the rows of a prompt), "head.*" and
// "weights.*" (of the model itself).
namespace attune::worker {

// The largest learning rate: that of the head for "head.*", of the method for
// the others.
double LargestLearningRate(const attune::v1::TrainingConfig& training,
                           std::string_view name);

// The weight decay: none for biases and for tensors of one dimension, which
// are the weights of norms.
double WeightDecayOf(const attune::v1::TrainingConfig& training,
                     std::string_view name, const at::Tensor& value);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_PARAMETER_GROUPS_H_
