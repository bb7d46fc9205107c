#include "worker/tuning/trained_values.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "proto/cc/status_macros.h"
#include "worker/models/adaptation.h"
#include "worker/tuning/prompt_encoder.h"
#include "worker/tuning/trained_adaptation.h"

namespace attune::worker {
namespace {

using attune::v1::TuningMethod;

const at::Tensor& ValueOf(const TensorMap& values, std::string_view name) {
  return values.at(std::string(name));
}

}  // namespace

TensorMap ProduceValues(const TuningMethod& method, const TensorMap& values) {
  const std::optional<PromptEncoder> encoder = PromptEncoder::Of(method);
  if (!encoder.has_value()) return values;
  TensorMap produced = encoder->Apply(values);
  for (const auto& [name, value] : values) {
    // Front values are there already.
    if (!name.starts_with(kEncoderPrefix)) produced.emplace(name, value);
  }
  return produced;
}

TensorMap MakeInitialValues(const TaskProgram& program, TensorMap front) {
  if (program.scores_by_head()) {
    const int64_t outputs = program.num_outputs();
    const int64_t dim = program.model().info.config.dim;
    front[std::string(kHeadWeightValue)] =
        at::zeros({outputs, dim}, at::kFloat);
    front[std::string(kHeadBiasValue)] = at::zeros({outputs}, at::kFloat);
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

absl::StatusOr<AttachedPrompt> FrontOf(const LoadedModel& model,
                                       const TuningMethod& method,
                                       const TensorMap& produced,
                                       uint64_t dropout_seed, bool at_marks) {
  AttachedPrompt front;
  if (HasPrefix(produced)) {
    front.prefix = std::make_shared<const KvBlock>(
        ValueOf(produced, kPrefixKeysValue).unbind(0),
        ValueOf(produced, kPrefixValuesValue).unbind(0),
        method.prefix_tuning().first_layer());
  } else if (HasPrompt(produced)) {
    (at_marks ? front.marked_rows : front.rows) = PromptOf(produced);
  } else if (AdaptsModel(method)) {
    Adaptation adaptation = AdaptationOf(method, produced);
    adaptation.dropout = method.lora().dropout();
    if (adaptation.dropout > 0) {
      adaptation.generator = at::detail::createCPUGenerator(dropout_seed);
    }
    ATTUNE_ASSIGN_OR_RETURN(front.adapted,
                            AdaptModel(*model.model, adaptation));
  }
  front.head = HeadOf(produced);
  return front;
}

TensorMap FoldValues(const TuningMethod& method, const TensorMap& values) {
  const at::NoGradGuard no_grad;
  TensorMap folded = ProduceValues(method, values);
  // As they are stored.
  for (auto& [name, value] : folded) value = value.contiguous();
  return folded;
}

absl::StatusOr<AttachedPrompt> AttachValues(const LoadedModel& model,
                                            const TuningMethod& method,
                                            const TensorMap& values,
                                            bool at_marks) {
  const TensorMap folded = FoldValues(method, values);
  const ClassifierHead head = HeadOf(folded);
  if (HasPrefix(folded)) {
    return AttachPrefix(model, ValueOf(folded, kPrefixKeysValue),
                        ValueOf(folded, kPrefixValuesValue), head,
                        method.prefix_tuning().first_layer());
  }
  if (HasPrompt(folded)) {
    return AttachPrompt(model, PromptOf(folded), head, at_marks);
  }
  if (AdaptsModel(method)) {
    return AttachAdaptation(model, AdaptationOf(method, folded), head);
  }
  return AttachHead(model, head);
}

}  // namespace attune::worker
