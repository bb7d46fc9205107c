#include "worker/tuning/trained_values.h"

#include <ATen/ops/zeros.h>

#include <string>

namespace attune::worker {

TensorMap MakeInitialValues(const TaskProgram& program,
                            const at::Tensor& prompt) {
  TensorMap values = {{std::string(kPromptValue), prompt}};
  if (program.scores_by_head()) {
    const int64_t labels = static_cast<int64_t>(program.labels().size());
    const int64_t dim = program.model().info.config.dim;
    values[std::string(kHeadWeightValue)] =
        at::zeros({labels, dim}, at::kFloat);
    values[std::string(kHeadBiasValue)] = at::zeros({labels}, at::kFloat);
  }
  return values;
}

const at::Tensor& PromptOf(const TensorMap& values) {
  return values.at(std::string(kPromptValue));
}

ClassifierHead HeadOf(const TensorMap& values) {
  const auto weight = values.find(std::string(kHeadWeightValue));
  if (weight == values.end()) return ClassifierHead();
  return {weight->second, values.at(std::string(kHeadBiasValue))};
}

absl::StatusOr<AttachedPrompt> AttachValues(const LoadedModel& model,
                                            const TensorMap& values) {
  return AttachPrompt(model, PromptOf(values), HeadOf(values));
}

}  // namespace attune::worker
