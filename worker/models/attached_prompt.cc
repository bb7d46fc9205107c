#include "worker/models/attached_prompt.h"

#include <c10/core/GradMode.h>

#include "proto/cc/status_macros.h"

namespace attune::worker {

namespace {

ClassifierHead MovedTo(const at::Device& device, const ClassifierHead& head) {
  if (!head.defined()) return head;
  return {head.weight.detach().to(device), head.bias.detach().to(device)};
}

}  // namespace

size_t AttachedPrompt::num_bytes() const {
  size_t bytes = rows.defined() ? rows.nbytes() : 0;
  if (marked_rows.defined()) bytes += marked_rows.nbytes();
  if (prefix != nullptr) bytes += prefix->num_bytes();
  bytes += adapted_bytes;
  if (head.defined()) bytes += head.weight.nbytes() + head.bias.nbytes();
  return bytes;
}

absl::StatusOr<AttachedPrompt> AttachPrompt(const LoadedModel& model,
                                            const at::Tensor& rows,
                                            const ClassifierHead& head,
                                            bool at_marks) {
  const at::Device device = model.model->device();
  AttachedPrompt prompt;
  if (at_marks) {
    prompt.marked_rows = rows.detach().to(device, at::kFloat);
  } else if (model.info.config.kind == ModelKind::kCausal) {
    ATTUNE_ASSIGN_OR_RETURN(
        prompt.prefix, model.causal().BuildPrefix(rows.detach().to(device)));
  } else {
    prompt.rows = rows.detach().to(device, at::kFloat);
  }
  prompt.head = MovedTo(device, head);
  return prompt;
}

AttachedPrompt AttachPrefix(const LoadedModel& model, const at::Tensor& keys,
                            const at::Tensor& values,
                            const ClassifierHead& head, int64_t first_layer) {
  const at::Device device = model.model->device();
  AttachedPrompt prompt;
  prompt.prefix = std::make_shared<const KvBlock>(
      keys.detach().to(device, at::kFloat).unbind(0),
      values.detach().to(device, at::kFloat).unbind(0), first_layer);
  prompt.head = MovedTo(device, head);
  return prompt;
}

absl::StatusOr<AttachedPrompt> AttachAdaptation(const LoadedModel& model,
                                                const Adaptation& adaptation,
                                                const ClassifierHead& head) {
  const at::NoGradGuard no_grad;
  AttachedPrompt prompt = AttachHead(model, head);
  ATTUNE_ASSIGN_OR_RETURN(prompt.adapted, AdaptModel(*model.model, adaptation,
                                                     &prompt.adapted_bytes));
  if (!adaptation.merged) prompt.adapted_bytes += adaptation.low_rank_bytes();
  return prompt;
}

AttachedPrompt AttachHead(const LoadedModel& model,
                          const ClassifierHead& head) {
  AttachedPrompt prompt;
  prompt.head = MovedTo(model.model->device(), head);
  return prompt;
}

const BaseModel& ModelWith(const AttachedPrompt* prompt,
                           const LoadedModel& base) {
  return prompt != nullptr && prompt->adapted != nullptr ? *prompt->adapted
                                                         : *base.model;
}

}  // namespace attune::worker
