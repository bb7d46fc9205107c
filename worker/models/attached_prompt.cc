#include "worker/models/attached_prompt.h"

#include "proto/cc/status_macros.h"

namespace attune::worker {

size_t AttachedPrompt::num_bytes() const {
  size_t bytes = prefix != nullptr ? prefix->num_bytes() : rows.nbytes();
  if (head.defined()) bytes += head.weight.nbytes() + head.bias.nbytes();
  return bytes;
}

absl::StatusOr<AttachedPrompt> AttachPrompt(const LoadedModel& model,
                                            const at::Tensor& rows,
                                            const ClassifierHead& head) {
  const at::Device device = model.model->device();
  AttachedPrompt prompt;
  if (model.info.config.kind == ModelKind::kCausal) {
    ATTUNE_ASSIGN_OR_RETURN(prompt.prefix,
                            model.causal().BuildPrefix(rows.to(device)));
  } else {
    prompt.rows = rows.detach().to(device, at::kFloat);
  }
  if (head.defined()) {
    prompt.head = {head.weight.detach().to(device),
                   head.bias.detach().to(device)};
  }
  return prompt;
}

}  // namespace attune::worker
