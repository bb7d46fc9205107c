#include "worker/tuning/trained_values.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/zeros.h>

#include <memory>
#include <string>
#include <utility>

#include "proto/cc/status_macros.h"
#include "worker/models/adaptation.h"
#include "worker/tuning/trained_adaptation.h"

namespace attune::worker {

namespace {

using attune::v1::TuningMethod;

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

bool HasPrompt(const TensorMap& values) {
  return values.contains(std::string(kPromptValue));
}

const at::Tensor& PromptOf(const TensorMap& values) {
  return ValueOf(values, kPromptValue);
}

ClassifierHead HeadOf(const TensorMap& values) {
  const auto weight = values.find(std::string(kHeadWeightValue));
  if (weight == values.end()) return ClassifierHead();
  return {weight->second, ValueOf(values, kHeadBiasValue)};
}

absl::StatusOr<AttachedPrompt> TrainedFront(const LoadedModel& model,
                                            const TuningMethod& method,
                                            const TensorMap& values,
                                            uint64_t dropout_seed) {
  AttachedPrompt front;
  if (HasPrefix(values)) {
    front.prefix = std::make_shared<const KvBlock>(
        ValueOf(values, kPrefixKeysValue).unbind(0),
        ValueOf(values, kPrefixValuesValue).unbind(0));
  } else if (HasPrompt(values)) {
    front.rows = PromptOf(values);
  } else if (AdaptsModel(method)) {
    Adaptation adaptation = AdaptationOf(method, values);
    adaptation.dropout = method.lora().dropout();
    if (adaptation.dropout > 0) {
      adaptation.generator = at::detail::createCPUGenerator(dropout_seed);
    }
    ATTUNE_ASSIGN_OR_RETURN(front.adapted,
                            AdaptModel(*model.model, adaptation));
  }
  front.head = HeadOf(values);
  return front;
}

absl::StatusOr<AttachedPrompt> AttachValues(const LoadedModel& model,
                                            const TuningMethod& method,
                                            const TensorMap& values) {
  const ClassifierHead head = HeadOf(values);
  if (HasPrefix(values)) {
    return AttachPrefix(model, ValueOf(values, kPrefixKeysValue),
                        ValueOf(values, kPrefixValuesValue), head);
  }
  if (HasPrompt(values)) return AttachPrompt(model, PromptOf(values), head);
  if (AdaptsModel(method)) {
    return AttachAdaptation(model, AdaptationOf(method, values), head);
  }
  return AttachHead(model, head);
}

}  // namespace attune::worker
