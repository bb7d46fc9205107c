#include "worker/tuning/trained_values.h"

#include <ATen/ops/zeros.h>

#include <string>

namespace attune::worker {

namespace {

const at::Tensor& ValueOf(const TensorMap& values, std::string_view name) {
  return values.at(std::string(name));
}

}  // namespace

TensorMap MakeInitialValues(const TaskProgram& program, TensorMap front) {
  if (program.scores_by_head()) {
    const int64_t labels = static_cast<int64_t>(program.labels().size());
    const int64_t dim = program.model().info.config.dim;
    front[std::string(kHeadWeightValue)] = at::zeros({labels, dim}, at::kFloat);
    front[std::string(kHeadBiasValue)] = at::zeros({labels}, at::kFloat);
  }
  return front;
}

bool HasPrefix(const TensorMap& values) {
  return values.contains(std::string(kPrefixKeysValue));
}

const at::Tensor& PromptOf(const TensorMap& values) {
  return ValueOf(values, kPromptValue);
}

ClassifierHead HeadOf(const TensorMap& values) {
  const auto weight = values.find(std::string(kHeadWeightValue));
  if (weight == values.end()) return ClassifierHead();
  return {weight->second, ValueOf(values, kHeadBiasValue)};
}

AttachedPrompt TrainedFront(const TensorMap& values) {
  AttachedPrompt front;
  if (HasPrefix(values)) {
    front.prefix = std::make_shared<const KvBlock>(
        ValueOf(values, kPrefixKeysValue).unbind(0),
        ValueOf(values, kPrefixValuesValue).unbind(0));
  } else {
    front.rows = PromptOf(values);
  }
  front.head = HeadOf(values);
  return front;
}

absl::StatusOr<AttachedPrompt> AttachValues(const LoadedModel& model,
                                            const TensorMap& values) {
  if (HasPrefix(values)) {
    return AttachPrefix(model, ValueOf(values, kPrefixKeysValue),
                        ValueOf(values, kPrefixValuesValue), HeadOf(values));
  }
  return AttachPrompt(model, PromptOf(values), HeadOf(values));
}

}  // namespace attune::worker
