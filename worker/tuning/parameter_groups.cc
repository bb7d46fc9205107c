#include "worker/tuning/parameter_groups.h"

namespace attune::worker {

double LargestLearningRate(const attune::v1::TrainingConfig& training,
                           std::string_view name) {
  return name.starts_with("head.") ? training.head_learning_rate().value()
                                   : training.learning_rate().value();
}

double WeightDecayOf(const attune::v1::TrainingConfig& training,
                     std::string_view name, const at::Tensor& value) {
  if (value.dim() < 2 || name.ends_with(".bias")) return 0;
  return training.weight_decay();
}

}  // namespace attune::worker
